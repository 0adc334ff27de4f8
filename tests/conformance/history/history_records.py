"""Hypothesis strategies for the records of a history: whatever a run may write down."""

from hypothesis import strategies as st

from conformance.config import Expect, Limits
from conformance.dialect import Dialect, Matcher
from conformance.history import (
    Began,
    Chunk,
    Concluded,
    Connected,
    Ended,
    Fired,
    Gauge,
    Head,
    Mark,
    Record,
    Relayed,
    Requested,
    StatusTerms,
    Terms,
)
from fault_injection.faults import AtTrigger, Disconnect
from fault_injection.strategies import plans

TIMES = st.floats(min_value=0, max_value=1e6, allow_nan=False)
TEXT = st.text(max_size=20)  # of what a peer sent: no lone surrogates, for they came out of bytes
NAMES = st.sampled_from(("a", "a-2", "b", "start", "status"))
HEADERS = st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple)

TERMS = st.builds(
    Terms,
    dialect=st.sampled_from(
        (
            Dialect(),
            Dialect(preset="task-stream"),
            Dialect(json=True, sequence="id", completion=(Matcher(event="done"), Matcher(data="[DONE]"))),
        )
    ),
    expect=st.builds(Expect, events=st.none() | st.integers(1, 99), terminates=st.none() | st.booleans()),
    limits=st.builds(Limits, head=st.floats(0.1, 60)),
    status=st.none() | st.just(StatusTerms(pointer="/state", finished=("done", 3, True))),
    declared=st.lists(TEXT, max_size=3).map(tuple),
    assumed=st.lists(TEXT, max_size=2).map(tuple),
)

BEGAN = st.builds(
    Began,
    harness=TEXT,
    at=st.floats(0, 2e9),
    clock=st.sampled_from(("real", "virtual")),
    target=TEXT,
    scenario=TEXT,
    seed=st.integers(0, 2**63),
    plan=plans(),
    link=st.sampled_from(("none", "proxy", "toxiproxy")),
    terms=TERMS,
)

CHUNK = st.builds(Chunk.of, TIMES, NAMES, st.binary(min_size=1, max_size=40))

FAULT = st.just(Disconnect(when=AtTrigger("events", 3), how="rst", connections=1)) | plans().flatmap(
    lambda plan: st.sampled_from(plan.faults) if plan.faults else st.just(Disconnect(when=AtTrigger("x")))
)

RECORD: st.SearchStrategy[Record] = st.one_of(
    st.builds(
        Requested,
        time=TIMES,
        exchange=NAMES,
        purpose=st.sampled_from(("stream", "start", "status")),
        method=st.sampled_from(("GET", "POST")),
        url=TEXT,
        headers=HEADERS,
        body=TEXT,
        subscriber=NAMES,
        names=st.dictionaries(TEXT, TEXT, max_size=2),
        last_event_id=st.none() | TEXT,
        opened=st.just("") | NAMES,
    ),
    st.builds(Connected, time=TIMES, exchange=NAMES, local=TEXT),
    st.builds(Head, time=TIMES, exchange=NAMES, status=st.integers(100, 999), headers=HEADERS, reason=TEXT),
    CHUNK,
    st.builds(Relayed, time=TIMES, peer=TEXT, end=st.integers(0, 2**40)),
    st.builds(
        Ended, time=TIMES, exchange=NAMES, how=st.sampled_from(("complete", "reset", "timeout")), detail=TEXT
    ),
    st.builds(Mark, time=TIMES, what=TEXT, exchange=st.just("") | NAMES, detail=TEXT),
    st.builds(Fired, time=TIMES, fault=FAULT, index=st.integers(0, 5), peer=TEXT, detail=TEXT),
    st.builds(
        Gauge, time=TIMES, name=TEXT, value=st.none() | st.floats(allow_nan=False, allow_infinity=False)
    ),
)

CONCLUDED = st.builds(
    Concluded,
    time=st.just(1e6),
    outcome=st.sampled_from(("done", "skipped", "unreached", "failed", "interrupted")),
    reason=TEXT,
)
