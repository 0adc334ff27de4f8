"""Reading a configuration that is right: files, the environment, secrets, the run without a configuration."""

from pathlib import Path

import pytest

from conformance.config import (
    AnswerHeader,
    Config,
    ConfigError,
    Limits,
    Loaded,
    Metric,
    Stream,
    Target,
    config_for_url,
    declared,
    fill_header,
    find_config,
    load_config,
    stream_path,
    with_variant,
)
from conformance.dialect import Matcher, Scope

EVERYTHING = """
[target]
url = "http://127.0.0.1:8000"
command = ["uvicorn", "shop:app", "--port", "{port}"]
ready = "/healthz"
app = "shop:app"

[target.start]
method = "POST"
path = "/jobs"
json = { events = 8 }
capture = { job = "/id", session = "/session", ticket = { header = "X-Ticket" } }

[target.stream]
method = "GET"
path = "/jobs/{job}/events"
headers = { Authorization = "Bearer ${TOKEN}" }

[target.resume]
path = "/jobs/{job}/events?after={last_event_id}"
headers = { Authorization = "Bearer ${TOKEN}" }

[target.status]
path = "/jobs/{job}"
pointer = "/state"
finished = ["completed", "failed", "cancelled"]
cancelled = ["cancelled"]
subscribers = "/subscribers"

[target.cancel]
method = "POST"
path = "/jobs/{job}/cancel"

[target.probe]
path = "/debug"
gauges = { active = "/active", subscribers = "/subscribers", tasks = "/tasks" }

[target.variants.failing]
start.json = { events = 8, fail = true }
[target.variants.silent]
start.json = { events = 4, silence = 20 }
[target.variants.echo]
start.json = { events = 4, echo = "{payload}" }

[dialect]
preset = "task-stream"
json = true
scope = { pointer = "/properties/sessionID", equals = "{session}" }
sequence = "/seq"
stream = "/job"
timestamp = "/timestamp"
completion = [{ event = "complete" }, { pointer = "/type", equals = "done" }, { data = "[DONE]" }]
failure = [{ event = "error" }]
end = [{ event = "stream_end" }]
heartbeat = [{ comment = true }]

[expect]
events = 9
terminates = true
resumable = true
replay = "all"
shared = true

[limits]
head = 5
first_event = 5
silence = 15
delivery = 1
close = 5
completion = 60
cancellation = 2
shutdown = 10
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_every_documented_key_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "sse-conformance.toml", EVERYTHING)
    loaded = load_config(path, environ={"TOKEN": "s3cret-token"})
    target, dialect = loaded.config.target, loaded.config.dialect

    assert loaded.source == str(path)
    assert target.start is not None
    ticket = AnswerHeader(header="X-Ticket")
    assert target.start.capture == {"job": "/id", "session": "/session", "ticket": ticket}
    assert target.stream.headers == {"Authorization": "Bearer s3cret-token"}
    assert target.resume == Stream(
        path="/jobs/{job}/events?after={last_event_id}", headers=target.stream.headers
    )
    assert target.status is not None
    assert target.status.finished == ("completed", "failed", "cancelled")
    assert target.probe is not None
    assert set(target.probe.gauges) == {"active", "subscribers", "tasks"}
    assert set(target.variants) == {"failing", "silent", "echo"}
    assert dialect.scope == Scope("/properties/sessionID", "{session}")
    assert dialect.completion == (
        Matcher(event="complete"),
        Matcher(pointer="/type", equals="done"),
        Matcher(data="[DONE]"),
    )
    assert loaded.config.expect.replay == "all"
    assert loaded.config.limits == Limits()  # the example's are the defaults
    assert {"target.status.subscribers", "dialect.end", "expect.shared"} <= declared(loaded.config)


def test_one_key_is_enough(tmp_path: Path) -> None:
    path = write(tmp_path / "sse-conformance.toml", '[target]\nurl = "http://127.0.0.1:8000/events?all=1"')

    loaded = load_config(path, environ={})

    assert loaded.config == Config(target=Target(url="http://127.0.0.1:8000/events?all=1"))
    assert loaded.config.target.stream == Stream()
    assert loaded.secrets == frozenset()


def test_what_is_captured_can_be_used_wherever_it_is_known(tmp_path: Path) -> None:
    text = """
    [target]
    url = "http://h/bus/{job}?job={job}"
    start = { path = "/jobs", capture = { job = "/id" } }
    stream = { method = "POST", headers = { "X-Job" = "{job}" }, json = { jobs = ["{job}"] } }
    status = { path = "/jobs/{job}", pointer = "/state" }
    cancel = { path = "/jobs/{job}/cancel", body = "{job}" }
    probe = { path = "/debug/{job}", gauges = { tasks = "/tasks" } }
    variants.late = { stream.path = "/bus/{job}/late" }
    variants.echo = { start.json.text = "{payload}", stream.json.jobs = ["{job}", "{payload}"] }
    """
    target = load_config(write(tmp_path / "sse-conformance.toml", text), environ={}).config.target

    assert stream_path(target) == "/bus/{job}?job={job}"
    assert stream_path(with_variant(target, "late")) == "/bus/{job}/late"


# files


def test_its_own_file_comes_before_pyproject(tmp_path: Path) -> None:
    assert find_config(tmp_path) is None
    pyproject = write(tmp_path / "pyproject.toml", "[project]\nname = 'x'\n")
    assert find_config(tmp_path) is None
    write(pyproject, "[tool.sse-conformance.target]\nurl = 'http://h'\n")
    assert find_config(tmp_path) == pyproject
    own = write(tmp_path / "sse-conformance.toml", "")
    assert find_config(tmp_path) == own


def test_pyproject_holds_the_same_keys(tmp_path: Path) -> None:
    path = write(tmp_path / "pyproject.toml", "[tool.sse-conformance.target]\nurl = 'http://h'\n")

    assert load_config(path, environ={}).config == Config(target=Target(url="http://h"))


# the environment and secrets


def test_the_environment_is_secret_and_never_shown(tmp_path: Path) -> None:
    text = (
        '[target]\nurl = "http://h"\n[target.stream]\nheaders = { "X-Key" = "${A}-${B}", "X-Cost" = "$${A}" }'
    )
    loaded = load_config(
        write(tmp_path / "sse-conformance.toml", text), environ={"A": "alpha", "B": "beta", "C": "gamma"}
    )

    assert loaded.config.target.stream.headers == {"X-Key": "alpha-beta", "X-Cost": "${{A}}"}
    assert fill_header(loaded.config.target.stream.headers["X-Cost"], {}) == "${A}"
    assert loaded.secrets == {"alpha", "beta"}
    assert "alpha" not in repr(loaded)


def test_a_secret_with_braces_is_no_template(tmp_path: Path) -> None:
    text = '[target]\nurl = "http://h"\n[target.stream]\npath = "/${A}"'
    loaded = load_config(write(tmp_path / "sse-conformance.toml", text), environ={"A": "a{job}b"})

    assert loaded.config.target.stream.path == "/a{{job}}b"
    assert loaded.secrets == {"a{job}b"}


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("http://user:p%40ss@h/", {"p%40ss", "p@ss"}),
        ("http://token@h/", {"token"}),
        ("http://user:@h/", set()),
        ("http://h/?mail=me:you@example.org", set()),
    ],
)
def test_the_userinfo_of_a_url_is_secret(tmp_path: Path, url: str, secrets: set[str]) -> None:
    path = write(tmp_path / "sse-conformance.toml", f'[target]\nurl = "{url}"')

    assert load_config(path, environ={}).secrets == secrets
    assert config_for_url(url).secrets == secrets


# without a configuration


def test_a_url_is_a_configuration() -> None:
    loaded = config_for_url("http://127.0.0.1:8000/events")

    assert loaded == Loaded(Config(target=Target(url="http://127.0.0.1:8000/events")), frozenset(), "URL")


def test_a_url_on_the_command_line_is_no_template() -> None:
    loaded = config_for_url("http://h/{job}/${HOME}")

    assert stream_path(loaded.config.target) == "/{{job}}/${{HOME}}"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "127.0.0.1:8000",
            'URL: expected an http or https URL such as "http://127.0.0.1:8000"; found "127.0.0.1:8000"',
        ),
        ("http://h:0/", "URL: is no usable URL: its port is no number from 1 to 65535"),
        ("http://[::1/", "URL: is no usable URL: its host cannot be read"),
    ],
)
def test_what_is_no_url(url: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_for_url(url)

    assert str(caught.value) == message


def test_a_gauge_may_be_a_metric_of_prometheus(tmp_path: Path) -> None:
    path = tmp_path / "sse-conformance.toml"
    path.write_text(
        '[target]\nurl = "http://127.0.0.1:8000"\npid = 4711\n[target.probe]\npath = "/metrics"\n'
        'gauges = { open = { metric = "streams_open", labels = { kind = "sse" } }, tasks = { metric = "tasks" } }\n'
        "[limits]\ncycles = 200\n",
        encoding="utf-8",
    )
    config = load_config(path, environ={}).config
    assert config.target.pid == 4711
    assert config.limits.cycles == 200
    assert config.target.probe is not None
    assert config.target.probe.gauges == {
        "open": Metric(metric="streams_open", labels={"kind": "sse"}),
        "tasks": Metric(metric="tasks"),
    }
