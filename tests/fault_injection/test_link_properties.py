"""What holds on a link whatever the plan and whatever its senders do."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from link_driver import BORN, Fed, Outcome, What, drive, feed, make_link

from fault_injection import strategies
from fault_injection.faults import AtBytes, Direction, Disconnect, Ending, Latency, Plan
from fault_injection.link import DIRECTIONS, Action, Fired, Send, SendEof

PATIENT = settings(deadline=None)  # the machine may be busy

LOSSLESS = strategies.plans(kinds=strategies.LOSSLESS, most_bytes=200, most_seconds=3)
ANY = strategies.plans(most_faults=4, most_bytes=200, most_seconds=3)
ENDS: list[What] = ["fin", "rst"]
TIMES = st.integers(0, 50).map(lambda tenths: tenths / 10)


@st.composite
def conversations(draw: st.DrawFn, resets: bool = False) -> list[Fed]:
    """Chunks in both directions at various times, each direction ended at last. No two bytes near are alike."""
    feeds: list[Fed] = []
    for direction in DIRECTIONS:
        counter = 0
        times = sorted(draw(st.lists(TIMES, max_size=8)))
        for time in times:
            size = draw(st.integers(1, 60))
            feeds.append(Fed(time, bytes((counter + n) % 251 for n in range(size)), direction))
            counter += size
        end: What = draw(st.sampled_from(ENDS)) if resets else "fin"
        feeds.append(Fed((times or [0.0])[-1] + draw(TIMES), end, direction))
    return sorted(feeds, key=lambda fed: fed.time)


def fed_bytes(feeds: list[Fed], direction: Direction) -> bytes:
    return b"".join(f.what for f in feeds if f.direction == direction and isinstance(f.what, bytes))


def run(plan: Plan, feeds: list[Fed], seed: int = 0) -> Outcome:
    return drive(make_link(*plan.faults, seed=seed), feeds)


@PATIENT
@given(LOSSLESS, conversations(), st.integers())
def test_what_goes_in_comes_out_in_order_and_then_the_end(plan: Plan, feeds: list[Fed], seed: int) -> None:
    out = run(plan, feeds, seed)
    for direction in DIRECTIONS:
        assert out.data(direction) == fed_bytes(feeds, direction)
        assert len(out.eof(direction)) == 1
        assert all(at <= out.eof(direction)[0] for at, _ in out.sent(direction))
        assert out.link.backlog(direction) == 0
    assert out.link.over


@PATIENT
@given(LOSSLESS, conversations(), st.integers())
def test_nothing_comes_out_early(plan: Plan, feeds: list[Fed], seed: int) -> None:
    out = run(plan, feeds, seed)
    for direction in DIRECTIONS:
        least = sum(
            fault.delay - fault.jitter
            for fault in plan.faults
            if isinstance(fault, Latency) and fault.direction == direction
        )
        arrived = [
            at
            for f in feeds
            if f.direction == direction and isinstance(f.what, bytes)
            for at in [f.time] * len(f.what)
        ]
        left = [at for at, data in out.sent(direction) for _ in data]
        assert all(o >= i + least - 1e-6 for i, o in zip(arrived, left, strict=True))


@PATIENT
@given(ANY, conversations(resets=True), st.integers())
def test_every_connection_comes_to_its_end(plan: Plan, feeds: list[Fed], seed: int) -> None:
    out = run(plan, feeds, seed)
    assert out.link.over
    assert out.link.next_time() is None
    assert len(out.resets()) <= 1
    if not out.resets():
        assert [len(out.eof(direction)) for direction in DIRECTIONS] == [1, 1]


@PATIENT
@given(ANY, conversations(resets=True), st.integers())
def test_bytes_may_be_lost_but_neither_made_up_nor_moved(plan: Plan, feeds: list[Fed], seed: int) -> None:
    out = run(plan, feeds, seed)
    for direction in DIRECTIONS:
        rest = iter(fed_bytes(feeds, direction))
        assert all(byte in rest for byte in out.data(direction))


@PATIENT
@given(
    before=strategies.plans(
        kinds=strategies.LOSSLESS, most_bytes=100, most_seconds=1, directions=["downstream"]
    ),
    after=strategies.plans(
        kinds=strategies.LOSSLESS, most_bytes=100, most_seconds=1, directions=["downstream"]
    ),
    offset=st.integers(0, 300),
    how=st.sampled_from(["fin", "rst"]),
    feeds=conversations(),
)
def test_a_cut_leaves_exactly_the_prefix(
    before: Plan, after: Plan, offset: int, how: Ending, feeds: list[Fed]
) -> None:
    cut = Disconnect(when=AtBytes(offset), how=how)
    everything = fed_bytes(feeds, "downstream")
    assume(len(everything) > offset)
    out = run(Plan((*before.faults, cut, *after.faults)), feeds)
    if how == "fin":
        assert out.data() == everything[:offset]
        assert len(out.eof("downstream")) == len(out.eof("upstream")) == 1
    else:
        assert everything[:offset].startswith(out.data())
        assert len(out.resets()) == 1
    assert f"cut after {offset} bytes" in [fired.detail for fired in out.fired()]


@PATIENT
@given(ANY, conversations(resets=True), st.integers())
def test_the_same_seed_gives_the_same_actions(plan: Plan, feeds: list[Fed], seed: int) -> None:
    assert run(plan, feeds, seed).actions == run(plan, feeds, seed).actions


@PATIENT
@given(ANY, conversations(resets=True), st.integers(), st.data())
def test_a_late_call_changes_nothing_but_when_it_is_told(
    plan: Plan, feeds: list[Fed], seed: int, data: st.DataObject
) -> None:
    punctual = [action for _, action in run(plan, feeds, seed).actions]
    link = make_link(*plan.faults, seed=seed)
    late: list[Action] = []
    for fed in feeds:
        feed(link, fed)
        if data.draw(st.booleans(), label="advance"):
            late += link.advance(BORN + fed.time)
    while (time := link.next_time()) is not None:
        late += link.advance(time + data.draw(st.sampled_from([0.0, 1.0, 1000.0]), label="late by"))
    late += link.advance(BORN + 1e6)
    assert late == punctual


@PATIENT
@given(LOSSLESS, conversations(), st.integers(), st.sampled_from(DIRECTIONS))
def test_how_the_directions_interleave_changes_neither(
    plan: Plan, feeds: list[Fed], seed: int, first_served: Direction
) -> None:
    other = sorted(feeds, key=lambda fed: (fed.time, fed.direction != first_served))
    for direction in DIRECTIONS:
        own = [fed for fed in feeds if fed.direction == direction]
        first, second, alone = run(plan, feeds, seed), run(plan, other, seed), run(plan, own, seed)
        assert first.sent(direction) == second.sent(direction) == alone.sent(direction)
        assert first.eof(direction) == second.eof(direction) == alone.eof(direction)


@PATIENT
@given(ANY, conversations(resets=True), st.integers())
def test_what_fired_is_in_the_plan_and_in_its_time(plan: Plan, feeds: list[Fed], seed: int) -> None:
    for at, action in run(plan, feeds, seed).actions:
        if isinstance(action, Fired):
            assert plan.faults[action.fault_index] == action.fault
            assert action.time == BORN + at or abs(action.time - BORN - at) < 1e-6


@PATIENT
@given(ANY, conversations(resets=True), st.integers())
def test_nothing_is_sent_after_an_end(plan: Plan, feeds: list[Fed], seed: int) -> None:
    ended: set[Direction] = set()
    for _, action in run(plan, feeds, seed).actions:
        if isinstance(action, Send):
            assert action.direction not in ended
            assert action.data
        elif isinstance(action, SendEof):
            assert action.direction not in ended
            ended.add(action.direction)
