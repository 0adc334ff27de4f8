"""The server is asked to end, and looked at until it has, and after; then it is started again."""

from collections.abc import Awaitable, Callable

import trio

from conformance.drive.control import Restartable, StopSignal
from conformance.drive.server_process import ServerError
from conformance.drive.stage import Stage
from conformance.history import LOOKED_AFTER, NOT_STARTED_AGAIN, PORT_TAKEN, SIGNALLED, Exited, Left

_BEYOND = 0.5  # seconds more than the limit, so that what is late is seen to be
_LINGER = 1.0  # seconds for what a server started to be gone after it, and for its port to be free
_POLL = 0.05  # seconds


async def shut_down(
    stage: Stage, server: Restartable, signal: StopSignal, meanwhile: Callable[[], Awaitable[None]]
) -> bool:
    """Send the signal, wait for the exit (`limits.shutdown`, and a little longer), and write down when it came, with
    which code, what the server left behind, and whether its port is free. What is there then is killed.

    `meanwhile` runs until the exit. Raises `ServerError` where the server had ended before.
    """
    server.send_signal(signal)
    stage.mark(SIGNALLED, signal)
    code: int | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(meanwhile)
        with trio.move_on_after(stage.config.limits.shutdown + _BEYOND):
            code = await server.exited()
        stage.recorder.record(Exited(time=stage.recorder.now(), signal=signal, code=code))
        nursery.cancel_scope.cancel()
    return code is not None and await _is_gone(stage, server)


async def bring_back(stage: Stage, server: Restartable, *, gone: bool) -> None:
    """Kill what is left of it, if it is not gone, and start it again for whoever comes next."""
    if not gone:
        stage.mark("server killed", "what was left of it")
    await server.kill()
    try:
        await server.start()
    except ServerError as error:
        stage.mark(NOT_STARTED_AGAIN, str(error))
    else:
        stage.mark("server started again")


async def _is_gone(stage: Stage, server: Restartable) -> bool:
    """Write down what is left of a server that has exited. Its processes and its port may take a moment."""
    deadline = trio.current_time() + _LINGER
    while (left := server.survivors()) and trio.current_time() < deadline:  # noqa: ASYNC110  (nobody tells)
        await trio.sleep(_POLL)
    while (taken := await server.listens()) and trio.current_time() < deadline:  # noqa: ASYNC110  (nobody tells)
        await trio.sleep(_POLL)
    for each in left:
        stage.recorder.record(
            Left(time=stage.recorder.now(), kind="process", name="a process of the server", detail=each)
        )
    if taken:
        stage.mark(PORT_TAKEN, "connections are still accepted")
    stage.mark(LOOKED_AFTER)
    return not left and not taken
