"""`pytest --pyargs conformance.suite`, as somebody runs it who installed the package, from a folder of their own."""

import re

import pytest
from hostile_servers import HOSTILE, events, served
from ways_in import PLUGIN, ROOT

pytest_plugins = "pytester"

Outcome = tuple[int, str]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ROOT)


def suite(pytester: pytest.Pytester, *arguments: str) -> Outcome:
    """The exit code of the suite with these arguments, and what it prints."""
    result = pytester.runpytest_subprocess(*PLUGIN, "--pyargs", "conformance.suite", *arguments)
    return int(result.ret), "\n".join(result.outlines + result.errlines)


def test_there_is_a_test_for_each_case_and_only_what_is_selected_is_driven(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    with served(events(3)) as url:
        code, said = suite(
            pytester,
            "--sse-url",
            url,
            "-v",
            "-rs",
            "-k",
            "subscribe/ and (http or order)",
            "--sse-out",
            "report",
        )
    assert code == 0
    assert "test_stream[subscribe/http.status] PASSED" in said
    assert "BrokenShould: warn http.proxy-buffering (SHOULD) in subscribe" in said
    assert "not-applicable: needs dialect.sequence in the configuration" in said
    assert sorted(path.name for path in (pytester.path / "report" / "histories").iterdir()) == [
        "subscribe.jsonl"
    ]
    assert (pytester.path / "report" / "report.html").exists()


def test_a_broken_rule_fails_its_test_with_what_was_seen_and_how_to_mend_it(
    pytester: pytest.Pytester,
) -> None:
    with served(HOSTILE["html"]) as url:
        code, said = suite(pytester, "--sse-url", url, "-k", "subscribe/http", "--sse-strict")
    assert code == 1
    assert "fail http.content-type (MUST) in subscribe: the stream's Content-Type is 'text/html'" in said
    assert "a · at 0." in said
    assert "expected content-type: text/event-stream" in said
    assert "mend: " in said
    assert "Error" not in said


def test_a_target_that_is_not_there_ends_the_session_with_one_sentence(pytester: pytest.Pytester) -> None:
    code, said = suite(pytester, "--sse-url", "http://127.0.0.1:1/events")
    assert code == 3
    assert said.count("127.0.0.1:1 refused the connection: nobody listens there. Is the server running?") == 1
    assert "Traceback" not in said
    assert not re.search(r"\d+ (failed|passed|error)", said)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--sse-config", "no.toml"), "--sse-config no.toml: there is no such file"),
        (("--sse-known-failures", "no.toml"), "--sse-known-failures no.toml: No such file or directory"),
        (("--sse-url", "ftp://x/"), "expected an http or https URL"),
        (("--sse-duration", "-5"), "--sse-duration -5: 0.1 to 2592000 seconds"),
        (("--sse-duration", "nan"), "--sse-duration nan: 0.1 to 2592000 seconds"),
        (("--sse-toxiproxy", "nonsense"), "--sse-toxiproxy 'nonsense' is no URL"),
    ],
)
def test_a_wrong_call_ends_the_session_before_any_request(
    pytester: pytest.Pytester, arguments: tuple[str, ...], sentence: str
) -> None:
    code, said = suite(pytester, *arguments)
    assert code == 2
    assert said.count(sentence) == 1
    assert "Traceback" not in said


def test_known_failures_are_expected_to_fail_and_have_to(pytester: pytest.Pytester) -> None:
    pytester.makefile(
        ".toml",
        known="""
            [[failure]]
            rule = "http.content-type"
            reason = "a page, see issue 7"
            [[failure]]
            rule = "http.status"
            reason = "was 500 once"
        """,
    )
    with served(HOSTILE["html"]) as url:
        code, said = suite(
            pytester, "--sse-url", url, "--sse-known-failures", "known.toml", "-rx", "-k", "subscribe/http"
        )
    assert code == 1
    assert "known failure: a page, see issue 7" in said
    assert "listed as a known failure (was 500 once), but it passes: take it off the list" in said
    assert "1 failed" in said
    assert "1 xfailed" in said


def test_without_the_plugin_the_suite_says_so(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("-p", "no:sse-conformance", "--pyargs", "conformance.suite")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "needs the plugin sse-conformance, which is not loaded" in "\n".join(
        result.outlines + result.errlines
    )


APP = """
import asyncio

async def app(scope, receive, send):
    assert scope["type"] == "http"
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number in range(300):
        await asyncio.sleep(1)
        await send({"type": "http.response.body", "body": b"id: %d\\ndata: {}\\n\\n" % number, "more_body": True})
    await send({"type": "http.response.body", "body": b"data: [DONE]\\n\\n"})
"""


def test_an_application_is_driven_in_this_process_and_in_virtual_time(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(shop=APP)
    pytester.makefile(
        ".toml",
        shop="""
            target.app = "shop:app"
            target.stream.path = "/events"
            dialect.completion = [{ data = "[DONE]" }]
            limits.completion = 400
        """,
    )
    code, said = suite(pytester, "--sse-config", "shop.toml", "-k", "subscribe/", "--sse-out", "report")
    assert code == 0, said
    results = (pytester.path / "report" / "results.json").read_text("utf-8")
    assert '"how": "in this process on asyncio, in virtual time"' in results  # or it would take five minutes


def test_an_application_that_is_not_there_ends_the_session_with_one_sentence(
    pytester: pytest.Pytester,
) -> None:
    pytester.makefile(".toml", shop='target.app = "no_shop:app"')
    code, said = suite(pytester, "--sse-config", "shop.toml")
    assert code == 2
    assert said.count("shop.toml: target.app 'no_shop:app': there is no module 'no_shop' in") == 1
    assert "Traceback" not in said
