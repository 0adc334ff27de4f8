"""The command line, called in this process and from a folder of its own."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest
from ways_in import ROOT

from conformance.cli import main


class Said(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


Sse: TypeAlias = Callable[..., Said]


def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sse:
    """A fixture: `sse("run", url, "--duration", "1")` as if typed in an empty folder, the test's `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("PYTHONPATH", ROOT)  # for the server of the built-in reference

    def call(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["sse-conformance", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Said(code or 0, *capsys.readouterr())

    return call
