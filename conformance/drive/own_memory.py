"""How much memory the harness itself takes."""

import psutil


def resident() -> int | None:
    """Resident memory of this process in bytes; None where the system does not tell."""
    try:
        return int(psutil.Process().memory_info().rss)
    except psutil.Error:
        return None
