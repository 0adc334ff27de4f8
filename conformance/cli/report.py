"""`sse-conformance report`: results of earlier runs as one report, side by side, or against an earlier one."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from conformance.cli.common import BREAKS, CONFORMS, CONFUSED, MISUSED, Failure, err, exit_code, out
from conformance.cli.compared import print_comparison
from conformance.cli.files import make, write, write_comparison
from conformance.cli.summary import print_summary
from conformance.history import HistoryError, load
from conformance.picture import picture
from reports.comparison import Comparison, Run, compare, compare_with_earlier, got_worse, lost_sight
from reports.merging import merge
from reports.outcome import Outcome, outcome
from reports.results import Results, ResultsError, from_json
from reports.text import file_link, visible
from reports.timeline import Timeline

_NAME: Final = "results.json"
_LARGEST: Final = 256 << 20  # bytes of a file; one that is larger is something else

EXAMPLES = """
[bold]Examples[/]

  sse-conformance report sse-conformance-report --out again   [dim]one run, rendered by this version[/]

  sse-conformance report fastapi/ flask/ express/results.json --out compared   [dim]servers side by side[/]

  sse-conformance report part-1/ part-2/ --merge --out all   [dim]one run that two machines shared[/]

  sse-conformance report now/ --against last-release/results.json   [dim]a gate: what broke since then?[/]

[bold]Exit codes[/]  with --against: [bold]0[/] nothing broke that was not broken before · [bold]1[/] something did · \
[bold]3[/] a rule is not judged any more, or the \
later run came to no verdict. Else as of the runs: [bold]0[/] all conform · [bold]1[/] one does not · \
[bold]3[/] one came to no verdict. [bold]2[/] a file is no results of a run
"""


def report_command(
    files: Annotated[list[Path], typer.Argument(help="results.json of runs, or their folders.")],
    against: Annotated[
        Path | None,
        typer.Option(
            "--against", help="An earlier run: tell what has changed since, and fail on what broke."
        ),
    ] = None,
    merged: Annotated[
        bool, typer.Option("--merge", help="The files are parts of one run, shared out by scenario or rule.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Write the report into this folder.")
    ] = None,
) -> None:
    """Report from results: one run again, runs side by side, or what has changed since an earlier one."""
    paths = [_file(path) for path in files]
    runs = [_read(path) for path in paths]
    if folder is not None and (len(paths) > 1 or against is not None):
        _check_apart(folder, [*paths, *([_file(against)] if against else [])])
    if merged:
        runs = [_merged(runs)]
    if against is not None:
        if len(runs) > 1:
            raise Failure("--against compares one run with the earlier one; parts of one: --merge", MISUSED)
        earlier = _file(against)
        before, now = _labels([earlier, paths[0]])
        comparison = compare_with_earlier(Run(before, _read(earlier)), Run(now, runs[0]))
        _show(comparison, folder)
        raise typer.Exit(_gate(comparison))
    if len(runs) == 1:
        _show_one(runs[0], paths, folder)
        raise typer.Exit(exit_code(runs[0]))
    _show(compare([Run(label, run) for label, run in zip(_labels(paths), runs, strict=True)]), folder)
    codes = {exit_code(run) for run in runs}
    raise typer.Exit(BREAKS if BREAKS in codes else CONFORMS if codes == {CONFORMS} else CONFUSED)


def _show(comparison: Comparison, folder: Path | None) -> None:
    written: list[Path] = []
    if folder is not None:
        make(folder)
        written = write_comparison(folder, comparison)
    print_comparison(out, comparison, [str(path) for path in written])


def _show_one(results: Results, paths: Sequence[Path], folder: Path | None) -> None:
    """The report of one run; its pictures are drawn from the histories, where these are still beside the results."""
    written: list[Path] = []
    if folder is not None:
        make(folder)
        timelines = _timelines(results, paths)
        written = write(folder, _linked(results, folder), timelines)
    print_summary(out, results, [str(path) for path in written])


def _timelines(results: Results, paths: Sequence[Path]) -> dict[str, Timeline]:
    found: dict[str, Timeline] = {}
    for scenario, name in {case.scenario: case.history for case in results.cases}.items():
        kept = [path.parent / name for path in paths if name is not None and file_link(name)]
        for path in filter(Path.is_file, kept):
            try:
                found[scenario] = picture(load(path))
            except (HistoryError, OSError) as error:
                err.print(visible(f"no picture of {scenario}: {error}"), markup=False, highlight=False)
    return {scenario: each for scenario, each in found.items() if each.lanes}


def _linked(results: Results, folder: Path) -> Results:
    """The results without the histories that are not in this folder: a link to one would lead nowhere."""
    cases = tuple(
        case
        if case.history is None or (file_link(case.history) and (folder / case.history).is_file())
        else msgspec.structs.replace(case, history=None)
        for case in results.cases
    )
    return msgspec.structs.replace(results, cases=cases)


def _check_apart(folder: Path, paths: Sequence[Path]) -> None:
    """Raise `Failure` (2) for a folder whose own report would be overwritten."""
    if folder.resolve() in {path.resolve().parent for path in paths}:
        raise Failure(f"--out {folder}: a run's own report is there; name another folder", MISUSED)


def _gate(comparison: Comparison) -> int:
    """What got worse counts first; then that something cannot be told."""
    later, found = comparison.runs[-1].results, comparison.changes or ()
    if got_worse(found, strict=later.strict):
        return BREAKS
    told = outcome(later) in {Outcome.CONFORMS, Outcome.BROKEN} and not lost_sight(found, later)
    return CONFORMS if told else CONFUSED


def _merged(runs: Sequence[Results]) -> Results:
    try:
        return merge(runs)
    except ValueError as error:
        raise Failure(f"--merge: {error}", MISUSED) from error


def _file(path: Path) -> Path:
    return path / _NAME if path.is_dir() else path


def _read(path: Path) -> Results:
    try:
        if not path.is_file():
            raise Failure(f"{path}: there is no such file", MISUSED)
        if path.stat().st_size > _LARGEST:
            raise Failure(f"{path}: not results: it is larger than {_LARGEST >> 20} MiB", MISUSED)
        return from_json(path.read_bytes())
    except ResultsError as error:
        raise Failure(f"{path}: {error}", MISUSED) from error
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", MISUSED) from error


def _labels(paths: Sequence[Path]) -> list[str]:
    """A short name for each: of its folder, or of the file where that has a name of its own; two alike stand with their
    paths."""
    short = [path.resolve().parent.name if path.name == _NAME else path.stem for path in paths]
    counts = Counter(short)
    return [
        str(path) if not name or counts[name] > 1 else name for name, path in zip(short, paths, strict=True)
    ]
