"""For people's own tests: a fault proxy in front of any address, a recording client, and an assertion.

All of it is synchronous and runs trio in a thread of its own, so it goes with every async framework, and with
none. As fixtures: `sse_proxy`, `sse_record`. Recording waits for the stream: where the server runs in the event
loop of the test itself, call it as `await asyncio.to_thread(sse_record, url)`, or `trio.to_thread.run_sync`.
"""

import os
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec
import trio

from conformance.config import Config, Expect, Limits, Loaded, config_for_url, credentials, literal
from conformance.dialect import Dialect, effective_dialect
from conformance.drive.scene import Setting, play
from conformance.drive.stage import Stage
from conformance.drive.target import TargetError, ready
from conformance.errors import first_of
from conformance.history import History
from conformance.judging import held, judge, on_assumed_terms
from conformance.rules import RULES, Rule
from conformance.scenarios import Scenario
from conformance.triggers import triggers
from conformance.unreached import unreached
from conformance.words import explain
from fault_injection.faults import Fault, Plan
from fault_injection.link import Fired
from fault_injection.network import Address, SocketNetwork
from fault_injection.observer import Observer
from fault_injection.proxy import open_proxy
from reports.results import Case, Verdict
from reports.text import visible

__all__ = ["FaultProxies", "FaultProxy", "Record", "assert_conforms", "record"]

_T = TypeVar("_T")


@dataclass
class FaultProxy(Observer):
    """A running proxy. `fired_faults` grows while faults act."""

    address: Address
    fired_faults: list[Fired] = field(default_factory=list)

    @property
    def url(self) -> str:
        """`http://` and the address; put the path behind it."""
        return f"http://{self.address[0]}:{self.address[1]}"

    def fired(self, connection: int, fired: Fired) -> None:
        self.fired_faults.append(fired)

    def refused(self, attempt: int, peer: Address, fired: Fired) -> None:
        self.fired_faults.append(fired)


class FaultProxies:
    """Starts fault proxies, each in a thread, and closes them all at the end of the block."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __call__(
        self, upstream: str | Address, *faults: Fault, dialect: Dialect | None = None, seed: int = 0
    ) -> FaultProxy:
        """A proxy to `upstream` ("host:port", a URL, or a pair) with these faults.

        `dialect` tells what a `completion` trigger waits for. Raises `ValueError` for an address that is none,
        and for a fault with a trigger that there is not.
        """
        proxy = FaultProxy(("", 0))
        known = triggers(effective_dialect(dialect or Dialect()))
        target = _address(upstream)

        async def serve(task_status: trio.TaskStatus[None]) -> None:
            async with open_proxy(
                SocketNetwork(),
                upstream=target,
                plan=Plan(faults),
                rng=random.Random(seed),
                triggers=known,
                observer=proxy,
            ) as running:
                proxy.address = running.address
                task_status.started()
                await trio.sleep_forever()

        self._stack.enter_context(_InThread(serve))
        return proxy


class _InThread:
    """Runs an async function in a thread of its own until the block ends. What it raises is raised here, at the
    start of the block or at its end."""

    def __init__(self, serve: Callable[..., Awaitable[None]]) -> None:
        self._serve = serve
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope: trio.CancelScope | None = None
        self._thread = threading.Thread(target=self._run, name="sse-conformance", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise first_of(self._error)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None and self._scope is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._scope.cancel)
        self._thread.join()
        if self._error is not None:
            raise first_of(self._error)

    def _run(self) -> None:
        async def main() -> None:
            async with trio.open_nursery() as nursery:
                self._token = trio.lowlevel.current_trio_token()
                self._scope = nursery.cancel_scope
                await nursery.start(self._serve)
                self._ready.set()

        try:
            trio.run(main)
        except BaseException as error:  # noqa: BLE001  (handed to the thread that waits)
            self._error = error
        finally:
            self._ready.set()


@dataclass(frozen=True)
class Record:
    """Reads streams and gives their histories, which are kept in `folder`."""

    folder: Path

    def __call__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        duration: float = 30.0,
        dialect: Dialect | None = None,
        expect: Expect | None = None,
        limits: Limits | None = None,
        verify: bool = True,
        file: str = "stream.jsonl",
    ) -> History:
        """See `record`; `file` is the name of the history's file in the folder."""
        return record(
            url,
            headers=headers,
            duration=duration,
            dialect=dialect,
            expect=expect,
            limits=limits,
            verify=verify,
            file=self.folder / file,
        )


