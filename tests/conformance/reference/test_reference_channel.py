"""The channel: whatever the order of publishing, subscribing and reading, nobody misses or repeats an event."""

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from reference_world import in_virtual_time

from conformance.reference.channel import Channel, Record, Subscription, parse_id


def publish(channel: Channel, count: int = 1) -> None:
    for _ in range(count):
        id = channel.last_id + 1
        channel.publish(Record(id, "progress", f"event {id}"))


async def take_all(subscription: Subscription) -> list[int]:
    return [record.id async for record in subscription]


async def take_some(subscription: Subscription, count: int) -> list[int]:
    return [(await anext(subscription)).id for _ in range(count)]


@in_virtual_time
async def test_a_late_subscriber_gets_everything_and_the_end() -> None:
    channel = Channel()
    publish(channel, 3)
    channel.close()
    assert await take_all(channel.subscribe()) == [1, 2, 3]


@in_virtual_time
async def test_live_events_follow_the_replayed_ones() -> None:
    channel = Channel()
    publish(channel, 2)
    with channel.subscribe() as subscription:
        assert await take_some(subscription, 2) == [1, 2]
        publish(channel, 2)
        channel.close()
        assert await take_all(subscription) == [3, 4]


@pytest.mark.parametrize(
    ("last_event_id", "expected"),
    [
        pytest.param(None, [3, 4, 5, 6], id="none: all that is kept"),
        pytest.param("", [3, 4, 5, 6], id="empty: all that is kept"),
        pytest.param("4", [5, 6], id="known: what follows"),
        pytest.param("2", [3, 4, 5, 6], id="just expired: nothing was missed"),
        pytest.param("1", [3, 4, 5, 6], id="expired: all that is kept"),
        pytest.param("6", [], id="the last: nothing"),
        pytest.param("7", [3, 4, 5, 6], id="never given out: all that is kept"),
        pytest.param("-1", [3, 4, 5, 6], id="no id of ours"),
        pytest.param("٤", [3, 4, 5, 6], id="digits of another script"),
        pytest.param("4" * 5000, [3, 4, 5, 6], id="huge"),
    ],
)
@in_virtual_time
async def test_a_subscriber_resumes_behind_its_last_event(
    last_event_id: str | None, expected: list[int]
) -> None:
    channel = Channel(keep=4, buffer=4)
    publish(channel, 6)
    channel.close()
    assert await take_all(channel.subscribe(last_event_id)) == expected


Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 5)),
        st.tuples(st.just("subscribe"), st.integers(0, 30)),
        st.tuples(st.just("take"), st.integers(0, 5)),
    ),
    max_size=40,
)


@given(STEPS)
async def test_no_order_of_things_loses_or_repeats_an_event(steps: list[Step]) -> None:
    channel = Channel(keep=1000, buffer=1000)
    readers: list[tuple[int, Subscription, list[int]]] = []
    for what, number in steps:
        if what == "publish":
            publish(channel, number)
        elif what == "subscribe":
            after = number if number <= channel.last_id else 0  # an unknown id replays everything
            readers.append((after, channel.subscribe(str(number)), []))
        elif readers:
            after, subscription, taken = readers[number % len(readers)]
            there = channel.last_id - after - len(taken)
            taken += await take_some(subscription, min(number, there))
    channel.close()
    for after, subscription, taken in readers:
        taken += await take_all(subscription)
        assert taken == list(range(after + 1, channel.last_id + 1))


@in_virtual_time
async def test_a_slow_reader_is_dropped_and_resumes() -> None:
    channel = Channel(keep=100, buffer=10)
    with channel.subscribe() as slow, channel.subscribe() as fast:
        publish(channel, 10)
        assert await take_some(slow, 2) == [1, 2]
        assert await take_some(fast, 10) == list(range(1, 11))
        publish(channel, 3)
        assert slow.overrun.is_set()
        assert not fast.overrun.is_set()
        assert await take_all(slow) == []
        publish(channel, 1)
        assert await take_some(fast, 4) == [11, 12, 13, 14]
    channel.close()
    assert await take_all(channel.subscribe("2")) == list(range(3, 15))


