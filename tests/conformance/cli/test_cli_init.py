"""`sse-conformance init`: what it writes, what it says, and what it leaves alone."""

import os
import socket
import tomllib
from pathlib import Path

import pytest
import trio
from cli_world import Sse, in_folder
from hostile_servers import EVIL, HEAD, HOSTILE, STREAM, Handler, events, evil_stream, says, served

from conformance.config import Config, load_config

sse = pytest.fixture(in_folder)

FILE = "sse-conformance.toml"


def written(tmp_path: Path, name: str = FILE, **environ: str) -> Config:
    """The configuration in the file that was written."""
    return load_config(tmp_path / name, environ=environ).config


def counts_to(number: int) -> Handler:
    """Events with ids, then [DONE], which each request begins anew."""
    blocks = [b'id: %d\ndata: {"n": %d}\n\n' % (each, each) for each in range(1, number + 1)]
    return says(STREAM, *blocks, b"data: [DONE]\n\n")


def silent() -> Handler:
    async def handle(stream: trio.abc.Stream) -> None:
        await stream.send_all(STREAM)
        await trio.sleep_forever()

    return handle


def test_what_was_seen_is_written_as_guesses_and_runs(sse: Sse, tmp_path: Path) -> None:
    with served(counts_to(5)) as url:
        said = sse("init", url)
        assert said.code == 0
        config = written(tmp_path)
        assert config.target.url == url
        assert config.dialect.sequence == "id"
        assert config.expect.terminates is True
        assert config.expect.events == 6
        assert config.expect.resumable is None
        assert "a guess: expect.terminates = true" in said.out
        assert "not known: expect.shared: the stream was over before a second subscriber" in said.out
        assert "came back with Last-Event-ID 3" in said.out
        assert f"{FILE} is written, with 4 guesses: look at each, then `sse-conformance run`" in said.err
        ran = sse("run", "--scenario", "subscribe", "--rule", "completion")
        assert ran.code == 0
        assert "dialect.completion" not in ran.out  # nothing is missing, nothing is assumed
    text = (tmp_path / FILE).read_text("utf-8")
    assert "terminates = true                       # a guess: the response ended 0.0" in text
    assert "# resumable = true                      # not known: a subscriber that came back" in text
    assert text.startswith("# Written by `sse-conformance init`: 3 GET requests to http://127.0.0.1:")


def test_a_file_that_exists_stays_as_it_is_unless_it_may_go(sse: Sse, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("mine\n")
    code, out, err = sse("init", "http://127.0.0.1:1/events")  # nobody is asked
    assert (code, out) == (2, "")
    assert err == f"error: {FILE} exists already: --force overwrites it, --out names another file\n"
    assert (tmp_path / FILE).read_text() == "mine\n"
    with served(counts_to(3)) as url:
        assert sse("init", url, "--out", "other.toml").code == 0
        assert (tmp_path / FILE).read_text() == "mine\n"
        said = sse("init", url, "--force")
    assert said.code == 0
    assert written(tmp_path) == written(tmp_path, "other.toml")


def test_a_file_that_came_meanwhile_stays_as_it_is(sse: Sse, tmp_path: Path) -> None:
    async def handle(stream: trio.abc.Stream) -> None:
        (tmp_path / FILE).write_text("mine\n")
        await counts_to(3)(stream)

    with served(handle) as url:
        said = sse("init", url)
    assert said.code == 2
    assert "exists already" in said.err
    assert (tmp_path / FILE).read_text() == "mine\n"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("pyproject.toml", "a whole file is written, and this one holds more"),
        ("nowhere/x.toml", "there is no folder nowhere"),
        (".", "it is a folder"),
    ],
)
def test_what_cannot_be_written_is_said_before_anybody_is_asked(sse: Sse, name: str, why: str) -> None:
    code, out, err = sse("init", "http://127.0.0.1:1/events", "--out", name, "--force")
    assert (code, out) == (2, "")
    assert why in err


def test_a_folder_that_takes_no_file_is_told_before_anybody_is_asked(
    sse: Sse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)  # as for who is not root
    said = sse("init", "http://127.0.0.1:1/events")
    assert said.code == 2
    assert "Permission denied" in said.err


def test_to_standard_output_goes_the_file_and_nothing_else(sse: Sse, tmp_path: Path) -> None:
    with served(counts_to(3)) as url:
        code, out, err = sse("init", url, "--out", "-")
    assert code == 0
    assert tomllib.loads(out)["target"] == {"url": url}
    assert "a guess: expect.terminates = true" in err
    assert list(tmp_path.iterdir()) == []


