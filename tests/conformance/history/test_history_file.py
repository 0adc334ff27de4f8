"""A history on disk: what was written comes back, also where a kill cut the file; wrong files are told apart."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import msgspec
import pytest
import trio
from history_records import BEGAN, CONCLUDED, RECORD
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.history import (
    Began,
    Chunk,
    Concluded,
    Ended,
    History,
    HistoryError,
    Mark,
    Record,
    Recorder,
    history,
    load,
    schema,
)

RECORDS = st.lists(RECORD, max_size=12)


def lines(*records: Record) -> bytes:
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def loaded(content: bytes, folder: Path) -> History:
    file = folder / "history.jsonl"
    file.write_bytes(content)
    return load(file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("histories")


@settings(max_examples=40)
@given(began=BEGAN, records=RECORDS, concluded=CONCLUDED)
def test_what_was_written_comes_back(
    folder: Path, began: Began, records: list[Record], concluded: Concluded
) -> None:
    read = loaded(lines(began, *records, concluded), folder)
    assert read == history([began, *records, concluded])
    assert not read.cut
    assert read.began == began
    assert read.concluded == concluded
    assert sorted(read.records[1:-1], key=repr) == sorted(records, key=repr)


@settings(max_examples=40)
@given(began=BEGAN, records=RECORDS, concluded=CONCLUDED, data=st.data())
def test_of_a_file_that_was_cut_everything_before_the_cut_is_kept(
    folder: Path, began: Began, records: list[Record], concluded: Concluded, data: st.DataObject
) -> None:
    first = len(lines(began))
    content = lines(began, *records, concluded)
    at = data.draw(st.integers(first, len(content) - 1))
    read = loaded(content[:at], folder)
    assert read.cut
    whole = content[:at].count(b"\n")
    assert read == history([began, *records, concluded][:whole], cut=True)
    assert read.concluded is None


@given(began=BEGAN, data=st.data())
def test_a_file_that_was_cut_in_its_first_line_is_said_to_hold_nothing(
    folder: Path, began: Began, data: st.DataObject
) -> None:
    content = lines(began)
    with pytest.raises(HistoryError, match=r"no whole line|empty"):
        loaded(content[: data.draw(st.integers(0, len(content) - 1))], folder)


@given(records=RECORDS)
def test_records_are_in_the_order_of_time(records: list[Record]) -> None:
    read = history([Began(), *records])
    times = [record.time for record in read.records[1:]]
    assert times == sorted(times)


@settings(max_examples=40)
@given(began=BEGAN, records=RECORDS, concluded=CONCLUDED)
def test_the_schema_describes_every_line(began: Began, records: list[Record], concluded: Concluded) -> None:
    validator = jsonschema.Draft202012Validator(schema())
    for line in lines(began, *records, concluded).splitlines():
        validator.validate(msgspec.json.decode(line))


@pytest.mark.parametrize(
    "line", [b'{"record":"mark"}', b'{"record":"chunk","exchange":1}', b'{"record":"what"}', b"[]"]
)
def test_the_schema_refuses_what_is_no_record(line: bytes) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema()).validate(msgspec.json.decode(line))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"hello\n", "its first line is no `began` record"),
        (b"\xff\xfe\n", "its first line is no `began` record"),
        (b'{"schema": 1, "cases": []}\n', "its first line is no `began` record"),
        (lines(Mark(what="x")), "its first line is no `began` record"),
        (lines(Began()) + b'{"record":"mark"}\n', "line 2: not a record of a history: .*`what`"),
        (lines(Began(), Mark(what="x")) + b"\n", "line 3: not a record"),
        (lines(Began(), Mark(what="x")) + b"[" * 100_000 + b"\n", "line 3: not a record"),
        (lines(Began(), Mark(what="x"), Began()), "line 3: a second `began` record"),
        (b'{"record":"began","version":2}\n{"record":"telepathy"}\n', "version 2 of the format; .* up to 1"),
        (b'{"record":"began","version":2,"clock":"sundial"}\n', "version 2 of the format"),
    ],
)
def test_what_is_no_history_is_told_with_its_file_and_line(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(HistoryError, match=said) as caught:
        loaded(content, tmp_path)
    assert str(tmp_path / "history.jsonl") in str(caught.value)


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.jsonl")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a file that never ends")
def test_a_line_that_never_ends_is_refused() -> None:
    with pytest.raises(HistoryError, match=r"/dev/zero: not a history: line 1 has 16777216 bytes or more"):
        load(Path("/dev/zero"))


def test_a_file_that_is_larger_than_any_history_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = lines(Began(), Mark(what="x"), Concluded())
    monkeypatch.setattr("conformance.history.view._LARGEST_FILE", len(content))
    assert len(loaded(content, tmp_path).records) == 3
    with pytest.raises(HistoryError, match=f"larger than {len(content)} bytes"):
        loaded(content + b"\n", tmp_path)


async def test_each_record_is_on_disk_as_soon_as_it_is_written_down(tmp_path: Path) -> None:
    file = tmp_path / "h.jsonl"
    recorder = Recorder(Began(), zero=trio.current_time(), file=file.open("wb", buffering=0))
    for count in range(1, 4):
        recorder.record(Mark(time=count, what="x"))
        assert len(load(file).marks) == count
        assert load(file).cut
    recorder.conclude(Concluded())
    assert not load(file).cut
    assert load(file) == history(recorder.records)


_WRITES_FOR_EVER = """
import itertools, sys, trio
from conformance.history import Began, Chunk, Recorder
async def main():
    recorder = Recorder(Began(), zero=trio.current_time(), file=open(sys.argv[1], "wb", buffering=0))
    for count in itertools.count():
        recorder.record(Chunk.of(count, "a", b"x" * (count % 5000)))
