"""Checks that go across keys: a configuration whose every key is well formed can still make no sense."""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from conformance.config.errors import KeyPath, Problem, did_you_mean, listed
from conformance.config.resolved import (
    authority_of,
    captured,
    resumes_by_sequence,
    split_url,
    steps,
    url_port,
    used_in,
)
from conformance.config.schema import AnswerHeader, Config, Metric, Override, Request, Stream, Target
from conformance.config.template import (
    EXCHANGE,
    FRESH_ID,
    LAST_EVENT_ID,
    LAST_SEQUENCE,
    PAYLOAD,
    PORT,
    placeholders,
)
from conformance.dialect.dialect import Dialect, Matcher
from conformance.dialect.presets import PRESETS, effective_dialect

_RESERVED: Final = {
    PORT: "a free port",
    PAYLOAD: "text that the harness wants to see come back",
    EXCHANGE: "the name of a request, another one for each",
    FRESH_ID: "a name of the work that nobody has used",
    LAST_EVENT_ID: "the last event ID of a subscriber that comes back",
    LAST_SEQUENCE: "the sequence of the last event that a subscriber had",
}
_ANYWHERE: Final = (EXCHANGE, FRESH_ID)
_OF_WHO_COMES_BACK: Final = frozenset({LAST_EVENT_ID, LAST_SEQUENCE})
_NO_PAYLOAD: Final = "{payload} has a value only in target.variants.echo and target.variants.flood"
_ROLES: Final = ("completion", "failure", "end", "heartbeat")


def check_sense(config: Config) -> Iterator[Problem]:
    """Everything that a well-formed configuration says and cannot mean."""
    yield from _check_target(config.target)
    yield from _check_requests(config.target)
    yield from _check_variants(config.target)
    yield from _check_dialect(config)
    if config.expect.replay == "since-id" and config.expect.resumable is False:
        yield Problem(
            ("expect", "replay"),
            'contradicts expect.resumable = false: "since-id" needs a server that honours Last-Event-ID',
        )
    if config.target.resume is not None and config.expect.resumable is False:
        yield Problem(
            ("target", "resume"),
            "contradicts expect.resumable = false: nobody comes back where the last event ID is not honoured",
        )
    yield from _check_position(config)
    if config.expect.superseding and config.expect.shared and "superseding" not in config.target.variants:
        yield Problem(
            ("expect", "superseding"),
            "contradicts expect.shared = true: a second stream cannot both end the first and stand beside it; leave "
            "one out, or say in target.variants.superseding which streams end each other",
        )


def _check_position(config: Config) -> Iterator[Problem]:
    """Where the subscriber that comes back says its last sequence, that is a number in the data."""
    resume = config.target.resume
    if resume is None or not resumes_by_sequence(config.target):
        return
    path: KeyPath = ("target", "resume")
    if LAST_EVENT_ID in used_in(resume):
        yield Problem(
            path, "holds {last_event_id} and {last_sequence}; a subscriber comes back with one of them"
        )
    dialect = config.dialect
    if dialect.preset is not None and dialect.preset not in PRESETS:
        return
    sequence = effective_dialect(dialect).sequence
    if sequence is None:
        yield Problem(path, '{last_sequence} needs dialect.sequence, e.g. sequence = "/sequence_number"')
    elif sequence == "id":
        yield Problem(
            path,
            '{last_sequence} is a number in the data, and dialect.sequence is "id"; write {last_event_id}',
        )


def _check_target(target: Target) -> Iterator[Problem]:
    if target.url is None and target.command is None and target.app is None:
        yield Problem(("target",), "names nothing to test; give at least one of url, command, app")
    if target.url is not None:
        try:
            split_url(target.url)
        except ValueError as error:
            yield Problem(("target", "url"), f"is no usable URL: {error}")
        yield from _unknown(authority_of(target.url), ("target", "url"), (PORT,))
        if PORT in placeholders(authority_of(target.url)) and target.command is None:
            yield Problem(
                ("target", "url"),
                "{port} stands for the port of a server that target.command starts, and there is no command",
            )
    yield from _unknown(target.command, ("target", "command"), {PORT})
    if target.instances > 1:
        yield from _check_instances(target)
    elif target.command is not None and not _is_told_its_port(target.command) and not _names_its_port(target):
        yield Problem(
            ("target", "command"),
            "does not say where the server listens: write {port} where it takes a port, or give target.url",
        )
    if target.pid is not None and target.command is not None:
        yield Problem(
            ("target", "pid"), "is for a server that runs already; the process of target.command is known"
        )
    if target.probe is not None and len({type(each) for each in target.probe.gauges.values()}) > 1:
        first = next(name for name, each in target.probe.gauges.items() if isinstance(each, Metric))
        yield Problem(
            ("target", "probe", "gauges", first),
            "is a Prometheus metric, others are JSON Pointers; one answer is in one format",
        )
    if target.status is not None:
        status = target.status
        if status.pointer is None and status.subscribers is None:
            yield Problem(("target", "status"), "reads nothing from the answer; give pointer or subscribers")
        for key in ("finished", "cancelled"):
            if getattr(status, key) is not None and status.pointer is None:
                yield Problem(
                    ("target", "status", key), "needs target.status.pointer, which leads to the state"
                )


