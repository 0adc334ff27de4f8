"""Writes the report's files into a folder that is the report's own."""

from collections.abc import Mapping
from pathlib import Path

from conformance.cli.common import MISUSED, Failure
from reports.html import render_html
from reports.junit import render_junit
from reports.markdown import render_markdown
from reports.results import Results, to_json
from reports.timeline import Timeline

HISTORIES = "histories"


def prepare(folder: Path) -> Path:
    """Make the folder, empty its histories of an earlier run, and give the folder for the new ones.

    Raises `Failure` (2) where that cannot be done.
    """
    histories = folder / HISTORIES
    try:
        histories.mkdir(parents=True, exist_ok=True)
        for old in histories.glob("*.jsonl"):
            old.unlink()
    except OSError as error:
        raise Failure(f"--out {folder}: {error.strerror}", MISUSED) from error
    return histories


def write(folder: Path, results: Results, timelines: Mapping[str, Timeline]) -> list[Path]:
    """Write results.json, report.html, junit.xml and summary.md; gives their paths, the one to open first."""
    contents = {
        "report.html": render_html(results, timelines).encode(),
        "results.json": to_json(results),
        "junit.xml": render_junit(results).encode(),
        "summary.md": render_markdown(results).encode(),
    }
    paths = []
    for name, content in contents.items():
        path = folder / name
        path.write_bytes(content)
        paths.append(path)
    return paths
