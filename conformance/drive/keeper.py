"""Ends what a server left, where the harness is gone before it could: a program of its own, run by its path.

It waits on a pipe that only the harness holds. A byte says that all is well; an end without one, that the harness was
killed. Then whatever has the server's mark in its environment is ended. (PR_SET_PDEATHSIG would not do: it follows the
thread that started the server, and does not reach what the server starts.)
"""

import os
import sys
from collections.abc import Callable

_GRACE = 5.0  # seconds from SIGTERM to SIGKILL
_SWEEPS = 3  # what is killed may have started more just before


def end_all(mark: str) -> None:
    """SIGTERM for every process with this variable in its environment, and SIGKILL for those that stay."""
    import psutil  # it takes longer to load than all the rest, and is seldom needed

    def marked() -> list[psutil.Process]:
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and mark in process.environ():
                    found.append(process)
            except (psutil.Error, OSError):
                continue  # gone, or another user's
        return found

    def each(end: Callable[[psutil.Process], None], patience: float) -> None:
        processes = marked()
        for process in processes:
            try:
                end(process)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(processes, timeout=patience)

    each(psutil.Process.terminate, _GRACE)
    for _ in range(_SWEEPS):
        each(psutil.Process.kill, 1.0)


if __name__ == "__main__":
    if not os.read(0, 1):
        end_all(sys.argv[1])
