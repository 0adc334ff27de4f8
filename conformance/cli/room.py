"""Whether this process may open as many connections as a crowd takes: looked at before anything is driven."""

import sys

from conformance.cli.common import MISUSED, Failure
from conformance.job import Job

_BESIDES = 128  # descriptors: at most 64 requests that begin the work, histories, pipes, other scenarios
_CROWD = "crowd"


def check_room(job: Job) -> None:
    """Raise `Failure` (2) where the crowd that `limits.crowd` asks for needs more descriptors than this process may
    have (RLIMIT_NOFILE). In virtual time a connection takes none."""
    size = job.loaded.config.limits.crowd
    allowed = _allowed()
    if size is None or allowed is None or all(each.name != _CROWD for each in job.scenarios):
        return
    if job.app is not None and not job.app.real_time:
        return
    if problem := too_large(size, allowed, per_stream=1 if job.app is None else 2):
        raise Failure(f"{job.loaded.source}: {problem}", MISUSED)


def too_large(size: int, allowed: int, *, per_stream: int = 1) -> str:
    """Why so many streams at once do not fit into the `allowed` descriptors, of which each takes `per_stream`; "" where
    they do."""
    needed = size * per_stream + _BESIDES
    if needed <= allowed:
        return ""
    most = max(0, (allowed - _BESIDES) // per_stream)
    return (
        f"limits.crowd: {size} streams at once take some {needed} descriptors, and this process may have {allowed} "
        f"(RLIMIT_NOFILE): call `ulimit -n {needed}` before, which a server that target.command starts inherits, or "
        f"ask for {most} at the most"
    )


def _allowed() -> int | None:
    """How many descriptors this process may have; None: as many as it likes, or that cannot be known."""
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft
