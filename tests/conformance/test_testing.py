"""`conformance.testing`: a proxy in front of any address, a recording client, and an assertion."""

import socket
import threading
from pathlib import Path

import pytest
from hostile_servers import EVIL, HOSTILE, STREAM, events, says, served

from conformance.config import ConfigError
from conformance.dialect import Dialect, Matcher
from conformance.drive.target import TargetError
from conformance.history import load
from conformance.testing import FaultProxies, Record, assert_conforms, record
from fault_injection.faults import AtTrigger, Buffer, Disconnect, Latency, Slice


def origin(url: str) -> str:
    return url.rpartition("/")[0]


def test_a_stream_is_recorded_kept_and_judged(tmp_path: Path) -> None:
    with served(events(3)) as url:
        history = Record(tmp_path)(url, dialect=Dialect(sequence="/seq"))
    assert [each.event.id for each in history.streams[0].events] == ["1", "2", "3"]
    assert_conforms(history, "order.*")
    assert load(tmp_path / "stream.jsonl").records == history.records


def test_an_endless_stream_is_watched_for_the_duration() -> None:
    with served(events(None)) as url:
        history = record(url, duration=0.3)
    assert history.streams[0].how == "watched"
    assert len(history.streams[0].events) > 3


def test_headers_are_sent_and_credentials_not_kept() -> None:
    with served(events(1)) as url:
        history = record(url, headers={"Authorization": "Bearer s3cret", "X-Team": "{blue}"})
    sent = dict(history.streams[0].requested.headers)
    assert sent["Authorization"] == "<redacted>"
    assert sent["X-Team"] == "{blue}"


def test_the_proxy_injects_its_faults_into_the_first_recording() -> None:
    cut = Disconnect(AtTrigger("events", 2), connections=1)
    with served(events(4)) as url, FaultProxies() as proxies:
        proxy = proxies(origin(url), cut)
        first, second = record(f"{proxy.url}/events"), record(f"{proxy.url}/events")
    assert [len(history.streams[0].events) for history in (first, second)] == [2, 4]
    assert [fired.fault for fired in proxy.fired_faults] == [cut]


def test_a_dialect_tells_the_proxy_what_completes() -> None:
    dialect = Dialect(completion=(Matcher(data="bye"),))
    with (
        served(says(STREAM, b"data: hi\n\ndata: bye\n\ndata: late\n\n")) as url,
        FaultProxies() as proxies,
    ):
        proxy = proxies(origin(url), Disconnect(AtTrigger("completion")), dialect=dialect)
        history = record(f"{proxy.url}/events", dialect=dialect)
    assert [each.event.data for each in history.streams[0].events] == ["hi", "bye"]


def test_several_proxies_at_once_and_none_of_them_after() -> None:
    before = threading.active_count()
    with served(events(2)) as url:
        with FaultProxies() as proxies:
            running = [
                proxies(origin(url), fault) for fault in (Slice(size=2), Latency(delay=0.05), Buffer(size=9))
            ]
            for proxy in running:
                assert len(record(f"{proxy.url}/events").streams[0].events) == 2
        for proxy in running:
            with pytest.raises(TargetError, match=r"nobody listens at this address\. Is the server running"):
                record(f"{proxy.url}/events")
    assert threading.active_count() == before


@pytest.mark.parametrize("upstream", ["nowhere", "http://127.0.0.1/events", "127.0.0.1:http"])
def test_an_upstream_that_is_none(upstream: str) -> None:
    with (
        FaultProxies() as proxies,
        pytest.raises(ValueError, match="an upstream is HOST:PORT or a URL with a port"),
    ):
        proxies(upstream)


def test_a_fault_with_a_trigger_that_there_is_not() -> None:
    with FaultProxies() as proxies, pytest.raises(ValueError, match="'evnts'"):
        proxies("127.0.0.1:80", Disconnect(AtTrigger("evnts")))


def test_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TargetError, match=f"127.0.0.1:{port}/events: connection refused, nobody listens"):
        record(f"http://127.0.0.1:{port}/events")
    with pytest.raises(ConfigError, match="expected an http or https URL"):
        record("ftp://example.org/")


@pytest.mark.parametrize("kind", ["closes", "garbage"])
def test_whatever_the_server_does_is_in_the_history(kind: str) -> None:
    with served(HOSTILE[kind]) as url:
        history = record(url)
    assert history.streams[0].how in {"truncated", "protocol"}
    with pytest.raises(AssertionError, match=r"fail http\.status .* got no response \("):
        assert_conforms(history)


def test_a_failure_says_what_was_seen_and_how_to_mend_it() -> None:
    with served(HOSTILE["html"]) as url:
        history = record(url)
    with pytest.raises(AssertionError) as failed:
        assert_conforms(history)
    first, _, rest = str(failed.value).partition("\n")
    assert first == "fail http.content-type (MUST) in subscribe: the stream's Content-Type is 'text/html'"
    assert "expected content-type: text/event-stream · got Content-Type: text/html" in rest
    assert "\n  mend: " in rest


def test_a_broken_should_counts_only_when_it_is_strict() -> None:
    with served(events(2)) as url:
        history = record(url)
    assert_conforms(history, "http.proxy-buffering")
    with pytest.raises(AssertionError, match=r"warn http\.proxy-buffering"):
        assert_conforms(history, "http.proxy-buffering", strict=True)


def test_hostile_text_in_a_failure_is_made_visible() -> None:
    body = EVIL.replace("\0", "").encode()
    with served(says(STREAM, b"data: \xff" + body + b"\n\n" + body + b"\n\n")) as url:
        history = record(url)
    with pytest.raises(AssertionError) as failed:
        assert_conforms(history, "wire.*", strict=True)
    assert "‹ESC›[31mred" in str(failed.value)
    assert not [each for each in str(failed.value) if not each.isprintable() and each != "\n"]


def test_rules_that_are_judged_elsewhere_and_rules_that_there_are_not() -> None:
    with served(events(2)) as url:
        history = record(url)
    with pytest.raises(AssertionError, match="these rules are judged in resume-after-cut"):
        assert_conforms(history, "resume.no-gap")
    with pytest.raises(
        ValueError, match=r"no rule matches 'resume.nogap'; `sse-conformance rules` lists them"
    ):
        assert_conforms(history, "resume.nogap")
