"""The command line, called in this process and from a folder of its own."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


def _is_of_a_test(module: str) -> bool:
    file = getattr(sys.modules[module], "__file__", None)
    ours = module.partition(".")[0] in {"conformance", "fault_injection", "reports"}
    return file is not None and not ours and not file.startswith((sys.prefix, sys.base_prefix))


@contextmanager
def fresh_modules() -> Iterator[None]:
    """What is imported in the block, and where it was looked for, is forgotten: the next test's folder has modules of
    the same names."""
    modules, path = dict(sys.modules), list(sys.path)
    try:
        yield
    finally:
        for name in [each for each in sys.modules if each not in modules and _is_of_a_test(each)]:
            del sys.modules[name]
        sys.path[:] = path


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
