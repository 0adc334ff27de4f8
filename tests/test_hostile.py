"""Whatever a server does, a run ends in its time, in bounded memory, with a verdict or one clear sentence."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from hostile_servers import HOSTILE, served
from ways_in import COMMAND, ENVIRON

pytestmark = pytest.mark.beside("the runs go on beside the tests that look at them")

_MEBIBYTES = 2**20
# A process begins with the peak of whoever forked it, so the peak is asked of a small process in between.
_MEASURED = (
    sys.executable,
    "-c",
    "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); "
    "print(f'\\nPEAK {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}', end='', file=sys.stderr); "
    "sys.exit(code)",
)
_MOST_MEMORY = 300  # MiB
_LONGEST = 90.0  # seconds; a run takes some ten of them on a machine with nothing else to do
_AT_ONCE = 3


@dataclass(frozen=True)
class Ended:
    """What a run came to."""

    code: int
    out: str
    err: str
    seconds: float
    memory: float  # MiB at the most
    folder: Path

    @property
    def said(self) -> str:
        return self.out + self.err


def run_against(kind: str, folder: Path) -> Ended:
    """`sse-conformance run URL`, unconfigured, against a hostile server."""
    with served(HOSTILE[kind]) as url:
        command = [*_MEASURED, *COMMAND, "run", url, "--duration", "1", "--out", str(folder)]
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=ENVIRON,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        errors: list[str] = []
        reader = threading.Thread(target=lambda pipe: errors.append(pipe.read()), args=(process.stderr,))
        reader.start()
        killer = threading.Timer(_LONGEST, os.killpg, (process.pid, signal.SIGKILL))
        killer.start()
        out = process.stdout.read()
        reader.join()
        process.wait()
        killer.cancel()
        process.stdout.close()
        process.stderr.close()
    said, found, peak = errors[0].rpartition("\nPEAK ")
    assert found, f"still running after {_LONGEST} s: {errors[0]}"
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB here
    memory = int(peak) * unit / _MEBIBYTES
    return Ended(process.returncode, out, said, time.monotonic() - started, memory, folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, "Future[Ended]"]]:
    """A run against each of them, a few at a time."""
    folder = tmp_path_factory.mktemp("hostile")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield {kind: pool.submit(run_against, kind, folder / kind.replace(" ", "-")) for kind in HOSTILE}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_run_ends_in_its_time_and_in_bounded_memory(runs: dict[str, "Future[Ended]"], kind: str) -> None:
    ended = runs[kind].result()
    assert "Traceback" not in ended.said
    assert "which is a bug" not in ended.said
    assert "the harness failed" not in ended.said
    assert ended.seconds < _LONGEST
    assert ended.memory < _MOST_MEMORY, f"{ended.memory:.0f} MiB"
    assert ended.code in {0, 1, 3}
    assert (ended.folder / "report.html").stat().st_size < 20 * _MEBIBYTES
    assert not [character for character in ended.said if not character.isprintable() and character != "\n"]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("no head", "/events: no response head within 5 s. "),
        ("closes", "/events: the connection ended before the response did. Does the server speak HTTP/1.1"),
        ("garbage", "/events: not HTTP/1.1 as expected ("),
        ("redirects", "/events: redirected again and again; gave up after 10 redirects. Give the address"),
        ("endless head", "/events: not HTTP/1.1 as expected ("),
    ],
)
def test_where_there_is_no_response_one_sentence_says_why(
    runs: dict[str, "Future[Ended]"], kind: str, sentence: str
) -> None:
    ended = runs[kind].result()
    assert ended.code == 3
    assert "Not reached" in ended.out
    assert ended.out.count(sentence) == 1
    assert "nconclusive:" not in ended.out
    assert "More rules" not in ended.out


def test_a_server_that_fails_is_told_by_its_status(runs: dict[str, "Future[Ended]"]) -> None:
    ended = runs["500"].result()
    assert ended.code == 1
    assert "✗ fail  http.status" in ended.out
    assert "500 Oops" in ended.out
    assert "the database is on fire" in ended.out


def test_a_page_is_told_by_its_type(runs: dict[str, "Future[Ended]"]) -> None:
    ended = runs["html"].result()
    assert ended.code == 1
    assert "✗ fail  http.content-type" in ended.out


@pytest.mark.parametrize(("rule", "kind"), [("wire.event-size", "line"), ("http.compression", "gzip bomb")])
def test_what_is_too_much_is_found(runs: dict[str, "Future[Ended]"], rule: str, kind: str) -> None:
    assert f"▲ warn  {rule}" in runs[kind].result().out


def test_hostile_text_is_shown_by_name(runs: dict[str, "Future[Ended]"]) -> None:
    ended = runs["evil"].result()
    assert ended.code == 1
    assert "‹ESC›[31mred" in ended.out
    assert "‹U+202E›" in ended.out
