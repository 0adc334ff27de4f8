"""Jobs: they run whether anybody listens or not, and every stream comes to an end that agrees with the state."""

import errno
import logging
import random
from pathlib import Path

import msgspec
import pytest
import trio
from reference_world import in_virtual_time

from conformance.reference.producer import Job, Producer, State, Unavailable, timestamp
from conformance.reference.store import Store
from conformance.reference.work import Work


def make_producer(store: Store | None = None, keep_jobs: int = 1000) -> Producer:
    return Producer(rng=random.Random(7), wall_clock=trio.current_time, store=store, keep_jobs=keep_jobs)


async def tell(job: Job) -> list[tuple[str, dict[str, object]]]:
    """All that a job tells, to its end."""
    with job.channel.subscribe() as subscription:
        return [(record.type, msgspec.json.decode(record.data)) async for record in subscription]


async def types(job: Job) -> list[str]:
    return [type for type, _ in await tell(job)]


@in_virtual_time
async def test_a_job_tells_of_its_progress_and_its_end() -> None:
    producer = make_producer()
    async with trio.open_nursery() as nursery:
        await nursery.start(producer.run)
        job = producer.start(Work(events=3, interval=2, echo="hello"))
        told = await tell(job)
        await producer.stop()
    assert [type for type, _ in told] == ["progress", "progress", "complete", "stream_end"]
    assert [data["seq"] for _, data in told] == [1, 2, 3, 4]
    assert {data["job"] for _, data in told} == {job.id}
    assert {data["echo"] for _, data in told} == {"hello"}
    assert [data["timestamp"] for _, data in told] == [timestamp(at) for at in (2, 4, 6, 6)]
    assert job.state is State.COMPLETED


@in_virtual_time
async def test_the_silence_is_in_the_middle() -> None:
    producer = make_producer()
    async with trio.open_nursery() as nursery:
        await nursery.start(producer.run)
        told = await tell(producer.start(Work(events=4, interval=1, silence=100)))
        await producer.stop()
    assert [data["timestamp"] for _, data in told] == [timestamp(at) for at in (1, 2, 103, 104, 104)]


@in_virtual_time
async def test_a_failure_is_told_in_place_of_the_completion() -> None:
    producer = make_producer()
    async with trio.open_nursery() as nursery:
        await nursery.start(producer.run)
        job = producer.start(Work(events=2, fail=True))
        assert await types(job) == ["progress", "error", "stream_end"]
        assert job.state is State.FAILED
        await producer.stop()


@pytest.mark.parametrize("after", [0, 0.5, 1.5], ids=["before it began", "before its first event", "later"])
@in_virtual_time
async def test_a_cancelled_job_says_so(after: float) -> None:
    producer = make_producer()
    async with trio.open_nursery() as nursery:
        await nursery.start(producer.run)
        job = producer.start(Work(events=100, interval=1))
        if after:
            await trio.sleep(after)
        job.cancel()
        told = await tell(job)
        assert [type for type, _ in told[-2:]] == ["error", "stream_end"]
        assert told[-1][1]["state"] == "cancelled"
        assert job.state is State.CANCELLED
        assert producer.active == 0
        job.cancel()  # once more does nothing
        await producer.stop()


@in_virtual_time
async def test_whoever_sees_the_completion_finds_the_job_finished() -> None:
    producer = make_producer()
    async with trio.open_nursery() as nursery:
        await nursery.start(producer.run)
        for work in (Work(), Work(fail=True)):
            job = producer.start(work)
            with job.channel.subscribe() as subscription:
                async for record in subscription:
                    finished = record.type in ("complete", "error", "stream_end")
                    assert (job.state is State.RUNNING) is not finished
        await producer.stop()


