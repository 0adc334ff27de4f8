"""Runs side by side, on a terminal, for a person."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.cli.summary import STYLES, show
from reports.comparison import Change, Comparison, Direction
from reports.outcome import Status, conforms, headline, status
from reports.page import WORDS
from reports.text import brief, visible

_SHOWN = 20  # cases of one direction
_RULE = 32  # characters of the longest name of a rule
_LONGEST = 300  # characters of one piece of text that a peer sent
_KINDS = {
    Direction.BROKEN: Status.FAIL,
    Direction.ERROR: Status.ERROR,
    Direction.WARNS: Status.WARN,
    Direction.UNJUDGED: Status.INCONCLUSIVE,
    Direction.STILL: Status.FAIL,
    Direction.STILL_WARNS: Status.WARN,
    Direction.MENDED: Status.PASS,
}
"""What is listed, and how it is shown."""


def print_comparison(console: Console, comparison: Comparison, files: Iterable[str] = ()) -> None:
    """Print the runs, what has changed or where they differ, the headline, and where the files are."""
    for number, run in enumerate(comparison.runs, 1):
        style = "green" if conforms(run.results) else "red"
        line = Text.assemble(
            (f"{number}  " if _are_numbered(console, comparison) else "", ""),
            (visible(run.label), "bold"),
            "  ",
            (headline(run.results), style),
            (f"  {visible(run.results.target)}", "dim"),
        )
        show(console, line, indent=0, hang=2)
    if comparison.changes is None:
        _print_table(console, comparison)
    for direction, found in comparison.by_direction:
        if direction in _KINDS:
            _print_changes(console, direction, found)
    console.print()
    console.print(Text(comparison.headline, style="bold green" if comparison.is_good else "bold red"))
    for file in files:
        console.print(Text(f"  {visible(file)}", style="dim"))


def _print_changes(console: Console, direction: Direction, found: Sequence[Change]) -> None:
    symbol, style = STYLES[_KINDS[direction]]
    console.print()
    console.print(Text(f"{direction.capitalize()}:"))
    for change in found[:_SHOWN]:
        was = WORDS[status(change.was)] if change.was is not None else "not there"
        line = Text.assemble(
            (f"{symbol} ", style),
            (visible(change.case.rule), "bold"),
            (f"  in {visible(change.case.scenario)}", "dim"),
            (f"  ({was} before)", "dim"),
        )
        show(console, line, indent=2, hang=2)
        if change.told and direction is not Direction.MENDED:
            show(console, Text(brief(visible(change.told), _LONGEST)), indent=6)
    if len(found) > _SHOWN:
        console.print(f"  and {len(found) - _SHOWN:,} more")


def _are_numbered(console: Console, comparison: Comparison) -> bool:
    """Whether the names of the runs are too long for the heads of a table."""
    return _RULE + sum(len(visible(run.label)) + 2 for run in comparison.runs) > console.width


def _print_table(console: Console, comparison: Comparison) -> None:
    rows = [row for _, rows in comparison.areas for row in rows if row.differs]
    console.print()
    if not rows:
        console.print("They differ in no rule.")
        return
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column("Where they differ", no_wrap=True)
    for number, run in enumerate(comparison.runs, 1):
        head = str(number) if _are_numbered(console, comparison) else visible(run.label)
        table.add_column(Text(head), justify="center", no_wrap=True)
    for row in rows:
        cells = [Text(*STYLES[cell.status]) if cell is not None else Text("") for cell in row.cells]
        table.add_row(Text(visible(row.rule)), *cells)
    console.print(table, soft_wrap=False)
