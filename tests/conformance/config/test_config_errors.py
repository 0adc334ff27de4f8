"""Wrong configurations and the exact words they are answered with. The message is the product."""

from pathlib import Path

import pytest

from conformance.config import ConfigError, load_config

URL = '[target]\nurl = "http://127.0.0.1:8000"\n'
START = URL + '[target.start]\npath = "/jobs"\ncapture = { job = "/id" }\n'
METHODS = '"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"'
PRESETS = (
    "a2a, ag-ui, agent-bus, anthropic-messages, chat-status, execute-stream, job-progress, mcp, openai-chat, "
    "openai-responses, task-stream, vercel-ai"
)
SECONDS = "a number of seconds above 0 and up to 86400 (a day)"
TARGET_KEYS = (
    "url, command, ready, instances, pid, app, app_loop, start, stream, resume, status, cancel, probe, "
    "variants"
)

WRONG = {
    # what is tested
    "": "target: missing; expected a table with at least one of url, command, app",
    "[target]": "target: names nothing to test; give at least one of url, command, app",
    '[target]\nurl = "http://h"\ninstances = 2': (
        "target.instances: needs target.command: only what the harness starts can be started twice"
    ),
    '[target]\ncommand = ["serve"]': (
        "target.command: does not say where the server listens: write {port} where it takes a port, or give target.url"
    ),
    '[target]\nurl = "http://h:{port}"\ncommand = ["serve"]': (
        "target.command: does not say where the server listens: write {port} where it takes a port, or give target.url"
    ),
    '[target]\ncommand = ["serve"]\ninstances = 2': (
        "target.instances: needs a free port for each: write {port} in target.command, and no port in target.url"
    ),
    '[target]\nurl = "http://h:8000"\ncommand = ["serve", "{port}"]\ninstances = 2': (
        "target.instances: needs a free port for each: write {port} in target.command, and no port in target.url"
    ),
    '[targt]\nurl = "http://h"': (
        'targt: unknown key; did you mean "target"? Allowed here: target, dialect, expect, limits'
    ),
    '[target]\nurl = "localhost:8000"': (
        'target.url: expected an http or https URL such as "http://127.0.0.1:8000"; found "localhost:8000"'
    ),
    '[target]\nurl = "ftp://me:hunter2@host/"': (
        'target.url: expected an http or https URL such as "http://127.0.0.1:8000"; found "ftp://<redacted>@host/"'
    ),
    '[target]\nurl = "http://host:99999"': (
        "target.url: is no usable URL: its port is no number from 1 to 65535"
    ),
    '[target]\nurl = "http://user@/x"': "target.url: is no usable URL: it names no host",
    '[target]\nurl = "http://host:{port}"': (
        "target.url: {port} stands for the port of a server that target.command starts, and there is no command"
    ),
    '[target]\ncommand = "uvicorn shop:app"': (
        'target.command: expected a list of strings such as ["python", "app.py", "--port", "{port}"]; '
        'found "uvicorn shop:app"'
    ),
    '[target]\ncommand = ["serve", 1]': "target.command[1]: expected a string; found 1",
    '[target]\ncommand = ["serve", "{prot}"]': (
        "target.command[1]: {prot} has no value here; placeholders allowed: {port}. Write {{prot}} for itself"
    ),
    '[target]\napp = "shop"': (
        'target.app: expected an ASGI application such as "package.module:app"; found "shop"'
    ),
    # requests
    URL + '[target.strat]\npath = "/jobs"': (
        f'target.strat: unknown key; did you mean "start"? Allowed here: {TARGET_KEYS}'
    ),
    URL + '[target.start]\npath = "/jobs"\nmethod = "post"': (
        f'target.start.method: expected one of {METHODS}; found "post"; did you mean "POST"?'
    ),
    URL + "[target.start]\njson = { events = 8 }": (
        'target.start.path: missing; expected a path such as "/jobs/{job}" that starts with "/"'
    ),
    URL + '[target.start]\npath = "jobs"': (
        'target.start.path: expected a path such as "/jobs/{job}" that starts with "/"; found "jobs"'
    ),
    URL + '[target.start]\npath = "/jobs"\ncapture = { job = "id" }': (
        'target.start.capture.job: expected a JSON Pointer such as "/id" or "/items/0", or a header such as '
        '{ header = "Mcp-Session-Id" }; found "id"'
    ),
    URL + '[target.start]\npath = "/jobs"\ncapture = { "my job" = "/id" }': (
        'target.start.capture."my job": expected a name of letters, digits and _ as the key; found "my job"'
    ),
    URL + '[target.start]\npath = "/jobs"\ncapture = { port = "/id" }': (
        "target.start.capture.port: choose another name; {port} already stands for a free port"
    ),
    START + "json = { a = 1 }\nbody = 'a'": (
        "target.start.body: a request has one body; give json or body, not both"
    ),
    START + "json = { on = [2025-01-01] }": (
        'target.start.json.on[0]: JSON has no dates; write a string: "2025-01-01"'
    ),
    START + "json = { a = nan }": "target.start.json.a: JSON has no nan; write a number or a string",
    URL + "[target.stream]\njson = { stream = true }": (
        'target.stream.json: a GET request carries no body; set method = "POST"'
    ),
    URL + '[target.stream]\nheaders = { "X Y" = "1" }': (
        'target.stream.headers."X Y": expected the name of an HTTP header as the key; found "X Y"'
    ),
    URL + "[target.stream]\nheaders = { X = 1 }": (
        "target.stream.headers.X: expected the value of an HTTP header, a string on one line; found 1"
    ),
    # placeholders
    URL + '[target.stream]\npath = "/jobs/{job}/events"': (
        "target.stream.path: {job} has no value: there is no [target.start] that could capture it"
    ),
    '[target]\nurl = "http://host/jobs/{job}"': (
        "target.url: {job} has no value: there is no [target.start] that could capture it"
    ),
    START + '[target.stream]\npath = "/jobs/{jbo}/events"': (
        "target.stream.path: {jbo} is captured nowhere; did you mean {job}?"
    ),
    START + '[target.stream]\npath = "/{session}/events"': (
        "target.stream.path: {session} is captured nowhere; add it to target.start.capture, "
        'e.g. session = "/id"'
    ),
    START + '[target.cancel]\npath = "/{port}"': (
        "target.cancel.path: {port} has a value only in target.command and in the host and port of target.url"
    ),
    URL + '[target.start]\npath = "/jobs/{job}"\ncapture = { job = "/id" }': (
        "target.start.path: {job} has no value here; placeholders allowed: {exchange}, {fresh_id}. Write {{job}} for "
        "itself"
    ),
    URL + '[target.start]\npath = "/jobs"\nbody = "{payload}"': (
        "target.start.body: {payload} has a value only in target.variants.echo and target.variants.flood"
    ),
    URL + '[target.stream]\npath = "/echo?text={payload}"': (
        "target.stream.path: {payload} has a value only in target.variants.echo and target.variants.flood"
    ),
    # coming back
    URL + '[target.resume]\npath = "/{last_evnt_id}"': (
        "target.resume.path: {last_evnt_id} is captured nowhere; did you mean {last_event_id}?"
    ),
    START + '[target.resume]\njson.after = "{last}"\nmethod = "POST"': (
        'target.resume.json.after: {last} is captured nowhere; add it to target.start.capture, e.g. last = "/id"'
    ),
    START + '[target.stream]\nheaders = { After = "{last_event_id}" }': (
        "target.stream.headers.After: {last_event_id} has a value only in target.resume"
    ),
    '[target]\nurl = "http://{exchange}.example/x"': (
        "target.url: {exchange} has no value here; placeholders allowed: {port}. Write {{exchange}} for itself"
    ),
    URL + '[dialect.scope]\npointer = "/id"\nequals = "{exchange}"': (
        "dialect.scope.equals: {exchange} has a value only in requests"
    ),
    URL + '[target.probe]\npath = "/{fresh_id}"\ngauges = { a = "/a" }': (
        "target.probe.path: {fresh_id} has no value: there is no [target.start] that could capture it"
    ),
    URL + "[target.resume]\njson = { after = 1 }": (
        'target.resume.json: a GET request carries no body; set method = "POST"'
    ),
    URL + '[target.resume]\npath = "/"\n[expect]\nresumable = false': (
        "target.resume: contradicts expect.resumable = false: nobody comes back where the last event ID is not honoured"
    ),
    START + '[[target.start.then]]\npath = "/{job}/{run}"\ncapture = { run = "/id" }': (
        'target.start.then[0].path: {run} is captured nowhere; add it to target.start.capture, e.g. run = "/id"'
    ),
    START + '[[target.start.then]]\npath = "/"\ncapture = { job = "/id" }': (
        "target.start.then[0].capture.job: choose another name; {job} is captured before"
    ),
    START + '[[target.start.then]]\nmethod = "GET"\npath = "/"\nbody = "x"': (
        'target.start.then[0].body: a GET request carries no body; set method = "POST"'
    ),
    START + '[target.stream]\npath = "/{last_sequence}"': (
        "target.stream.path: {last_sequence} has a value only in target.resume"
    ),
    START + '[target.resume]\npath = "/{last_sequence}"': (
        'target.resume: {last_sequence} needs dialect.sequence, e.g. sequence = "/sequence_number"'
    ),
    START + '[target.resume]\npath = "/{last_sequence}"\n[dialect]\nsequence = "id"': (
        'target.resume: {last_sequence} is a number in the data, and dialect.sequence is "id"; write {last_event_id}'
    ),
    START + '[target.resume]\npath = "/{last_sequence}/{last_event_id}"\n[dialect]\nsequence = "/n"': (
        "target.resume: holds {last_event_id} and {last_sequence}; a subscriber comes back with one of them"
    ),
    START + '[target.status]\npath = "/"\npointer = "/x"\njson = { id = "{job}" }': (
        'target.status.json: a GET request carries no body; set method = "POST"'
    ),
    URL + '[target.start]\npath = "/"\ncapture = { last_event_id = "/id" }': (
        "target.start.capture.last_event_id: choose another name; {last_event_id} already stands for the last event ID "
        "of a subscriber that comes back"
    ),
    URL + '[target.start]\npath = "/"\ncapture = { exchange = "/id" }': (
        "target.start.capture.exchange: choose another name; {exchange} already stands for the name of a request, "
        "another one for each"
    ),
    URL + '[target.start]\npath = "/"\ncapture = { job = { header = "X Y" } }': (
        'target.start.capture.job: expected a JSON Pointer such as "/id" or "/items/0", or a header such as '
        '{ header = "Mcp-Session-Id" }; found a table'
    ),
    URL + '[target.start]\npath = "/"\ncapture = { login = { header = "set-cookie" } }': (
        "target.start.capture.login.header: is a credential, and what is captured stands in the history; take another "
        "header, or put a session into target.stream.headers, as ${SESSION}"
    ),
    # the environment
    URL + '[target.stream]\nheaders = { Authorization = "Bearer ${TOKEN}" }': (
        "target.stream.headers.Authorization: the environment variable TOKEN is not set"
    ),
    '[target]\nurl = "${URL}"': "target.url: the environment variable URL is not set",
    URL + '[target.stream]\nheaders = { Authorization = "Bearer ${EMPTY}" }': (
        "target.stream.headers.Authorization: the environment variable EMPTY is set but empty"
    ),
    URL + '[target.stream]\nheaders = { Authorization = "${TOKEN:-none}" }': (
        "target.stream.headers.Authorization: expected the name of an environment variable, e.g. ${TOKEN}; "
        "found ${TOKEN:-none}. Write $${TOKEN:-none} for itself"
    ),
    URL + '[target.stream]\nheaders = { Authorization = "${TWO_LINES}" }': (
        "target.stream.headers.Authorization: expected the value of an HTTP header, a string on one line; "
        'found "${TWO_LINES}"'
    ),
    # status, probe, variants
    URL + '[target.probe]\npath = "/metrics"\ngauges = { open = { metrik = "streams_open" } }': (
        'target.probe.gauges.open: expected a JSON Pointer such as "/tasks", or a Prometheus metric such as '
        '{ metric = "streams_open", labels = { kind = "sse" } }; found a table'
    ),
    URL + '[target.probe]\npath = "/m"\ngauges = { open = { metric = "open" }, tasks = "/tasks" }': (
        "target.probe.gauges.open: is a Prometheus metric, others are JSON Pointers; one answer is in one format"
    ),
    "[target]\npid = 0\nurl = 'http://h'": "target.pid: expected the number of a process; found 0",
    "[target]\npid = 7\ncommand = ['serve', '{port}']": (
        "target.pid: is for a server that runs already; the process of target.command is known"
    ),
    URL + '[target.status]\npath = "/s"': (
        "target.status: reads nothing from the answer; give pointer or subscribers"
    ),
    URL + '[target.status]\npath = "/s"\nfinished = ["done"]\nsubscribers = "/n"': (
        "target.status.finished: needs target.status.pointer, which leads to the state"
    ),
    URL + '[target.status]\npath = "/s"\npointer = "/state"\nfinished = "done"': (
        'target.status.finished: expected a list of at least one value such as ["completed", "failed"]; '
        'found "done"'
    ),
    URL + '[target.probe]\npath = "/debug"\ngauges = {}': (
        'target.probe.gauges: expected a table of at least one gauge such as { tasks = "/tasks" }; '
        "found an empty table"
    ),
    START + '[target.variants.a]\nstart = { method = "GET", json = { a = 1 } }': (
        'target.variants.a.start.json: a GET request carries no body; set method = "POST"'
    ),
    START + '[target.variants.a]\nstream.path = "/{jbo}"': (
        "target.variants.a.stream.path: {jbo} is captured nowhere; did you mean {job}?"
    ),
    START + "[target.variants.failing]": (
        "target.variants.failing: changes nothing; give start or stream, e.g. start.json = { fail = true }"
    ),
    URL + "[target.variants.failing]\nstart.json = { fail = true }": (
        "target.variants.failing.start: there is no [target.start] that it could vary"
    ),
    # the dialect
    URL + '[dialect]\npreset = "openai"': (
        f'dialect.preset: there is no preset "openai"; did you mean "openai-chat"? Presets: {PRESETS}'
    ),
    URL + '[dialect]\npreset = "mine"': f'dialect.preset: there is no preset "mine". Presets: {PRESETS}',
    URL + '[dialect]\nsequence = "seq"': (
        'dialect.sequence: expected "id" or a JSON Pointer into data such as "/seq"; found "seq"'
    ),
    URL + '[dialect]\njson = "yes"': 'dialect.json: expected true or false; found "yes"',
    URL + '[dialect]\nscope = { pointer = "/a" }': "dialect.scope.equals: missing; expected a string",
    URL + '[dialect]\ncompletion = { event = "done" }': (
        'dialect.completion: expected a list of tables such as [{ event = "complete" }]; found a table'
    ),
    URL + '[dialect]\ncompletion = ["done"]': (
        "dialect.completion[0]: expected a table with keys of event, pointer, equals, data, comment; "
        'found "done"'
    ),
    URL + "[dialect]\ncompletion = [{}]": (
        "dialect.completion[0]: tells nothing; give one of event, pointer (with equals), data, comment = true"
    ),
    URL + '[dialect]\ncompletion = [{ event = "a" }, { event = "b", data = "c" }]': (
        "dialect.completion[1]: has event and data; one matcher tells one thing, a list tells several"
    ),
    URL + '[dialect]\ncompletion = [{ equals = "done" }]': (
        'dialect.completion[0].equals: needs pointer, which leads to the value, e.g. pointer = "/type"'
    ),
    URL + "[dialect]\nend = [{ comment = true }]": (
        "dialect.end[0]: a comment reaches no client, so it cannot say end; only heartbeat takes it"
    ),
    URL + '[dialect]\ncompletion = [{ event = "a" }]\nend = [{ event = "a" }]': (
        "dialect.end[0]: says the same as one of dialect.completion; an event has one meaning"
    ),
    # expectations and limits
    URL + '[expect]\nreplay = "some"': (
        'expect.replay: expected one of "all", "none", "since-id"; found "some"'
    ),
    URL + "[expect]\nevents = true": "expect.events: expected a whole number from 1 up; found true",
    URL + '[expect]\nresumable = false\nreplay = "since-id"': (
        'expect.replay: contradicts expect.resumable = false: "since-id" needs a server that honours Last-Event-ID'
    ),
    URL + "[expect]\nshared = true\nsuperseding = true": (
        "expect.superseding: contradicts expect.shared = true: a second stream cannot both end the first and stand "
        "beside it; leave one out, or say in target.variants.superseding which streams end each other"
    ),
    URL + "[expect]\nsilence = 3": (
        "expect.silence: unknown key; it belongs in [limits]. "
        "Allowed here: events, terminates, resumable, replay, shared, abandoned, superseding"
    ),
    URL + "[limits]\nhead = -1": f"limits.head: expected {SECONDS}; found -1",
    URL
    + "[limits]\nstatus = -1": "limits.status: expected a number of seconds from 0 up to 86400 (a day); found -1",
    URL + "[limits]\nhead = inf": f"limits.head: expected {SECONDS}; found inf",
    URL + '[limits]\nhead = "5s"': f'limits.head: expected {SECONDS}; found "5s"',
    URL + "[limits]\nbody = 100": (
        "limits.body: expected a number of bytes from 1024 to 1073741824 (1 GiB); found 100"
    ),
}


