"""`sse-conformance rules`: the catalogue."""

import logging
from typing import Annotated

import typer
from rich.progress import Progress
from rich.text import Text

from conformance.cli.choose import chosen_rules
from conformance.cli.common import CONFUSED, MISUSED, Failure, err, out
from conformance.cli.summary import show
from conformance.rules import RULES, Rule

EXAMPLES = """
[bold]Examples[/]

  sse-conformance rules   [dim]all of them, a line each[/]

  sse-conformance rules completion   [dim]an area[/]

  sse-conformance rules resume.no-gap   [dim]one: why it matters, where it comes from, how to mend a server[/]

  sse-conformance rules --matrix   [dim]every rule against every server that is wrong on purpose[/]
"""


def rules_command(
    name: Annotated[
        str | None, typer.Argument(help="A rule, an area such as `resume`, or a pattern such as '*.no-gap'.")
    ] = None,
    matrix: Annotated[
        bool,
        typer.Option(
            "--matrix", help="Judge every specimen by every rule and print the matrix; takes a minute or two."
        ),
    ] = False,
) -> None:
    """The catalogue of rules; of one rule: why it matters, the text it comes from, how to mend a server."""
    if matrix:
        if name is not None:
            raise Failure("--matrix shows all rules: give no name with it", MISUSED)
        _matrix()
        return
    found = chosen_rules(None if name is None else [name], "rules")
    if [rule.name for rule in found] == [name]:
        _explain(found[0])
        return
    width = max(len(rule.name) for rule in found)
    for rule in found:
        style = "bold" if rule.level.value == "MUST" else ""
        text = Text.assemble((f"{rule.name:{width}}", style), f"  {rule.level.value:6}  ", rule.claim)
        show(out, text, indent=0, hang=4)


def _matrix() -> None:
    from conformance.matrix import row  # servers and all
    from conformance.matrix_page import faults, page
    from conformance.specimens import REFERENCE, SPECIMENS

    specimens = (REFERENCE, *SPECIMENS)
    said = logging.getLogger("conformance.reference")
    level = said.level
    said.setLevel(logging.CRITICAL)  # some specimens fail on purpose
    try:
        with Progress(console=err, transient=True) as progress:
            rows = [row(each) for each in progress.track(specimens, description="judging specimens")]
    finally:
        said.setLevel(level)
    out.print(page(rows, RULES), markup=False, highlight=False, end="")
    if wrong := faults(rows, RULES):
        raise Failure("the catalogue does not hold:\n" + "\n".join(f"  {each}" for each in wrong), CONFUSED)


def _explain(rule: Rule) -> None:
    from conformance.specimens import SPECIMENS  # servers and all: nobody else needs them

    out.print(Text.assemble((rule.name, "bold"), f"  {rule.level.value}"))
    show(out, Text(rule.claim), indent=0)
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
            show(out, Text(line), indent=2)
