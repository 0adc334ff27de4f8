"""What an application did wrong while it ran: as data."""

import re
import traceback

import msgspec
import trio

_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+(?=[ >])")  # in a `repr`: another one in each process


def without_addresses(text: str) -> str:
    """The text, without where in memory the objects in it are."""
    return _ADDRESS.sub("", text)


class AppError(msgspec.Struct, frozen=True):
    """Something that the application did wrong, or that nobody in it caught.

    `at`: seconds on trio's clock. `exchange`: which call, None where it was none of them. `trace`: the traceback.
    """

    at: float
    exchange: int | None
    message: str
    trace: str = ""


class Errors(list[AppError]):
    """In the order in which they happened."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def note(self, error: BaseException | None, message: str, exchange: int | None = None) -> None:
        """Write one down. An object that dies after the end of the run has the time of the one before."""
        if trio.lowlevel.in_trio_run():
            self._now = trio.current_time()
        trace = "".join(traceback.format_exception(error)) if error is not None else ""
        self.append(AppError(self._now, exchange, without_addresses(message), trace))
