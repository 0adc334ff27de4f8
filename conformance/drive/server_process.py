"""Starts the server under test from its command, waits until it is ready, and stops it with all its children."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import trio

from conformance.drive import keeper
from conformance.drive.control import StopSignal
from conformance.transport import address_of, open_client
from fault_injection.network import Network
from reports.text import shorten

_POLL = 0.05  # seconds between two looks at a server that starts
_LAST_LINES = 15
_COMMAND = 200  # characters of a command line
_LAST_BYTES = 64 * 1024
_MARK = "SSE_CONFORMANCE_SERVER_"
_GRACE = 0.5  # seconds that what outlives the server has to end, after SIGTERM and after SIGKILL
_MOST_SWEEPS = 5  # what is killed may have started more just before
_PORT_PATIENCE = 2.0  # seconds until the port of a server that was killed must be free


class ServerError(Exception):
    """The server did not start, or did not become ready; the message has the last lines that it printed."""


class ServerProcess:
    """A server that the harness started. It runs in a session of its own, so its children end with it; a variable in
    its environment, which descendants inherit, tells those that went elsewhere."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        network: Network,
        origin: str,
        ready: str | None,
        log: Path,
        patience: float,
        stop_patience: float,
        folder: Path | None = None,
    ) -> None:
        self.command = tuple(command)
        self._network = network
        self._origin = origin
        self._ready = ready
        self._log = log
        self._patience = patience
        self._stop_patience = stop_patience
        self._folder = folder
        self._process: trio.Process | None = None
        self._keeper: trio.Process | None = None
        self._known: list[psutil.Process] = []  # its family when it was signalled
        self._log_start = 0
        self._mark = _MARK + secrets.token_hex(8)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def children(self) -> tuple[int, ...]:
        """See `Restartable`."""
        return tuple(process.pid for process in (self._process, self._keeper) if process is not None)

    @property
    def ended(self) -> int | None:
        """See `Restartable`."""
        return self._process.poll() if self._process else None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The server runs inside the block, and nothing of it is left after; nor if this process is killed."""
        async with _kept(self._mark) as self._keeper:
            try:
                await self.start()
                yield
            finally:
                with trio.CancelScope(shield=True):
                    await self.stop()
                    await _dismiss(self._keeper)

    async def start(self) -> None:
        """Start it and wait until it answers. Raises `ServerError`, also where somebody else listens there."""
        with trio.move_on_after(_PORT_PATIENCE) as waited:
            while await self.listens():  # noqa: ASYNC110  (a port tells nobody that it is free)
                await trio.sleep(_POLL)
        if waited.cancelled_caught:
            raise ServerError(
                f"something else listens at {self._origin} already: stop it, or give target.url another port"
            )
        with self._log.open("ab") as log:
            self._log_start, self._known = log.tell(), []
            try:
                with _heeding_ctrl_c():
                    self._process = await trio.lowlevel.open_process(
                        list(self.command),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                        cwd=self._folder,
                        env={**os.environ, self._mark: "1"},
                    )
            except OSError as error:
                raise ServerError(
                    f"target.command could not be started: {self.command[0]}: {error.strerror}"
                ) from error
        await self._tell_keeper(self._process.pid)
        missing = f"nobody listens at {self._origin}"
        with trio.move_on_after(self._patience):
            while True:
                missing = await self._missing()
                if (code := self._process.poll()) is not None:
                    hint = (
                        "" if code else " (one that goes into the background has to stay in the foreground)"
                    )
                    raise ServerError(
                        f"the server exited with code {code} before it was ready{hint}{self._said()}"
                    )
                if not missing:
                    return
                await trio.sleep(_POLL)
        raise ServerError(f"the server was not ready within {self._patience:g} s: {missing}{self._said()}")

    async def _tell_keeper(self, pid: int) -> None:
        """It knows the server by its number, too, in case that puts its environment away."""
        if self._keeper is None or self._keeper.stdin is None:
            return
        with contextlib.suppress(psutil.Error, trio.BrokenResourceError):  # either has ended by itself
            began = psutil.Process(pid).create_time()
            await self._keeper.stdin.send_all(f"{pid} {began}\n".encode())

    async def kill(self) -> None:
        """SIGKILL, at once, for it and its children."""
        if self._process is not None:
            self._kill([*self._family(), *self._known])
            await self._gone()
            await self._sweep()

    def send_signal(self, name: StopSignal) -> None:
        """See `Restartable`."""
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            raise ServerError(
                f"the server had exited with code {code} before it was sent {name}{self._said()}"
            )
        self._known = self._family()
        if name == "SIGINT":
            self._signal(signal.SIGINT)
        else:
            self._process.send_signal(signal.SIGTERM)

    async def exited(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    def survivors(self) -> tuple[str, ...]:
        assert self._process is not None
        found = {*self._known, *self._session(), *self._marked()}
        self._known = [each for each in found if runs(each) and each.pid != self._process.pid]
        return tuple(sorted(_described(process) for process in self._known))

    async def listens(self) -> bool:
        try:
            await (await self._network.connect(*address_of(self._origin))).aclose()
        except OSError:
            return False
        return True

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for whatever is still there after the time to stop."""
        if self._process is None:
            return
        family = [*self._family(), *self._known]
        self._signal(signal.SIGTERM)
        with trio.move_on_after(self._stop_patience):
            await self._gone()
        self._kill(family)
        await self._gone()
        if left := self._marked():
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.terminate()
            await _ended(left)
        await self._sweep()

    def _kill(self, family: Sequence[psutil.Process]) -> None:
        """The group, and those of the family that left it."""
        self._signal(signal.SIGKILL)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _family(self) -> list[psutil.Process]:
        assert self._process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            if self._process.poll() is not None:  # its number may be somebody else's by now
                return []
            return psutil.Process(self._process.pid).children(recursive=True)
        return []

    def _marked(self) -> list[psutil.Process]:
        """What it started and still runs, wherever it went: without a parent, in a session of its own. Not what has put
        its environment away, or runs as another user."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if self._mark in process.environ() and runs(process):
                    found.append(process)
        return found

    async def _sweep(self) -> None:
        """SIGKILL for whatever is left of it."""
        for _ in range(_MOST_SWEEPS):
            left = self._marked()
            if not left:
                return
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            await _ended(left)

    def _session(self) -> list[psutil.Process]:
        """Who is in the session that it began, besides itself: found without a parent, too."""
        assert self._process is not None
        leader, found = self._process.pid, list[psutil.Process]()
        for process in psutil.process_iter():
            with contextlib.suppress(OSError):
                if process.pid != leader and os.getsid(process.pid) == leader:
                    found.append(process)
        return found

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def _gone(self) -> None:
        assert self._process is not None
        await self._process.wait()

    async def _missing(self) -> str:
        """Why it is not ready yet; "" where it is."""
        if self._ready is None:
            return "" if await self.listens() else f"nobody listens at {self._origin}"
        url = httpx.URL(self._origin).join(self._ready)
        try:
            with trio.fail_after(2):
                async with (
                    open_client(self._network, connect_timeout=1, verify=False) as client,
                    client.stream("GET", url) as response,
                ):
                    status = response.status_code
        except (httpx.HTTPError, trio.TooSlowError) as error:
            return f"GET {url} got no answer{f' ({error})' if str(error) else ''}"
        return "" if status < 500 else f"GET {url} answered {status}, and below 500 is ready (target.ready)"

    def last_words(self) -> str:
        """See `Restartable`."""
        try:
            with self._log.open("rb") as log:
                log.seek(max(self._log_start, self._log.stat().st_size - _LAST_BYTES))
                lines = log.read(_LAST_BYTES).decode("utf-8", "replace").splitlines()[-_LAST_LINES:]
        except OSError:
            return ""
        return "\n".join(lines)

    def _said(self) -> str:
        lines = self.last_words().split("\n")
        return (
            "; it printed:\n" + "\n".join(f"  {line}" for line in lines)
            if any(lines)
            else "; it printed nothing"
        )


@asynccontextmanager
async def _kept(mark: str) -> AsyncIterator[trio.Process | None]:
    """Should this process be killed inside the block, or leave it before it dismisses the one that is given
    (`keeper.py`), that one ends the server and what has the mark in its environment."""
    command = [sys.executable, "-P", keeper.__file__, mark]
    try:
        process = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:  # no more processes, or no Python by itself: it is not worth the run
        yield None
        return
    assert process.stdin is not None
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            await process.stdin.aclose()
            await process.wait()


def is_keeper(process: psutil.Process) -> bool:
    """Whether it is one that ends a server should the harness be killed. Raises `psutil.Error` where it cannot be
    seen."""
    return keeper.__file__ in process.cmdline()


async def _dismiss(process: trio.Process | None) -> None:
    if process is not None and process.stdin is not None:
        with contextlib.suppress(trio.BrokenResourceError):  # it has gone already
            await process.stdin.send_all(b".")


def runs(process: psutil.Process) -> bool:
    """Whether the process is there. A zombie is not: in a container there may be nobody to reap it. One of another user
    that may not be looked into is."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


async def _ended(processes: Sequence[psutil.Process]) -> None:
    """Wait until none of them runs, for `_GRACE` at the most. They may be nobody's children, so we have to ask."""
    with trio.move_on_after(_GRACE):
        while any(map(runs, processes)):  # noqa: ASYNC110  (there is nothing to wait on)
            await trio.sleep(_POLL)


def _described(process: psutil.Process) -> str:
    try:
        command = " ".join(process.cmdline()) or process.name()
    except psutil.Error:
        command = "?"
    return f"process {process.pid}: {shorten(command, _COMMAND)}"


@contextlib.contextmanager
def _heeding_ctrl_c() -> Iterator[None]:
    """What is started meanwhile takes SIGINT as programs in a terminal do. A shell without job control lets what it
    puts into the background (`sse-conformance run &`) ignore it, and that is inherited; a handler is not."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN or not _in_main_thread():
        yield
        return
    signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
