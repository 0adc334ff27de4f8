"""What scenarios ask of a configuration: filled templates, paths, variants, and what is declared."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.config import (
    Config,
    Expect,
    Override,
    PlaceholderError,
    Start,
    Status,
    Stream,
    Target,
    Variant,
    base_url,
    bind_dialect,
    captured,
    captured_in_stream,
    declared,
    fill,
    fill_header,
    fill_json,
    fill_path,
    literal,
    missing,
    placeholders,
    resume_request,
    stream_capture,
    stream_path,
    stream_request,
    url_port,
    with_variant,
)
from conformance.dialect import PRESETS, Dialect, Scope

# templates


def test_placeholders_are_filled() -> None:
    assert fill("--port={port}", {"port": "8000"}) == "--port=8000"
    assert (
        fill_path("/jobs/{job}/events?x={x}", {"job": "a/b ?", "x": "é"})
        == "/jobs/a%2Fb%20%3F/events?x=%C3%A9"
    )
    assert fill_header("Bearer {token}", {"token": "t"}) == "Bearer t"
    assert fill_json({"{a}": ["{a}", 1, None, {"b": "x{a}"}]}, {"a": "1"}) == {
        "{a}": ["1", 1, None, {"b": "x1"}]
    }


def test_an_empty_value_is_a_value() -> None:
    assert fill("[{a}]", {"a": ""}) == "[]"


@pytest.mark.parametrize(
    "text", ['{"a": {"b": 1}}', "{}", "{1}", "{a b}", "{ a }", "{", "}{", "{a", "$", "{é}"]
)
def test_other_braces_are_left_alone(text: str) -> None:
    assert fill(text, {}) == text
    assert list(placeholders(text)) == []


def test_a_value_is_not_a_template() -> None:
    assert fill("{a}", {"a": "{b}", "b": "no"}) == "{b}"


@given(st.text(alphabet="{}ab1 ") | st.text())
def test_any_text_can_be_written_literally(text: str) -> None:
    assert fill(literal(text), {}) == text
    assert list(placeholders(literal(text))) == []


@given(st.text())
def test_a_value_stays_one_segment_of_a_path(value: str) -> None:
    path = fill_path("/jobs/{job}/events", {"job": value.encode("utf-8", "replace").decode()})

    assert path.count("/") == 3
    assert not set(path) & set(" ?#\r\n")


def test_a_missing_value_is_an_error_that_names_what_there_is() -> None:
    with pytest.raises(PlaceholderError) as caught:
        fill("/jobs/{job}", {"payload": "x", "id": "y"})

    assert caught.value.name == "job"
    assert str(caught.value) == "{job} has no value here; known placeholders: {id}, {payload}"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00b"])
def test_a_value_cannot_break_out_of_a_header(value: str) -> None:
    with pytest.raises(PlaceholderError, match=r"\{job\} holds a control character"):
        fill_header("{job}", {"job": value})


def test_a_scope_is_bound_to_what_was_captured() -> None:
    dialect = Dialect(scope=Scope("/session", "{session}"))

    assert bind_dialect(dialect, {"session": "s1"}).scope == Scope("/session", "s1")
    assert bind_dialect(Dialect(), {}) == Dialect()


# where requests go


@pytest.mark.parametrize(
    ("target", "base", "port", "path"),
    [
        (Target(url="http://h"), "http://h", 80, "/"),
        (Target(url="https://h:8443/a?b=c#d"), "https://h:8443", 8443, "/a?b=c"),
        (Target(url="https://h?b=/c:1"), "https://h", 443, "/?b=/c:1"),
        (Target(url="HTTP://[::1]:81/x"), "http://[::1]:81", 81, "/x"),
        (Target(url="http://u:p@h/x"), "http://u:p@h", 80, "/x"),
        (Target(url="http://h/x", stream=Stream(path="/y")), "http://h", 80, "/y"),
        (Target(url="http://h:{port}/x", command=("a",)), "http://h:5000", None, "/x"),
        (Target(command=("a", "{port}")), "http://127.0.0.1:5000", None, "/"),
    ],
)
def test_where_requests_go(target: Target, base: str, port: int | None, path: str) -> None:
    assert base_url(target, 5000) == base
    assert url_port(target) == port
    assert stream_path(target) == path


def test_a_free_port_must_be_chosen_first() -> None:
    with pytest.raises(PlaceholderError):
        base_url(Target(command=("a", "{port}")))


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (Config(target=Target(url="http://h")), None),
        (Config(target=Target(url="http://h", start=Start(path="/", capture={"a": "/a"}))), "a"),
        (Config(target=Target(url="http://h", start=Start(path="/", capture={"a": "/a", "b": "/b"}))), None),
        (
            Config(
                target=Target(
                    url="http://h",
                    start=Start(path="/", capture={"a": "/a", "b": "/b"}),
                    stream=Stream(path="/{b}"),
                )
            ),
            "b",
        ),
        (
            Config(
                target=Target(url="http://h", start=Start(path="/", capture={"a": "/a", "b": "/b"})),
                dialect=Dialect(scope=Scope("/s", "{b}")),
            ),
            "b",
        ),
    ],
)
def test_which_capture_names_the_stream(config: Config, name: str | None) -> None:
    assert stream_capture(config) == name


# the requests for the stream


def test_who_comes_back_repeats_the_request_with_the_header() -> None:
    stream = Stream(method="POST", path="/chat", headers={"last-event-id": "0", "A": "1"}, json={"n": 1})

    request = resume_request(Target(url="http://h", stream=stream), "{a}")

    assert (request.method, request.path, request.json) == ("POST", "/chat", {"n": 1})
    assert {name: fill_header(value, {}) for name, value in request.headers.items()} == {
        "A": "1",
        "Last-Event-ID": "{a}",
    }


def test_a_request_to_resume_is_one_of_its_own_on_the_same_path() -> None:
    opens = Stream(method="POST", headers={"A": "1"}, json={"n": 1})
    target = Target(url="http://h/x?y=1", stream=opens, resume=Stream(headers={"B": "2"}))

    assert stream_request(target) == Stream(
        method="POST", path="/x?y=1", headers=opens.headers, json=opens.json
    )
    assert resume_request(target, "7") == Stream(path="/x?y=1", headers={"B": "2", "Last-Event-ID": "7"})


@pytest.mark.parametrize(
    "resume",
    [
        Stream(path="/x?after={last_event_id}"),
        Stream(headers={"X-After": "{last_event_id}"}),
        Stream(method="POST", json={"a": [{"after": "{last_event_id}"}]}),
        Stream(method="POST", body="after={last_event_id}"),
    ],
)
def test_an_id_that_has_its_place_is_not_sent_in_the_header_too(resume: Stream) -> None:
    target = Target(url="http://h", stream=Stream(path="/x"), resume=resume)

    assert resume_request(target, "7") == msgspec.structs.replace(resume, path=resume.path or "/x")


# variants


def test_a_variant_is_merged_in_depth() -> None:
    start = Start(path="/jobs", headers={"A": "1"}, json={"events": 8, "opts": {"a": 1, "b": [1, 2]}})
    override = Override(headers={"B": "2"}, json={"fail": True, "opts": {"b": [3]}})
    target = Target(url="http://h", start=start, variants={"failing": Variant(start=override)})

    varied = with_variant(target, "failing").start

    assert varied is not None
    assert varied.json == {"events": 8, "fail": True, "opts": {"a": 1, "b": [3]}}
    assert varied.headers == {"A": "1", "B": "2"}
    assert varied.path == "/jobs"
    assert start.json == {"events": 8, "opts": {"a": 1, "b": [1, 2]}}


def test_a_variant_may_change_the_stream_itself() -> None:
    target = Target(
        url="http://h",
        stream=Stream(method="POST", path="/chat", json={"stream": True}),
        variants={
            "long": Variant(stream=Override(json={"n": 100})),
            "raw": Variant(stream=Override(body="?", path="/raw", method="PUT")),
        },
    )

    assert with_variant(target, "long").stream == Stream(
        method="POST", path="/chat", json={"stream": True, "n": 100}
    )
    assert with_variant(target, "raw").stream == Stream(method="PUT", path="/raw", body="?")
    with pytest.raises(KeyError):
        with_variant(target, "none")


# what is declared


def test_what_rules_need_is_named_when_it_is_missing() -> None:
    config = Config(target=Target(url="http://h", status=Status(path="/s", pointer="/state")))
    needs = (
        "target.status",
        "dialect.completion",
        "target.status.finished",
        "limits.head",
        "expect.resumable",
    )

    assert missing(config, needs) == ("dialect.completion", "target.status.finished", "expect.resumable")
    assert missing(config, ()) == ()


def test_a_preset_declares_its_keys() -> None:
    config = Config(target=Target(url="http://h"), dialect=Dialect(preset="openai-chat"))

    assert {"dialect.preset", "dialect.completion", "dialect.failure"} <= declared(config)
    assert missing(config, ("dialect.sequence",)) == ("dialect.sequence",)


@pytest.mark.parametrize(
    ("config", "key", "holds"),
    [
        (Config(target=Target(url="http://h"), expect=Expect(resumable=False)), "expect.resumable", True),
        (Config(target=Target(url="http://h"), dialect=Dialect(json=False)), "dialect.json", True),
        (
            Config(target=Target(url="http://h"), dialect=Dialect(preset="task-stream", heartbeat=())),
            "dialect.heartbeat",
            False,
        ),
        (
            Config(target=Target(url="http://h", start=Start(path="/", capture={"job": "/id"}))),
            "target.start.capture.job",
            True,
        ),
        (Config(target=Target(url="http://h", start=Start(path="/"))), "target.start.capture", False),
        (Config(target=Target(url="http://h")), "target.variants", False),
    ],
)
def test_false_is_declared_and_empty_is_not(config: Config, key: str, holds: bool) -> None:
    assert (key in declared(config)) is holds


@given(st.sampled_from(sorted(PRESETS)))
def test_a_preset_declares_what_it_holds(name: str) -> None:
    keys = declared(Config(target=Target(url="http://h"), dialect=Dialect(preset=name)))
    dialect: Any = PRESETS[name].dialect

    for field in dialect.__struct_fields__:
        assert (f"dialect.{field}" in keys) is (
            field == "preset" or getattr(dialect, field) not in (None, ())
        )


def test_a_token_is_no_name_of_a_stream() -> None:
    start = Start(path="/login", capture={"token": "/token", "job": "/job"})
    stream = Stream(path="/jobs/{job}/events", headers={"authorization": "Bearer {token}", "X-Job": "{job}"})
    target = Target(url="http://h/", start=start, stream=stream)
    assert captured(target) == ("token", "job")
    assert captured_in_stream(target) == ("job",)
    bus = msgspec.structs.replace(target, stream=msgspec.structs.replace(stream, path="/bus", headers={}))
    assert captured_in_stream(bus) == ()