def test_nobody_listens_there(sse: Sse, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said = sse("init", f"127.0.0.1:{port}/events")
    assert said.code == 3
    assert "nobody listens at this address. Is the server running?" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("handler", "why"),
    [
        (HOSTILE["html"], "answered 200 OK, text/html: no event stream. Is the address that of the stream?"),
        (HOSTILE["500"], "It says: the database is on fire"),
        (HOSTILE["closes"], "the connection ended before the response did"),
        (says(b"HTTP/1.1 204 No Content\r\n\r\n"), "the stream is over. Begin new work"),
        (silent(), "is an event stream that said nothing in 0.5"),
        (says(STREAM), "is an event stream that said nothing in 0.0"),
    ],
)
def test_where_nothing_is_to_be_seen_nothing_is_written(
    sse: Sse, tmp_path: Path, handler: Handler, why: str
) -> None:
    with served(handler) as url:
        said = sse("init", url, "--duration", "0.5")
    assert said.code == 3
    assert said.err.startswith(f"error: {url}")
    assert why in said.err
    assert list(tmp_path.iterdir()) == []


def test_of_a_stream_that_is_cut_there_is_what_was_seen(sse: Sse, tmp_path: Path) -> None:
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    blocks = b"".join(b'id: %d\ndata: {"n": %d}\n\n' % (each, each) for each in range(1, 5))
    with served(says(chunked, b"%x\r\n%s\r\n" % (len(blocks), blocks))) as url:
        said = sse("init", url)
    assert said.code == 3
    assert f"error: {url}: the stream was cut: the connection ended before the response did" in said.err
    assert f"{FILE} has what was seen until then" in said.err
    assert written(tmp_path).dialect.json is True
    assert written(tmp_path).expect.terminates is None


def test_no_credential_is_written_or_printed(sse: Sse, tmp_path: Path) -> None:
    header = ("-H", "Authorization: Bearer open-sesame", "-H", "X-Key: alakazam")
    echo = says(STREAM, b"data: open-sesame\n\n", b"data: alakazam abracadabra\n\n", b"data: more\n\n")
    with served(echo) as url:
        said = sse("init", *header, f"{url}?token=abracadabra")
    assert said.code == 0
    text = (tmp_path / FILE).read_text("utf-8")
    for secret in ("open-sesame", "alakazam", "abracadabra"):
        assert secret not in text + said.out + said.err
    assert "for a run, set what the file takes from the environment: ${TOKEN}" in said.err
    environ = {"TOKEN": "abracadabra", "TOKEN_2": "open-sesame", "X_KEY": "alakazam"}
    config = written(tmp_path, **environ)
    assert config.target.url == f"{url}?token=abracadabra"
    assert config.target.stream.headers == {"Authorization": "Bearer open-sesame", "X-Key": "alakazam"}


def test_hostile_text_steers_nothing_and_breaks_out_of_nothing(sse: Sse, tmp_path: Path) -> None:
    evil = EVIL.replace("\x00", "").encode()
    ending = b"event: " + evil + b'"\\]}${HOME}\ndata: ' + evil + b"\n\n"
    with served(says(STREAM, b"id: 1\ndata: x\n\n", ending)) as url:
        said = sse("init", url)
        assert said.code == 0
        assert sse("init", url, "--out", "-").code == 0
    with served(evil_stream()) as url:
        assert sse("init", url, "--out", "evil.toml").code == 0
    for text in (said.out + said.err, (tmp_path / FILE).read_text(), (tmp_path / "evil.toml").read_text()):
        assert not [character for character in text if not character.isprintable() and character != "\n"]
    assert written(tmp_path).dialect.completion is None
    assert written(tmp_path, "evil.toml").target.url == url


def test_a_firehose_is_left_in_bounded_time(sse: Sse, tmp_path: Path) -> None:
    with served(HOSTILE["firehose"]) as url:
        said = sse("init", url, "--duration", "30")
    assert said.code == 0
    assert "over 5000 events (limits.events)" in said.out
    assert written(tmp_path).expect.terminates is None


def test_an_endless_stream_is_left_after_its_duration(sse: Sse, tmp_path: Path) -> None:
    with served(events(None)) as url:
        said = sse("init", url, "--duration", "1")
    assert said.code == 0
    assert "watched for 1 s" in said.out
    config = written(tmp_path)
    assert (config.dialect.sequence, config.dialect.json) == ("id", True)
    assert (config.expect.shared, config.expect.resumable, config.expect.terminates) == (None, None, None)