@pytest.mark.parametrize(("toml", "message"), WRONG.items())
def test_a_wrong_configuration_is_told_what_and_where(tmp_path: Path, toml: str, message: str) -> None:
    path = tmp_path / "sse-conformance.toml"
    path.write_text(toml, encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={"EMPTY": "", "TWO_LINES": "one\ntwo"})

    assert str(caught.value) == f"{path}: {message}"


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "sse-conformance.toml"
    path.write_text(
        'url = "http://h"\n[target.stream]\npath = "events"\nheaders = { A = "${A}", B = "${B}" }\n'
        "[limits]\nsilnce = 3\nhead = 0\n",
        encoding="utf-8",
    )

    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={})

    assert str(caught.value).splitlines() == [
        f"{path}: 6 problems",
        "  target.stream.headers.A: the environment variable A is not set",
        "  target.stream.headers.B: the environment variable B is not set",
        "  url: unknown key; it belongs in [target]. Allowed here: target, dialect, expect, limits",
        '  target.stream.path: expected a path such as "/jobs/{job}" that starts with "/"; found "events"',
        '  limits.silnce: unknown key; did you mean "silence"? Allowed here: connect, head, first_event, '
        "silence, delivery, close, completion, cancellation, status, shutdown, body, events, crowd, cycles",
        f"  limits.head: expected {SECONDS}; found 0",
    ]
    assert [problem.path for problem in caught.value.problems][:2] == [
        ("target", "stream", "headers", "A"),
        ("target", "stream", "headers", "B"),
    ]


