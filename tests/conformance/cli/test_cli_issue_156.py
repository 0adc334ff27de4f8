"""sse-starlette's issue 156, replayed from the file in examples/ that docs/gallery.md names."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_world import fresh_modules
from typer.testing import CliRunner, Result

from conformance.cli.app import make_app
from conformance.explore import load_replay

pytest.importorskip("sse_starlette", reason="examples/sse_starlette_issue_156 is an application on it")

FOLDER = Path(__file__).parents[3] / "examples" / "sse_starlette_issue_156"


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    with fresh_modules():
        yield


def typed(*arguments: str) -> Result:
    return CliRunner().invoke(make_app(), arguments)


def test_the_replay_file_gives_the_finding() -> None:
    """From anywhere: the configuration is found beside the file, the application beside the configuration."""
    result = typed("replay", str(FOLDER / "replay.json"), "--out", "out")
    assert result.exit_code == 1, result.output
    assert "resource.gauges-return  in explore" in result.output
    assert "the gauge taken was 0 at the beginning and is 1 at the end" in result.output
    assert "subscriber a leaves before the response begins by FIN and does not come back" in result.output


def test_who_takes_the_slot_in_the_body_loses_none(tmp_path: Path) -> None:
    replay = tmp_path / "replay.json"
    replay.write_text(
        (FOLDER / "replay.json").read_text("utf-8").replace("app:make_app()", "app:make_mended()"), "utf-8"
    )
    assert load_replay(replay).subject == "app:make_mended()"
    shutil.copy(FOLDER / "sse-conformance.toml", tmp_path)
    result = typed("replay", "replay.json", "--out", "out", "--app-dir", str(FOLDER))
    assert result.exit_code == 0, result.output
    assert "the history differs" in result.output


def test_the_explorer_finds_it() -> None:
    result = typed("explore", "--config", str(FOLDER / "sse-conformance.toml"), "--schedules", "500")
    assert result.exit_code == 1, result.output
    assert "resource.gauges-return" in result.output
