"""`sse-conformance proxy`: the fault proxy on its own."""

import random
from pathlib import Path
from typing import Annotated

import trio
import typer

from conformance.cli.common import MISUSED, Failure, err, said
from conformance.cli.interrupt import interruptible
from conformance.config import did_you_mean
from conformance.dialect import Dialect
from conformance.errors import first_of
from conformance.files import read_small
from conformance.triggers import triggers
from fault_injection.faults import AtTrigger, Fault, Plan
from fault_injection.link import Fired
from fault_injection.network import Address, SocketNetwork
from fault_injection.observer import HowClosed, Observer
from fault_injection.plans import describe_plan, plan_from_json
from fault_injection.proxy import open_proxy

EXAMPLES = """
[bold]Examples[/]

  sse-conformance proxy 127.0.0.1:8000   [dim]no fault: just a way through[/]

  sse-conformance proxy 127.0.0.1:8000 --plan plan.json --listen 127.0.0.1:9000

where plan.json is e.g. {"faults": [{"fault": "latency", "delay": 0.2},
{"fault": "disconnect", "when": {"type": "trigger", "name": "events", "argument": 3}, "connections": 1}]}
"""


def proxy_command(
    upstream: Annotated[str, typer.Argument(metavar="HOST:PORT", help="The one server that it forwards to.")],
    plan: Annotated[Path | None, typer.Option(help="The faults, as JSON.")] = None,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
    ] = "127.0.0.1:0",
    seed: Annotated[int, typer.Option(help="Every random choice comes from it.")] = 0,
) -> None:
    """Put faults between subscribers and a server, and say which fired when."""
    faults = _plan(plan)
    target, here = _address(upstream, "HOST:PORT"), _address(listen, "--listen")
    if target[1] == 0:
        raise Failure(f"HOST:PORT names port 0, where no server is: {upstream!r}", MISUSED)
    try:
        trio.run(_serve, target, here, faults, seed)
    except* OSError as group:
        error = first_of(group)
        raise Failure(
            f"cannot listen on {listen}: {said(error)}. --listen takes another address", MISUSED
        ) from error


async def _serve(upstream: Address, listen: Address, plan: Plan, seed: int) -> None:
    async with (
        interruptible("closing") as stop,
        open_proxy(
            SocketNetwork(),
            upstream=upstream,
            plan=plan,
            rng=random.Random(seed),
            triggers=triggers(Dialect()),
            listen=listen,
            observer=_Telling(trio.current_time()),
        ) as proxy,
    ):
        _say(f"{_named(proxy.address)} -> {_named(upstream)}: {describe_plan(plan)}; Ctrl-C stops")
        await stop.wait()


class _Telling(Observer):
    """Prints a line for everything that happens."""

    def __init__(self, zero: float) -> None:
        self._zero = zero

    def accepted(self, connection: int, peer: Address, time: float) -> None:
        self._tell(time, f"#{connection} from {peer[0]}:{peer[1]}")

    def fired(self, connection: int, fired: Fired) -> None:
        self._tell(fired.time, f"#{connection} fault: {fired.detail}")

    def closed(self, connection: int, time: float, how: HowClosed) -> None:
        self._tell(time, f"#{connection} closed by {how}")

    def refused(self, attempt: int, peer: Address, fired: Fired) -> None:
        self._tell(fired.time, f"refused {peer[0]}:{peer[1]}")

    def upstream_unreachable(self, connection: int, error: OSError, time: float) -> None:
        self._tell(time, f"#{connection} the server cannot be reached: {error}")

    def _tell(self, time: float, text: str) -> None:
        _say(f"{time - self._zero:9.3f}  {text}")


def _say(text: str) -> None:
    err.print(text, highlight=False, markup=False)


def _plan(path: Path | None) -> Plan:
    if path is None:
        return Plan()
    try:
        plan = plan_from_json(read_small(path))
        for fault in plan.faults:
            check_triggers(fault)
    except OSError as error:
        raise Failure(f"--plan {path}: {error.strerror}", MISUSED) from error
    except ValueError as error:
        raise Failure(f"--plan {path}: {error}. `sse-conformance proxy --help` shows one", MISUSED) from error
    return plan


def check_triggers(fault: Fault) -> None:
    """Raise `ValueError` where a fault names a trigger that there is not, or with an argument it does not take."""
    when = getattr(fault, "when", None)
    if isinstance(when, AtTrigger):
        known = triggers(Dialect())
        if when.name not in known:
            raise ValueError(
                f"there is no trigger {when.name!r}{did_you_mean(when.name, known) or '.'} Triggers: {', '.join(known)}"
            )
        known[when.name](when.argument)


def _address(text: str, what: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise Failure(f"{what} wants a host and a port such as 127.0.0.1:8000, not {text!r}", MISUSED)
    return host.strip("[]"), int(port)


def _named(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
