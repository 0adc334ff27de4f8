"""Faults on a link: bytes and time. Knows nothing of SSE or HTTP; imports no sibling package."""
