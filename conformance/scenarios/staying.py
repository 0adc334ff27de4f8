"""Of those who watch the same work one leaves, and another one stays."""

from dataclasses import dataclass, field
from typing import Final

import trio

from conformance.dialect import Parsed, Role
from conformance.drive.scenario import scenario
from conformance.drive.stage import Stage
from conformance.wire import Event

ROUNDS: Final = ("", *(f"-again-{count}" for count in range(1, 5)))
"""What is added to the names of the two in each round. From the second on they stay longer than the one who stayed had
stayed in the first."""

SILENT_ROUNDS: Final = 3
"""How many rounds are enough where nothing more comes, which takes long to see and does not happen by chance."""

_LONGER = 1.5  # times as long
_MARGIN = 0.1  # seconds


@dataclass
class _Heard:
    """What the one who stays has heard so far, and for how long (seconds) it has been there by then."""

    came: float = field(default_factory=trio.current_time)
    roles: set[Role | None] = field(default_factory=set)
    events: int = 0
    lasted: float = 0.0
    silent: bool = False

    def item(self, parsed: Parsed, role: Role | None) -> None:
        self.roles.add(role)
        if isinstance(parsed.item, Event) and role is not Role.HEARTBEAT:
            self.now()

    def now(self) -> None:
        self.lasted = trio.current_time() - self.came

    @property
    def to_the_end(self) -> bool:
        return Role.COMPLETION in self.roles and Role.FAILURE not in self.roles


@scenario(
    "one-leaves",
    summary="Of two subscribers of the same work one leaves; the other must not notice. If its stream ends then, it is "
    "tried again and again, and the one leaves later.",
    needs=("expect.shared",),
)
async def one_leaves(stage: Stage) -> None:
    first = await _round(stage, ROUNDS[0], _Heard())
    for place, name in enumerate(ROUNDS[1:], 2):
        if first is None or (place > SILENT_ROUNDS and first.silent):
            return
        if await _round(stage, name, first) is None:
            return


async def _round(stage: Stage, name: str, before: _Heard) -> _Heard | None:
    """One leaves when the other has been there for longer than `before`, and has had more events. Answers what the
    other heard, unless it read on to the end."""
    await stage.start()
    heard = _Heard()
    async with stage.subscribe(f"companion{name}", heard=heard.item) as stays:
        await stays.head()
        async with stage.subscribe(f"leaver{name}") as leaves:
            if await stays.saw(before.events + 1) and await leaves.saw(1):
                with trio.move_on_at(heard.came + before.lasted * _LONGER + _MARGIN * bool(before.lasted)):
                    await stays.finished()
                if not stays.ended and not stays.completed:
                    await leaves.drop()
            how = await stays.finished()
    if how in {"complete", "truncated", "reset"}:
        heard.now()
    heard.silent = how == "timeout"
    heard.events = len(stays.events)
    return None if heard.to_the_end or how == "watched" else heard