def _check_instances(target: Target) -> Iterator[Problem]:
    """Several servers side by side: each has to be told its own port."""
    if target.command is None:
        yield Problem(
            ("target", "instances"), "needs target.command: only what the harness starts can be started twice"
        )
    elif PORT not in {name for part in target.command for name in placeholders(part)} or url_port(target):
        yield Problem(
            ("target", "instances"),
            "needs a free port for each: write {port} in target.command, and no port in target.url",
        )


def _is_told_its_port(command: Sequence[str]) -> bool:
    return any(
        name for part in command for name in placeholders(part)
    )  # one that is misspelt is told by itself


def _names_its_port(target: Target) -> bool:
    return target.url is not None and PORT not in placeholders(authority_of(target.url))


def _check_requests(target: Target) -> Iterator[Problem]:
    yield from _check_steps(target)
    known = {*captured(target), *_ANYWHERE}
    if target.url is not None and target.stream.path is None:
        rest = target.url.partition("://")[2][len(authority_of(target.url)) :]
        yield from _missing(rest, ("target", "url"), target, known)
    for key in ("stream", "resume", "status", "cancel", "probe"):
        request = getattr(target, key)
        here = known | (_OF_WHO_COMES_BACK if key == "resume" else frozenset())
        here -= {FRESH_ID} if key == "probe" else frozenset()  # it is asked before there is work
        for part in ("path", "headers", "json", "body"):
            yield from _missing(getattr(request, part, None), ("target", key, part), target, here)
    if target.ready is not None:
        yield from _unknown(target.ready, ("target", "ready"), ())
    for key in ("stream", "resume", "status", "cancel"):
        request = getattr(target, key)
        if request is not None:
            yield from _check_body(request, ("target", key), request.method)


def _check_steps(target: Target) -> Iterator[Problem]:
    """What comes before the stream: each step may use what was captured before it."""
    known = {*_ANYWHERE}
    for index, step in enumerate(steps(target)):
        here: KeyPath = ("target", "start") if index == 0 else ("target", "start", "then", index - 1)
        for part in ("path", "headers", "json", "body"):
            value, path = getattr(step, part), (*here, part)
            yield from _missing(value, path, target, known) if index else _unknown(value, path, _ANYWHERE)
        yield from _check_body(step, here, step.method)
        for name, place in step.capture.items():
            if name in _RESERVED:
                meaning = f"{{{name}}} already stands for {_RESERVED[name]}"
                yield Problem((*here, "capture", name), f"choose another name; {meaning}")
            elif name in known:
                yield Problem((*here, "capture", name), f"choose another name; {{{name}}} is captured before")
            if isinstance(place, AnswerHeader) and place.header.lower() == "set-cookie":
                yield Problem(
                    (*here, "capture", name, "header"),
                    "is a credential, and what is captured stands in the history; take another header, or put a "
                    "session into target.stream.headers, as ${SESSION}",
                )
        known |= {*step.capture}


def _check_variants(target: Target) -> Iterator[Problem]:
    for name, variant in target.variants.items():
        path: KeyPath = ("target", "variants", name)
        if variant.start is None and variant.stream is None:
            yield Problem(path, "changes nothing; give start or stream, e.g. start.json = { fail = true }")
        if variant.start is not None:
            if target.start is None:
                yield Problem((*path, "start"), "there is no [target.start] that it could vary")
            else:
                method = variant.start.method or target.start.method
                yield from _check_body(variant.start, (*path, "start"), method)
            for part in ("path", "headers", "json", "body"):
                yield from _unknown(
                    getattr(variant.start, part), (*path, "start", part), (*_ANYWHERE, PAYLOAD)
                )
        if variant.stream is not None:
            method = variant.stream.method or target.stream.method
            yield from _check_body(variant.stream, (*path, "stream"), method)
            known = {PAYLOAD, *_ANYWHERE, *captured(target)}
            for part in ("path", "headers", "json", "body"):
                yield from _missing(getattr(variant.stream, part), (*path, "stream", part), target, known)


