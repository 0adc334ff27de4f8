"""What `record` prints: a line for everything that arrives, as it arrives."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import trio
from rich.console import Console
from rich.text import Text

from conformance.dialect import Dialect, Parsed, Role, timestamp_of
from conformance.dialect.learning import Reader
from conformance.history import Exchange, Head, How
from conformance.wire import Comment, Event, Reconnection, Violation
from reports.outcome import plural
from reports.text import line, visible

_WIDTH: Final = 160  # characters of data on a line
_WHOLE: Final = 1 << 20

_STYLES: Final = {Role.COMPLETION: "green", Role.END: "green", Role.FAILURE: "red", Role.HEARTBEAT: "dim"}

_ENDINGS: Final[dict[How, str]] = {
    "complete": "the server ended the stream",
    "dropped": "left",
}


@dataclass
class Monitor:
    """Prints what arrives. `zero` (trio's clock) and `wall` (seconds since the epoch) are the same moment.

    `behind`: seconds after its timestamp from which on an event counts as late. `whole`: data is not cut to a
    line's length. `gone` is called when nobody reads any more.
    """

    console: Console
    dialect: Dialect
    zero: float
    wall: float
    behind: float
    whole: bool = False
    gone: Callable[[], None] = lambda: None
    events: int = 0
    _last: float | None = None
    _catching_up: bool = False
    _reader: Reader | None = None

    def opening(self, url: str) -> None:
        """Say what is watched since when, and what the columns are."""
        since = datetime.fromtimestamp(self.wall, UTC).isoformat(" ", "seconds").replace("+00:00", " UTC")
        self.console.print(Text(f"watching {visible(url)} since {since}; Ctrl-C stops", style="dim"))
        self.console.print(Text(f"{'seconds':>10}  {'gap':<10}{'lag':<10}  event", style="dim"))

    def heard(self, parsed: Parsed, role: Role | None) -> None:
        """Something arrived."""
        now = trio.current_time() - self.zero
        gap = 0.0 if self._last is None else now - self._last
        self._last = now
        self.events += isinstance(parsed.item, Event)
        if self._reader is None:
            self._reader = Reader(self.dialect)
        stamp = timestamp_of(self._reader.read(parsed), parsed)
        lag = None if stamp is None else self.wall + now - stamp
        if lag is not None and (lag > self.behind) is not self._catching_up:
            self._catching_up = lag > self.behind
            self.say(f"catching up: {lag:.3f} s behind" if self._catching_up else "caught up", "bold yellow")
        shown = Text(f"{now:10.3f}  +{gap:<9.3f}")
        shown.append(
            " " * 10 if lag is None else f"{lag:<10.3f}", style="yellow" if self._catching_up else "dim"
        )
        shown.append("  ").append_text(_shown(parsed, role, _WHOLE if self.whole else _WIDTH))
        self._print(shown)

    def head(self, head: Head) -> None:
        """The response began."""
        kinds = [value for name, value in head.headers if name.lower() == "content-type"]
        self.say(f"{head.status} {head.reason}, {', '.join(kinds) or 'no Content-Type'}", "dim")

    def ended(self, stream: Exchange) -> None:
        """The stream is over, or was left."""
        self.say(f"{ending(stream)}; {plural(self.events, 'event')}", "bold")

    def say(self, text: str, style: str) -> None:
        """Print a remark among the events."""
        self._print(Text(f"{trio.current_time() - self.zero:10.3f}  -- {line(text, 400)}", style=style))

    def _print(self, text: Text) -> None:
        self.console.print(text)
        if self.console.quiet:
            self.gone()


def ending(stream: Exchange) -> str:
    """How an exchange ended, in words."""
    if stream.ended is None:
        return "left"
    return stream.ended.detail or _ENDINGS.get(stream.ended.how, stream.ended.how)


def no_stream(stream: Exchange) -> str | None:
    """Why the response is nothing to watch, where it is no event stream; else None."""
    if stream.head is None or stream.is_event_stream:
        return None
    url = stream.requested.url
    kind = stream.header("content-type") or "no Content-Type"
    said = line(stream.body[:400].decode("utf-8", "replace"), 200)
    return (
        f"{url} answered {stream.head.status} {stream.head.reason}, {kind}: no event stream. "
        "Is the address that of the stream?" + (f" It says: {said}" if said else "")
    )


def _shown(parsed: Parsed, role: Role | None, width: int) -> Text:
    match parsed.item:
        case Event(type=kind, data=data, id=event_id):
            name = kind if event_id is None else f"{kind} #{event_id}"
            text, style = f"{name}  {data}", _STYLES.get(role, "") if role else ""
        case Comment(text=said):
            text, style = f":{said}", "dim"
        case Reconnection(milliseconds=milliseconds):
            text, style = f"retry: {milliseconds}", "dim"
        case Violation(message=message):
            text, style = f"violation: {message}", "bold red"
    return Text(line(text, width), style=style)
