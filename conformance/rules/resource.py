"""Resources: what a stream took is given back."""

from collections.abc import Callable

from conformance.history import History, Left
from conformance.rules.rule import (
    Judgement,
    evidence_at,
    inconclusive,
    not_applicable,
    rule,
    settle,
)
from reports.results import Finding, Level

SHUT_DOWN = "application shut down"
"""The mark that an application in this process has been shut down, and that it was looked at what is left."""

ERROR = "application error"
"""The mark that the application raised, or broke the protocol, or that an exception in it was caught by nobody."""

_NOT_HERE = "the application does not run in this process and in virtual time (--app)"

_WHERE = (
    "explore",
    "subscribe",
    "resume-mid-event",
    "completion-while-away",
    "disconnect-before-head",
    "disconnect-mid-stream",
    "close-at-completion",
)
"""Where streams end, and are left, in different ways."""

_SOURCE = "https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task"


def _left(history: History, wanted: Callable[[Left], bool], what: str) -> Judgement:
    """Tasks that a library keeps for itself, for as long as the process lives, are told and are no finding."""
    if not history.marked(SHUT_DOWN):
        return not_applicable(_NOT_HERE)
    found = [record for record in history.records if isinstance(record, Left) and wanted(record)]
    left = [record for record in found if record.kind != "task" or not record.owner]
    kept = {record.owner: None for record in found if record.kind == "task" and record.owner}
    if not any(stream.head for stream in history.streams):
        return inconclusive("no stream was answered")
    return settle(
        (
            Finding(
                f"{record.kind} {record.name} is left after the shutdown"
                + (f", created at {record.created_at}" if record.created_at else "")
                + (f"; {record.owner} began it and did not close it" if record.owner else ""),
                (
                    evidence_at(
                        record.time, "", expected=f"no {what} left", actual=record.detail or record.name
                    ),
                ),
            )
            for record in left
        ),
        len(history.streams),
        f"streams that left no {what} behind" + (f", but for those of {', '.join(kept)}" if kept else ""),
    )


@rule(
    "resource.tasks-left",
    claim="After the shutdown no task, call or connection of the application is left.",
    why="A task that outlives its stream goes on working for nobody, holds what it holds for ever, and with every "
    "dropped client there is one more of them.",
    source=_SOURCE,
    mend="Keep the task that produces for a stream, and cancel and await it in a finally around the stream's body; "
    "better, start it in a task group that the response owns.",
    scenarios=_WHERE,
)
def tasks_left(history: History) -> Judgement:
    return _left(history, lambda left: left.kind != "generator", "tasks")


@rule(
    "resource.generators-left",
    claim="After the shutdown no async generator of the application is left unfinished.",
    why="The cleanup of a generator that nobody finishes runs when the garbage collector finds it, or never: slots, "
    "locks and subscriptions that it was to give back stay taken.",
    source="https://peps.python.org/pep-0525/#finalization",
    mend="Close what you iterate: async with contextlib.aclosing(generator). Do not rely on the garbage collector. "
    "Where a framework began it and did not close it (Starlette, where its task is cancelled while it sends), leave "
    "nothing that matters to the finally of a body, or this rule out.",
    scenarios=_WHERE,
)
def generators_left(history: History) -> Judgement:
    return _left(history, lambda left: left.kind == "generator", "generators")


@rule(
    "resource.no-errors",
    level=Level.SHOULD,
    claim="However clients come and go, the application raises nothing and sends nothing after its response.",
    why="An exception in one stream's code ends it half done: what it holds is not given back, what it was to send is "
    "lost, and the log fills with traces in which the one that matters drowns.",
    source="https://asgi.readthedocs.io/en/latest/specs/www.html",
    mend="Cancel and await what a response has started before it ends. Await every task, or look at its exception in a "
    "callback. Take a client that has gone as the end of its stream, not as an error.",
    scenarios=_WHERE,
)
def no_errors(history: History) -> Judgement:
    if not history.marked(SHUT_DOWN):
        return not_applicable(_NOT_HERE)
    return settle(
        (
            Finding(mark.detail, (evidence_at(mark.time, "", expected="no error", actual=mark.detail),))
            for mark in history.marked(ERROR)
        ),
        len(history.exchanges),
        "calls of the application",
    )


RULES = (tasks_left, generators_left, no_errors)
