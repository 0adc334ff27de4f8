"""What a scenario works with: the target's requests, subscribers, status, and the record of it all."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import msgspec
import trio

from conformance.config import (
    EXCHANGE,
    FRESH_ID,
    LAST_EVENT_ID,
    LAST_SEQUENCE,
    PAYLOAD,
    AnswerHeader,
    Config,
    Metric,
    PlaceholderError,
    Probe,
    Request,
    Step,
    bind_dialect,
    captured,
    resume_request,
    resumes_by_sequence,
    steps,
    stream_request,
    with_variant,
)
from conformance.dialect import Dialect
from conformance.dialect.learning import Reader
from conformance.drive.capture import Capture
from conformance.drive.control import Restartable
from conformance.drive.outcome import how_it_failed
from conformance.drive.reply import open_reply
from conformance.drive.request import build_request
from conformance.drive.subscription import Heard, Patience, Subscription, head_of
from conformance.history import (
    OWN_MEMORY,
    Began,
    Chunk,
    Ended,
    Gauge,
    How,
    Mark,
    Phase,
    Purpose,
    Recorder,
    Relayed,
    Requested,
)
from conformance.history.redact import ALWAYS_SECRET
from conformance.probes import Reading, read_json, read_process, read_prometheus
from conformance.transport import Route
from fault_injection.network import Network

_ANSWER_LIMIT = 1 << 20  # bytes of an answer that is no stream
_ENOUGH = "all that it was read for had come"
_BODY_LIMIT = 1 << 16  # bytes of a request's body that are recorded


class Skipped(Exception):
    """The scenario cannot be driven on this target; the message is the reason."""


class Unreached(Exception):
    """A request that the scenario needs had no usable answer; the message says which and what came."""


@dataclass(frozen=True)
class Answer:
    """What came of a request that is no stream. `status` is None where there was no response."""

    exchange: str
    status: int | None
    body: bytes
    how: How
    detail: str

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


@dataclass
class Stage:
    """One scenario's hold on the target.

    `origin` is the target's URL without a path. `watch`: for how long (seconds) an endless stream is watched.
    `allowance`: how much later (seconds) things may come because of the link's faults; `held_back`: the link
    may hold even the head until the stream closes. `route` leads the streams through the link, if there is
    one; other requests go straight to the server. `pid` is the process of a server that the harness did not start.
    `scales` weigh the harness itself (bytes).
    `ours`: the server lives for this run only, so that it is no burden on anybody.
    """

    network: Network
    config: Config
    dialect: Dialect
    recorder: Recorder
    nursery: trio.Nursery
    origin: str
    watch: float
    allowance: float = 0.0
    held_back: bool = False
    route: Route | None = None
    server: Restartable | None = None
    pid: int | None = None
    scales: Callable[[], int | None] | None = None
    ours: bool = False
    verify: bool = True
    secrets: frozenset[str] = frozenset()
    names: dict[str, str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _openings: dict[tuple[tuple[tuple[str, str], ...], str], str] = field(default_factory=dict)
    _hung: list[str] = field(default_factory=list)  # why the probe is not asked again

    def mark(self, what: str, detail: str = "") -> None:
        """Write down something that the scenario did."""
        self.recorder.record(Mark(time=self.recorder.now(), what=what, detail=detail))

    async def start(self, variant: str | None = None, **names: str) -> dict[str, str]:
        """Begin the work, if the target has a request for that, and give the names that it captured; what follows
        speaks of this work, unless it is given the names of another one.

        `variant` is one of `target.variants`. Raises `Skipped` where the variant is not configured, and
        `Unreached` where the answer is not one that names the stream.
        """
        if variant is not None:
            if variant not in self.config.target.variants:
                raise Skipped(f"needs target.variants.{variant} in the configuration")
            target = with_variant(self.config.target, variant)
            self.config = msgspec.structs.replace(self.config, target=target)
        self.names = begun = dict(names)
        if FRESH_ID in self.captured:
            begun[FRESH_ID] = self._fresh_id()
        for step in steps(self.config.target):
            begun |= await self._take(step, begun)
        return begun

    def _fresh_id(self) -> str:
        """A name for work that no work has had, in no scenario and no run."""
        began = self.recorder.records[0]
        assert isinstance(began, Began)
        self._counts[FRESH_ID] = count = self._counts.get(FRESH_ID, 0) + 1
        return f"sse-conformance-{began.scenario}-{round(began.at * 1000):x}-{count}"

    async def _take(self, step: Step, names: Mapping[str, str]) -> dict[str, str]:
        """Go one step towards the stream, and give what it captures. Raises `Unreached`."""
        capture = Capture(step.capture, limit=_ANSWER_LIMIT)
        answer = await self.ask("start", step, names=names, capture=capture if step.capture else None)
        if answer.status is None:
            raise Unreached(f"{step.method} {step.path}: {answer.detail}")
        if answer.status >= 400:
            raise Unreached(
                f"{step.method} {step.path} answered {answer.status}: {self._excerpt(answer.body)}"
            )
        for name, place in step.capture.items():
            if name not in capture.found:
                why = f" ({answer.detail})" if answer.detail else ""
                sought = f"header {place.header}" if isinstance(place, AnswerHeader) else f"value at {place}"
                raise Unreached(
                    f"{step.method} {step.path}: no {sought} to capture as {{{name}}} "
                    f"in {self._excerpt(answer.body)}{why}"
                )
        return capture.found

    @asynccontextmanager
    async def subscribe(
        self,
        subscriber: str = "a",
        *,
        last_event_id: str | None = None,
        again: bool = False,
        leave_at_completion: bool = False,
        leave_at_request: bool = False,
        headers: Mapping[str, str | None] | None = None,
        names: Mapping[str, str] | None = None,
        watch: float | None = None,
        heard: Heard | None = None,
    ) -> AsyncIterator[Subscription]:
        """Open the event stream, or come back to it with a last event ID (`resume_request` says how, and it may be the
        last sequence), or, `again`, without one; on exit it is left, if it has not ended by then.

        `headers` are sent besides the configured ones; a value of None takes one out. `names` override those
        of the work that was started last. `watch` overrides the stage's (seconds). `heard` is told of every item as
        it arrives.
        """
        target = self.config.target
        names = self.names | dict(names or {})
        again = last_event_id is not None or (again and target.resume is not None)
        asked = resume_request(target, last_event_id) if again else stream_request(target)
        assert asked.path is not None, "put in its place"
        exchange = self._name(subscriber)
        request = self._request(
            asked.method,
            asked.path,
            headers=_merged(
                {"Accept": "text/event-stream", "Cache-Control": "no-store"}, asked.headers, headers or {}
            ),
            json_body=asked.json,
            body=asked.body,
            names={
                **names,
                EXCHANGE: exchange,
                LAST_EVENT_ID: last_event_id or "",
                LAST_SEQUENCE: last_event_id or "",
            },
        )
        opened = self._opened(exchange, subscriber, _told(names), comes_back=again)
        self._requested(
            exchange,
            "stream",
            request,
            names,
            subscriber=subscriber,
            last_event_id=last_event_id,
            opened=opened,
        )
        reader = Reader(bind_dialect(self.dialect, names))
        subscription = Subscription(
            exchange,
            request,
            network=self.network,
            recorder=self.recorder,
            reading=reader.read,
            patience=self._patience(watch),
            route=self.route,
            heard=heard,
            leave_at_completion=leave_at_completion,
            leave_at_request=leave_at_request,
            last_event_id=last_event_id or "",
            by_sequence=resumes_by_sequence(target),
            verify=self.verify,
        )
        self.nursery.start_soon(subscription.run)
        try:
            yield subscription
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
                await subscription.drop()

    async def ask(
        self,
        purpose: Purpose,
        asked: Request,
        *,
        headers: Mapping[str, str | None] | None = None,
        names: Mapping[str, str] | None = None,
        capture: Capture | None = None,
    ) -> Answer:
        """Send a request that is no stream and record what comes. Waits `limits.head` seconds at the most, and no
        longer than `capture` has something to wait for. `headers` are sent besides its own, `names` stand in for the
        captured ones. Each has a connection of its own and says so: a server may keep tasks for one that it could be
        asked on again, and they would show in its gauges."""
        names = self.names if names is None else names
        exchange = self._name(purpose)
        request = self._request(
            asked.method,
            asked.path,
            headers=_merged({"Connection": "close"}, asked.headers, headers or {}),
            json_body=asked.json,
            body=asked.body,
            names={**names, EXCHANGE: exchange},
        )
        self._requested(exchange, purpose, request, names)
        status, parts = None, list[bytes]()
        how: How = "complete"
        detail = ""
        limit = self.config.limits.head
        with trio.move_on_after(limit) as scope:
            try:
                async with open_reply(self.network, request, verify=self.verify) as reply:
                    status = reply.status
                    head = head_of(self.recorder.now(), exchange, reply)
                    self.recorder.record(head)
                    size = 0
                    if capture is not None and capture.on_head(head.headers):
                        how, detail = "dropped", _ENOUGH
                        scope.cancel()
                    while (data := await reply.receive()) is not None:
                        if size <= _ANSWER_LIMIT:
                            parts.append(data)
                            self.recorder.record(Chunk.of(self.recorder.now(), exchange, data))
                            size += len(data)
                            if capture is not None and capture.on_data(data):
                                how, detail = "dropped", _ENOUGH
                                scope.cancel()
                        if size > _ANSWER_LIMIT:
                            how, detail = "body-limit", f"over {_ANSWER_LIMIT} bytes"
                            scope.cancel()  # to break would leave httpx's generators behind
            except httpx.HTTPError as error:
                how, detail = how_it_failed(error)
            except httpx.InvalidURL as error:
                how, detail = "protocol", f"redirected to an address that is no URL: {error}"
        if scope.cancelled_caught and how == "complete":
            how, detail = "timeout", f"no complete answer within {limit:g} s"
        self.recorder.record(Ended(time=self.recorder.now(), exchange=exchange, how=how, detail=detail))
        answer = Answer(exchange, status, b"".join(parts), how, detail)
        if capture is not None:
            capture.on_end(answer.body)
        return answer

    async def status(self, names: Mapping[str, str] | None = None) -> Answer | None:
        """Ask for the work's state; None where `target.status` is not configured. `names`: of which work, if not of
        the one that was started last."""
        status = self.config.target.status
        if status is None:
            return None
        return await self.ask("status", status, names=names)

    async def cancel(self, names: Mapping[str, str] | None = None) -> Answer | None:
        """Ask the server to stop the work; None where `target.cancel` is not configured. `names` as for `status`."""
        cancel = self.config.target.cancel
        if cancel is None:
            return None
        return await self.ask("cancel", cancel, names=names)

    async def sample(self, phase: Phase = "", *, cycles: int = 0) -> dict[str, float | None]:
        """Ask every probe for its gauges, write down what they say, and give it by name. None where a probe could
        not see; nothing where none is configured. `cycles`: how many connections have come and gone by now."""
        pid = self.server_pid
        # first the process, for the request to the other probe takes a socket of it
        readings = read_process(pid) if pid is not None else ()
        probe = self.config.target.probe
        if probe is not None:
            readings += await self._probed(probe)
        for each in readings:
            self.recorder.record(
                Gauge(
                    time=self.recorder.now(),
                    name=each.name,
                    value=each.value,
                    detail=each.detail,
                    phase=phase,
                    cycles=cycles,
                )
            )
        return {each.name: each.value for each in readings}

    async def _probed(self, probe: Probe) -> tuple[Reading, ...]:
        """What the probe says. Where it has hung once in this scenario it is asked no more: each question that is
        never answered would leave a connection behind, for which the server's streams would be blamed."""
        if self._hung:
            return tuple(Reading(name, None, self._hung[0]) for name in probe.gauges)
        answer = await self.ask("probe", Request(method="GET", path=probe.path, headers=probe.headers))
        readings = _gauges(answer, probe)
        if answer.how == "timeout":
            self._hung.extend(reading.detail for reading in readings[:1])
        return readings

    @property
    def server_pid(self) -> int | None:
        """The number of the server's process, where it runs on this machine and is known."""
        return self.pid if self.server is None else self.server.pid

    def weigh(self, phase: Phase) -> None:
        """Write down how much memory the harness itself takes, where it can be known."""
        weight = None if self.scales is None else self.scales()
        if weight is not None:
            self.recorder.record(
                Gauge(time=self.recorder.now(), name=OWN_MEMORY, value=float(weight), phase=phase)
            )

    async def restart_server(self) -> None:
        """Kill the server by SIGKILL and start it again. Raises `Skipped` where the harness did not start it."""
        if self.server is None:
            raise Skipped(
                "needs target.command in the configuration: the harness restarts only what it started"
            )
        self.mark("server killed", "by SIGKILL")
        await self.server.kill()
        await self.server.start()
        self.mark("server started again")

    @property
    def answered(self) -> bool:
        """Whether something of a response's body has reached the link, let through or not."""
        return any(isinstance(record, Relayed) for record in self.recorder.records)

    @property
    def captured(self) -> tuple[str, ...]:
        """The names that the start request captures."""
        return captured(self.config.target)

    @property
    def credential_headers(self) -> tuple[str, ...]:
        """The headers of the stream's request that carry credentials."""
        return self.credentials_in(self.config.target.stream.headers)

    def credentials_in(self, headers: Mapping[str, str]) -> tuple[str, ...]:
        """Those of these headers that carry credentials: `Authorization` and its like, and whatever holds a secret
        of the configuration."""
        return tuple(
            name
            for name, value in headers.items()
            if name.lower() in ALWAYS_SECRET or any(secret in value for secret in self.secrets)
        )

    def _patience(self, watch: float | None) -> Patience:
        limits, expect = self.config.limits, self.config.expect
        completes = bool(self.dialect.completion) and expect.terminates is not False
        if watch is None:
            watch = limits.completion if completes else self.watch
        watch += self.allowance
        return Patience(
            head=watch if self.held_back else limits.head + self.allowance,
            watch=watch,
            close=limits.close + self.allowance,
            body=limits.body,
            items=limits.events,
            completes=completes,
            terminates=expect.terminates,
        )

    def _request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str | None],
        json_body: Any,
        body: str | None,
        names: Mapping[str, str],
    ) -> httpx.Request:
        try:
            return build_request(
                self.origin, method, path, headers=headers, json_body=json_body, body=body, names=names
            )
        except (PlaceholderError, httpx.InvalidURL, UnicodeEncodeError) as error:  # by what it answered
            raise Unreached(f"{method} {path} cannot be sent: {error}") from error

    def _requested(
        self,
        exchange: str,
        purpose: Purpose,
        request: httpx.Request,
        names: Mapping[str, str],
        *,
        subscriber: str = "",
        last_event_id: str | None = None,
        opened: str = "",
    ) -> None:
        self.recorder.record(
            Requested(
                time=self.recorder.now(),
                exchange=exchange,
                purpose=purpose,
                method=request.method,
                url=str(request.url),
                headers=tuple(
                    (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw
                ),
                body=request.content[:_BODY_LIMIT].decode("utf-8", "replace"),
                subscriber=subscriber,
                names=_told(names),
                last_event_id=last_event_id,
                opened=opened,
            )
        )

    def _opened(self, exchange: str, subscriber: str, names: Mapping[str, str], *, comes_back: bool) -> str:
        """The exchange that opened the stream to which a subscriber comes back: its own last one of this work, or
        else anybody's; "" where it opens one itself, or nobody has yet."""
        work = tuple(sorted(names.items()))
        if comes_back:
            return self._openings.get((work, subscriber)) or self._openings.get((work, ""), "")
        self._openings[work, subscriber] = self._openings[work, ""] = exchange
        return ""

    def _excerpt(self, body: bytes) -> str:
        text = self.recorder.excerpt(body.decode("utf-8", "replace"))
        return repr(text) if text else "an empty body"

    def _name(self, of: str) -> str:
        count = self._counts[of] = self._counts.get(of, 0) + 1
        return of if count == 1 else f"{of}-{count}"


def _gauges(answer: Answer, probe: Probe) -> tuple[Reading, ...]:
    """What the answer says; where there was none, one that is an error, or half of one (in which samples may be missing
    from a sum), why there is nothing to read."""
    if answer.status is not None and answer.status >= 400:
        return tuple(Reading(name, None, f"{probe.path} answered {answer.status}") for name in probe.gauges)
    if answer.how == "body-limit":
        why = f"the answer has {answer.detail}, which is more than is read: can it be asked for less?"
        return tuple(Reading(name, None, f"{probe.path}: {why}") for name in probe.gauges)
    if answer.how != "complete":
        return tuple(Reading(name, None, f"{probe.path}: {answer.detail}") for name in probe.gauges)
    pointers = {name: each for name, each in probe.gauges.items() if isinstance(each, str)}
    metrics = {name: each for name, each in probe.gauges.items() if isinstance(each, Metric)}
    text = answer.body.decode("utf-8", "replace") if metrics else ""
    found = read_json(answer.json if pointers else None, pointers) + read_prometheus(text, metrics)
    return tuple(
        replace(each, detail=f"{probe.path}: {each.detail}") if each.detail else each for each in found
    )


def _told(names: Mapping[str, str]) -> dict[str, str]:
    """The names that are written down: those that say which work it is."""
    return {name: value for name, value in names.items() if name != PAYLOAD}


def _merged(*tables: Mapping[str, str | None]) -> dict[str, str | None]:
    """The headers of all tables, later ones over earlier ones, names compared without case."""
    merged: dict[str, tuple[str, str | None]] = {}
    for table in tables:
        for name, value in table.items():
            merged[name.lower()] = (name, value)
    return dict(merged.values())


__all__ = ["Answer", "Restartable", "Skipped", "Stage", "Unreached"]
