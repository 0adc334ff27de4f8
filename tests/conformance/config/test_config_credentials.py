"""What is secret of a request's headers, without anybody saying so."""

from pathlib import Path

import pytest

from conformance.config import credentials, load_config


@pytest.mark.parametrize(
    ("name", "value", "secrets"),
    [
        ("Authorization", "Bearer abc.def", {"abc.def"}),
        ("authorization", "abc", {"abc"}),
        ("Proxy-Authorization", "Basic dXNlcjpwYXNz", {"dXNlcjpwYXNz"}),
        ("Cookie", "theme=dark; session=0123456789ab", {"0123456789ab"}),
        ("cookie", 'id="0123456789abc"', {"0123456789abc"}),
        ("Cookie", "bare", {"bare"}),
        ("Cookie", "", set()),
        ("Authorization", "", set()),
        ("X-Team", "0123456789abcdef", set()),
    ],
)
def test_credentials(name: str, value: str, secrets: set[str]) -> None:
    assert set(credentials({name: value})) == secrets


def test_those_that_stand_in_a_configuration_are_secret(tmp_path: Path) -> None:
    path = tmp_path / "sse-conformance.toml"
    path.write_text(
        """
        [target]
        url = "http://127.0.0.1:8000"
        [target.start]
        path = "/jobs"
        headers = { Authorization = "Bearer one{{x}}" }
        capture = { token = "/token" }
        [target.stream]
        headers = { Authorization = "Bearer {token}", Accept = "text/event-stream" }
        [target.resume]
        headers = { Authorization = "Bearer two" }
        [target.variants.failing.start]
        headers = { Cookie = "sid=abcdefghijklm" }
        """
    )
    assert load_config(path, environ={}).secrets == {"one{x}", "two", "abcdefghijklm"}
