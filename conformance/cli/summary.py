"""What a run comes to, on a terminal, for a person."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from reports.outcome import Outcome, Status, headline, outcome, status
from reports.results import Case, Evidence, Results
from reports.text import brief, instant, seconds, visible

_STYLES = {
    Status.FAIL: ("✗", "bold red"),
    Status.STALE: ("✗", "bold red"),
    Status.ERROR: ("!", "bold magenta"),
    Status.WARN: ("▲", "yellow"),
    Status.INCONCLUSIVE: ("?", "cyan"),
    Status.EXCUSED: ("~", "dim"),
    Status.PASS: ("✓", "green"),
    Status.NOT_APPLICABLE: ("-", "dim"),
}
_SHOWN_EVIDENCE = 3
_WIDTH = 400  # characters of one piece of text that a peer sent


def print_summary(console: Console, results: Results, files: Iterable[str] = ()) -> None:
    """Print the assumptions, what broke and how to mend it, the counts, the headline, and where the files are."""
    for assumption in results.assumptions:
        console.print(Text.assemble(("assumed  ", "cyan"), visible(assumption)))
    for kind in (Status.FAIL, Status.STALE, Status.ERROR, Status.WARN):
        for rule, cases in _by_rule(case for case in results.cases if status(case) is kind):
            _print_rule(console, results, kind, rule, cases)
    _print_reasons(console, [case for case in results.cases if status(case) is Status.INCONCLUSIVE])
    if results.unlocks:
        console.print("\nMore rules could be judged with these keys in the configuration:")
        for line in results.unlocks:
            console.print(Text(f"  {visible(line)}", style="dim"))
    console.print()
    if results.cases:
        _print_counts(console, results)
    good = outcome(results) is Outcome.CONFORMS
    console.print(Text(headline(results), style="bold green" if good else "bold red"))
    if results.unreached is not None:
        console.print(Text(visible(results.unreached)))
    for file in files:
        console.print(Text(f"  {file}", style="dim"))


def _print_rule(console: Console, results: Results, kind: Status, rule: str, cases: Sequence[Case]) -> None:
    symbol, style = _STYLES[kind]
    scenarios = ", ".join(case.scenario for case in cases)
    console.print()
    console.print(
        Text.assemble((f"{symbol} {kind.value:4}  ", style), (rule, "bold"), (f"  in {scenarios}", "dim"))
    )
    first = cases[0]
    if kind is Status.STALE:
        _indented(
            console, f"listed as a known failure ({first.excused}), but it passes: take it off the list"
        )
        return
    if not first.findings:
        _indented(console, first.reason)
    for finding in first.findings[:1]:
        _indented(console, finding.message)
        for evidence in finding.evidence[:_SHOWN_EVIDENCE]:
            _indented(console, _evidence(evidence), style="dim")
    if more := sum(len(case.findings) for case in cases) - 1:
        _indented(console, f"and {more} more like it in the report" if more > 0 else "", style="dim")
    if (info := results.rules.get(rule)) is not None:
        _indented(console, f"mend: {info.mend}", style="green")


def _print_reasons(console: Console, cases: Sequence[Case]) -> None:
    reasons: dict[str, list[Case]] = {}
    for case in cases:
        reasons.setdefault(case.reason, []).append(case)
    if reasons:
        console.print("\nInconclusive:")
    for reason, told in reasons.items():
        rules = ", ".join(dict.fromkeys(case.rule for case in told))
        scenarios = ", ".join(dict.fromkeys(case.scenario for case in told))
        _indented(console, f"{reason}: {rules} in {scenarios}", style="cyan")


def _print_counts(console: Console, results: Results) -> None:
    counts = dict.fromkeys(Status, 0)
    for case in results.cases:
        counts[status(case)] += 1
    line = Text()
    for kind, count in counts.items():
        if count:
            symbol, style = _STYLES[kind]
            line.append(f"{symbol} {count} {kind.value}", style=style).append("   ")
    console.print(line)
    console.print(
        Text(
            f"{len(results.cases)} cases: {len(results.rules)} rules in {len(results.scenarios)} scenarios "
            f"in {seconds(results.duration)}, seed {results.seed}",
            style="dim",
        )
    )


def _evidence(evidence: Evidence) -> str:
    parts = [
        evidence.connection or "",
        "" if evidence.time is None else f"at {instant(evidence.time)}",
        "" if evidence.offset is None else f"byte {evidence.offset}",
        f"expected {evidence.expected}" if evidence.expected else "",
        f"got {evidence.actual}" if evidence.actual else "",
        evidence.excerpt,
    ]
    return " · ".join(part for part in parts if part)


def _indented(console: Console, text: str, style: str = "") -> None:
    if text:
        console.print(Text(f"        {visible(brief(text, _WIDTH))}", style=style))


def _by_rule(cases: Iterable[Case]) -> list[tuple[str, list[Case]]]:
    grouped: dict[str, list[Case]] = {}
    for case in cases:
        grouped.setdefault(case.rule, []).append(case)
    return list(grouped.items())