trio.run(main)
"""


def test_a_killed_run_leaves_what_it_saw(tmp_path: Path) -> None:
    file = tmp_path / "h.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITES_FOR_EVER, str(file)], cwd=Path(__file__).parents[3]
    )
    try:
        deadline = time.monotonic() + 30
        while not (file.exists() and file.stat().st_size > 100_000):
            assert time.monotonic() < deadline
            assert process.poll() is None
            os.sched_yield()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    read = load(file)
    assert read.cut
    assert [record.time for record in read.records[1:]] == list(range(len(read.records) - 1))
    assert len(read.records) > 10


class _FullDisk(io.RawIOBase):
    """Takes so many lines, then none."""

    def __init__(self, lines: int) -> None:
        self.left = lines

    def write(self, data: object) -> int:
        if self.left == 0:
            raise OSError(28, "No space left on device")
        self.left -= 1
        return 0


async def test_a_full_disk_is_told_once_and_the_record_goes_on_in_memory() -> None:
    recorder = Recorder(Began(), zero=trio.current_time(), file=_FullDisk(1))  # type: ignore[arg-type]  # raw is enough
    with pytest.raises(OSError, match="No space left"):
        recorder.record(Mark(what="a"))
    recorder.record(Mark(what="b"))
    recorder.conclude(Concluded(outcome="failed", reason="the disk is full"))
    assert [mark.what for mark in history(recorder.records).marks] == ["a", "b"]
    assert history(recorder.records).concluded == Concluded(
        time=recorder.records[-1].time, outcome="failed", reason="the disk is full"
    )


async def test_where_not_even_the_conclusion_can_be_written_the_history_is_concluded_as_failed() -> None:
    recorder = Recorder(Began(), zero=trio.current_time(), file=_FullDisk(1))  # type: ignore[arg-type]  # raw is enough
    recorder.conclude(Concluded())
    concluded = history(recorder.records).concluded
    assert concluded is not None
    assert (concluded.outcome, concluded.reason) == (
        "failed",
        "the history could not be written: No space left on device",
    )
    assert sum(isinstance(record, Concluded) for record in recorder.records) == 1


@given(data=st.binary(max_size=60))
def test_a_chunk_gives_back_its_bytes_and_can_be_read_where_it_is_text(data: bytes) -> None:
    chunk = Chunk.of(1.0, "a", data)
    assert chunk.data == data
    again = msgspec.json.decode(msgspec.json.encode(chunk), type=Record)
    assert isinstance(again, Chunk)
    assert again.data == data
    try:
        assert chunk.text == data.decode()
    except UnicodeDecodeError:
        assert chunk.base64 == data


def test_a_history_without_a_beginning_is_refused() -> None:
    with pytest.raises(HistoryError, match="starts with its `began` record"):
        history([Ended(exchange="a", how="complete")])
