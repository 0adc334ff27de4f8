"""Makes a configured target ready to be driven: starts its server if it has a command, finds it, reaches it."""

import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import httpx
import msgspec
import trio

from conformance.config import PORT, Config, Loaded, base_url, fill, load_config, url_port
from conformance.drive.server_process import ServerProcess
from conformance.transport import address_of
from fault_injection.network import Connection, Network, SocketNetwork

_START_PATIENCE = 30.0  # seconds for a server that the harness starts to become ready
_TOKEN = "built-in-reference"
_INSTANCES = 4  # of the built-in reference: they take little, and it is the waiting that they shorten


class TargetError(Exception):
    """The target could not be reached; the message says what happened, where, and what to do."""


@dataclass(frozen=True)
class ReadyTarget:
    """A target that answers at `origin`; `server` if the harness started it."""

    origin: str
    server: ServerProcess | None


def built_in(state: Path) -> Loaded:
    """The reference producer as a target: a server process of its own, with its own configuration, and a token
    that it wants to see. It keeps its jobs under `state`, so that they outlive it."""
    with resources.as_file(resources.files("conformance.reference") / "sse-conformance.toml") as path:
        loaded = load_config(path, environ={})
    command = (
        *(sys.executable, "-m", "conformance", "serve", "--port", "{port}"),
        *("--state", str(state / "{port}"), "--token", _TOKEN),
    )
    target = loaded.config.target
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    start, stream, status, cancel = (
        each and msgspec.structs.replace(each, headers=headers)
        for each in (target.start, target.stream, target.status, target.cancel)
    )
    target = msgspec.structs.replace(
        target,
        url=None,
        command=command,
        instances=_INSTANCES,
        start=start,
        stream=stream,
        status=status,
        cancel=cancel,
    )
    config = msgspec.structs.replace(loaded.config, target=target)
    return Loaded(config, loaded.secrets | {_TOKEN}, "the built-in reference")


@asynccontextmanager
async def ready(
    config: Config,
    network: Network,
    *,
    log: Path,
    verify: bool = True,
    folder: Path | None = None,
    reach: bool = True,
) -> AsyncIterator[ReadyTarget]:
    """The target, started if it has a command. What the server prints goes to `log`.

    `verify`: a TLS certificate must be one that this machine trusts. `folder` is where the command runs. `reach`:
    connect to it once before anything is driven. Where only one request follows that is one connection too many.

    Raises `ServerError` where it does not start, `TargetError` where it cannot be reached.
    """
    if config.target.command is None:
        origin = base_url(config.target)
        if reach:
            await _reach(network, origin, config.limits.connect, verify)
        yield ReadyTarget(origin, None)
        return
    port = url_port(config.target) or await _free_port()
    origin = base_url(config.target, port)
    server = ServerProcess(
        [fill(part, {PORT: str(port)}) for part in config.target.command],
        network=network,
        origin=origin,
        ready=config.target.ready,
        log=log,
        patience=_START_PATIENCE,
        stop_patience=config.limits.shutdown,
        folder=folder,
    )
    async with server.running():
        if reach:
            await _reach(network, origin, config.limits.connect, verify)
        yield ReadyTarget(origin, server)


async def _free_port() -> int:
    listener = await SocketNetwork().listen()
    await listener.aclose()
    return listener.address[1]


async def _reach(network: Network, origin: str, limit: float, verify: bool) -> None:
    """Connect once, and shake hands where there is TLS: what fails here would fail in every scenario."""
    host, port = address_of(origin)
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        with trio.fail_after(limit):
            connection = await network.connect(host, port)
            try:
                if httpx.URL(origin).scheme == "https":
                    await _shake_hands(connection, host, verify)
            finally:
                await connection.aclose()
    except trio.TooSlowError:
        raise TargetError(
            f"{place} did not answer within {limit:g} s (limits.connect). "
            "Is the address right, and is it reachable from here?"
        ) from None
    except trio.BrokenResourceError as error:
        raise TargetError(f"{place} {_why_no_tls(error)}") from error
    except OSError as error:
        raise TargetError(f"{place} {_why_not(error)}") from error


async def _shake_hands(connection: Connection, host: str, verify: bool) -> None:
    context = httpx.create_ssl_context(verify=verify)
    secured = trio.SSLStream(connection, context, server_hostname=host, https_compatible=True)
    await secured.do_handshake()


def _why_no_tls(error: trio.BrokenResourceError) -> str:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"has a certificate that is not accepted: {cause.verify_message}. --insecure accepts any; "
            "SSL_CERT_FILE names a file with the authority to trust"
        )
    said = f" ({cause.reason})" if isinstance(cause, ssl.SSLError) and cause.reason else ""
    return f"did not complete the TLS handshake{said}. Does it speak HTTPS there, or is it http://?"


def _why_not(error: OSError) -> str:
    cause = error.__cause__
    causes = cause.exceptions if isinstance(cause, BaseExceptionGroup) else (error,)
    if any(isinstance(each, ConnectionRefusedError) for each in causes):
        return "refused the connection: nobody listens there. Is the server running?"
    if any(isinstance(each, socket.gaierror) for each in causes):
        return "cannot be reached: there is no such host. Is its name right?"
    first = causes[0]
    said = first.strerror if isinstance(first, OSError) and first.strerror else str(first)
    return f"cannot be reached: {said}. Is the address right, and is it reachable from here?"
