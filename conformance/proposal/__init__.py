"""A configuration proposed for a server that nobody has described yet: what `sse-conformance init` writes.

Pure: from the history of a look (`conformance.first_look`) to guesses, from guesses to a file.
"""

from conformance.proposal.address import Address, address
from conformance.proposal.entries import Entry, Proposal
from conformance.proposal.file import file_text
from conformance.proposal.guess import propose

__all__ = ["Address", "Entry", "Proposal", "address", "file_text", "propose"]
