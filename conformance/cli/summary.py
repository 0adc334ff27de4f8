"""What a run comes to, on a terminal, for a person."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from conformance.words import evidence_line
from reports.outcome import Outcome, Status, headline, outcome, plural, status
from reports.results import Case, Results
from reports.text import brief, seconds, visible

STYLES = {
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
_LONGEST = 400  # characters of one piece of text that a peer sent


def print_summary(console: Console, results: Results, files: Iterable[str] = ()) -> None:
    """Print the assumptions, what broke and how to mend it, the counts, the headline, and where the files are."""
    for assumption in results.assumptions:
        show(console, Text.assemble(("assumed  ", "cyan"), visible(assumption)), indent=0, hang=9)
    for kind in (Status.FAIL, Status.STALE, Status.ERROR, Status.WARN):
        for rule, cases in _by_rule(case for case in results.cases if status(case) is kind):
            _print_rule(console, results, kind, rule, cases)
    come_to = outcome(results)
    if come_to is not Outcome.UNREACHED:  # else there is one reason for everything, and it stands at the end
        _print_reasons(console, results, Status.INCONCLUSIVE)
        if come_to is Outcome.NOTHING_JUDGED:
            _print_reasons(console, results, Status.NOT_APPLICABLE)
        _print_unlocks(console, results.unlocks)
    console.print()
    if results.cases:
        _print_counts(console, results)
    good = come_to is Outcome.CONFORMS
    console.print(Text(headline(results), style="bold green" if good else "bold red"))
    if results.unreached is not None:
        for line in results.unreached.split("\n"):
            show(console, Text(brief(visible(line), _LONGEST)), indent=0)
    for file in files:
        console.print(Text(f"  {visible(file)}", style="dim"))


def show(console: Console, text: Text, *, indent: int, hang: int = 0) -> None:
    """Print a paragraph: on a terminal wrapped to its width, `hang` columns deeper from the second line on; else
    on one line, as grep and logs want it."""
    if not console.is_terminal:
        console.print(Text(" " * indent).append_text(text))
        return
    indent = min(indent, console.width // 10)  # a phone has 40 columns
    lines = text.wrap(console, max(console.width - indent - hang, 20))
    for number, line in enumerate(lines):
        line.rstrip()
        console.print(Text(" " * (indent + (hang if number else 0))).append_text(line))


def _print_rule(console: Console, results: Results, kind: Status, rule: str, cases: Sequence[Case]) -> None:
    symbol, style = STYLES[kind]
    scenarios = _few([case.scenario for case in cases])
    console.print()
    title = Text.assemble((f"{symbol} {kind.value:4}  ", style), (rule, "bold"), (f"  in {scenarios}", "dim"))
    show(console, title, indent=0, hang=8)
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
            _indented(console, evidence_line(evidence), style="dim")
    if more := sum(len(case.findings) for case in cases) - 1:
        _indented(console, f"and {more} more like it in the report" if more > 0 else "", style="dim")
    if (info := results.rules.get(rule)) is not None:
        _indented(console, f"mend: {info.mend}", style="green")


def _print_reasons(console: Console, results: Results, kind: Status) -> None:
    """What could not be judged, a paragraph for each reason."""
    reasons: dict[str, list[Case]] = {}
    for case in results.cases:
        if status(case) is kind:
            reasons.setdefault(case.reason, []).append(case)
    if reasons:
        console.print(f"\n{kind.value.capitalize()}:")
    for reason, told in reasons.items():
        text = Text(f"{brief(visible(reason), _LONGEST)} · ", style=STYLES[kind][1])
        text.append(by_area(case.rule for case in told))
        text.append(f" in {_few(list(dict.fromkeys(case.scenario for case in told)))}", style="dim")
        show(console, text, indent=8)


def _print_unlocks(console: Console, unlocks: Sequence[str]) -> None:
    if unlocks:
        console.print("\nMore rules could be judged with these keys in the configuration:")
    for line in unlocks:
        keys, _, rules = visible(line).partition(": ")
        console.print(Text(f"  {keys}", style="cyan"))
        show(console, Text(by_area(rules.split(", ")), style="dim"), indent=6)


def by_area(rules: Iterable[str]) -> str:
    """Names of rules, each area said once: `http.auth`, `order: increasing, no-gap`."""
    areas: dict[str, dict[str, None]] = {}
    for rule in rules:
        area, _, name = rule.partition(".")
        areas.setdefault(area, {})[name] = None
    return "; ".join(
        f"{area}: {', '.join(names)}" if len(names) > 1 else ".".join(filter(None, (area, *names)))
        for area, names in areas.items()
    )


def _few(names: Sequence[str], most: int = 3) -> str:
    """The names, those beyond the first few as a number."""
    more = len(names) - most
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:most])} and {more} more"


def _print_counts(console: Console, results: Results) -> None:
    counts = dict.fromkeys(Status, 0)
    for case in results.cases:
        counts[status(case)] += 1
    line = Text()
    for kind, count in counts.items():
        if count:
            symbol, style = STYLES[kind]
            line.append(f"{symbol} {count} {kind.value}", style=style).append("   ")
    show(console, line, indent=0)
    counted = (
        f"{plural(len(results.cases), 'case')}: {plural(len(results.rules), 'rule')} in "
        f"{plural(len(results.scenarios), 'scenario')} in {seconds(results.duration)}, seed {results.seed}"
    ) + (f"; {results.how}" if results.how else "")
    show(console, Text(counted, style="dim"), indent=0)


def _indented(console: Console, text: str, style: str = "") -> None:
    if text:
        show(console, Text(brief(visible(text), _LONGEST), style=style), indent=8)


def _by_rule(cases: Iterable[Case]) -> list[tuple[str, list[Case]]]:
    grouped: dict[str, list[Case]] = {}
    for case in cases:
        grouped.setdefault(case.rule, []).append(case)
    return list(grouped.items())
