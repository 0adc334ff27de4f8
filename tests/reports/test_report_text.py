"""Hostile text made fit to be seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.text import brief, file_link, seconds, shorten, visible, visible_lines, wall_clock, web_link


@pytest.mark.parametrize(
    ("hostile", "seen"),
    [
        ("plain – ‘text’ ünd 漢字 🙂", "plain – ‘text’ ünd 漢字 🙂"),
        ("a\0b\tc\x1b[31m", "a‹NUL›b‹TAB›c‹ESC›[31m"),
        ("user\u202etxt.exe", "user‹U+202E›txt.exe"),
        ("zero\u200bwidth\ufeff", "zero‹U+200B›width‹BOM›"),
        ("\ud800", "\ufffd"),
        ("one\r\ntwo", "one‹CR›‹LF›two"),
        ("\uffff\U000e0041", "‹U+FFFF›‹U+E0041›"),
    ],
)
def test_what_hides_is_shown_by_its_name(hostile: str, seen: str) -> None:
    assert visible(hostile) == seen


def test_lines_keep_their_ends_and_show_them() -> None:
    assert visible_lines("a\r\nb\rc\n\nd") == "a‹CR›‹LF›\nb‹CR›\nc‹LF›\n‹LF›\nd"


@given(st.text(st.characters()))
def test_what_is_seen_is_printable_and_can_be_encoded(text: str) -> None:
    assert visible(text).isprintable()
    assert all(line.isprintable() for line in visible_lines(text).split("\n"))
    visible_lines(text).encode()


@given(st.text(max_size=400), st.integers(8, 100))
def test_a_long_text_keeps_its_beginning_and_its_end(text: str, limit: int) -> None:
    short = shorten(text, limit)
    if len(text) <= limit:
        assert short == text
    else:
        assert short.startswith(text[: limit // 2])
        assert short.endswith(text[-(limit // 4) :])
        assert f"{len(text) - limit:,} characters left out" in short
    assert len(brief(text, limit)) <= limit


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//host/path",
        "http:",
        "http://",
        "http://[",
        "https://a b",
        "https://a\u202eb",
        "java\tscript:x",
        "RFC 9110",
        "",
    ],
)
def test_what_is_no_web_address_is_no_link(text: str) -> None:
    assert web_link(text) is None


def test_a_web_address_is_a_link() -> None:
    assert web_link("https://example.org/a?b#c") == "https://example.org/a?b#c"


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../b", "javascript:x", "a\\b", "", "a b", "//x"])
def test_a_history_outside_the_report_is_no_link(name: str) -> None:
    assert file_link(name) is None


def test_a_history_beside_the_report_is_a_link() -> None:
    assert file_link("histories/cut-once.jsonl") == "histories/cut-once.jsonl"


def test_times_are_for_people() -> None:
    assert [seconds(value) for value in (0.0042, 3.418, 42.13, 252)] == [
        "0.004 s",
        "3.42 s",
        "42.1 s",
        "4 min 12 s",
    ]
    assert wall_clock("2025-11-20T10:47:03.25+00:00") == "2025-11-20 10:47:03 UTC"
    assert wall_clock("yesterday") == "yesterday"
