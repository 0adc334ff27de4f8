"""Reads a file that a person wrote, and no device that never ends."""

import errno
import os
from pathlib import Path
from typing import Final

MOST: Final = 16 * 2**20
"""Bytes of a file that a person wrote: a configuration, a plan, a list, a request's body."""


def read_small(path: Path) -> bytes:
    """The file's bytes. Raises `OSError`, also where there are more than `MOST`."""
    with path.open("rb") as file:
        content = file.read(MOST + 1)
    if len(content) > MOST:
        raise OSError(errno.EFBIG, f"{os.strerror(errno.EFBIG)} (over {MOST >> 20} MiB)", str(path))
    return content
