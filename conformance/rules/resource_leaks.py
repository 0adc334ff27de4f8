"""Leaks: what the connections that came and were dropped took, and what of it the server still holds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from conformance.history import Gauge, History
from conformance.rules.rule import Judgement, evidence_at, inconclusive, not_applicable, rule, settle
from conformance.rules.trend import Scale, Trend, trend
from reports.outcome import plural
from reports.results import Evidence, Finding

STORM = "connect-storm"
_OURS = ("process.", "harness.", "server.")  # gauges that the server does not give of itself
_SOURCE = "https://man7.org/linux/man-pages/man5/proc_pid_fd.5.html"

_COUNT = Scale(sought=1, least=0.05, trifle=0.025, room=2)
_DESCRIPTORS = replace(_COUNT, room=20)  # pools of connections, files that are kept open
_THREADS = replace(_COUNT, room=64)  # a pool of threads that fills
_CHILDREN = replace(_COUNT, room=8)
_MEMORY = Scale(
    sought=50_000,
    least=35_000,
    trifle=4_000,  # CPython's allocator takes up to 2 kB
    room=6 * 2**20,  # V8 takes 5 MiB and more
    heap=48 * 2**20,  # V8 took 33 MB in 1,600 cycles and gave it back in the next, a JVM 31 MB in 1,000
    share=0.05,
    slack=2 * 2**20,
)


@dataclass(frozen=True)
class _Watched:
    """A gauge in a storm, with what it showed: `during` it, and `after` all had gone; or why it cannot be told."""

    name: str
    during: tuple[Gauge, ...]
    after: Gauge | None
    unseen: str = ""

    def judged(self, scale: Scale) -> Trend:
        if self.unseen:
            return Trend("undecided", self.unseen)
        samples = [(gauge.cycles, gauge.value) for gauge in self.during if gauge.value is not None]
        return trend(samples, self.after.value if self.after else None, scale)


def _configured_as(name: str) -> str:
    """What a gauge is called where it is configured; those of the process are not."""
    return name if name.startswith(_OURS) else f"target.probe.gauges.{name}"


def _watched(history: History, name: str) -> _Watched:
    gauges = [gauge for gauge in history.gauges if gauge.name == name]
    unseen = next((gauge.detail for gauge in gauges if gauge.value is None), "")
    after = [gauge for gauge in gauges if gauge.phase == "after"]
    return _Watched(
        name,
        tuple(gauge for gauge in gauges if gauge.phase == "during"),
        after[-1] if after else None,
        unseen,
    )


def _of_process(history: History, name: str, scale: Scale, what: str) -> Judgement:
    """Judge a gauge of the server's process; `what` is counted by it, in words."""
    watched = _watched(history, name)
    if not watched.during and not watched.unseen:
        return not_applicable(
            "the server runs in no process that is known here: target.command starts one, target.pid (--pid) names one"
        )
    return _settled([(watched, watched.judged(scale))], what)


def _settled(judged: Sequence[tuple[_Watched, Trend]], what: str) -> Judgement:
    leaks = [(watched, found) for watched, found in judged if found.verdict == "leak"]
    if leaks:
        return settle((_finding(watched, found) for watched, found in leaks), 0, "")
    for watched, found in judged:
        if found.verdict == "undecided":
            return inconclusive(f"{_configured_as(watched.name)}{_numbers(watched, found)}: {found.reason}")
    cycles = max((found.cycles for _, found in judged), default=0)
    return settle(
        (),
        sum(len(watched.during) for watched, _ in judged),
        f"samples of {what} over {plural(cycles, 'cycle')}",
    )


def _finding(watched: _Watched, found: Trend) -> Finding:
    assert watched.after is not None
    assert watched.after.value is not None
    said = _amount(watched.name, watched.after.value)
    message = (
        f"{watched.name} grows by {_amount(watched.name, found.slope)} with every connection that is dropped: it"
        f"{_numbers(watched, found)}, and is {said} when all have gone"
    )
    return Finding(
        message, tuple(_evidence(watched, gauge) for gauge in (*_ends(watched.during), watched.after))
    )


def _ends(during: Sequence[Gauge]) -> Sequence[Gauge]:
    return (during[0], during[-1])


def _evidence(watched: _Watched, gauge: Gauge) -> Evidence:
    actual = _amount(watched.name, gauge.value or 0)
    begun = _amount(watched.name, watched.during[0].value or 0)
    when = "after all had gone" if gauge.phase == "after" else f"after {plural(gauge.cycles, 'connection')}"
    return evidence_at(gauge.time, "", expected=f"about {begun}", actual=f"{actual} {when}")


def _numbers(watched: _Watched, found: Trend) -> str:
    if not found.cycles:
        return ""
    first, last, low, high = (
        _amount(watched.name, value) for value in (found.first, found.last, found.low, found.high)
    )
    return (
        f" went from {first} to {last} over {plural(found.cycles, 'cycle')}, by {low} to {high} with each (99 % "
        "certainty)"
    )


def _amount(name: str, value: float) -> str:
    if name != "process.memory":
        return f"{round(value, 2):g}"
    return f"{value / 1000:,.1f} kB" if abs(value) < 1e6 else f"{value / 1e6:,.2f} MB"


