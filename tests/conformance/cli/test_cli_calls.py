"""A wrong call ends with exit code 2 and a sentence, before any request is sent."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from cli_world import Sse, in_folder
from hostile_servers import served

sse = pytest.fixture(in_folder)


@pytest.fixture
def requests() -> Iterator[tuple[str, list[int]]]:
    """A URL, and a list that grows with each request that is sent there."""
    came: list[int] = []

    async def count(_: trio.abc.Stream) -> None:
        came.append(1)

    with served(count) as url:
        yield url, came


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            "run ftp://x/",
            'URL: expected an http or https URL such as "http://127.0.0.1:8000"; found "ftp://x/"',
        ),
        ("run http://:80/", "URL: is no usable URL: it names no host"),
        ("run http://127.0.0.1:99999/", "its port is no number from 1 to 65535"),
        ("run --config no.toml", "--config no.toml: there is no such file"),
        ("run --config wrong.toml", 'wrong.toml: target.strem: unknown key; did you mean "stream"?'),
        ("run --config app.toml", "app.toml: target.app 'shop:app': there is no module 'shop' in "),
        ("record --config app.toml", "app.toml: target.app is an application in this process"),
        ("run URL --config app.toml", "give a URL or --config, not both"),
        ("run URL --scenario subscrib", "--scenario 'subscrib' matches none; did you mean \"subscribe\"?"),
        ("run URL --rule http.statsu", "--rule 'http.statsu' matches none; did you mean \"http.status\"?"),
        ("run URL --rule htp", "--rule 'htp' matches none; did you mean \"http\"?"),
        (
            "run URL -s subscribe -r http.auth",
            "nothing would be judged: http.auth is judged in other scenarios: ",
        ),
        ("run URL -H nonsense", "--header wants 'NAME: VALUE', not 'nonsense'"),
        ("run URL -H Accept:", "--header 'Accept:' has no value"),
        ("run URL -H a@b:c", "'a@b' is no name that HTTP allows for a header"),
        ("run URL -X GETT", "--request 'GETT': a method is one of GET, POST, PUT"),
        ("run URL -X GET -d {}", "a GET request carries no body"),
        ("run URL -d @no.json", "--data @no.json: No such file or directory"),
        ("run -d {}", "need a URL, or a configuration, to send them to"),
        (
            "run URL --out wrong.toml",
            "--out: the folder wrong.toml/histories cannot be made: Not a directory",
        ),
        ("run URL --known-failures no.toml", "--known-failures no.toml: No such file or directory"),
        ("run URL --known-failures wrong.toml", "--known-failures wrong.toml: "),
        ("run URL --toxiproxy nonsense", "--toxiproxy 'nonsense' is no URL"),
        ("run URL --duration inf", "--duration inf: 0.1 to 2592000 seconds"),
        ("run URL --duration soon", "Invalid value for '--duration'"),
        ("runn URL", "No such command 'runn'. Did you mean 'run'?"),
        ("record", "give a URL, or a configuration with --config"),
        ("record URL --timestamp seq", "--timestamp 'seq' is no JSON Pointer; one looks like /timestamp"),
        ("record URL --out .", "--out .: Is a directory"),
        ("judge no.jsonl", "no.jsonl: No such file or directory"),
        ("judge wrong.toml", "wrong.toml: not a history: its first line is no `began` record"),
        ("rules http.statsu", "rules 'http.statsu' matches none; did you mean \"http.status\"?"),
        ("proxy nowhere", "HOST:PORT wants a host and a port such as 127.0.0.1:8000, not 'nowhere'"),
        ("proxy 127.0.0.1:0", "HOST:PORT names port 0, where no server is"),
        ("proxy 127.0.0.1:80 --plan no.json", "--plan no.json: No such file or directory"),
        (
            "proxy 127.0.0.1:80 --plan plan.json",
            "--plan plan.json: there is no trigger 'evnts'; did you mean \"events\"?",
        ),
        ("proxy 127.0.0.1:80 --plan wrong.toml", "--plan wrong.toml: the fault plan cannot be read"),
        (
            "proxy 127.0.0.1:80 --listen 203.0.113.1:80",
            "cannot listen on 203.0.113.1:80: Cannot assign requested",
        ),
        ("serve --host 203.0.113.1", "cannot serve on 203.0.113.1:8000: Cannot assign requested address"),
    ],
)
def test_a_wrong_call(
    sse: Sse, tmp_path: Path, requests: tuple[str, list[int]], arguments: str, sentence: str
) -> None:
    url, came = requests
    (tmp_path / "wrong.toml").write_text("[target]\nurl = 'http://127.0.0.1:1'\nstrem = {}\n", "utf-8")
    (tmp_path / "app.toml").write_text("[target]\napp = 'shop:app'\n", "utf-8")
    (tmp_path / "plan.json").write_text(
        '{"faults": [{"fault": "disconnect", "when": {"type": "trigger", "name": "evnts", "argument": 3}}]}',
        "utf-8",
    )
    code, out, err = sse(*arguments.replace("URL", url).split())
    assert sentence in " ".join(err.split())
    assert code == 2
    assert "Traceback" not in out + err
    assert not came


def test_without_a_command_there_is_help(sse: Sse) -> None:
    assert "Usage: sse-conformance" in sse().out + sse().err
