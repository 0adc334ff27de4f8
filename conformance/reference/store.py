"""Where jobs outlive the server: one append-only log a job, as JSON Lines.

A record is handed to the operating system before anybody sees it, so what was published is still there
after SIGKILL. (Not after a power cut: that would take an fsync for each record.)
"""

import errno
import re
from io import FileIO
from pathlib import Path

import msgspec

from conformance.reference.channel import Record
from conformance.reference.work import Work

_NAME = re.compile(r"[0-9a-f]{1,64}")


class StoredJob(msgspec.Struct, frozen=True):
    """What the log of one job says."""

    id: str
    work: Work
    records: list[Record]


class Store:
    """The logs of all jobs, in `directory`, which is made if need be. Raises `OSError` where that fails.

    Its methods raise `OSError` where the disk does. They block for as long as it takes: a line of a few hundred
    bytes is in the page cache sooner than a thread could be told of it.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._open: dict[str, FileIO] = {}

    def load(self) -> list[StoredJob]:
        """All jobs, longest unchanged first. A last line without its end was never published: it is cut off.

        Raises `ValueError`, naming the file, for one that is not such a log.
        """
        logs = [path for path in self._directory.glob("*.jsonl") if _NAME.fullmatch(path.stem)]
        logs.sort(key=lambda path: (path.stat().st_mtime_ns, path.stem))
        jobs = (self._read(path) for path in logs)
        return [job for job in jobs if job is not None]

    def create(self, id: str, work: Work) -> None:
        """Begin the log of a job."""
        self._open[id] = self._path(id).open("ab", buffering=0)
        try:
            self._write(id, msgspec.json.encode(work))
        except OSError:
            self.remove(id)
            raise

    def append(self, id: str, record: Record) -> None:
        """Add an event to a job's log."""
        if id not in self._open:
            self._open[id] = self._path(id).open("ab", buffering=0)
        self._write(id, msgspec.json.encode(record))

    def close(self, id: str) -> None:
        """Nothing is added to this job's log any more (for now)."""
        if file := self._open.pop(id, None):
            file.close()

    def remove(self, id: str) -> None:
        """Forget a job."""
        self.close(id)
        self._path(id).unlink(missing_ok=True)

    def _path(self, id: str) -> Path:
        return self._directory / f"{id}.jsonl"

    def _write(self, id: str, content: bytes) -> None:
        line = content + b"\n"
        if self._open[id].write(line) != len(line):
            raise OSError(errno.ENOSPC, f"only a part of a record went into {self._path(id)}")

    def _read(self, path: Path) -> StoredJob | None:
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with path.open("r+b") as file:
                file.truncate(whole)
        if not whole:  # killed before the job had begun: nobody knows its id
            path.unlink()
            return None
        first, *lines = content[:whole].splitlines()
        try:
            work = msgspec.json.decode(first, type=Work)
            records = [msgspec.json.decode(line, type=Record) for line in lines]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not the log of a job ({error}): move it away") from error
        return StoredJob(path.stem, work, records)
