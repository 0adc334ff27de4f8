"""The text of a proposal reads again as what was meant, whatever a server or a user put into it."""

import re
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from conformance.config import Config, ConfigError, config_for_url, fill, fill_header, load_config
from conformance.dialect import PRESETS, Dialect, Matcher
from conformance.proposal import Entry, Proposal, address, file_text

EVIL = (
    '"',
    "\\",
    "\n[target]\ncommand = ['rm']\n",
    "\r\n",
    "${HOME}",
    "$${HOME}",
    "{job}",
    "{{job}}",
    "\u202e",
    "\x00\x1b[31m\x7f\x85\u2028",
    "\ud800",
    "'''",
    '"""',
    "# ",
    "}]",
    "\U0001f600",
)
hostile = st.lists(st.sampled_from(EVIL) | st.text(max_size=5), max_size=6).map("".join)
no_surrogates = hostile.filter(lambda text: text.isascii() or not re.search("[\ud800-\udfff]", text))
some = no_surrogates.filter(bool)
pointers = st.just("/type") | some.map(lambda name: "/" + name.replace("~", "~0").replace("/", "~1"))
matchers = st.one_of(
    st.builds(Matcher, event=some),
    st.builds(Matcher, pointer=pointers, equals=no_surrogates | st.booleans() | st.integers(-(10**9), 10**9)),
    st.builds(Matcher, data=no_surrogates),
)
heartbeats = st.lists(matchers | st.just(Matcher(comment=True)), min_size=1, max_size=2, unique=True)
values: dict[str, st.SearchStrategy[Any]] = {
    "dialect.preset": st.sampled_from(sorted(PRESETS)),
    "dialect.completion": st.lists(matchers, min_size=1, max_size=2, unique=True).map(tuple),
    "dialect.json": st.just(True),
    "dialect.sequence": st.just("id") | pointers,
    "dialect.timestamp": pointers,
    "dialect.heartbeat": heartbeats.map(tuple),
    "expect.events": st.integers(1, 10**6),
    "expect.terminates": st.just(True),
    "expect.resumable": st.just(True),
    "expect.replay": st.sampled_from(["all", "none", "since-id"]),
    "expect.shared": st.just(True),
}


def entry(name: str, guessed: bool | None = None) -> st.SearchStrategy[Entry]:
    table, _, key = name.partition(".")
    sure = st.booleans() if guessed is None else st.just(guessed)
    return st.builds(Entry, st.just(table), st.just(key), values[name], hostile, sure)


def proposals(guessed: bool | None = None) -> st.SearchStrategy[Proposal]:
    names = st.lists(st.sampled_from(list(values)), unique=True)
    entries = names.flatmap(lambda chosen: st.tuples(*(entry(name, guessed) for name in chosen)))
    return entries.map(Proposal).filter(_has_one_meaning)


def _has_one_meaning(proposal: Proposal) -> bool:
    """What is refused whoever writes it: one matcher with two meanings."""
    dialect = proposal.dialect
    given = [*(dialect.completion or ()), *(dialect.heartbeat or ())]
    return len(given) == len({*given}) and not (dialect.preset and given)