def record(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    duration: float = 30.0,
    dialect: Dialect | None = None,
    expect: Expect | None = None,
    limits: Limits | None = None,
    verify: bool = True,
    file: Path | None = None,
) -> History:
    """Read the event stream at `url` until it ends, or for `duration` seconds, and give its history.

    `dialect`, `expect` and `limits` are what it is judged by later. `verify=False` accepts any TLS certificate.
    Raises `ConfigError` for a URL that is none, `TargetError` where nobody answers; whatever the server does then
    is in the history.
    """
    loaded = config_for_url(url)
    target = loaded.config.target
    stream = msgspec.structs.replace(
        target.stream, headers={name: literal(value) for name, value in (headers or {}).items()}
    )
    config = Config(
        target=msgspec.structs.replace(target, stream=stream),
        dialect=dialect or Dialect(),
        expect=expect or Expect(),
        limits=limits or Limits(),
    )

    secrets = loaded.secrets | {*credentials(headers or {})}

    async def main() -> History:
        return await _record(Loaded(config, secrets, loaded.source), duration, verify, file)

    return _in_own_thread(lambda: trio.run(main))


async def _record(loaded: Loaded, duration: float, verify: bool, file: Path | None) -> History:
    network, config = SocketNetwork(), loaded.config

    async def read(stage: Stage) -> None:
        async with stage.subscribe(watch=duration) as subscriber:
            await subscriber.finished()

    async with ready(config, network, log=Path(os.devnull), verify=verify, reach=False) as target:
        setting = Setting(
            network=network,
            config=config,
            origin=target.origin,
            seed=0,
            duration=duration,
            declared=held(config),
            secrets=loaded.secrets,
            verify=verify,
            wall=time.time,
        )
        history = await play(setting, Scenario("subscribe", "", read), file=file)
    if history.streams and history.streams[0].how in {"refused", "unreachable", "tls"}:
        raise TargetError(unreached([history]))
    return history


def assert_conforms(history: History, rules: str = "*", *, strict: bool = False) -> None:
    """Assert that a history breaks none of the rules whose names match, e.g. `"completion.*"`.

    Raises `AssertionError` with what was seen and how to mend it; also where not one rule could be judged. A
    broken SHOULD counts only if `strict`. Raises `ValueError` where there is no such rule.
    """
    __tracebackhide__ = True
    chosen = [rule for rule in RULES if fnmatchcase(rule.name, rules)]
    if not chosen:
        raise ValueError(f"no rule matches {rules!r}; `sse-conformance rules` lists them")
    (history,) = on_assumed_terms({"": history}).values()
    cases = judge(history, chosen)
    bad = {Verdict.FAIL, Verdict.ERROR, *({Verdict.WARN} if strict else ())}
    broken = [case for case in cases if case.verdict in bad]
    mends = {rule.name: rule.mend for rule in chosen}
    if broken:  # no assert statement: pytest would rewrite it, as this is a plugin, and the message with it
        raise AssertionError("\n\n".join(explain(case, mends[case.rule]) for case in broken))
    if not any(case.verdict in {Verdict.PASS, Verdict.WARN} for case in cases):
        raise AssertionError(_why_nothing(history, chosen, cases))


def _why_nothing(history: History, chosen: Sequence[Rule], cases: Sequence[Case]) -> str:
    if not cases:
        where = dict.fromkeys(name for rule in chosen for name in rule.scenarios)
        return (
            f"nothing was judged: the history is of the scenario {history.scenario!r}, and these rules are judged "
            f"in {', '.join(where)}; `sse-conformance run` drives those"
        )
    reasons: dict[str, list[str]] = {}
    for case in cases:
        reasons.setdefault(case.reason, []).append(case.rule)
    return "nothing was judged:" + "".join(
        f"\n  {visible(reason)}: {', '.join(names)}" for reason, names in reasons.items()
    )


def _in_own_thread(function: Callable[[], _T]) -> _T:
    """The test may be running in an event loop of its own."""
    answers: list[_T] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            answers.append(function())
        except BaseException as error:  # noqa: BLE001  (raised again in the caller's thread)
            errors.append(error)

    thread = threading.Thread(target=call, name="sse-conformance")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return answers[0]


def _address(upstream: str | Address) -> Address:
    if isinstance(upstream, tuple):
        return upstream
    host, _, port = upstream.rpartition("://")[2].partition("/")[0].rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"an upstream is HOST:PORT or a URL with a port, not {upstream!r}")
    return host.strip("[]"), int(port)
