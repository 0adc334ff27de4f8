"""Why a target was not reached: what happened, where, and what to do, in one sentence or two."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from conformance.history import Exchange, History, How
from conformance.rules.completion_fate import severed
from conformance.rules.scopes import REFUSABLE
from fault_injection.faults import Refuse

_HTTP: Final = "Does the server speak HTTP/1.1 at this address?"
_ADVICE: Final[dict[How, str]] = {
    "truncated": _HTTP,
    "reset": _HTTP,
    "protocol": _HTTP,
    "complete": _HTTP,
    "refused": "Is the server running?",
    "unreachable": "Is the address right, and is it reachable from here?",
    "tls": "--insecure accepts any certificate; SSL_CERT_FILE names a file with the authority to trust.",
    "timeout": "A server sends the head before it has the first event; limits.head gives it longer.",
}


def unreached(histories: Iterable[History]) -> str | None:
    """Why nobody was let into the stream in any of the scenarios: the most frequent reason. None where somebody was, or
    where nobody asked.

    What is no event stream is an answer as well, and the rules judge it; but not where the scenario asks for what may
    be refused: such a refusal says nothing of the stream. Nor does what the link itself has cut off or refused. What
    happened without a link in between says it best.
    """
    direct: list[tuple[str, str]] = []
    by_link: list[tuple[str, str]] = []
    for history in histories:
        if any(_is_answer(history, stream) for stream in history.streams):
            return None
        reasons = by_link if history.began.plan else direct
        reasons += filter(None, (_reason(history, stream) for stream in history.streams))
        if history.concluded is not None and history.concluded.outcome == "unreached":
            why = history.concluded.reason
            direct.append((why, f"{history.began.target}: {why}"))
    return _most_frequent(direct or by_link)


def is_served(histories: Iterable[History]) -> bool:
    """Whether a server is there and answers, if not to who asks for the stream: what begins the work, or its state."""
    return any(
        exchange.head is not None
        for history in histories
        for exchange in history.exchanges
        if exchange.requested.purpose != "stream"
    )


def _is_answer(history: History, stream: Exchange) -> bool:
    return stream.is_event_stream or (stream.head is not None and history.scenario not in REFUSABLE)


def _most_frequent(reasons: Sequence[tuple[str, str]]) -> str | None:
    """Of reasons without and with their address the sentence of the first that is given most often."""
    if not reasons:
        return None
    [(most, _)] = Counter(why for why, _ in reasons).most_common(1)
    return next(sentence for why, sentence in reasons if why == most)


def _by_the_link(history: History, stream: Exchange) -> bool:
    """Whether it was our own link that let nobody in: a connection that it refuses has no address to know it by."""
    refused = any(isinstance(each.fault, Refuse) for each in history.unowned_faults)
    return severed(history, stream) or (refused and stream.connected is None)


def _reason(history: History, stream: Exchange) -> tuple[str, str] | None:
    """How a request without a response ended, where that was not the scenario's own doing; and the same as a sentence
    with the address and what to do."""
    if stream.head is not None or stream.ended is None or stream.how in {"dropped", "watched"}:
        return None
    if _by_the_link(history, stream):
        return None
    why = stream.ended.detail
    advice = _ADVICE.get(stream.ended.how, "")
    if "redirected" in why:
        advice = "Give the address that it should end at."
    return why, f"{stream.requested.url}: {why}. {advice}".rstrip()
