"""A fault plan on a real Toxiproxy: `open_toxiproxy`. Which plans it can do: `toxiproxy_plan.unsupported`.

What differs from the other links whatever the plan, because Toxiproxy is so: it cannot half-close, an end
from either side ends both directions; it passes a reset on as an ordinary end; where the server refuses, it
accepts and closes; its toxics are random by a seed of its own; and it does not tell when a fault acts.
"""

import ipaddress
import os
import random
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
import trio
from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from fault_injection.faults import Plan, Refuse
from fault_injection.network import Address
from fault_injection.toxiproxy_plan import UnsupportedPlanError, toxics_of, unsupported

__all__ = ["ToxiproxyError", "ToxiproxyLink", "UnsupportedPlanError", "open_toxiproxy", "unsupported"]

_CLEANUP_SECONDS = 2.0
_NAME_ATTEMPTS = 8


class ToxiproxyError(Exception):
    """Toxiproxy's API did not answer or refused; says where, what happened and what to do."""


class ToxiproxyLink(msgspec.Struct, frozen=True):
    """An open link: connect to `address`. `name` is what the proxy is called in Toxiproxy."""

    name: str
    address: Address


@asynccontextmanager
async def open_toxiproxy(
    api_url: str, upstream: Address, plan: Plan, *, rng: random.Random, time_limit: float = 5.0
) -> AsyncIterator[ToxiproxyLink]:
    """A link to `upstream` under `plan` through the Toxiproxy whose API is at `api_url` on this machine
    (`http://127.0.0.1:8474` unless told otherwise).

    It listens on a free loopback port and is gone on exit, also when cancelled. Its name is unique:
    `sse-conformance-<process id>-<random>`. A process that is killed leaves its proxy behind: one listening
    port that disturbs nobody. So nothing is swept, for a process id that is dead here may be alive in another
    container that uses the same Toxiproxy.

    `time_limit` (seconds) bounds each wait for the API. Raises `ToxiproxyError`; and `UnsupportedPlanError`
    before anything is asked of Toxiproxy.
    """
    toxics = toxics_of(plan)
    api = _Api(api_url, time_limit)
    link = await _create(api, upstream, random.Random(rng.getrandbits(64)))
    try:
        with ExitStack() as held:
            for index, toxic in enumerate(toxics):  # Toxiproxy chains them in the order of their coming
                await api.post(
                    f"/proxies/{link.name}/toxics", {"name": f"{index}-{toxic.type}", **toxic._asdict()}
                )
            if any(isinstance(fault, Refuse) for fault in plan.faults):
                await api.post(f"/proxies/{link.name}", {"enabled": False})
                held.enter_context(_keep_port(link.address))
            yield link
    except BaseException as error:
        try:
            await _remove(api, link.name)
        except ToxiproxyError as left_behind:  # after Ctrl-C in a terminal Toxiproxy may be gone too
            error.add_note(f"the proxy {link.name} was not removed: {left_behind}")
        raise
    else:
        await _remove(api, link.name)


class _Proxy(msgspec.Struct):
    """What is used of the API's answer about a proxy."""

    listen: str


async def _create(api: "_Api", upstream: Address, names: random.Random) -> ToxiproxyLink:
    host, port = upstream
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    for _ in range(_NAME_ATTEMPTS):
        name = f"sse-conformance-{os.getpid()}-{names.getrandbits(48):012x}"
        body = {"name": name, "listen": "127.0.0.1:0", "upstream": target, "enabled": True}
        try:
            answer = await api.post("/proxies", body)
        except _TakenError:  # by another link of this process whose generator began with the same seed
            continue
        try:
            listen_host, _, listen_port = msgspec.json.decode(answer, type=_Proxy).listen.rpartition(":")
            return ToxiproxyLink(name, (listen_host, int(listen_port)))
        except ValueError as error:  # msgspec's errors are among them
            raise ToxiproxyError(f"what answers at {api.url} is not a Toxiproxy: {error}") from error
    raise ToxiproxyError(f"{_NAME_ATTEMPTS} proxy names in a row were taken at {api.url}")


async def _remove(api: "_Api", name: str) -> None:
    with trio.CancelScope(shield=True):
        await api.delete(f"/proxies/{name}")


@contextmanager
def _keep_port(address: Address) -> Iterator[None]:
    """Binds the port of a disabled proxy without listening, so that nobody else comes to answer there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as keeper:
        try:
            keeper.bind(address)
        except OSError as error:
            raise ToxiproxyError(
                f"the disabled proxy's port {address[1]} was taken: {error}; try again"
            ) from error
        yield


class _TakenError(ToxiproxyError):
    """A proxy of this name exists."""


class _Api:
    """The blocking, untyped HTTP layer of toxiproxy-python: all of it is used here and nowhere else.

    Its `Toxiproxy` and `Proxy` wait without a limit and share one address in the whole process; so a subclass
    for each address sends the requests. A thread is never abandoned: a cancellation takes effect once the API
    answered or the limit passed, so what was created is always known, and removed.
    """

    def __init__(self, url: str, time_limit: float) -> None:
        self.url = url
        self._time_limit = time_limit
        host, port = _host_and_port(url)
        self._consumer: Any = type("Consumer", (APIConsumer,), {"host": host, "port": port})

    async def post(self, path: str, body: Mapping[str, object]) -> bytes:
        """POST as JSON; the answer's body. Raises `ToxiproxyError`."""
        return await trio.to_thread.run_sync(
            lambda: self._ask("post", path, json=body, timeout=self._time_limit)
        )

    async def delete(self, path: str) -> None:
        """DELETE; what is gone already is fine. Raises `ToxiproxyError`."""
        timeout = min(self._time_limit, _CLEANUP_SECONDS)
        await trio.to_thread.run_sync(lambda: self._ask("delete", path, timeout=timeout))

    def _ask(self, method: str, path: str, **options: object) -> bytes:
        # Never by way of HTTP_PROXY: the API is on this machine.
        try:
            answer = getattr(self._consumer, method)(
                path, proxies={"http": ""}, allow_redirects=False, **options
            )
        except ProxyExists as error:
            raise _TakenError(f"{self.url}: {_text(error.args[0])}") from error
        except NotFound as error:
            if method == "delete":
                return b""
            raise ToxiproxyError(
                f"no Toxiproxy at {self.url} knows {path}: {_text(error.args[0])}"
            ) from error
        except InvalidToxic as error:
            raise ToxiproxyError(
                f"the Toxiproxy at {self.url} refuses {path}: {_text(error.args[0])}"
            ) from error
        except OSError as error:  # all of requests' errors are
            raise ToxiproxyError(
                f"no Toxiproxy answers at {self.url}: start it there or say where it is ({error})"
            ) from error
        if not 200 <= answer.status_code < 300:
            raise ToxiproxyError(f"{self.url}{path} answered {answer.status_code}: {_text(answer.content)}")
        return bytes(answer.content)


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        port = parts.port or 80
        local = parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        local = False
    if parts.scheme != "http" or parts.path not in ("", "/") or not local:
        raise ToxiproxyError(
            f"{url!r} is not where a Toxiproxy on this machine can be: expected e.g. 'http://127.0.0.1:8474'"
        )
    return (f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""), port


def _text(content: bytes) -> str:
    """The beginning of what the API said, as one line."""
    return " ".join(content[:300].decode("utf-8", "replace").split())