@in_virtual_time
async def test_a_replay_does_not_count_as_being_slow() -> None:
    channel = Channel(keep=100, buffer=2)
    publish(channel, 50)
    with channel.subscribe() as late:
        publish(channel, 2)
        assert not late.overrun.is_set()
        assert await take_some(late, 52) == list(range(1, 53))
        publish(channel, 3)
        assert late.overrun.is_set()


@in_virtual_time
async def test_a_reader_whose_next_record_is_forgotten_is_dropped() -> None:
    channel = Channel(keep=5, buffer=5)
    publish(channel, 5)
    with channel.subscribe() as late:
        publish(channel, 1)  # which pushes the first one out
        assert late.overrun.is_set()


@in_virtual_time
async def test_the_log_is_bounded_in_size_too() -> None:
    channel = Channel(keep_size=100)
    for id in range(1, 6):
        channel.publish(Record(id, "progress", "x" * 40))
    assert await take_some(channel.subscribe(), 2) == [4, 5]
    channel.publish(Record(6, "progress", "x" * 1000))
    channel.close()
    assert await take_all(channel.subscribe()) == [6]


@in_virtual_time
async def test_a_cancelled_wait_loses_nothing() -> None:
    channel = Channel()
    with channel.subscribe() as subscription:
        with trio.move_on_after(1) as impatient:
            await anext(subscription)
        assert impatient.cancelled_caught
        publish(channel)
        with trio.CancelScope() as cancelled:
            cancelled.cancel()
            await anext(subscription)
        assert await take_some(subscription, 1) == [1]


@in_virtual_time
async def test_a_subscription_can_be_told_to_end() -> None:
    channel = Channel()
    publish(channel, 2)
    with channel.subscribe() as subscription:
        assert await take_some(subscription, 1) == [1]
        subscription.end()
        publish(channel, 5)
        assert await take_all(subscription) == [2]


@in_virtual_time
async def test_many_wait_for_one_event() -> None:
    channel = Channel()
    got: list[list[int]] = []

    async def read() -> None:
        with channel.subscribe() as subscription:
            got.append(await take_all(subscription))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(read)
        await trio.sleep(1)
        assert len(channel.subscriptions) == 20
        publish(channel, 3)
        await trio.sleep(1)
        channel.close()
    assert got == [[1, 2, 3]] * 20
    assert not channel.subscriptions


@in_virtual_time
async def test_nothing_follows_a_closed_channel_and_ids_have_no_gap() -> None:
    channel = Channel()
    with pytest.raises(ValueError, match="event 2 cannot follow 0"):
        channel.publish(Record(2, "progress", ""))
    channel.close()
    with pytest.raises(ValueError, match="closed"):
        publish(channel)
    with pytest.raises(ValueError, match="buffer"):
        Channel(keep=5, buffer=6)


@in_virtual_time
async def test_what_an_id_is() -> None:
    assert [parse_id(text) for text in (None, "", "0", "007", "12", " 1", "1.0", "+1")] == [
        None,
        None,
        0,
        7,
        12,
        None,
        None,
        None,
    ]


@in_virtual_time
async def test_a_subscriber_that_is_stopped_gets_nothing_more() -> None:
    channel = Channel()
    publish(channel, 3)
    with channel.subscribe() as stopped, channel.subscribe() as other:
        assert await take_some(stopped, 1) == [1]
        stopped.stop()
        publish(channel)
        channel.close()
        assert await take_all(stopped) == []
        assert await take_all(other) == [1, 2, 3, 4]


@in_virtual_time
async def test_a_subscriber_that_is_stopped_while_it_takes_a_record_does_not_get_it() -> None:
    channel = Channel()
    taken: list[int] = []

    async def take(subscription: Subscription) -> None:
        taken.extend(await take_all(subscription))

    with channel.subscribe() as stopped:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, stopped)
            await trio.testing.wait_all_tasks_blocked()
            publish(channel)
            stopped.stop()
    assert taken == []
