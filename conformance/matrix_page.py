"""The mutation matrix as a page of Markdown."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from conformance.matrix import MARKS, MEANINGS, Row
from conformance.races import RACES
from conformance.rules import Rule
from reports.results import Level

_HEAD = """\
# Mutation matrix

Made by `sse-conformance rules --matrix`; do not edit it. Every rule against every specimen (a server that is wrong on
purpose, in one point), in every scenario, in virtual time; what only shows in a process of its own, in its own
scenario in one. A cell that changes is a rule that has learned or unlearned
something: CI compares this page with what the code gives, and whoever changes a cell commits the page with it.
"""


def page(rows: Sequence[Row], rules: Sequence[Rule]) -> str:
    """The page for these rows; the reference's is the first of them."""
    areas = {area: list(group) for area, group in groupby(rules, key=lambda rule: rule.area)}
    return "\n".join(
        [
            _HEAD,
            f"{len(rules)} rules, {len(rows) - 1} specimens, {len(RACES)} races.\n",
            *_legend(),
            "\n## The rules, in the order of the columns\n",
            *(f"- **{area}**: {', '.join(_named(rule) for rule in each)}" for area, each in areas.items()),
            "\n## Specimens\n",
            "| specimen | " + " | ".join(areas) + " |",
            "|---" * (len(areas) + 1) + "|",
            *(_line(row, areas.values()) for row in rows),
            "\n## Races\n",
            "Small applications that are wrong at an unlucky moment only. `sse-conformance explore --strict` finds",
            "that moment; the corrected twin of each breaks nothing.\n",
            "| race | caught by |",
            "|---|---|",
            *(f"| {race.name} | {', '.join(f'`{name}`' for name in race.breaks)} |" for race in RACES),
            "",
        ]
    )


def faults(rows: Iterable[Row], rules: Sequence[Rule]) -> list[str]:
    """What is wrong with the catalogue itself, a sentence each: nothing may be."""
    rows = list(rows)
    found: list[str] = []
    caught: Counter[str] = Counter(name for race in RACES for name in race.breaks)
    for row in rows:
        name = row.specimen.name
        for rule in rules:
            match row.cell(rule):
                case "caught":
                    caught[rule.name] += 1
                case "missed":
                    found.append(f"{name} was made to break {rule.name}, and is not caught by it")
                case "unasked":
                    found.append(f"{name} has nothing to do with {rule.name}, and breaks it")
    found += [f"{rule.name} is broken by no specimen and no race" for rule in rules if not caught[rule.name]]
    return found


def _legend() -> Iterable[str]:
    yield "| mark | says |"
    yield "|---|---|"
    for cell, mark in MARKS.items():
        yield f"| `{mark}` | {MEANINGS[cell]} |"


def _named(rule: Rule) -> str:
    name = rule.name.partition(".")[2]
    return f"`{name}`" if rule.level is Level.MUST else f"`{name}` (SHOULD)"


def _line(row: Row, areas: Iterable[Sequence[Rule]]) -> str:
    cells = ("".join(MARKS[row.cell(rule)] for rule in rules) for rules in areas)
    return f"| {row.specimen.name} | " + " | ".join(f"`{cell}`" for cell in cells) + " |"
