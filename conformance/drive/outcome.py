"""Puts what went wrong with a connection into the words of a history."""

import ssl

import httpx

from conformance.history import How

# h11's words, those in the middle of a chunk's size, and httpcore's
_CUT_SHORT = ("peer closed connection", "peer unexpectedly closed connection", "Server disconnected")


def how_it_failed(error: Exception) -> tuple[How, str]:
    """The way an exchange ended, and one sentence that a person can use, for an error of httpx."""
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "tls", f"the certificate was not accepted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError) and isinstance(error, httpx.ConnectError):
            return "tls", f"the TLS handshake failed ({cause.reason or cause})"
        if isinstance(cause, ConnectionRefusedError):
            return "refused", "connection refused, nobody listens at this address"
    text = str(error) or type(error).__name__
    match error:
        case httpx.ConnectTimeout():
            return "unreachable", f"no connection ({text})"
        case httpx.ConnectError() if "refused" in text.lower():
            return "refused", "connection refused, nobody listens at this address"
        case httpx.ConnectError():
            return "unreachable", f"no connection ({text})"
        case httpx.TooManyRedirects():
            return "protocol", "redirected again and again; gave up after 10 redirects"
        case httpx.RemoteProtocolError() if text.startswith(_CUT_SHORT):
            return "truncated", "the connection ended before the response did"
        case httpx.ReadError() | httpx.WriteError():
            return "reset", "the connection was reset"
        case _:
            return "protocol", f"not HTTP/1.1 as expected ({text})"


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    todo: list[BaseException] = [error]
    while todo and len(found) < 50:
        each = todo.pop(0)
        found.append(each)
        if isinstance(each, BaseExceptionGroup):
            todo.extend(each.exceptions)
        todo.extend(cause for cause in (each.__cause__, each.__context__) if cause is not None)
    return found
