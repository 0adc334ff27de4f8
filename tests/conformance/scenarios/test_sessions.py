"""Streams beside each other whose events do not say whose they are: what each was given to bring back tells."""

import msgspec
import pytest
import trio

from conformance.config import Config
from conformance.dialect import Dialect, Matcher
from conformance.judging import judge_by
from conformance.rules.isolation import no_cross_talk
from conformance.scenarios.sessions import TOKENS
from conformance.specimens import Specimen, examine
from conformance.specimens.order import sending
from conformance.specimens.specimen import Wrap
from fault_injection.virtual import VirtualNetwork

LEFT, RIGHT = (token.encode() for token in TOKENS.values())


def _without_names(config: Config) -> Config:
    dialect = Dialect(json=True, sequence="id", completion=(Matcher(event="complete"),))
    return msgspec.structs.replace(config, dialect=dialect)


_mixing = sending(lambda _: lambda data: [data.replace(LEFT, RIGHT)])
"""Tells the one what the other was given."""


@pytest.mark.parametrize(
    ("wrap", "verdict"), [(lambda app: app, "conforms"), (_mixing, "broken")], ids=["right", "mixing"]
)
async def test_what_was_given_tells_whose_an_event_is(
    wrap: Wrap, verdict: str, autojump_clock: object
) -> None:
    specimen = Specimen("mixing", "", (), "side-by-side", wrap, configure=_without_names)
    with trio.fail_after(600):  # of virtual time
        history = await examine(specimen, VirtualNetwork(), scenario="side-by-side")
    assert judge_by(history, no_cross_talk).verdict == verdict
