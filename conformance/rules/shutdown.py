"""Shutdown: what becomes of a server that is asked to end, and of its streams."""

from conformance.history import (
    LOOKED_AFTER,
    NOT_STARTED_AGAIN,
    PORT_TAKEN,
    SIGNALLED,
    Exited,
    History,
    Left,
)
from conformance.rules.completion_fate import end_of
from conformance.rules.rule import Judgement, evidence_at, inconclusive, rule, settle
from conformance.rules.scopes import SHUTDOWN
from reports.results import Finding, Level

READERS = ("open", "idle")
"""Subscribers who take what is sent to them."""

NEWCOMER = "newcomer"
"""Who comes after the signal."""

_NUMBERS = {"SIGTERM": 15, "SIGINT": 2}
_NEEDS = ("target.command",)
_KUBERNETES = "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination"


def exit_of(history: History) -> Exited | None:
    """How the server ended that was asked to; None where the record does not get as far."""
    return next((record for record in history.records if isinstance(record, Exited)), None)


def asked_at(history: History) -> float | None:
    """When it was asked to end, in seconds."""
    return next((mark.time for mark in history.marked(SIGNALLED)), None)


def not_ended(history: History) -> Judgement:
    """The judgement of what only an exit shows, where there was none."""
    exited = exit_of(history)
    if exited is None and asked_at(history) is not None:
        return inconclusive("the record stops before the server had ended")
    if exited is None:
        return inconclusive("the server was not asked to end")
    return inconclusive(
        f"the server had not ended when {exited.signal} was long ago: shutdown.exits has its say"
    )


@rule(
    "shutdown.exits",
    claim="On SIGTERM or SIGINT the server exits within limits.shutdown, though streams are open.",
    why="An event stream ends when its work does, or never: a server that waits for its open responses is still there "
    "when the time is over. Then it is killed: every deployment takes as long as it may, and ends in SIGKILL, "
    "with nothing saved and every client cut off.",
    source=_KUBERNETES,
    mend="On the signal, tell every stream to end: set an event that each generator waits for besides its next item, "
    "or cancel their tasks. Give connections that do not take what is sent to them a deadline, then close them. "
    "uvicorn: --timeout-graceful-shutdown; Node: server.close() and, after a grace, server.closeAllConnections(); Go: "
    "cancel the base context (RegisterOnShutdown) before Shutdown. In a container let the server be process 1 "
    "(`exec`, or an init such as tini), for a shell does not pass signals on.",
    scenarios=SHUTDOWN,
    needs=_NEEDS,
    timing=True,
)
def exits(history: History) -> Judgement:
    exited, asked = exit_of(history), asked_at(history)
    if exited is None or asked is None:
        return not_ended(history)
    limit = history.terms.limits.shutdown
    took = exited.time - asked
    findings = []
    if exited.code is None or took > limit:
        how = "was still there" if exited.code is None else "exited only"
        findings.append(
            Finding(
                f"the server {how} {took:.3g} s after {exited.signal} (limits.shutdown: {limit:g} s)"
                f"{_waited_for(history, asked, asked + limit)}",
                (
                    evidence_at(
                        exited.time,
                        "",
                        expected=f"its exit within {limit:g} s",
                        actual=f"no exit after {took:.3g} s" if exited.code is None else f"{took:.3g} s",
                    ),
                ),
            )
        )
    return settle(findings, 1, f"exit, {took:.3g} s after {exited.signal}")


def _waited_for(history: History, asked: float, until: float) -> str:
    """What a server that is late may have waited for, as far as it shows. Whether it ended the stream of who does not
    read is not seen."""
    streams = {each.requested.subscriber: each for each in history.streams if each.head is not None}
    open_then = [
        name
        for name in READERS
        if name in streams and streams[name].requested.time <= asked <= end_of(streams[name])
    ]
    still = [name for name in open_then if end_of(streams[name]) >= until]
    if still:
        stalled = "; stalled, which reads nothing, may hold them up" if "stalled" in streams else ""
        return f"; by then it had not ended {' and '.join(still)}{stalled}"
    left = [name for name in open_then if streams[name].how == "watched"]
    if left:
        return f"; it had not ended {' and '.join(left)} when the time to watch an endless stream was over"
    newcomer = streams.get(NEWCOMER)
    if newcomer is not None and newcomer.is_event_stream:
        return "; it still began a stream that was asked for after the signal, so it may not heed it at all"
    if open_then and "stalled" in streams:
        return (
            "; by then the streams that are read had ended, so it may wait for who does not read (stalled), or for "
            "a connection without a request"
        )
    return ""


