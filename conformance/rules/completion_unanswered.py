"""Completion: who gets no response head for as long as the work may take hears nothing, as where a stream is silent."""

from conformance.history import Exchange, History
from conformance.rules.completion_fate import end_of
from conformance.rules.completion_status import says_finished
from conformance.rules.streams import readable, same_stream
from fault_injection.faults import Disconnect, Fault, Latency, Slice

_HEAD = 4096  # bytes of a request or a head, with room


def waited(history: History, stream: Exchange) -> bool:
    """Whether a head was waited for as long as for a completion: usually it is given up long before."""
    limits = history.terms.limits
    return stream.head is None and stream.how == "timeout" and limits.head >= limits.completion


def why_unanswered(history: History, stream: Exchange) -> str:
    """Why a request may rightly have got no head in all that time; "" where it may not."""
    if any(_may_hold(fault, history.terms.limits.head / 2) for fault in history.began.plan.faults):
        return "the link may have held the answer"
    if not _is_over(history, stream) and (missing := _missing(history, stream)):
        return f"it may wait for {missing}, who was not there"
    return ""


def _may_hold(fault: Fault, seconds: float) -> bool:
    """Whether this fault may keep a request or a head back for so long. What a cut did is told by that cut."""
    match fault:
        case Disconnect():
            return False
        case Latency(delay=delay, jitter=jitter):
            return delay + jitter > seconds
        case Slice(size=size, gap=gap):
            return gap * _HEAD / size > seconds
        case _:
            return True


def _is_over(history: History, stream: Exchange) -> bool:
    said, _ = says_finished(history, stream)
    wanted = same_stream(history, stream)
    told = (each for each in readable(history) if same_stream(history, each) == wanted)
    return bool(said) or any(each.completed is not None for each in told)


def _missing(history: History, stream: Exchange) -> str:
    """Another subscriber of this work who was not there at last: it, and the answer with it, may rightly wait for
    all."""
    end = end_of(stream)
    for name, connections in history.subscribers.items():
        if same_stream(history, connections[0]) != same_stream(history, stream):
            continue
        there = any(each.requested.time <= end <= end_of(each) for each in connections)
        if name != stream.requested.subscriber and not there:
            return name
    return ""
