"""Whatever stands in a configuration, it is read or refused with a path; nothing else happens."""

from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.config import (
    Cancel,
    Config,
    ConfigError,
    Expect,
    Limits,
    Override,
    Probe,
    Start,
    Status,
    Stream,
    Target,
    Variant,
    config_for_url,
)
from conformance.config.check import check
from conformance.config.errors import dotted
from conformance.config.load import load_config
from conformance.config.sense import check_sense
from conformance.dialect import Dialect, Scope

KEYS = [
    *("target", "dialect", "expect", "limits", "url", "command", "app", "start", "stream", "status", "probe"),
    *("variants", "path", "json", "body", "headers", "capture", "pointer", "equals", "event", "completion"),
    *("gauges", "scope", "heartbeat", "preset", "sequence", "head", "silnce", "method", "replay", "x"),
]
STRINGS = [
    "http://h",
    "http://h:{port}",
    "/a",
    "/{job}",
    "id",
    "GET",
    "POST",
    "all",
    "mcp",
    "m:app",
    "",
    "\n",
    "{x}",
]
scalars = st.sampled_from(STRINGS) | st.booleans() | st.integers(-2, 9) | st.floats() | st.dates()
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "target": st.fixed_dictionaries(
            {"url": st.sampled_from(STRINGS)},
            optional=dict.fromkeys(("command", "start", "stream", "status", "cancel", "variants"), trees),
        )
        | trees,
        "dialect": trees,
        "expect": trees,
        "limits": trees,
    },
)


@given(documents | st.dictionaries(st.sampled_from(KEYS), trees))
def test_the_check_agrees_with_the_types(tree: dict[str, Any]) -> None:
    problems = list(check(tree, tree))
    try:
        config = msgspec.convert(tree, Config)
    except msgspec.ValidationError:
        assert problems
        assert all(problem.message and dotted(problem.path) for problem in problems)
    else:
        assert problems == []
        assert all(problem.message for problem in check_sense(config))


@given(st.text() | st.from_regex(r"https?://[\w:@/{}\[\]?#.%-]{0,20}", fullmatch=True))
def test_any_url_is_a_configuration_or_refused(url: str) -> None:
    try:
        loaded = config_for_url(url)
    except ConfigError as error:
        text = str(error)
    else:
        text = f"URL: {loaded.config.target.url}"
    assert text.startswith("URL: ")
    assert len(text) > len("URL: ")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary()
    | st.text().map(str.encode)
    | st.lists(st.sampled_from(KEYS)).map(".".join).map(str.encode)
)
def test_any_file_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sse-conformance.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:  # none of these names a target
        load_config(path, environ={})
    assert str(caught.value).startswith(str(path))


TABLES: dict[tuple[str, ...], type[msgspec.Struct]] = {
    (): Config,
    ("target",): Target,
    ("target", "start"): Start,
    ("target", "stream"): Stream,
    ("target", "status"): Status,
    ("target", "cancel"): Cancel,
    ("target", "probe"): Probe,
    ("target", "variants", "failing"): Variant,
    ("target", "variants", "failing", "start"): Override,
    ("dialect",): Dialect,
    ("dialect", "scope"): Scope,
    ("expect",): Expect,
    ("limits",): Limits,
}
KEYS_WITH_A_TYPE = [
    (*table, field)
    for table, struct in TABLES.items()
    for field in struct.__struct_fields__
    if field != "json" or table == ("dialect",)  # the json of a request may be anything
]


@pytest.mark.parametrize("path", KEYS_WITH_A_TYPE, ids=".".join)
@pytest.mark.parametrize("wrong", [[[]], date(2025, 1, 1), float("nan")], ids=["lists", "date", "nan"])
def test_a_value_of_the_wrong_type_is_blamed_at_its_path(path: tuple[str, ...], wrong: Any) -> None:
    tree = wrong
    for key in reversed(path):
        tree = {key: tree}

    blamed = [problem for problem in check(tree, tree) if problem.path[: len(path)] == path]

    assert len(blamed) == 1
    assert blamed[0].message.startswith("expected ")
    assert "; found " in blamed[0].message
    assert "a value;" not in blamed[0].message  # it says what is allowed
