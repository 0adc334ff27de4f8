"""A cut between the CR and the LF of a line ending says nothing of how the server ends its lines."""

import pytest
from made_up import made_up, stream

from conformance.history import How
from conformance.rules.wire import line_endings
from fault_injection.faults import AtTrigger, Disconnect

_WHOLE = "data: 1\r\n\r\ndata: 2\r\n\r"


@pytest.mark.parametrize("how", ["truncated", "reset", "dropped", "watched"])
def test_half_a_line_ending_at_a_cut_is_not_judged(how: How) -> None:
    assert line_endings.judge(made_up(stream([(0.1, _WHOLE)], how=how))).verdict == "conforms"


def test_a_cut_that_looks_like_an_end_is_one_all_the_same() -> None:
    cut = Disconnect(when=AtTrigger("events", 2), how="fin")
    judged = line_endings.judge(made_up(stream([(0.1, _WHOLE)], how="complete", fired=[(0.1, cut)])))
    assert judged.verdict == "conforms"


def test_a_lone_cr_at_the_end_of_a_whole_stream_is_found() -> None:
    assert line_endings.judge(made_up(stream([(0.1, _WHOLE)], how="complete"))).verdict == "broken"


def test_a_mixture_before_the_cut_is_found() -> None:
    mixed = "data: 1\r\n\r\ndata: 2\n\n" + _WHOLE
    assert line_endings.judge(made_up(stream([(0.1, mixed)], how="reset"))).verdict == "broken"
