"""Ends what a server left, where the harness is gone before it could: a program of its own, run by its path.

It reads from a pipe that only the harness holds. A point at the end says that all is well; an end without one, that the
harness was killed. Then whatever has the server's mark in its environment is ended, and so are the server itself, its
children and its session, which may have put theirs away. (PR_SET_PDEATHSIG would not do: it follows the thread that
started the server, and does not reach what the server starts.)
"""

import contextlib
import os
import sys

_GRACE = 5.0  # seconds from SIGTERM to SIGKILL
_SWEEPS = 3  # what is killed may have started more just before
_SAME = 2.0  # seconds; two processes may read one beginning differently while the clock is being set


def end_all(mark: str, told: str) -> None:
    """SIGTERM for every process with this variable in its environment, and for the servers with their children and
    sessions; SIGKILL for those that stay. `told`: a line for each server, its number and when it began (seconds since
    1970). Who has the number of one that is gone is left alone."""
    import psutil  # it takes longer to load than all the rest, and is seldom needed

    servers: list[psutil.Process] = []
    found: set[psutil.Process] = set()
    for number, began in map(str.split, told.splitlines()):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(int(number))
            if abs(process.create_time() - float(began)) < _SAME:
                servers.append(process)
                found.update([process, *process.children(recursive=True)])

    def left() -> list[psutil.Process]:
        sessions = {server.pid for server in servers if server.is_running()}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):  # gone, or another user's
                if os.getsid(process.pid) in sessions or mark in process.environ():
                    found.add(process)
        still = []
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    still.append(process)
        return still

    asked = left()
    for process in asked:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(asked, timeout=_GRACE)
    for _ in range(_SWEEPS):
        stay = left()
        for process in stay:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(stay, timeout=1.0)


if __name__ == "__main__":
    heard = sys.stdin.read()
    if not heard.endswith("."):
        end_all(sys.argv[1], heard)
