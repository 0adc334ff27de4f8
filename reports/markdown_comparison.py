"""A comparison as a short Markdown text, for a job summary or a comment on a pull request."""

from collections.abc import Sequence

from reports.comparison import Change, Comparison, Direction
from reports.markdown import WORDS, code, prose
from reports.outcome import conforms, headline, plural, status
from reports.text import wall_clock

_CHANGES = 20  # cases of one direction
_ROWS = 60  # rules
_RUNS = 12  # columns; more would be no table to read
_MARKS = {kind: words.partition(" ")[0] for kind, words in WORDS.items()}
_QUIET = frozenset({Direction.JUDGED})  # counted, and not listed


def render_comparison_markdown(comparison: Comparison) -> str:
    """The headline, the runs, what has changed, and a table of the rules in which the runs differ. However large they
    are, fewer than the 65,536 characters that a comment on GitHub may have."""
    blocks = [f"## {'✅' if comparison.is_good else '❌'} {comparison.headline}", _runs(comparison)]
    for direction, found in comparison.by_direction:
        blocks += _changed(direction, found)
    return "\n\n".join([*blocks, *_table(comparison)]) + "\n"


def _shown(comparison: Comparison) -> list[int]:
    """The places of the runs that are shown: of too many, those that do not conform before the others."""
    places = range(len(comparison.runs))
    worst_first = sorted(places, key=lambda place: conforms(comparison.runs[place].results))
    return sorted(worst_first[:_RUNS])


def _runs(comparison: Comparison) -> str:
    lines = [
        f"- {code(run.label, 60)}: {headline(run.results)} · {code(run.results.target)}"
        + (f" · {prose(wall_clock(run.results.started), 60)}" if run.results.started else "")
        for run in (comparison.runs[place] for place in _shown(comparison))
    ]
    more = len(comparison.runs) - _RUNS
    return "\n".join(lines + [f"- and {plural(more, 'more run')}"] * (more > 0))


def _changed(direction: Direction, found: Sequence[Change]) -> list[str]:
    title = f"### {direction.capitalize()} ({len(found):,})"
    if direction in _QUIET:
        return [title]
    lines = [
        f"- {code(change.case.rule)} in {code(change.case.scenario, 60)}: {_word(change)}"
        + (f"; {prose(change.told)}" if change.told else "")
        for change in found[:_CHANGES]
    ]
    more = len(found) - _CHANGES
    return [title, "\n".join(lines + [f"- and {plural(more, 'more case')}"] * (more > 0))]


def _word(change: Change) -> str:
    was, now = (
        WORDS[status(case)].partition(" ")[2] if case else "not there" for case in (change.was, change.now)
    )
    return f"{was} before, {now} now"


def _table(comparison: Comparison) -> list[str]:
    rows = [row for _, rows in comparison.areas for row in rows if row.differs]
    if not rows:
        return ["They differ in no rule."]
    places = _shown(comparison)
    heads = (code(comparison.runs[place].label, 40) for place in places)
    lines = [["Rule", *heads], ["---", *[":-:"] * len(places)]]
    lines += [
        [code(row.rule), *(_MARKS[cell.status] if (cell := row.cells[place]) else "" for place in places)]
        for row in rows[:_ROWS]
    ]
    more = len(rows) - _ROWS
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return ["### Where they differ", table] + [f"and {plural(more, 'more rule')}"] * (more > 0)
