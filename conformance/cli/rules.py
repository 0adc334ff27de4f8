"""`sse-conformance rules`: the catalogue."""

from typing import Annotated

import typer
from rich.text import Text

from conformance.cli.common import MISUSED, Failure, out
from conformance.config import did_you_mean
from conformance.rules import RULES, Rule
from conformance.specimens import SPECIMENS

EXAMPLES = """
[bold]Examples[/]

  sse-conformance rules   [dim]all of them, a line each[/]

  sse-conformance rules completion   [dim]an area[/]

  sse-conformance rules resume.no-gap   [dim]one: why it matters, where it comes from, how to mend a server[/]
"""


def rules_command(
    name: Annotated[str | None, typer.Argument(help="A rule, or an area such as `resume`.")] = None,
) -> None:
    """The catalogue of rules; of one rule: why it matters, the text it comes from, how to mend a server."""
    found = [rule for rule in RULES if name in {None, rule.name, rule.area}]
    if not found:
        known = [*(rule.name for rule in RULES), *{rule.area: None for rule in RULES}]
        raise Failure(f"there is no rule {name!r}{did_you_mean(name or '', known)}", MISUSED)
    if name is not None and found[0].name == name:
        _explain(found[0])
        return
    width = max(len(rule.name) for rule in found)
    for rule in found:
        style = "bold" if rule.level.value == "MUST" else ""
        out.print(Text.assemble((f"{rule.name:{width}}", style), f"  {rule.level.value:6}  ", rule.claim))


def _explain(rule: Rule) -> None:
    out.print(Text.assemble((rule.name, "bold"), f"  {rule.level.value}"))
    out.print(Text(rule.claim))
    specimens = [each for each in SPECIMENS if rule.name in each.breaks]
    for title, text in (
        ("Why it matters", rule.why),
        ("Where it comes from", rule.source),
        ("How to mend a server that breaks it", rule.mend),
        ("Judged in the scenarios", ", ".join(rule.scenarios)),
        ("Needs in the configuration", ", ".join(rule.needs) or "nothing"),
        ("Servers that break it on purpose", "\n".join(f"{each.name}: {each.summary}" for each in specimens)),
    ):
        out.print(Text(f"\n{title}", style="bold"))
        for line in text.split("\n"):
            out.print(Text(f"  {line}"))