def read(text: str, environ: dict[str, str] | None = None) -> Config:
    """The configuration in this text, as it is read from a file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sse-conformance.toml"
        file.write_bytes(text.encode())
        return load_config(file, environ=environ or {}).config


URL = "http://127.0.0.1:8000/events"
HERE = address(URL, {})


@given(proposals(), hostile)
def test_what_is_written_reads_as_what_was_meant(proposal: Proposal, looked: str) -> None:
    config = read(file_text(proposal, HERE, looked), {"HOME": "/root"})
    assert config.dialect == proposal.dialect
    assert config.expect == proposal.expect
    assert config.target == config_for_url(URL).config.target
    assert config.limits == type(config.limits)()


@given(proposals(), hostile)
def test_nothing_in_the_file_hides_or_reorders(proposal: Proposal, looked: str) -> None:
    text = file_text(proposal, HERE, looked)
    assert all(line.isprintable() for line in text.split("\n"))


def _uncommented(text: str) -> str:
    """The text with every line that declares something, or begins a table, taken out of its comment."""
    return re.sub(r"(?m)^# (?=\[|[a-z]+ = )", "", text)


@given(proposals(guessed=False))
def test_what_is_a_comment_can_be_taken_out_of_it(proposal: Proposal) -> None:
    text = file_text(proposal, HERE, "tested")
    assert tomllib.loads(text).keys() == {"target", "dialect", "expect"}
    sure = Proposal(tuple(Entry(each.table, each.key, each.value, "", True) for each in proposal.entries))
    assume(_has_one_meaning(sure))
    config = read(_uncommented(text), {"HOME": "/root"})
    assert (config.dialect, config.expect) == (sure.dialect, sure.expect)
    assert config.target.start is not None
    assert config.target.status is not None
    assert config.target.cancel is not None
    assert config.target.command is not None


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_what_a_preset_declares_is_shown_and_can_be_taken_out_of_its_comment(preset: str) -> None:
    text = file_text(Proposal((Entry("dialect", "preset", preset, "seen", True),)), HERE, "tested")
    assert read(text).dialect == Dialect(preset=preset)
    shown = read(_uncommented(text)).dialect
    for name in Dialect.__struct_fields__:
        if name != "preset":
            assert getattr(shown, name) == getattr(PRESETS[preset].dialect, name)


_BRACES = ("{job}", "{{a}}", "${HOME}", "$${HOME}", "$", "{", "}")
_PIECES = ("/", "?", "&", "=", "a", "token", "key=", "sig=x", "%7B", "é", '"', "\\", "@", ":")
paths = st.lists(st.sampled_from((*_BRACES, *_PIECES))).map("".join)


@example("http://h", "${?}/{job}/${HOME}")
@given(st.sampled_from(["http://h", "https://u:p@h:1", "http://token@h", "http://:@h", "http://u:@h"]), paths)
def test_an_address_is_the_same_again_once_the_environment_has_its_credentials(host: str, path: str) -> None:
    url = f"{host}/{path}"
    try:
        config_for_url(url)
    except ConfigError:
        return
    written = address(url, {})
    config = read(file_text(Proposal(()), written, "tested"), {"HOME": "no", **written.variables})
    assert config.target.url is not None
    assert fill(config.target.url, {}) == url


names = st.from_regex(r"[A-Za-z][A-Za-z0-9!#$%&'*+.^_`|~-]{0,8}", fullmatch=True)
header_values = st.text(st.characters(exclude_categories=("Cc", "Cs"), include_characters='"\\{}$')).map(
    str.strip
)


@given(
    st.dictionaries(st.sampled_from(["Authorization", "Accept", "X-Key", "Cookie"]) | names, header_values)
)
def test_headers_are_the_same_again_once_the_environment_has_their_values(headers: dict[str, str]) -> None:
    written = address(URL, headers)
    config = read(file_text(Proposal(()), written, "tested"), dict(written.variables))
    sent = {name: fill_header(value, {}) for name, value in config.target.stream.headers.items()}
    assert sent == headers


@pytest.mark.parametrize(
    ("url", "headers", "secret"),
    [
        ("http://ann:open-sesame@h/e", {}, "open-sesame"),
        ("http://open-sesame@h/e", {}, "open-sesame"),
        ("http://h/e?access_token=open-sesame&x=1", {}, "open-sesame"),
        ("http://h/e?x=1&API-Key=open-sesame", {}, "open-sesame"),
        ("http://h/e?%6Bey=open-sesame", {}, "open-sesame"),
        (URL, {"Authorization": "Bearer open-sesame"}, "open-sesame"),
        (URL, {"authorization": "open-sesame"}, "open-sesame"),
        (URL, {"Cookie": "theme=dark; id=open-sesame"}, "open-sesame"),
        (URL, {"X-Whatever": "open-sesame"}, "open-sesame"),
    ],
)
def test_no_credential_is_written(url: str, headers: dict[str, str], secret: str) -> None:
    written = address(url, headers)
    assert secret not in file_text(Proposal(()), written, "tested")
    assert secret not in repr(written)
    assert any(secret in value for value in written.variables.values())


def test_what_is_no_credential_is_written_as_it_is() -> None:
    written = address("http://h/e?room=7", {"Accept-Language": "fr", "Authorization": "Bearer abc"})
    assert written.url == "http://h/e?room=7"
    assert written.headers == {"Accept-Language": "fr", "Authorization": "Bearer ${TOKEN}"}


def test_two_credentials_of_one_name_are_two_variables() -> None:
    written = address("http://h/e?token=one", {"Authorization": "Bearer two", "Proxy-Authorization": "one"})
    assert written.url == "http://h/e?token=${TOKEN}"
    assert written.headers["Authorization"] == "Bearer ${TOKEN_2}"