@rule(
    "shutdown.exit-code",
    level=Level.SHOULD,
    claim="A server that was asked to end exits with code 0, or as ended by that signal.",
    why="Whoever started it takes any other code for a crash: it is restarted, the deployment is rolled back, somebody "
    "is woken. And often it is one: an exception in the shutdown, with what came after it left undone.",
    source="https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html#SuccessExitStatus=",
    mend="Let the handler of the signal end the main loop, and return from main. Look into the log for what is raised "
    "while shutting down: a second close, a cancelled task that is awaited, a lock that a killed thread held. If "
    "the code is meant, take the default action of the signal instead, after what there was to save.",
    scenarios=SHUTDOWN,
    needs=_NEEDS,
)
def exit_code(history: History) -> Judgement:
    exited = exit_of(history)
    if exited is None or exited.code is None:
        return not_ended(history)
    number = _NUMBERS.get(exited.signal, 0)
    findings = []
    if exited.code not in {0, -number, 128 + number}:  # a shell says 128 + n for what a signal ended
        said = f"signal {-exited.code}" if exited.code < 0 else f"code {exited.code}"
        findings.append(
            Finding(
                f"after {exited.signal} the server ended with {said}",
                (
                    evidence_at(
                        exited.time, "", expected=f"0, {-number} or {128 + number}", actual=str(exited.code)
                    ),
                ),
            )
        )
    return settle(findings, 1, f"exit with code {exited.code}")


@rule(
    "shutdown.no-orphans",
    claim="When the server has exited, no process that it started is left.",
    why="A worker that nobody waits for goes on with yesterday's code: it holds memory, locks, the port, or takes jobs "
    "from the queue; after some deployments there are many. In a container it is killed with its parent, in "
    "the middle of whatever it does.",
    source="https://12factor.net/disposability",
    mend="Pass the signal on to what you started, and wait for it before exiting; end what does not come to its end. "
    "Python: subprocess in a context manager, multiprocessing with daemon=True and join(); Node: child.kill() and "
    "wait for 'exit'. Start the server by `exec` in shell scripts, so that it gets the signal itself. What has gone "
    "into a session of its own (setsid, a daemon) gets no signal that is for the server's group: keep its number, and "
    "end it. One that is meant to stay is for whoever starts the server to start, and before it.",
    scenarios=SHUTDOWN,
    needs=_NEEDS,
)
def no_orphans(history: History) -> Judgement:
    if not history.marked(LOOKED_AFTER):
        return not_ended(history)
    return settle(
        (
            Finding(
                "the server has exited, and a process that it started is left",
                (
                    evidence_at(
                        record.time,
                        "",
                        expected="no process of the server",
                        actual=record.detail or record.name,
                    ),
                ),
            )
            for record in history.records
            if isinstance(record, Left) and record.kind == "process"
        ),
        1,
        "exit that left no process behind",
    )


@rule(
    "shutdown.port-released",
    claim="When the server has exited its port is free, and it can be started again at once.",
    why="The next one cannot start, or two share the port and every other client is connected to a process that never "
    "answers: the deployment hangs until somebody finds out who listens there.",
    source="https://man7.org/linux/man-pages/man7/ip.7.html",
    mend="Close the listening socket first. Let no child inherit it: Python sets close-on-exec but for fork() and "
    "pass_fds, Node for cluster workers, in C use SOCK_CLOEXEC. Set SO_REUSEADDR, or connections that have just "
    "ended keep the address for a minute. Remove PID and lock files on the way out.",
    scenarios=SHUTDOWN,
    needs=_NEEDS,
)
def port_released(history: History) -> Judgement:
    if not history.marked(LOOKED_AFTER):
        return not_ended(history)
    findings = [
        Finding(
            "the server has exited, and connections to its port are still accepted",
            (evidence_at(mark.time, "", expected="connection refused", actual=mark.detail),),
        )
        for mark in history.marked(PORT_TAKEN)
    ]
    findings += [
        Finding(
            "the server had ended properly and could not be started again",
            (evidence_at(mark.time, "", expected="a server that is ready", actual=mark.detail),),
        )
        for mark in history.marked(NOT_STARTED_AGAIN)
    ]
    return settle(findings, 1, "exit that left the port free")


RULES = (exits, exit_code, no_orphans, port_released)