@in_virtual_time
async def test_a_job_with_a_bug_takes_nobody_down(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(work: Work, done: int, report: object) -> None:
        raise ZeroDivisionError

    producer = make_producer()
    async with trio.open_nursery() as nursery:
        await nursery.start(producer.run)
        with (
            caplog.at_level(logging.CRITICAL, "conformance.reference.producer"),
            monkeypatch.context() as patch,
        ):
            patch.setattr("conformance.reference.producer.perform", broken)
            assert await types(producer.start(Work())) == ["error", "stream_end"]
        assert await types(producer.start(Work(events=1))) == ["complete", "stream_end"]
        await producer.stop()


@in_virtual_time
async def test_a_shutdown_ends_the_streams_of_running_jobs() -> None:
    producer = make_producer()
    async with trio.open_nursery() as nursery:
        await nursery.start(producer.run)
        job = producer.start(Work(events=100, interval=1))
        await trio.sleep(1.5)
        await producer.stop()
        assert await types(job) == ["progress", "error", "stream_end"]
        with pytest.raises(Unavailable, match="shutting down"):
            producer.start(Work())


@in_virtual_time
async def test_the_oldest_job_that_has_ended_makes_room() -> None:
    producer = make_producer(keep_jobs=2)
    async with trio.open_nursery() as nursery:
        await nursery.start(producer.run)
        running = producer.start(Work(events=100, interval=1))
        ended = producer.start(Work(events=1))
        with pytest.raises(Unavailable, match="2 jobs are running"):
            producer.start(Work())
        await types(ended)
        third = producer.start(Work())
        assert set(producer.jobs) == {running.id, third.id}
        await producer.stop()


@in_virtual_time
async def test_the_same_seed_gives_the_same_ids() -> None:
    ids = []
    for _ in range(2):
        producer = make_producer()
        async with trio.open_nursery() as nursery:
            await nursery.start(producer.run)
            ids.append([producer.start(Work()).id for _ in range(3)])
            await producer.stop()
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3


@in_virtual_time
async def test_a_job_goes_on_where_its_log_ends(tmp_path: Path) -> None:
    first = make_producer(Store(tmp_path))
    async with trio.open_nursery() as nursery:
        await nursery.start(first.run)
        job = first.start(Work(events=6, interval=1))
        finished = first.start(Work(events=1))
        await trio.sleep(3.5)
        await first.stop()
    assert job.state is State.RUNNING
    second = make_producer(Store(tmp_path))
    async with trio.open_nursery() as nursery:
        await nursery.start(second.run)
        told = await tell(second.jobs[job.id])
        assert [data["seq"] for _, data in told] == [1, 2, 3, 4, 5, 6, 7]
        assert [data["step"] for type, data in told if type == "progress"] == [1, 2, 3, 4, 5]
        assert await types(second.jobs[finished.id]) == ["complete", "stream_end"]
        assert second.jobs[finished.id].state is State.COMPLETED
        await second.stop()


@pytest.mark.parametrize("lines", range(6))
@pytest.mark.parametrize("torn", [b"", b'{"id":'], ids=["whole", "torn"])
@in_virtual_time
async def test_a_job_killed_at_any_moment_comes_to_its_end(tmp_path: Path, lines: int, torn: bytes) -> None:
    producer = make_producer(Store(tmp_path))
    async with trio.open_nursery() as nursery:
        await nursery.start(producer.run)
        job = producer.start(Work(events=3, fail=True))
        whole = await types(job)
        await producer.stop()
    log = tmp_path / f"{job.id}.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:lines]) + torn)
    again = make_producer(Store(tmp_path))
    async with trio.open_nursery() as nursery:
        await nursery.start(again.run)
        if lines == 0:
            assert not again.jobs
            assert not log.exists()
        else:
            assert await types(again.jobs[job.id]) == whole
            assert again.jobs[job.id].state is State.FAILED
        await again.stop()
    if lines:
        assert len(log.read_bytes().splitlines()) == 5  # and the next one finds it whole


@in_virtual_time
async def test_a_file_that_is_no_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not mine, not looked at")
    for content in (b"what is this?\n", b'{"events": 3}\n{"id": "one"}\n', b'{"echo": "\xff"}\n'):
        (tmp_path / "abc.jsonl").write_bytes(content)
        with pytest.raises(ValueError, match=r"abc\.jsonl is not the log of a job"):
            Store(tmp_path).load()


class FullDisk(Store):
    """Takes so many lines and no more."""

    def __init__(self, directory: Path, lines: int) -> None:
        super().__init__(directory)
        self.left = lines

    def _write(self, id: str, content: bytes) -> None:
        if not self.left:
            raise OSError(errno.ENOSPC, "no space left")
        self.left -= 1
        super()._write(id, content)


@pytest.mark.parametrize("lines", range(1, 5))
@in_virtual_time
async def test_what_cannot_be_saved_is_not_published(
    tmp_path: Path, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    producer = make_producer(FullDisk(tmp_path, lines))
    async with trio.open_nursery() as nursery:
        await nursery.start(producer.run)
        with caplog.at_level(logging.CRITICAL, "conformance.reference.producer"):
            told = await types(producer.start(Work(events=4)))
        assert told == ["progress"] * (lines - 1) + ["error", "stream_end"]
        with pytest.raises(Unavailable, match="no space left"):
            producer.start(Work())
        assert producer.active == 0
        await producer.stop()
    assert len(Store(tmp_path).load()[0].records) == lines - 1


@in_virtual_time
async def test_a_forgotten_job_leaves_no_file(tmp_path: Path) -> None:
    producer = make_producer(Store(tmp_path), keep_jobs=1)
    async with trio.open_nursery() as nursery:
        await nursery.start(producer.run)
        for _ in range(3):
            await types(producer.start(Work(events=1)))
        assert [stored.id for stored in Store(tmp_path).load()] == list(producer.jobs)
        await producer.stop()
