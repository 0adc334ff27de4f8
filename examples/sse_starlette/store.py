"""Jobs and all that they told, in SQLite: what a subscriber is sent is read from here and from nowhere else."""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any, NamedTuple

FINAL = frozenset({"completed", "failed", "cancelled"})

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, order_ TEXT NOT NULL, state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    job TEXT NOT NULL, id INTEGER NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (job, id)
);
"""


class Told(NamedTuple):
    """An event in a job's log; ids count from 1."""

    id: int
    type: str
    data: str


class Store:
    """The database. Each call is one short transaction; a killed process loses nothing that was told."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")  # survives a killed process, which is enough here
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def create(self, job: str, order: dict[str, Any]) -> None:
        self._db.execute("INSERT INTO jobs VALUES (?, ?, 'running')", (job, json.dumps(order)))

    def state(self, job: str) -> str | None:
        row = self._db.execute("SELECT state FROM jobs WHERE id = ?", (job,)).fetchone()
        return row[0] if row else None

    def unfinished(self) -> list[tuple[str, dict[str, Any]]]:
        rows = self._db.execute("SELECT id, order_ FROM jobs WHERE state = 'running'").fetchall()
        return [(job, json.loads(order)) for job, order in rows]

    def tell(self, job: str, type: str, *, state: str | None = None, **data: Any) -> None:
        """Append an event. With `state` the job's state changes in the same moment, so no one sees them disagree."""
        id = self.last_id(job) + 1
        text = json.dumps({"job": job, "at": time.time(), **data})
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute("INSERT INTO events VALUES (?, ?, ?, ?)", (job, id, type, text))
            if state is not None:
                self._db.execute("UPDATE jobs SET state = ? WHERE id = ?", (state, job))

    def told(self, job: str, after: int) -> list[Told]:
        """What the job told behind the event with this id."""
        rows = self._db.execute(
            "SELECT id, type, data FROM events WHERE job = ? AND id > ? ORDER BY id", (job, after)
        )
        return [Told(*row) for row in rows]

    def last_id(self, job: str) -> int:
        found: int = self._db.execute(
            "SELECT COALESCE(MAX(id), 0) FROM events WHERE job = ?", (job,)
        ).fetchone()[0]
        return found
