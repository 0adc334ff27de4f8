"""From the history of a look to a proposal.

What is not certain is proposed as a comment: a wrong expectation would make later runs blame a correct server.
"""

import msgspec

from conformance.dialect import effective_dialect
from conformance.history import History
from conformance.proposal.entries import Proposal
from conformance.proposal.guess_dialect import guess_dialect
from conformance.proposal.guess_expect import guess_expect


def propose(history: History) -> Proposal:
    """What the streams of a look (`conformance.first_look`) speak for. The same history gives the same proposal."""
    dialect = guess_dialect(history)
    read = effective_dialect(Proposal(dialect).dialect)
    expect = guess_expect(history.on(msgspec.structs.replace(history.terms, dialect=read)))
    return Proposal((*dialect, *expect))
