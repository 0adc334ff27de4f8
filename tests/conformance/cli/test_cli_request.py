"""-H, -X and -d, as users of curl expect them."""

import io
from pathlib import Path

import msgspec
import pytest

from conformance.cli.request import apply_request
from conformance.config import Stream, config_for_url, fill, fill_header

LOADED = config_for_url("http://127.0.0.1:8000/events")


def test_headers_are_added_and_replace_those_of_the_configuration_whatever_their_case() -> None:
    first = apply_request(LOADED, ["X-Team: blue", "Accept:  text/plain "], None, None)
    second = apply_request(first, ["x-team: red: dark", "X-Empty;"], None, None)
    assert second.config.target.stream.headers == {
        "x-team": "red: dark",
        "Accept": "text/plain",
        "X-Empty": "",
    }


def test_braces_in_a_value_are_no_placeholders() -> None:
    stream = apply_request(LOADED, ["X-Id: {job}"], None, "{job} {{x}}").config.target.stream
    assert fill_header(stream.headers["X-Id"], {}) == "{job}"
    assert stream.body is not None
    assert fill(stream.body, {}) == "{job} {{x}}"


@pytest.mark.parametrize("header", ["Authorization: Bearer s3cret", "cookie: s3cret"])
def test_credentials_are_secret(header: str) -> None:
    assert "s3cret" in apply_request(LOADED, [header], None, None).secrets
    assert "s3cret" not in apply_request(LOADED, ["X-Other: s3cret"], None, None).secrets


def test_who_comes_back_sends_the_same_headers_and_not_the_body() -> None:
    target = msgspec.structs.replace(LOADED.config.target, resume=Stream(headers={"X-Team": "blue"}))
    config = msgspec.structs.replace(LOADED.config, target=target)
    loaded = msgspec.structs.replace(LOADED, config=config)
    target = apply_request(loaded, ["x-team: red"], None, "{}").config.target
    assert target.resume == Stream(headers={"x-team": "red"})
    assert target.stream.body == "{}"


def test_a_body_is_posted_as_json_unless_something_else_is_said() -> None:
    stream = apply_request(LOADED, None, None, '{"a": 1}').config.target.stream
    assert (stream.method, stream.body, stream.headers) == (
        "POST",
        '{"a": 1}',
        {"Content-Type": "application/json"},
    )
    stream = apply_request(LOADED, ["content-type: text/plain"], "put", "hello").config.target.stream
    assert (stream.method, stream.headers) == ("PUT", {"content-type": "text/plain"})


def test_a_body_comes_from_a_file_or_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "body.json"
    file.write_text("[1]", "utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("[2]"))
    bodies = [
        apply_request(LOADED, None, None, data).config.target.stream.body for data in (f"@{file}", "@-")
    ]
    assert bodies == ["[1]", "[2]"]
