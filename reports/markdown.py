"""Results as a short Markdown text, for a job summary or a comment on a pull request."""

import re
from collections.abc import Iterable

from reports.outcome import SEVERITY, Status, conforms, headline, plural, status
from reports.results import Case, Results
from reports.text import line, seconds, wall_clock, web_link

WORDS = {
    Status.FAIL: "❌ broken",
    Status.STALE: "❌ known failure passes",
    Status.ERROR: "⛔ harness error",
    Status.WARN: "⚠️ warning",
    Status.INCONCLUSIVE: "❔ inconclusive",
    Status.EXCUSED: "➖ excused",
    Status.PASS: "✅ passed",
    Status.NOT_APPLICABLE: "· not applicable",
}

_SECTION = 8_000  # characters, after which a section only counts
_FINDINGS = 3
_SCENARIOS = 60
_ITEMS = 10
# What marks up anywhere; what makes a heading, a list or a rule of a line; what makes a link.
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]<>|~&]|^[#+\-=:]|(?<=www)\.|:(?=//))|^(\d+)([.)])", re.IGNORECASE)
_REFERENCE = re.compile(r"([@#!$~%&^])(?=\w)")


def _escape(found: re.Match[str]) -> str:
    return f"{found[2]}\\{found[3]}" if found[2] else f"\\{found[1]}"


def prose(text: str, limit: int = 300) -> str:
    """Hostile text as plain words on one line of Markdown, also within a table's cell.

    Punctuation that could mark something up is escaped. A mention or a reference (`@name`, `#1`), which
    GitHub and GitLab find in the finished text where no escape is left, is broken by a zero-width space;
    `visible` has shown every zero-width space that came with the text.
    """
    return _PUNCTUATION.sub(_escape, _REFERENCE.sub("\\1\u200b", line(text, limit).strip(" ")))


def code(text: str, limit: int = 120) -> str:
    """Hostile text as a code span on one line of Markdown, also within a table's cell. A code span holds no
    markup, no link and no mention; the bar that ends a cell cannot be escaped in one everywhere, so it is
    drawn broken (`¦`)."""
    shown = line(text, limit).replace("|", "¦")
    if not shown.strip():
        return "(empty)"
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    pad = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def render_markdown(results: Results) -> str:
    """The outcome, the broken rules with their first findings, a table of scenarios. However large the run,
    fewer than the 65,536 characters that a comment on GitHub may have."""
    blocks = [
        f"## {'✅' if conforms(results) else '❌'} {headline(results)}",
        _about(results),
        *(
            [f"The target was not reached: {prose(results.unreached)}"]
            if results.unreached is not None
            else []
        ),
        _counts(results.cases),
        *_rules(results, "Broken rules", Status.FAIL),
        *_rules(results, "Known failures that pass now", Status.STALE),
        *_rules(results, "Failures of the harness", Status.ERROR),
        *_rules(results, "Warnings", Status.WARN),
        *_scenarios(results),
        *_list("Assumed", results.assumptions),
        *_list("More could be judged", results.unlocks),
    ]
    return "\n\n".join(blocks) + "\n"


def _about(results: Results) -> str:
    parts = [code(results.target), f"seed {results.seed}", seconds(results.duration)]
    parts += [prose(results.how)] * bool(results.how)
    parts += [prose(wall_clock(results.started))] * bool(results.started)
    parts += [f"version {prose(results.version)}"] * bool(results.version)
    parts += ["strict"] * results.strict
    return " · ".join(parts)


def _counts(cases: Iterable[Case]) -> str:
    found = [status(case) for case in cases]
    told = [f"{WORDS[kind]} {found.count(kind):,}" for kind in SEVERITY if kind in found]
    return f"Cases: {' · '.join(told)}" if told else "No case was judged."


def _rules(results: Results, title: str, kind: Status) -> list[str]:
    """A heading and an item a rule, with the first things that were found."""
    by_rule: dict[str, list[Case]] = {}
    for case in results.cases:
        if status(case) is kind:
            by_rule.setdefault(case.rule, []).append(case)
    if not by_rule:
        return []
    lines: list[str] = []
    for told, (name, cases) in enumerate(by_rule.items()):
        if sum(map(len, lines)) > _SECTION:
            lines.append(f"- and {plural(len(by_rule) - told, 'more rule')}")
            break
        rule = results.rules.get(name)
        lines.append(f"- {code(name)}" + (f" {prose(rule.claim)}" if rule else ""))
        lines += [f"  - {_found(case)}" for case in cases[:_FINDINGS]]
        if len(cases) > _FINDINGS:
            lines.append(f"  - and in {plural(len(cases) - _FINDINGS, 'more scenario')}")
        if rule and rule.mend and kind in (Status.FAIL, Status.WARN):
            lines.append(f"  - To mend: {prose(rule.mend)}{_source(rule.source)}")
    return [f"### {title}", "\n".join(lines)]


def _source(source: str) -> str:
    """A link, if the source is an address that cannot end the brackets it is written in."""
    link = web_link(source)
    safe = link is not None and len(link) < 300 and not set(link) & set("<>()[]\\`|@&")
    return f" ([source](<{link}>))" if safe else ""


def _found(case: Case) -> str:
    text = case.findings[0].message if case.findings else case.reason or case.excused or ""
    more = f" (and {plural(len(case.findings) - 1, 'more finding')})" if len(case.findings) > 1 else ""
    told = f"{code(case.scenario)}: {prose(text)}{more}"
    if case.findings and case.findings[0].evidence:
        seen = case.findings[0].evidence[0]
        told += f"; expected {code(seen.expected)}" if seen.expected else ""
        told += f"; actual {code(seen.actual)}" if seen.actual else ""
    return told


def _scenarios(results: Results) -> list[str]:
    by_name: dict[str, list[Status]] = {scenario.name: [] for scenario in results.scenarios}
    for case in results.cases:
        by_name.setdefault(case.scenario, []).append(status(case))
    if not by_name:
        return []
    kinds = [kind for kind in SEVERITY if any(kind in found for found in by_name.values())]
    rows = [["Scenario", *(WORDS[kind] for kind in kinds), "Time"], ["---", *["--:"] * (len(kinds) + 1)]]
    took = {scenario.name: seconds(scenario.duration) for scenario in results.scenarios}
    for name, found in list(by_name.items())[:_SCENARIOS]:
        counts = [str(found.count(kind) or "") for kind in kinds]
        rows.append([code(name, 60), *counts, took.get(name, "")])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    more = len(by_name) - _SCENARIOS
    return ["### Scenarios", table] + [f"and {plural(more, 'more scenario')}"] * (more > 0)


def _list(title: str, items: tuple[str, ...]) -> list[str]:
    if not items:
        return []
    lines = [f"- {prose(item)}" for item in items[:_ITEMS]]
    lines += [f"- and {len(items) - _ITEMS:,} more"] * (len(items) > _ITEMS)
    return [f"<details><summary>{title} ({len(items):,})</summary>", "\n".join(lines), "</details>"]
