"""Whether a request was refused, or failed: by the status, or by an error of JSON-RPC, which comes with status 200."""

from typing import Any

from conformance.history import Exchange
from reports.text import line

_INTERNAL = -32603  # JSON-RPC's 500
_LONGEST = 200  # characters of what the server says


def refused(answer: Exchange) -> bool:
    """Whether the server says no: 4xx, or an error of JSON-RPC that is none of the server's own."""
    error = _error(answer)
    if error is not None:
        return error.get("code") != _INTERNAL
    return answer.head is not None and 400 <= answer.head.status < 500


def failed(answer: Exchange) -> bool:
    """Whether the server says that it failed: 5xx, or JSON-RPC's internal error."""
    error = _error(answer)
    if error is not None:
        return error.get("code") == _INTERNAL
    return answer.head is not None and answer.head.status >= 500


def rpc_error(answer: Exchange) -> str:
    """What an error of JSON-RPC says, in words such as `-32001, Task not found`; "" where the answer is none.

    Source: JSON-RPC 2.0, section 5: a response has either `result` or `error`.
    """
    error = _error(answer)
    if error is None:
        return ""
    return line(", ".join(str(error[key]) for key in ("code", "message") if key in error), _LONGEST)


def _error(answer: Exchange) -> dict[str, Any] | None:
    if answer.head is None or answer.head.status != 200 or answer.media_type != "application/json":
        return None
    body = answer.json
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0" or body.get("result") is not None:
        return None
    error = body.get("error")
    return error if isinstance(error, dict) else None
