"""The pytest plugin: options for `conformance.suite`, and fixtures for people's own tests.

It is loaded into every pytest run of whoever has sse-conformance installed, so it imports nothing of ours
until something of ours is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conformance.testing import FaultProxies, Record
    from conformance.testing_explore import Explore


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sse-conformance", "event streams (pytest --pyargs conformance.suite)")
    group.addoption("--sse-url", metavar="URL", help="the event stream to test, nothing else configured")
    group.addoption("--sse-config", metavar="FILE", help="the configuration of the target")
    group.addoption("--sse-out", metavar="DIR", help="write the report and the histories into this folder")
    group.addoption(
        "--sse-duration",
        metavar="SECONDS",
        type=float,
        default=30.0,
        help="how long an endless stream is watched (default: 30)",
    )
    group.addoption("--sse-seed", metavar="N", type=int, default=0, help="every random choice comes from it")
    group.addoption("--sse-strict", action="store_true", help="a broken SHOULD fails its test")
    group.addoption("--sse-known-failures", metavar="FILE", help="cases that are excused, each with a reason")
    group.addoption("--sse-toxiproxy", metavar="URL", help="inject the faults with a real Toxiproxy")
    group.addoption("--sse-insecure", action="store_true", help="accept any TLS certificate")
    group.addoption("--sse-replay", metavar="FILE", help="a schedule that sse_explore plays, and no other")


def pytest_configure(config: pytest.Config) -> None:
    """Look at the replay file at once. Raises `pytest.UsageError` where it is none."""
    if replay := config.getoption("--sse-replay"):
        from conformance.explore.schedule import ReplayError, load_replay

        try:
            load_replay(Path(replay))
        except ReplayError as error:
            raise pytest.UsageError(f"--sse-replay {error}") from error
        except OSError as error:
            raise pytest.UsageError(f"--sse-replay {replay}: {error.strerror or error}") from error


@pytest.fixture
def sse_proxy() -> Iterator[FaultProxies]:
    """Puts a fault proxy in front of any address.

    `proxy = sse_proxy("127.0.0.1:8000", Buffer(size=4096))` runs in a thread of its own; `proxy.url` is where to
    connect. Works with every async framework, and with none. All proxies are closed when the test ends.
    """
    from conformance.testing import FaultProxies

    with FaultProxies() as proxies:
        yield proxies


@pytest.fixture
def sse_record(tmp_path: Path) -> Record:
    """Reads a stream to its end and gives the history: `history = sse_record(url, duration=5)`."""
    from conformance.testing import Record

    return Record(tmp_path)


@pytest.fixture
def sse_explore(tmp_path: Path, request: pytest.FixtureRequest) -> Explore:
    """Tries many schedules of an ASGI application in virtual time: `sse_explore(make_app, "sse-conformance.toml")`.

    Fails with the smallest schedule that breaks a rule, and the command that plays it again.
    """
    from conformance.testing_explore import Explore

    replay = request.config.getoption("--sse-replay")
    return Explore(
        tmp_path,
        request.path.parent,
        request.node.nodeid,
        Path(replay).resolve() if replay else None,
        strict=request.config.getoption("--sse-strict"),
    )
