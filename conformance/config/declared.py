"""What a configuration declares: the keys that rules and scenarios need to be able to answer."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from conformance.config.resolved import captured
from conformance.config.schema import Config
from conformance.dialect.presets import effective_dialect

_NAMED: Final = "target.start.capture"
"""Also where the client gives the name: what needs the key needs one piece of work to be told from another."""


def declared(config: Config) -> frozenset[str]:
    """The dotted keys that hold a value, a preset's included: `target.status`, `dialect.completion`, ...

    A table counts as its keys do: `target.start.capture.job` comes with `target.start.capture`. False and 0
    are values; an empty list or table is none. Defaults count (all limits, `target.stream`).
    """
    resolved = msgspec.structs.replace(config, dialect=effective_dialect(config.dialect))
    return frozenset([*_keys(resolved, ""), *([_NAMED] if captured(config.target) else [])])


def missing(config: Config, needs: Iterable[str]) -> tuple[str, ...]:
    """Those of `needs` (dotted keys) that the configuration does not declare, in their order."""
    have = declared(config)
    return tuple(need for need in needs if need not in have)


def _keys(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, msgspec.Struct):
        items = [(field, getattr(value, field)) for field in value.__struct_fields__]
    elif isinstance(value, dict):
        items = list(value.items())
    else:
        return
    for key, item in items:
        if item is not None and item != () and item != {}:
            dotted = f"{path}.{key}" if path else key
            yield dotted
            yield from _keys(item, dotted)
