"""Says what is being driven while it is driven: a line that moves on a terminal, plain lines in CI."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from conformance.run import Told, What


@contextmanager
def progress(console: Console, total: int) -> Iterator[Told]:
    """Tells of scenarios as they start and end. Nothing is left of it on a terminal."""
    driven: dict[str, None] = {}
    ended: set[str] = set()

    def line() -> Text:
        names = ", ".join(driven)
        return Text(f" {len(ended)} of {total} scenarios driven; now: {names}"[: console.width - 4])

    if not console.is_terminal:

        def tell(what: What, name: str) -> None:
            if what == "again":
                console.print(f"driving {name} again, to confirm what a timing rule found")
            elif what == "alone":
                console.print(f"driving {name} alone, as the server had ended while several were driven")
            elif what == "ended" and name not in ended:
                ended.add(name)
                console.print(f"driven {name} ({len(ended)} of {total})")

        yield tell
        return

    spinner = Spinner("dots", line())
    with Live(spinner, console=console, transient=True, refresh_per_second=8):

        def show(what: What, name: str) -> None:
            if what == "ended":
                driven.pop(name, None)
                ended.add(name)
            else:
                driven[name] = None
            spinner.update(text=line())

        yield show
