"""`sse-conformance run` against servers that behave."""

import ssl
from pathlib import Path

import pytest
import trustme
from cli_world import Sse, in_folder
from hostile_servers import HOSTILE, STREAM, events, says, served
from rich.console import Console
from rich.text import Text

from conformance.cli.summary import by_area, show

sse = pytest.fixture(in_folder)


def test_an_endless_stream_is_watched_for_the_duration(sse: Sse, tmp_path: Path) -> None:
    with served(events(None)) as url:
        code, out, err = sse("run", url, "--duration", "0.5", "-s", "subscribe")
    assert code == 0
    assert "Conforms" in out
    assert f"driving {url}: 1 scenario" in err
    assert "watched for 0.5 s" in (tmp_path / "sse-conformance-report/histories/subscribe.jsonl").read_text(
        "utf-8"
    )
    assert "dialect.sequence\n      order: increasing, no-gap" in out
    assert "dialect.timestamp\n      timeliness.delivery" in out


def test_what_the_stream_makes_unambiguous_is_assumed_and_said(sse: Sse) -> None:
    body = b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\ndata: [DONE]\n\n'
    with served(says(STREAM, body)) as url:
        out = sse("run", url, "--duration", "1", "-s", "subscribe").out
    assert out.startswith("assumed  ")
    assert "[DONE]" in out.splitlines()[0]


def test_strict_fails_what_is_a_warning_otherwise(sse: Sse) -> None:
    with served(events(3)) as url:
        easy = sse("run", url, "-s", "subscribe", "-r", "http.proxy-buffering")
        strict = sse("run", url, "-s", "subscribe", "-r", "http.proxy-buffering", "--strict")
    assert (easy.code, strict.code) == (0, 1)
    assert "▲ warn  http.proxy-buffering" in easy.out
    assert "Does not conform: 1 rule broken" in strict.out


def test_known_failures_excuse_until_they_pass(sse: Sse, tmp_path: Path) -> None:
    (tmp_path / "known.toml").write_text(
        "[[failure]]\nrule = 'http.content-type'\nreason = 'a page'\n"
        "[[failure]]\nrule = 'resume.no-gap'\nreason = 'of another run'\n",
        "utf-8",
    )
    call = ("run", "-s", "subscribe", "-r", "http.content-type", "--known-failures", "known.toml")
    with served(HOSTILE["html"]) as url:
        excused = sse(*call, url)
    with served(events(3)) as url:
        stale = sse(*call, url)
    assert (excused.code, stale.code) == (0, 1)
    assert "~ 1 excused" in excused.out
    assert "note: the known failure 'resume.no-gap' lists no case of this run" in excused.err
    assert "listed as a known failure (a page), but it passes: take it off the list" in stale.out


def test_credentials_are_sent_and_written_nowhere(sse: Sse, tmp_path: Path) -> None:
    with served(says(STREAM, b"data: you are s3cret-token\n\n")) as url:
        said = sse("run", url, "-H", "Authorization: Bearer s3cret-token", "-s", "subscribe")
    assert said.code == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 5
    assert not [path for path in files if "s3cret" in path.read_text("utf-8")]
    assert "s3cret" not in said.out + said.err


@pytest.fixture(scope="module")
def certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_a_certificate_that_nobody_knows(sse: Sse, certificate: ssl.SSLContext) -> None:
    with served(events(2), certificate) as url:
        refused = sse("run", url)
        taken = sse("run", url, "--insecure", "-s", "subscribe", "-r", "http")
        recorded = sse("record", url, "-k")
    assert refused.code == 3
    assert "has a certificate that is not accepted: " in refused.out
    assert "--insecure accepts any; SSL_CERT_FILE names a file" in refused.out
    assert "driven" not in refused.err
    assert taken.code == recorded.code == 0


def test_https_where_there_is_none(sse: Sse) -> None:
    with served(HOSTILE["garbage"]) as url:
        said = sse("run", url.replace("http:", "https:"))
    assert said.code == 3
    assert "did not complete the TLS handshake" in said.out
    assert "Does it speak HTTPS there, or is it http://?" in said.out


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (
            "http://127.0.0.1:1/x",
            "127.0.0.1:1 refused the connection: nobody listens there. Is the server running?",
        ),
        ("http://no-such-host.invalid/x", "no-such-host.invalid:80 cannot be reached: "),
    ],
)
def test_a_target_that_is_not_there(sse: Sse, tmp_path: Path, url: str, sentence: str) -> None:
    said = sse("run", url)
    assert said.code == 3
    assert said.out.count(sentence) == 1
    assert (tmp_path / "sse-conformance-report" / "report.html").exists()


def test_where_nothing_is_judged_the_reasons_are_said(sse: Sse) -> None:
    with served(events(2)) as url:
        said = sse("run", url, "-s", "unknown-stream")
    assert said.code == 3
    assert "Nothing was judged" in said.out
    assert (
        "needs target.start.capture in the configuration · http.unknown-stream; resource.stays-up; "
        "security.error-hygiene in unknown-stream" in " ".join(said.out.split())
    )


def test_a_paragraph_fits_a_narrow_terminal_and_is_one_line_for_grep() -> None:
    text = "one two three four five six seven eight nine ten " * 3
    narrow, piped = Console(width=40, force_terminal=True), Console(width=40, soft_wrap=True)
    with narrow.capture() as shown:
        show(narrow, Text(text), indent=8)
    with piped.capture() as written:
        show(piped, Text(text), indent=8)
    assert max(map(len, shown.get().splitlines())) <= 40
    assert len(written.get().splitlines()) == 1


def test_names_of_rules_are_grouped_by_area() -> None:
    assert (
        by_area(["http.auth", "order.no-gap", "order.increasing"]) == "http.auth; order: no-gap, increasing"
    )
