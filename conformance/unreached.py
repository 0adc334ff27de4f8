"""Why a target was not reached: what happened, where, and what to do, in one sentence or two."""

from collections.abc import Iterable
from typing import Final

from conformance.history import Exchange, History, How

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
    """Why no request for the stream had an answer in any of the scenarios; None where one had, or none was made.

    What happened without a link in between says it best.
    """
    streams: list[tuple[bool, Exchange]] = []
    reasons: list[str] = []
    for history in histories:
        if any(stream.head is not None for stream in history.streams):
            return None
        streams += [(bool(history.began.plan), stream) for stream in history.streams if stream.ended]
        if history.concluded is not None and history.concluded.outcome == "unreached":
            reasons.append(f"{history.began.target}: {history.concluded.reason}")
    told = [stream for _, stream in sorted(streams, key=lambda each: each[0])]
    sentences = [sentence for stream in told if (sentence := _sentence(stream)) is not None]
    return next(iter(sentences + reasons), None)


def _sentence(stream: Exchange) -> str | None:
    """How a request without a response ended, where that was not the scenario's own doing."""
    if stream.ended is None or stream.how in {"dropped", "watched"}:
        return None
    advice = _ADVICE.get(stream.ended.how, "")
    if "redirected" in stream.ended.detail:
        advice = "Give the address that it should end at."
    return f"{stream.requested.url}: {stream.ended.detail}. {advice}".rstrip()
