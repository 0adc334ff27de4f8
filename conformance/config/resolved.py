"""What a configuration says once its defaults are in place: paths, the base URL, variants, captured names."""

from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from conformance.config.schema import Config, Override, Request, Start, Step, Stream, Target
from conformance.config.template import (
    FRESH_ID,
    LAST_EVENT_ID,
    LAST_SEQUENCE,
    PORT,
    fill,
    literal,
    placeholders,
)

_Request = TypeVar("_Request", Start, Stream)

_LOOPBACK: Final = "http://127.0.0.1:{port}"
_CREDENTIALS: Final = frozenset({"authorization", "proxy-authorization", "cookie"})
_STAND_IN: Final = "1"  # a port, so that a URL with {port} can be taken apart


def split_url(url: str) -> SplitResult:
    """The parts of `target.url`, with `{port}` replaced by a stand-in. Raises ValueError for what is none."""
    scheme, authority, rest = _cut(url)
    try:
        parts = urlsplit(f"{scheme}://{authority.replace('{port}', _STAND_IN)}{rest}")
    except ValueError:
        raise ValueError("its host cannot be read") from None
    if not parts.hostname:
        raise ValueError("it names no host")
    try:
        usable = parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("its port is no number from 1 to 65535")
    return parts


def authority_of(url: str) -> str:
    """Userinfo, host and port of a URL, as written."""
    return _cut(url)[1]


def _cut(url: str) -> tuple[str, str, str]:
    scheme, _, rest = url.partition("://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    return scheme, rest[:end], rest[end:]


def url_port(target: Target) -> int | None:
    """The port that `target.url` names or its scheme implies; None where the harness chooses a free one."""
    if target.url is None or PORT in placeholders(authority_of(target.url)):
        return None
    parts = split_url(target.url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def base_url(target: Target, port: int | None = None) -> str:
    """Scheme, userinfo, host and port of the target, without a path. `port` fills `{port}`.

    Raises PlaceholderError where `{port}` is needed and `port` is None.
    """
    scheme, authority, _ = _cut(target.url or _LOOPBACK)
    return f"{scheme.lower()}://{fill(authority, {} if port is None else {PORT: str(port)})}"


def stream_path(target: Target) -> str:
    """The path (a template) of the stream's request: its own, or the path and query of `target.url`."""
    if target.stream.path is not None:
        return target.stream.path
    parts = split_url(target.url or _LOOPBACK)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def stream_request(target: Target) -> Stream:
    """The request that opens the stream, its path in place."""
    return msgspec.structs.replace(target.stream, path=stream_path(target))


def resume_request(target: Target, last_event_id: str | None) -> Stream:
    """The request of a subscriber that comes back with a last event ID (None: it has none), its path in place.

    The ID travels in the header Last-Event-ID (WHATWG HTML, section 9.2.4), unless `target.resume` says by
    {last_event_id} where it goes, or by {last_sequence} that it is a number in the data. Then there is no header but
    what it says itself: a server that reads both would hide that what it documents is broken, and one that knows no
    such header may refuse it.
    """
    request = stream_request(target)
    if target.resume is not None:
        request = msgspec.structs.replace(target.resume, path=target.resume.path or request.path)
        if used_in(request) & {LAST_EVENT_ID, LAST_SEQUENCE}:
            return request
    if last_event_id is None:
        return request
    others = {name: value for name, value in request.headers.items() if name.lower() != "last-event-id"}
    return msgspec.structs.replace(request, headers={**others, "Last-Event-ID": literal(last_event_id)})


def resumes_by_sequence(target: Target) -> bool:
    """Whether who comes back says its last sequence, where others say their last event ID: protocols that have no `id:`
    lines count in the data."""
    return target.resume is not None and LAST_SEQUENCE in used_in(target.resume)


def used_in(request: Stream | Request) -> frozenset[str]:
    """The placeholders that a request holds."""
    return frozenset(placeholders([request.path, request.headers, request.json, request.body]))


def captured(target: Target) -> tuple[str, ...]:
    """The names that tell one piece of work from another: what the start request, and those that follow it, capture,
    and the one that the client gives (`{fresh_id}`)."""
    given = (FRESH_ID,) if _is_named_by_client(target) else ()
    return tuple(dict.fromkeys([*given, *(name for step in steps(target) for name in step.capture)]))


def _is_named_by_client(target: Target) -> bool:
    requests = [*steps(target), target.stream, target.resume, target.status, target.cancel]
    return FRESH_ID in placeholders(target.url) or any(
        FRESH_ID in used_in(request) for request in requests if request is not None
    )


def steps(target: Target) -> tuple[Step, ...]:
    """The requests that come before the stream's, in their order."""
    return () if target.start is None else (target.start, *target.start.then)


def captured_in_stream(target: Target) -> tuple[str, ...]:
    """The captured names by which the stream is asked for: none on a bus, whose every request is the same. A token in
    a header of credentials is none."""
    request = stream_request(target)
    told = {name: value for name, value in request.headers.items() if name.lower() not in _CREDENTIALS}
    used = used_in(msgspec.structs.replace(request, headers=told))
    return tuple(name for name in captured(target) if name in used)


def stream_capture(config: Config) -> str | None:
    """The captured name that names the stream: the one that its request or the dialect's scope uses.

    Else the only one; None where there is none, or more than one and nothing tells which.
    """
    names = captured(config.target)
    stream = config.target.stream
    scope = config.dialect.scope
    for used in (
        stream_path(config.target),
        scope and scope.equals,
        stream.json,
        stream.body,
        stream.headers,
    ):
        found = {name for name in placeholders(used) if name in names}
        if len(found) == 1:
            return found.pop()
    return names[0] if len(names) == 1 else None


def with_variant(target: Target, name: str) -> Target:
    """`target` as its variant `name` drives it. Raises KeyError for a variant that is not declared."""
    variant = target.variants[name]
    if variant.start is not None and target.start is not None:
        target = msgspec.structs.replace(target, start=_overridden(target.start, variant.start))
    if variant.stream is not None:
        target = msgspec.structs.replace(target, stream=_overridden(target.stream, variant.stream))
    return target


def _overridden(request: _Request, override: Override) -> _Request:
    changes: dict[str, Any] = {}
    if override.method is not None:
        changes["method"] = override.method
    if override.path is not None:
        changes["path"] = override.path
    if override.headers:
        changes["headers"] = {**request.headers, **override.headers}
    if override.json is not None:
        changes |= {"json": merged(request.json, override.json), "body": None}
    if override.body is not None:
        changes |= {"json": None, "body": override.body}
    return msgspec.structs.replace(request, **changes)


def merged(base: Any, override: Any) -> Any:
    """`override` over `base`, table by table; anything but two tables is replaced."""
    if not isinstance(base, dict) or not isinstance(override, dict):
        return override
    return {**base, **{key: merged(base.get(key), value) for key, value in override.items()}}
