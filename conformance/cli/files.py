"""Writes the report's files into a folder that is the report's own."""

import os
from collections.abc import Mapping
from pathlib import Path

from conformance.cli.common import CONFUSED, MISUSED, Failure
from reports.comparison import Comparison
from reports.html import render_comparison, render_html
from reports.junit import render_junit
from reports.markdown import render_markdown
from reports.markdown_comparison import render_comparison_markdown
from reports.results import Results, to_json
from reports.timeline import Timeline

HISTORIES = "histories"


def seen_from(start: Path, path: Path) -> Path:
    """The path that was meant in the folder `start`, where an application may have gone elsewhere since."""
    return path if Path.cwd() == start else start / path


def prepare(folder: Path) -> Path:
    """Make the folder, empty its histories of an earlier run, and give the folder for the new ones.

    Raises `Failure` (2) where that cannot be done.
    """
    histories = folder / HISTORIES
    make(histories)
    try:
        for old in histories.glob("*.jsonl"):
            old.unlink()
    except OSError as error:
        raise Failure(f"--out {folder}: {error.filename}: {error.strerror}", MISUSED) from error
    return histories


def make(folder: Path) -> None:
    """Make a folder that can be written to. Raises `Failure` (2)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"--out: the folder {folder} cannot be made: {error.strerror}", MISUSED) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Failure(f"--out: nothing can be written into {folder}: Permission denied", MISUSED)


def write(folder: Path, results: Results, timelines: Mapping[str, Timeline]) -> list[Path]:
    """Write results.json, report.html, junit.xml and summary.md; gives their paths, the one to open first.

    Raises `Failure` (3) where that cannot be done.
    """
    return _write(
        folder,
        {
            "report.html": render_html(results, timelines).encode(),
            "results.json": to_json(results),
            "junit.xml": render_junit(results).encode(),
            "summary.md": render_markdown(results).encode(),
        },
    )


def write_comparison(folder: Path, comparison: Comparison) -> list[Path]:
    """Write report.html and summary.md; gives their paths. Raises `Failure` (3) where that cannot be done."""
    return _write(
        folder,
        {
            "report.html": render_comparison(comparison).encode(),
            "summary.md": render_comparison_markdown(comparison).encode(),
        },
    )


def _write(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    paths = [folder / name for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        try:
            path.write_bytes(content)
        except OSError as error:
            raise Failure(f"{path} cannot be written: {error.strerror}", CONFUSED) from error
    return paths
