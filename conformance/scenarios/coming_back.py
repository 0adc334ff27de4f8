"""A subscriber that comes back, as an event source does when the server ends its response before the stream."""

from collections.abc import Mapping

import trio

from conformance.config import LAST_EVENT_ID, LAST_SEQUENCE, used_in
from conformance.drive.stage import Stage
from conformance.drive.subscription import Subscription

_MOST = 20  # connections: whoever is not told by then is not told; nor who is not after `limits.completion`
_LONGEST_WAIT = 3.0  # seconds, whatever reconnection time the stream sets
_USUAL_WAIT = 1.0  # seconds, where it sets none


def can_come_back(stage: Stage, last_event_id: str) -> bool:
    """Whether there is a way back. Where another request resumes it takes an ID, or a sequence, unless it says that it
    is sent everything anew; to repeat the one that opens would begin other work."""
    request, expect = stage.config.target.resume, stage.config.expect
    if last_event_id or request is None:
        return True
    return expect.replay == "all" and not used_in(request) & {LAST_EVENT_ID, LAST_SEQUENCE}


async def resume(
    stage: Stage, subscriber: str, last_event_id: str, names: Mapping[str, str] | None = None
) -> Subscription:
    """Come back with the last event ID, if there is one, and read to the end. `names`: of which work, if not of the
    one that was started last."""
    stage.mark("reconnecting", f"Last-Event-ID: {last_event_id}" if last_event_id else "without an id")
    async with stage.subscribe(
        subscriber, last_event_id=last_event_id or None, again=True, names=names
    ) as resumed:
        await resumed.finished()
    return resumed


async def follow(
    stage: Stage, last: Subscription, subscriber: str = "a", names: Mapping[str, str] | None = None
) -> None:
    """Come back for as long as the response ends properly and brings something, but not the end of the stream.

    A server may end its responses early if it can resume them, and it says how long to wait: WHATWG HTML, section
    9.2.3; MCP calls it polling (SEP-1699).
    """
    overdue = trio.current_time() + stage.config.limits.completion
    for _ in range(_MOST):
        if not _is_unfinished(stage, last) or trio.current_time() >= overdue:
            return
        wait = last.reconnection_time
        await trio.sleep(min(_USUAL_WAIT if wait is None else wait, _LONGEST_WAIT))
        last = await resume(stage, subscriber, last.last_event_id, names)


def _is_unfinished(stage: Stage, last: Subscription) -> bool:
    if not stage.config.expect.resumable or not stage.dialect.completion:
        return False
    if not can_come_back(stage, last.last_event_id):
        return False
    told = last.end_seen or (last.completed and not stage.dialect.end)
    return last.how == "complete" and bool(last.events) and not told
