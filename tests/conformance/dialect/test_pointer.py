"""JSON Pointer as RFC 6901 has it, and "absent" where it leads nowhere."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.pointer import ABSENT, Pointer, resolve

RFC_6901_SECTION_5: dict[str, Any] = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", RFC_6901_SECTION_5),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_the_examples_of_the_standard(pointer: str, value: Any) -> None:
    assert resolve(RFC_6901_SECTION_5, pointer) == value


@pytest.mark.parametrize(
    "pointer",
    ["/nope", "/foo/2", "/foo/-", "/foo/00", "/foo/01", "/foo/x", "/foo/٠", "/foo/0/0", "/foo/-1", "//x"],
)
def test_what_leads_nowhere_is_absent(pointer: str) -> None:
    assert resolve(RFC_6901_SECTION_5, pointer) is ABSENT


def test_a_tilde_is_unescaped_last() -> None:
    assert resolve({"~1": "tilde one", "/": "slash"}, "/~01") == "tilde one"  # RFC 6901, section 4


def test_null_is_a_value() -> None:
    assert resolve({"a": None}, "/a") is None


def test_a_number_names_a_key_of_an_object() -> None:
    assert resolve({"0": "zero"}, "/0") == "zero"


def test_nothing_leads_into_what_is_absent() -> None:
    assert resolve(ABSENT, "/a") is ABSENT


@given(st.lists(st.text()))
def test_any_names_can_be_pointed_at(names: list[str]) -> None:
    value: Any = "found"
    for name in reversed(names):
        value = {name: value}
    pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)

    assert resolve(value, pointer) == "found"
    if names:
        assert msgspec.convert(pointer, Pointer) == pointer


@pytest.mark.parametrize("text", ["", "id", "/a~", "/a~2", "#/id", "$.id", "id/"])
def test_what_is_no_pointer(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Pointer)
