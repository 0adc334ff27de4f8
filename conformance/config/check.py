"""Checks a tree of TOML values against the configuration's types: keys, types, constraints.

msgspec would stop at the first error and name regular expressions; a tired user wants all errors, each with
what is allowed. So the walk is ours, and msgspec judges the leaves.
"""

import types
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from conformance.config.errors import KeyPath, Problem, did_you_mean, listed, shown
from conformance.config.schema import Config


class _Type(NamedTuple):
    """A field's type taken apart: what it is without None, and what an error says is allowed."""

    whole: Any
    bare: Any
    description: str


def check(value: Any, raw: Any, type_: Any = Config, path: KeyPath = ()) -> Iterator[Problem]:
    """Everything about `value` that its type forbids.

    `raw` is the same tree as it stands in the file: messages show it, so that they show no secret.
    """
    kind = _take_apart(type_)
    if isinstance(kind.bare, type) and issubclass(kind.bare, msgspec.Struct):
        yield from _check_table(value, raw, kind.bare, path)
        return
    found = False
    for problem in _check_inside(value, raw, kind, path):
        found = True
        yield problem
    if not found:
        yield from _check_leaf(value, raw, kind, path)


def _check_table(value: Any, raw: Any, struct: type[msgspec.Struct], path: KeyPath) -> Iterator[Problem]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    if not isinstance(value, dict):
        yield Problem(path, f"expected a table with keys of {listed(fields)}; found {shown(raw)}")
        return
    misspelt = ""
    for key in value:
        if key not in fields:
            hint = did_you_mean(key, fields)
            misspelt += hint
            where = hint or _where_it_belongs(key)
            yield Problem((*path, key), f"unknown key{where} Allowed here: {listed(fields)}")
    for key, field in fields.items():
        if key in value:
            yield from check(value[key], raw[key], field.type, (*path, key))
        elif field.required and f'"{key}"' not in misspelt:
            yield Problem((*path, key), f"missing; expected {_describe(field.type)}")


def _check_inside(value: Any, raw: Any, kind: _Type, path: KeyPath) -> Iterator[Problem]:
    origin, arguments = get_origin(kind.bare), get_args(kind.bare)
    if origin is dict and isinstance(value, dict):
        for key, item in value.items():
            if not _fits(key, arguments[0]):
                yield Problem(
                    (*path, key), f"expected {_describe(arguments[0])} as the key; found {shown(key)}"
                )
            else:
                yield from check(item, raw[key], arguments[1], (*path, key))
    elif origin is tuple and isinstance(value, list):
        for index, item in enumerate(value):
            yield from check(item, raw[index], arguments[0], (*path, index))


def _check_leaf(value: Any, raw: Any, kind: _Type, path: KeyPath) -> Iterator[Problem]:
    if _fits(value, kind.whole):
        return
    hint = ""
    if get_origin(kind.bare) is Literal and isinstance(value, str):
        hint = did_you_mean(value.upper() if value.islower() else value, get_args(kind.bare))
    yield Problem(path, f"expected {kind.description}; found {shown(raw)}{hint}")


def _fits(value: Any, type_: Any) -> bool:
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError:
        return False
    return True


def _describe(type_: Any) -> str:
    return _take_apart(type_).description


def _take_apart(type_: Any) -> _Type:
    bare, description = type_, ""
    while True:
        if get_origin(bare) is Annotated:
            bare, *notes = get_args(bare)
            texts = [
                note.description for note in notes if isinstance(note, msgspec.Meta) and note.description
            ]
            description = description or "".join(texts[:1])
        elif get_origin(bare) in (Union, types.UnionType) and type(None) in get_args(bare):
            rest = [argument for argument in get_args(bare) if argument is not type(None)]
            if len(rest) > 1:
                break
            bare = rest[0]
        else:
            break
    return _Type(type_, bare, description or _plainly(bare))


def _plainly(bare: Any) -> str:
    if get_origin(bare) is Literal:
        return "one of " + listed(shown(value) for value in get_args(bare))
    if get_origin(bare) is tuple:
        return f"a list, each of it {_describe(get_args(bare)[0])}"
    if get_origin(bare) is dict:
        key, value = get_args(bare)
        return f"a table of {_describe(key)} to {_describe(value)}"
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        return f"a table with keys of {listed(bare.__struct_fields__)}"
    return {bool: "true or false", str: "a string", int: "a whole number", float: "a number"}.get(
        bare, "a value"
    )


def _where_it_belongs(key: str) -> str:
    homes = _homes().get(key, ())
    return f"; it belongs in {listed(homes)}." if homes else "."


@cache
def _homes() -> Mapping[str, tuple[str, ...]]:
    """Where each key of the configuration belongs, for keys that stand in the wrong table."""
    homes: dict[str, tuple[str, ...]] = {}

    def visit(struct: type[msgspec.Struct], path: str) -> None:
        for field in msgspec.structs.fields(struct):
            bare = _take_apart(field.type).bare
            if path:
                homes[field.encode_name] = (*homes.get(field.encode_name, ()), f"[{path}]")
            if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
                visit(bare, f"{path}.{field.encode_name}" if path else field.encode_name)

    visit(Config, "")
    return homes
