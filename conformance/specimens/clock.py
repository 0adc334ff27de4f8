"""The time that a specimen lives in, where it is a process of its own."""

import time

import trio

WALL = 1_700_000_000.0
"""Seconds since 1970 at trio's time 0: specimens live in a time of their own."""


class SinceWall(trio.abc.Clock):
    """This machine's clock for `trio.run`, counted in seconds since `WALL`.

    So a specimen that compares what it sends with the time at which somebody came does the same on sockets as it
    does in virtual time. Steps of the system's clock are not followed, as trio's own clock does not.
    """

    def __init__(self) -> None:
        self._zero = time.perf_counter() - (time.time() - WALL)

    def start_clock(self) -> None:
        """Nothing to do: it runs already."""

    def current_time(self) -> float:
        """Seconds since `WALL`."""
        return time.perf_counter() - self._zero

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Seconds from now to a deadline; negative where it has passed."""
        return deadline - self.current_time()