def test_in_pyproject_the_path_says_so(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text('[tool.sse-conformance]\ntarget.url = "http://h"\nlimits.head = 0\n', encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={})

    assert str(caught.value) == f"{path}: tool.sse-conformance.limits.head: expected {SECONDS}; found 0"


# TOML itself; the words after "is not TOML" are the parser's, and they change


@pytest.mark.parametrize(
    ("toml", "where"),
    [
        ('[target]\nurl "http://h"\n', ":2:5"),
        ("[target\n", ":1:8"),
        (START + "[target.variants.a]\nstart.json = {}\n[target.variants.a]\nstart.json = {}\n", ":8:19"),
        ("a = 1\na = 2\n", ":2:6"),
    ],
)
def test_what_is_not_toml_carries_line_and_column(tmp_path: Path, toml: str, where: str) -> None:
    path = tmp_path / "sse-conformance.toml"
    path.write_text(toml, encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={})

    assert str(caught.value).startswith(f"{path}{where}: is not TOML: ")


def test_what_ends_too_early_says_so(tmp_path: Path) -> None:
    path = tmp_path / "sse-conformance.toml"
    path.write_text("[target]\nurl = ", encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={})

    assert str(caught.value).startswith(f"{path}, at its end: is not TOML: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[target]\nurl = '\xff'", "is not UTF-8 (at byte 16); TOML files are"),
        (b"a = " + b"[" * 100_000, "is nested too deeply"),
        (b"target.start.json" + b".a" * 2_000 + b" = 1", "is nested too deeply"),
        (
            b"expect.events = " + b"9" * 5_000,
            "cannot be read: Exceeds the limit (4300 digits) for integer string conversion: value has 5000 "
            "digits; use sys.set_int_max_str_digits() to increase the limit",
        ),
    ],
)
def test_what_cannot_be_read_at_all(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "sse-conformance.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={})

    assert str(caught.value) == f"{path}: {message}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "nope.toml", environ={})

    assert str(caught.value) == f"{tmp_path / 'nope.toml'}: cannot be read: No such file or directory"


def test_a_pyproject_without_the_table(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[project]\nname = 'x'\n", encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={})

    assert str(caught.value) == f"{path}: has no [tool.sse-conformance] table"


@pytest.mark.parametrize(
    "toml",
    [
        '[target]\nurl = "http://h:${SECRET}"',
        '[target]\nurl = "http://h"\nready = "${SECRET}"',
        '[target]\nurl = "http://h/{job}"\n[dialect]\npreset = "${SECRET}"',
        '[target]\nurl = "http://h"\n[dialect]\npreset = "${SECRET}"',
        '[target]\nurl = "http://h"\n[target.stream]\nmethod = "${SECRET}"',
    ],
)
def test_no_message_shows_a_secret(tmp_path: Path, toml: str) -> None:
    path = tmp_path / "sse-conformance.toml"
    path.write_text(toml, encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={"SECRET": "hunter2"})

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value)