def _check_body(request: Request | Stream | Override, path: KeyPath, method: str) -> Iterator[Problem]:
    if request.json is not None and request.body is not None:
        yield Problem((*path, "body"), "a request has one body; give json or body, not both")
    part = "json" if request.json is not None else "body"
    if method in ("GET", "HEAD") and getattr(request, part) is not None:
        yield Problem((*path, part), f'a {method} request carries no body; set method = "POST"')
    yield from _not_json(request.json, (*path, "json"))


def _not_json(value: Any, path: KeyPath) -> Iterator[Problem]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _not_json(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _not_json(item, (*path, index))
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(path, f"JSON has no {value}; write a number or a string")
    elif value is not None and not isinstance(value, str | int | float):
        yield Problem(path, f'JSON has no dates; write a string: "{value.isoformat()}"')


def _check_dialect(config: Config) -> Iterator[Problem]:
    dialect = config.dialect
    if dialect.preset is not None and dialect.preset not in PRESETS:
        hint = did_you_mean(dialect.preset, PRESETS)
        text = f'there is no preset "{dialect.preset}"{hint or "."} Presets: {listed(sorted(PRESETS))}'
        yield Problem(("dialect", "preset"), text)
    if dialect.scope is not None:
        path: KeyPath = ("dialect", "scope", "equals")
        yield from _missing(dialect.scope.equals, path, config.target, {*captured(config.target)})
    for role in _ROLES:
        for index, matcher in enumerate(getattr(dialect, role) or ()):
            yield from _check_matcher(matcher, role, ("dialect", role, index))
    yield from _check_shared(dialect)


def _check_matcher(matcher: Matcher, role: str, path: KeyPath) -> Iterator[Problem]:
    kinds = [key for key in ("event", "pointer", "data") if getattr(matcher, key) is not None]
    kinds += ["comment"] if matcher.comment else []
    if matcher.equals is not None and matcher.pointer is None:
        yield Problem((*path, "equals"), 'needs pointer, which leads to the value, e.g. pointer = "/type"')
    elif not kinds:
        yield Problem(path, "tells nothing; give one of event, pointer (with equals), data, comment = true")
    elif len(kinds) > 1:
        yield Problem(path, f"has {' and '.join(kinds)}; one matcher tells one thing, a list tells several")
    elif matcher.comment and role != "heartbeat":
        yield Problem(path, f"a comment reaches no client, so it cannot say {role}; only heartbeat takes it")


def _check_shared(dialect: Dialect) -> Iterator[Problem]:
    seen: dict[Matcher, str] = {}
    for role in _ROLES:
        for index, matcher in enumerate(getattr(dialect, role) or ()):
            if seen.setdefault(matcher, role) != role:
                yield Problem(
                    ("dialect", role, index),
                    f"says the same as one of dialect.{seen[matcher]}; an event has one meaning",
                )


def _missing(value: Any, path: KeyPath, target: Target, known: Collection[str]) -> Iterator[Problem]:
    """Placeholders that nothing captures."""
    for where, name in _used(value, path):
        if name in known:
            continue
        if name == PORT:
            message = "{port} has a value only in target.command and in the host and port of target.url"
        elif name == PAYLOAD:
            message = _NO_PAYLOAD
        elif name in {LAST_EVENT_ID, LAST_SEQUENCE}:
            message = f"{{{name}}} has a value only in target.resume"
        elif name == EXCHANGE:
            message = "{exchange} has a value only in requests"
        elif hint := did_you_mean(f"{{{name}}}", [f"{{{one}}}" for one in known], quote=""):
            message = f"{{{name}}} is captured nowhere{hint}"
        elif target.start is None:
            message = f"{{{name}}} has no value: there is no [target.start] that could capture it"
        else:
            message = f'{{{name}}} is captured nowhere; add it to target.start.capture, e.g. {name} = "/id"'
        yield Problem(where, message)


def _unknown(value: Any, path: KeyPath, known: Iterable[str]) -> Iterator[Problem]:
    """Placeholders in a place that comes before anything is captured."""
    allowed = listed(f"{{{name}}}" for name in known) or "none"
    for where, name in _used(value, path):
        if name == PAYLOAD and name not in known:
            yield Problem(where, _NO_PAYLOAD)
        elif name not in known:
            advice = f"placeholders allowed: {allowed}. Write {{{{{name}}}}} for itself"
            yield Problem(where, f"{{{name}}} has no value here; {advice}")


def _used(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """The placeholders in the strings of `value`, each with the path to its string, once a string."""
    if isinstance(value, str):
        yield from ((path, name) for name in dict.fromkeys(placeholders(value)))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _used(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _used(item, (*path, index))
