"""`sse-conformance record`: what it prints while a stream arrives, and what it keeps."""

import re
from pathlib import Path

import pytest
from cli_world import Sse, in_folder
from hostile_servers import HOSTILE, STREAM, events, evil_stream, says, served

sse = pytest.fixture(in_folder)


def test_each_event_has_its_time_its_gap_and_its_lag(sse: Sse, tmp_path: Path) -> None:
    with served(events(4, pause=0.05, late=30)) as url:
        code, out, err = sse("record", url, "--timestamp", "/timestamp", "--out", "events.jsonl")
    assert code == 0
    lines = out.splitlines()
    assert re.fullmatch(rf"watching {url} since \d{{4}}-\d\d-\d\d [\d:]+ UTC; Ctrl-C stops", lines[0])
    assert lines[2].endswith("-- 200 OK, text/event-stream")
    assert re.search(r"-- catching up: 30\.\d+ s behind$", lines[3])
    shown = [line for line in lines if "message #" in line]
    assert re.match(r" +\d+\.\d{3}  \+0\.000 +30\.\d{3} +message #1  \{\"seq\": 1", shown[0])
    gaps = [float(line.split()[1]) for line in shown[1:]]
    assert min(gaps) > 0.04
    assert any(line.endswith("-- caught up") for line in lines)
    assert lines.index(shown[1]) < next(n for n, line in enumerate(lines) if line.endswith("caught up"))
    assert lines[-1].endswith("-- the server ended the stream; 4 events")
    assert "the history is in events.jsonl; `sse-conformance judge events.jsonl` judges it" in err
    judged = sse("judge", "events.jsonl")
    assert judged.code == 0
    assert "needs dialect.timestamp" not in judged.out
    assert "Conforms" in judged.out


def test_a_scope_whose_name_was_not_captured_then_cannot_be_judged_by(sse: Sse, tmp_path: Path) -> None:
    (tmp_path / "bus.toml").write_text(
        """
        target = { url = "http://127.0.0.1:1/bus", start = { path = "/jobs", capture = { job = "/id" } } }
        dialect = { json = true, scope = { pointer = "/job", equals = "{job}" } }
        """
    )
    with served(events(1)) as url:
        assert sse("record", url, "--out", "events.jsonl").code == 0
    code, _, err = sse("judge", "--config", "bus.toml", "events.jsonl")
    assert code == 2
    assert "events.jsonl: dialect.scope.equals holds {job}, and no such name was captured" in err
    assert "judge it without --config, or record it again" in err


def test_it_goes_on_after_what_looks_like_the_end(sse: Sse) -> None:
    with served(says(STREAM, b"data: [DONE]\n\n", b"data: more\n\n")) as url:
        out = sse("record", url).out
    assert "[DONE]" in out
    assert "message  more" in out


def test_the_duration_ends_it(sse: Sse) -> None:
    with served(events(None)) as url:
        said = sse("record", url, "--duration", "0.3")
    assert said.code == 0
    assert "-- watched for 0.3 s; " in said.out


def test_what_is_no_event_stream_is_said_with_what_it_says(sse: Sse) -> None:
    with served(HOSTILE["500"]) as url:
        code, _, err = sse("record", url)
    assert code == 3
    assert f"{url} answered 500 Oops, text/plain: no event stream. Is the address that of the stream?" in err
    assert "It says: the database is on fire" in err


def test_a_connection_without_response_is_an_error(sse: Sse) -> None:
    with served(HOSTILE["closes"]) as url:
        code, _, err = sse("record", url)
    assert code == 3
    assert f"error: {url}: the connection ended before the response did" in err


def test_hostile_text_steers_nothing(sse: Sse) -> None:
    with served(evil_stream()) as url:
        code, out, err = sse("record", url, "--whole")
    assert code == 0
    assert not [character for character in out + err if not character.isprintable() and character != "\n"]
    assert "‹ESC›[31mred‹ESC›]0;title‹U+0007› ‹U+202E›gnp.exe [bold]bold[/bold] ‹U+009B›1m" in out
    assert len(out.splitlines()) < 12


def test_long_data_is_cut_to_a_line_unless_it_is_wanted_whole(sse: Sse) -> None:
    with served(says(STREAM, b"data: " + b"x" * 5000 + b"\n\n")) as url:
        cut, whole = sse("record", url).out, sse("record", url, "--whole").out
    assert max(map(len, cut.splitlines())) < 250
    assert "x" * 5000 in whole


def test_a_stream_that_never_ends_a_line_is_left_in_bounded_memory(sse: Sse, tmp_path: Path) -> None:
    with served(HOSTILE["line"]) as url:
        said = sse("record", url)
    assert said.code == 0
    assert "-- over 33554432 bytes (limits.body); the rest is not recorded" in said.out
    assert (tmp_path / "sse-conformance.jsonl").stat().st_size < 64 * 2**20


def test_what_a_server_printed_and_its_address_are_told_without_secrets(
    sse: Sse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "sesame-opens-it")
    (tmp_path / "sse-conformance.toml").write_text(
        '[target]\nurl = "http://127.0.0.1:{port}/e"\ncommand = ["sh", "-c", "echo ${TOKEN}; exit 3", "{port}"]\n'
    )
    said = sse("record")
    assert said.code == 3
    assert "it printed:\n  <redacted>" in said.err
    (tmp_path / "sse-conformance.toml").write_text('[target]\nurl = "http://127.0.0.1:1/e?key=${TOKEN}"\n')
    said = sse("record")
    assert "watching http://127.0.0.1:1/e?key=<redacted>" in said.out
    assert "sesame" not in said.out + said.err
