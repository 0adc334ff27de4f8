"""What somebody sees who names an address where no event stream is."""

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conformance.cli import main


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The address of a web server that has a page and a JSON file."""
    (tmp_path / "index.html").write_text("<h1>Welcome</h1>", encoding="utf-8")
    (tmp_path / "data.json").write_text('{"status": "ok"}', encoding="utf-8")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


Run = Callable[[str], tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`sse-conformance run URL`: the exit code, and what it prints."""

    def run(url: str) -> tuple[int, str]:
        arguments = ["run", url, "--out", str(tmp_path / "report"), "--duration", "2"]
        monkeypatch.setattr(sys, "argv", ["sse-conformance", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    ("path", "rule", "what"),
    [
        ("/", "http.content-type", "'text/html'"),
        ("/data.json", "http.content-type", "'application/json'"),
        ("/nowhere", "http.status", "answered with 404"),
    ],
)
def test_what_is_no_event_stream_is_said_so_and_nothing_else(
    site: str, run: Run, path: str, rule: str, what: str
) -> None:
    code, said = run(site + path)
    assert code == 1
    assert f"✗ fail  {rule}" in said
    assert said.count("✗ fail") == 1
    assert what in said
    assert said.lower().count("content-type: text/html") <= 1  # a header is quoted once
    assert "Is the address that of the stream?" in said
    assert "More rules could be judged" not in said
    assert "Does not conform: 1 rule broken" in said


def test_where_nobody_listens_nothing_is_counted(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    code, said = run(f"http://127.0.0.1:{port}/events")
    assert code == 3
    assert "Not reached" in said
    assert f"127.0.0.1:{port} refused the connection: nobody listens there" in said
    assert "0 cases" not in said