@rule(
    "resource.gauges-return",
    claim="When all subscribers have gone and the work is over, the gauges are back where they were.",
    why="A slot, a subscription or a count that is not given back is gone until the next restart: with every client "
    "that leaves at the wrong moment there is one less, until the server turns everybody away.",
    source="https://docs.python.org/3/reference/compound_stmts.html#finally",
    mend="Take what a stream needs inside the try whose finally gives it back, in the body itself: what is taken "
    "before the body begins stays taken when the body never does. Give it back first in the finally, before "
    "anything that waits: waiting can be cancelled.",
    scenarios=("explore", STORM),
    needs=("target.probe",),
    timing=True,
)
def gauges_return(history: History) -> Judgement:
    if history.scenario == STORM:
        names = dict.fromkeys(each.name for each in history.gauges if not each.name.startswith(_OURS))
        watched = [_watched(history, name) for name in names]
        return _settled([(each, each.judged(_COUNT)) for each in watched], "gauges")
    return _returned(history)


def _returned(history: History) -> Judgement:
    """Without noise, as in virtual time: each gauge is exactly what it was."""
    seen: dict[str, list[Gauge]] = {}
    for gauge in history.gauges:
        seen.setdefault(gauge.name, []).append(gauge)
    unseen = next((each for gauges in seen.values() for each in gauges if each.value is None), None)
    if unseen is not None:
        return inconclusive(f"the gauge {unseen.name}: {unseen.detail}")
    pairs = [(gauges[0], gauges[-1]) for gauges in seen.values() if len(gauges) > 1]
    return settle(
        (
            Finding(
                f"the gauge {before.name} was {before.value:g} at the beginning and is {after.value:g} at the end",
                (evidence_at(after.time, "", expected=f"{before.value:g}", actual=f"{after.value:g}"),),
            )
            for before, after in pairs
            if before.value is not None and after.value is not None and after.value > before.value
        ),
        len(pairs),
        "gauges",
    )


@rule(
    "resource.descriptors",
    claim="Connections that are dropped leave no descriptor open in the server.",
    why="A process may have some thousand descriptors. One that stays open with every client that leaves makes the "
    "server refuse everybody after a day or a week: too many open files.",
    source="https://man7.org/linux/man-pages/man2/getrlimit.2.html",
    mend="Open what a stream needs (files, connections to a database or to another service) in a with statement or "
    "close it in a finally, in the body itself, so that it is closed also when the client goes.",
    scenarios=(STORM,),
    timing=True,
)
def descriptors(history: History) -> Judgement:
    return _of_process(history, "process.descriptors", _DESCRIPTORS, "open descriptors")


@rule(
    "resource.threads",
    claim="Connections that are dropped leave no thread behind in the server.",
    why="A thread that waits for a client who has gone keeps its stack and its connection, and a pool of threads that "
    "all wait for the gone serves nobody: the server hangs without an error.",
    source="https://docs.python.org/3/library/threading.html#threading.Thread",
    mend="Let a thread that writes a stream wait with a timeout and send a heartbeat then: the write fails when the "
    "client has gone, and the thread ends. Start none that nobody joins.",
    scenarios=(STORM,),
    timing=True,
)
def threads(history: History) -> Judgement:
    return _of_process(history, "process.threads", _THREADS, "threads")


@rule(
    "resource.children",
    claim="Connections that are dropped leave no child process behind.",
    why="A process that was started for a stream and outlives it goes on using memory and processor for nobody; one "
    "that has ended and is not waited for stays as a zombie until the table of processes is full.",
    source="https://man7.org/linux/man-pages/man2/wait.2.html#NOTES",
    mend="End what you start for a stream in the finally of its body: terminate it, wait for it, kill it if that "
    "takes too long. An asyncio or trio process in an async with does so.",
    scenarios=(STORM,),
    timing=True,
)
def children(history: History) -> Judgement:
    return _of_process(history, "process.children", _CHILDREN, "child processes")


@rule(
    "resource.sockets",
    claim="Connections that the client has closed are closed by the server, too.",
    why="A socket in CLOSE_WAIT is one whose client has gone and that the server has not closed. It keeps its "
    "descriptor and its buffers until the process ends; nothing times it out.",
    source="https://www.rfc-editor.org/rfc/rfc9293.html#section-3.6",
    mend="Read from the connection while a stream is being written, or watch it for its end (an ASGI application: "
    "http.disconnect), and close it when the client's end is there. At least send heartbeats: writing fails then.",
    scenarios=(STORM,),
    timing=True,
)
def sockets(history: History) -> Judgement:
    return _of_process(history, "process.close-wait", _COUNT, "sockets in CLOSE_WAIT")


@rule(
    "resource.memory",
    claim="Connections that are dropped leave no memory behind in the server.",
    why="What is kept for clients who have gone (queues that nobody empties, tasks, closures) adds up until the "
    "process is killed for it, with all streams that are open then.",
    source="https://docs.python.org/3/library/tracemalloc.html",
    mend="Take a subscriber out of every collection in a finally. Look with tracemalloc (or a heap snapshot of your "
    "platform) at what there is more of after a hundred dropped connections.",
    scenarios=(STORM,),
    timing=True,
)
def memory(history: History) -> Judgement:
    return _of_process(history, "process.memory", _MEMORY, "resident memory")


RULES = (gauges_return, descriptors, memory, threads, sockets, children)
