"""Whether the server's process is still there: one that the harness started, or was told of."""

from dataclasses import dataclass, field

import psutil
import trio

from conformance.drive.census import Household
from conformance.drive.control import Restartable
from conformance.drive.server_process import runs
from conformance.history import SERVER_UP, Ended, Gauge, Mark, Phase, Recorder

_CUT_OFF = frozenset({"reset", "truncated", "refused"})
_DYING = 0.2  # seconds from the end of a server's connections to its own
_POLL = 0.02


def key_of(server: Restartable | None, pid: int | None) -> int:
    """What tells the servers of a run apart, and what one becomes when it is started again."""
    return (pid or 0) if server is None else (server.pid or 0)


@dataclass
class Lookout:
    """Looks at the server before a scenario and after it, and writes down whether it had ended.

    `server`: one that the harness started; else `pid` is the number of its process, if that is known.
    """

    recorder: Recorder
    server: Restartable | None
    pid: int | None
    _process: psutil.Process | None = field(default=None, init=False)

    def before(self) -> None:
        """To be called before anything is driven. Writes down only that it had ended by then."""
        if self.server is None and self.pid is not None:
            try:
                self._process = psutil.Process(self.pid)
            except psutil.NoSuchProcess:
                self._record("before", f"ended (process {self.pid})")
                return
        if how := self._ended():
            self._record("before", how)

    async def after(self, household: Household | None) -> None:
        """To be called when all has been driven. `household` knows what else was."""
        if self.server is None and self._process is None:
            return
        if any(isinstance(record, Ended) and record.how in _CUT_OFF for record in self.recorder.records):
            with trio.move_on_after(_DYING):  # its connections end before it does
                while not self._ended():  # noqa: ASYNC110  (somebody else's process tells nobody)
                    await trio.sleep(_POLL)
        how = self._ended()
        if (
            how
            and household is not None
            and (beside := household.driven_at_the_end_of(key_of(self.server, self.pid)))
        ):
            self.recorder.record(
                Mark(time=self.recorder.now(), what="server ended", detail=", ".join(beside))
            )
        self._record("after", how)

    def _ended(self) -> str:
        """How it ended, in words that follow "the server had"; "" where it still runs."""
        if self.server is None:
            return "" if self._process is None or runs(self._process) else f"ended (process {self.pid})"
        code = self.server.ended
        if code is None:
            return ""
        return f"killed by signal {-code}" if code < 0 else f"exited with code {code}"

    def _record(self, phase: Phase, how: str) -> None:
        words = f"\n{self.server.last_words()}" if how and self.server is not None else ""
        gauge = Gauge(
            time=self.recorder.now(), name=SERVER_UP, value=float(not how), detail=how + words, phase=phase
        )
        self.recorder.record(gauge)
