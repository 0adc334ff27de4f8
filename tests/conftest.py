"""Tests that need a part which not every machine has: `@pytest.mark.needs("chromium")`.

Where the part is absent such a test is skipped with the reason. Where `SSE_CONFORMANCE_DEMAND` names the
part (comma separated, e.g. `toxiproxy,chromium,node,nginx`) it is an error instead, so that CI cannot lose a
part in silence. A part that nobody knows is an error in both places.
"""

import gc
import http.client
import os
import shutil
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import resource_tracker
from pathlib import Path

import hypothesis
import pytest

from conformance.drive.census import take_census

# The machines are noisy: how long one example takes says nothing about the code.
hypothesis.settings.register_profile("noisy", deadline=None)
hypothesis.settings.load_profile("noisy")

DEMAND = "SSE_CONFORMANCE_DEMAND"

_TOXIPROXY_SECONDS = 2.0
_seen = pytest.StashKey[dict[str, str | None]]()


def _toxiproxy_url() -> str:
    return os.environ.get("TOXIPROXY_URL") or "http://127.0.0.1:8474"


def _toxiproxy() -> str | None:
    url = _toxiproxy_url()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by way of HTTP_PROXY
    try:
        opener.open(url.rstrip("/") + "/version", timeout=_TOXIPROXY_SECONDS).close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"no Toxiproxy answers at {url} (TOXIPROXY_URL): {error}"
    return None


def _chromium() -> str | None:
    if shutil.which("chromium") or shutil.which("chromium-browser"):
        return None
    return "neither chromium nor chromium-browser is on PATH"


def _node() -> str | None:
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"not on PATH: {' and '.join(missing)}" if missing else None


def _nginx() -> str | None:
    return None if shutil.which("nginx") else "nginx is not on PATH"


# Each answers why its part is absent, or None where it is there.
PARTS: Mapping[str, Callable[[], str | None]] = {
    "toxiproxy": _toxiproxy,
    "chromium": _chromium,
    "node": _node,
    "nginx": _nginx,
}


def _demanded() -> frozenset[str]:
    return frozenset(part.strip() for part in os.environ.get(DEMAND, "").split(",") if part.strip())


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"needs(*parts): skipped where a part is absent, an error where {DEMAND} names it"
    )
    config.addinivalue_line(
        "markers", "beside(why): something of a wider scope works beside it; what it leaves cannot be told"
    )
    config.stash[_seen] = {}
    if unknown := _demanded() - PARTS.keys():
        raise pytest.UsageError(
            f"{DEMAND} names {', '.join(sorted(unknown))}; known parts are {', '.join(PARTS)}"
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("needs"):
            if not mark.args or mark.kwargs or not set(mark.args) <= PARTS.keys():
                raise pytest.UsageError(
                    f"{item.nodeid}: needs{mark.args} must name one or more of {', '.join(PARTS)}"
                )


def pytest_runtest_setup(item: pytest.Item) -> None:
    seen = item.config.stash[_seen]
    for mark in item.iter_markers("needs"):
        for part in mark.args:
            if part not in seen:
                seen[part] = PARTS[part]()
            reason = seen[part]
            if reason is None:
                continue
            if part in _demanded():
                pytest.fail(f"{DEMAND} names {part}, which is absent: {reason}", pytrace=False)
            pytest.skip(f"needs {part}: {reason}")


@pytest.fixture
def toxiproxy_url() -> str:
    """Where the real Toxiproxy's API is; for tests marked `needs("toxiproxy")`."""
    return _toxiproxy_url()


_DESCRIPTORS = Path("/proc/self/fd")
_PATIENCE = 2.0  # seconds for what was told to end


def _descriptors() -> dict[str, str]:
    """What each descriptor of this process leads to, on Linux."""
    if not _DESCRIPTORS.is_dir():
        return {}
    found = {}
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208  (a fifth of the time)
        try:
            found[name] = os.readlink(f"{_DESCRIPTORS}/{name}")  # noqa: PTH115
        except OSError:  # the one that is open for listing
            continue
    return found


@pytest.fixture(scope="session", autouse=True)
def resource_tracker_runs() -> None:
    """The process that multiprocessing starts with its first one and then keeps: no test leaves it behind."""
    resource_tracker.ensure_running()


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test the process holds what it held before: threads, sockets, descriptors, child processes."""
    if request.node.get_closest_marker("beside"):
        yield
        return
    before, descriptors = take_census(), _descriptors()

    def left() -> list[str]:
        more = len(_descriptors()) - len(descriptors)
        new = [f"{name} -> {to}" for name, to in _descriptors().items() if descriptors.get(name) != to]
        return [*take_census().since(before), *(new if more > 0 else ())]

    yield
    if not left():
        return
    gc.collect()
    deadline = time.monotonic() + _PATIENCE
    waiting = threading.Event()
    while (found := left()) and time.monotonic() < deadline:
        waiting.wait(0.02)
    assert not found, f"left behind: {', '.join(found)}"
