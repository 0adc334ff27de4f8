"""Chance from a seed: whatever of Python's draws from the operating system draws from a source of ours."""

import os
import random
import uuid
from typing import Any

from conformance.changes import Change

_NODE = 1 << 40  # no network card has this number: the bit for groups is set, as RFC 9562 (6.10) wants it


def seeded_chance(source: random.Random) -> list[Change]:
    """What is to be changed for that: `os.urandom` and `os.getrandom`, and with them `secrets`, `uuid.uuid4` and
    `random.SystemRandom`; a `random.Random` that is given no seed; and `uuid.uuid1`, whose time is `time.time_ns`, and
    which else has the number of this machine's network card in it."""
    seed = random.Random.seed

    def seeded(self: random.Random, a: Any = None, version: int = 2) -> None:
        seed(self, int.from_bytes(source.randbytes(32)) if a is None else a, version)

    def seeded_here(a: Any = None, version: int = 2) -> None:
        seeded(random._inst, a, version)  # whose methods the module's functions are

    def getrandom(size: int, flags: int = 0) -> bytes:  # noqa: ARG001  (as the system's)
        return source.randbytes(size)

    return [
        (os, "urandom", source.randbytes),  # what uuid calls
        (random, "_urandom", source.randbytes),  # what secrets calls
        *([(os, "getrandom", getrandom)] if hasattr(os, "getrandom") else []),
        (random.Random, "seed", seeded),
        (random, "seed", seeded_here),
        *((uuid, name, value) for name, value in _UUID.items() if hasattr(uuid, name)),
    ]


_UUID = {
    "_generate_time_safe": None,  # in C, by the machine's clock; without it uuid reckons itself
    "_UuidCreate": None,
    "_node": _NODE,
    "_last_timestamp": None,  # of the run before, which must not count
    "_last_timestamp_v6": None,  # from Python 3.14 on
    "_last_timestamp_v7": None,
    "_last_counter_v7": 0,
}
