"""A made-up run for the tests of the renderings: 12 scenarios, 45 rules, broken ones, a burst, a resume."""

from reports.results import Case, Evidence, Finding, Level, Results, RuleInfo, Scenario, Verdict, summarise
from reports.timeline import Lane, Mark, Series, Span, Timeline

SCENARIOS = {
    "subscribe": "Opens the stream before the work begins and reads it to its end.",
    "late subscriber": "Opens the stream after the work has ended.",
    "resume after a cut": "Cuts the connection after the third event, reconnects with Last-Event-ID.",
    "cut inside a chunk": "Cuts the connection in the middle of an event and reconnects.",
    "buffering proxy": "Reads through a link that holds 4,096 bytes until they are full.",
    "slow network": "Reads through a link with 300 ms of latency and 2,000 bytes a second.",
    "re-cut bytes": "Cuts the bytes anew: inside CRLF, inside a character, between fields.",
    "two subscribers": "Two subscribers read one stream; both must see the same.",
    "stalled reader": "One subscriber stops reading; the others must not notice.",
    "cancel": "Cancels the work after the second event.",
    "crowd": "A hundred subscribers at once, then none; what was taken must be given back.",
    "shutdown": "Asks the server to stop while streams are open.",
}

_RULES = """
http: status content-type charset cache-control proxy-buffering compression no-length head-before-first-event
wire: utf-8 bom fields terminated id-null retry json line-endings
timeliness: first-event delivery no-burst heartbeat
order: increasing no-gap no-duplicate unique-ids
completion: delivered once last server-closes late-subscriber status-agrees
resume: no-gap no-duplicate unknown-id completion-survives
cancel: noticed work-stops others-unaffected
resource: gauges-return descriptors stalled-reader crowd
shutdown: exits streams-ended port-released no-orphans
"""
_SHOULD = {
    "http.cache-control",
    "http.proxy-buffering",
    "http.compression",
    "wire.line-endings",
    "wire.fields",
}
_ONLY_IN = {
    "resume": ("resume after a cut", "cut inside a chunk"),
    "cancel": ("cancel",),
    "shutdown": ("shutdown",),
    "resource": ("crowd", "stalled reader"),
}
_CLAIMS = {
    "http.content-type": "The answer to a subscription has the content type text/event-stream.",
    "completion.delivered": "The completion message reaches every subscriber that stays to the end.",
    "resume.no-gap": "A subscriber that comes back with Last-Event-ID misses no event.",
    "timeliness.no-burst": "Events arrive when they happen, not all at once at the end.",
    "http.proxy-buffering": "The answer asks proxies not to buffer it (X-Accel-Buffering: no).",
}


def rules() -> dict[str, RuleInfo]:
    found = {}
    for line in _RULES.split("\n"):
        area, _, names = line.partition(": ")
        for short in names.split():
            name = f"{area}.{short}"
            found[name] = RuleInfo(
                name=name,
                level=Level.SHOULD if name in _SHOULD else Level.MUST,
                claim=_CLAIMS.get(name, f"The stream keeps the rule about {short.replace('-', ' ')}."),
                why="A client cannot tell a stream that is held back from work that has hung, so it gives up "
                "or reads on for ever. People see a spinner.",
                source="https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream"
                if area == "wire"
                else "RFC 9110, section 8.3",
                mend="Send the header before the first event, flush after every event, and let no middleware "
                "compress this path.",
            )
    return found


def finding(name: str) -> Finding:
    match name:
        case "timeliness.no-burst":
            return Finding(
                "40 events that were 0.2 s apart at the server arrived within 0.02 s.",
                (
                    Evidence(
                        connection="GET /jobs/7/events #1",
                        time=8.021,
                        offset=4096,
                        excerpt='id: 39\r\nevent: progress\r\ndata: {"seq": 39, "pct": 97}\r\n\r\nid: 40\r\n'
                        'event: progress\r\ndata: {"seq": 40, "pct": 100}\r\n\r\n',
                        expected="gaps near 0.2 s, as in the scenario “subscribe”",
                        actual="39 of 40 gaps below 0.001 s, after a silence of 7.9 s",
                    ),
                ),
            )
        case "completion.delivered":
            return Finding(
                "The stream ended without the completion message.",
                (
                    Evidence(
                        connection="GET /jobs/7/events #2",
                        time=3.418,
                        offset=731,
                        excerpt='data: {"seq": 8, "type": "progress"}\n\ndata: {"type": "comp',
                        expected="an event with /type = “complete” before the end",
                        actual="the response ended inside an event, 16 bytes after its beginning",
                    ),
                    Evidence(connection="GET /jobs/7", time=3.6, expected="running", actual="completed"),
                ),
            )
        case "resume.no-gap":
            return Finding(
                "Events 4 and 5 were never delivered.",
                (
                    Evidence(
                        connection="GET /jobs/7/events #2",
                        time=1.52,
                        offset=0,
                        excerpt='Last-Event-ID: 3\n\nid: 6\ndata: {"seq": 6}\n\n',
                        expected="4 after 3",
                        actual="6 after 3",
                    ),
                ),
            )
        case "http.content-type":
            return Finding(
                "The content type is not that of an event stream; a browser's EventSource will not open it.",
                (
                    Evidence(
                        connection="GET /jobs/7/events #1",
                        time=0.031,
                        excerpt="HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n",
                        expected="text/event-stream",
                        actual="text/plain; charset=utf-8",
                    ),
                ),
            )
        case _:
            return Finding("The header X-Accel-Buffering is not there; nginx holds the stream back.")


_FAILING = {
    ("timeliness.no-burst", "buffering proxy"): Verdict.FAIL,
    ("completion.delivered", "cut inside a chunk"): Verdict.FAIL,
    ("completion.delivered", "slow network"): Verdict.FAIL,
    ("resume.no-gap", "resume after a cut"): Verdict.FAIL,
    ("resume.no-gap", "cut inside a chunk"): Verdict.FAIL,
    ("http.content-type", "late subscriber"): Verdict.FAIL,
    ("resource.descriptors", "crowd"): Verdict.ERROR,
}


def case(rule: str, level: Level, scenario: str) -> Case:
    area = rule.partition(".")[0]
    verdict, reason, findings, excused = Verdict.PASS, "", (), None
    if (rule, scenario) in _FAILING:
        verdict = _FAILING[rule, scenario]
    elif rule == "http.proxy-buffering" and scenario not in ("shutdown", "crowd"):
        verdict = Verdict.WARN
    elif scenario not in _ONLY_IN.get(area, SCENARIOS):
        verdict, reason = Verdict.NOT_APPLICABLE, f"the scenario has nothing to do with {area}"
    elif rule == "timeliness.heartbeat":
        verdict, reason = Verdict.NOT_APPLICABLE, "the dialect declares no heartbeat: dialect.heartbeat"
    elif rule in ("timeliness.delivery", "order.no-gap") and scenario in (
        "slow network",
        "re-cut bytes",
        "crowd",
    ):
        verdict, reason = Verdict.INCONCLUSIVE, "fewer than three events were seen in two attempts"
    elif rule == "shutdown.no-orphans":
        verdict, excused = Verdict.FAIL, "issue 123: the worker is stopped by its supervisor"
    if verdict is Verdict.ERROR:
        reason = "psutil.AccessDenied: the descriptors of process 4711 cannot be counted (pid=4711)"
    shown: tuple[Finding, ...] = (finding(rule),) if verdict in (Verdict.FAIL, Verdict.WARN) else findings
    return Case(
        id=f"{scenario}/{rule}",
        rule=rule,
        level=level,
        scenario=scenario,
        faults=("Buffer(4096) to the subscriber",) if scenario == "buffering proxy" else (),
        verdict=verdict,
        reason=reason,
        findings=shown,
        history=f"{scenario.replace(' ', '-')}.jsonl",
        duration=8.42,
        excused=excused,
    )


def results() -> Results:
    catalogue = rules()
    cases = tuple(case(r.name, r.level, s) for s in SCENARIOS for r in catalogue.values())
    return Results(
        target="http://127.0.0.1:8000",
        seed=20251120,
        started="2025-11-20T10:47:03.250000+00:00",
        duration=74.31,
        version="0.1.0",
        assumptions=(
            "preset “task-stream”: the first event is task_started",
            "sequence = “/seq”: a number that grows by one in every event",
        ),
        unlocks=(
            "target.status: completion.status-agrees, cancel.acknowledged",
            "dialect.heartbeat: timeliness.heartbeat",
            "target.probe.gauges: resource.gauges-return",
        ),
        scenarios=tuple(
            Scenario(
                name=name,
                summary=summary,
                duration=8.42 + index,
                figures={"events per second": "19.8", "first event": "31 ms", "longest silence": "0.21 s"},
            )
            for index, (name, summary) in enumerate(SCENARIOS.items())
        ),
        rules=catalogue,
        cases=cases,
        summary=summarise(cases),
    )


def steady(name: str = "GET /jobs/7/events #1", *, count: int = 40, gap: float = 0.2) -> Lane:
    """A response whose events come as they happen."""
    times = [0.1 + gap * n for n in range(count)]
    return Lane(
        name=name,
        marks=(
            Mark(0.0, "note", "subscribe", "GET /jobs/7/events"),
            *(Mark(time, "event", f"seq {n}", f'progress {{"seq": {n}}}') for n, time in enumerate(times)),
            Mark(times[-1] + gap, "good", "complete", '{"type": "complete"}'),
        ),
        spans=(Span(0.03, times[-1] + gap + 0.05, "quiet", "200 text/event-stream"),),
    )


def burst() -> Timeline:
    """Forty events held back by a buffer, delivered at once at the end; the same stream untouched."""
    held = Lane(
        name="GET /jobs/7/events #2, through the buffer",
        marks=(
            Mark(0.0, "note", "subscribe", "GET /jobs/7/events"),
            *(Mark(8.0 + n / 2000, "event", f"seq {n}", f'progress {{"seq": {n}}}') for n in range(40)),
            Mark(8.12, "good", "complete", '{"type": "complete"}'),
        ),
        spans=(Span(0.03, 8.2, "quiet", "200 text/event-stream"),),
    )
    link = Lane(
        name="link",
        marks=(Mark(0.03, "fault", "Buffer(4096)", "holds bytes until 4,096 are there"),),
        spans=(Span(0.03, 8.0, "fault", "held back"),),
    )
    return Timeline("buffering proxy", 8.42, (steady(count=40), held, link))


def resume() -> Timeline:
    """A stream that is cut, and comes back with its last event ID."""
    first = Lane(
        name="GET /jobs/7/events #1",
        marks=(
            Mark(0.0, "note", "subscribe", "GET /jobs/7/events"),
            *(Mark(0.3 * n, "event", f"id {n}") for n in (1, 2, 3)),
            Mark(1.02, "bad", "reset", "connection reset by peer inside an event"),
        ),
        spans=(Span(0.05, 1.02, "quiet", "200 text/event-stream"),),
    )
    second = Lane(
        name="GET /jobs/7/events #2",
        marks=(
            Mark(1.5, "note", "reconnect", "Last-Event-ID: 3"),
            *(Mark(1.2 + 0.3 * (n - 4), "event", f"id {n}") for n in range(6, 12)),
            *(Mark(2.0 + 0.5 * n, "quiet", "comment") for n in range(3)),
            Mark(3.4, "good", "complete"),
        ),
        spans=(Span(1.52, 3.45, "quiet", "200 text/event-stream"),),
    )
    link = Lane(name="link", marks=(Mark(1.0, "fault", "Disconnect(RST)", "after the third event"),))
    return Timeline("resume after a cut", 3.6, (first, second, link))


def timelines() -> dict[str, Timeline]:
    plain = {name: Timeline(name, 8.42, (steady(),)) for name in SCENARIOS}
    crowd = Timeline("crowd", 8.42, tuple(steady(f"GET /jobs/7/events #{n}", count=30) for n in range(100)))
    return {
        **plain,
        "buffering proxy": burst(),
        "resume after a cut": resume(),
        "crowd": crowd,
        "stalled reader": Timeline("stalled reader", 8.42, (steady(),), gauges()),
    }


def gauges() -> tuple[Series, ...]:
    """One that leaks, one that does not change, one of bytes."""
    times = [0.3 * n for n in range(28)]
    return (
        Series("process.threads", tuple((time, 4.0) for time in times)),
        Series("process.descriptors", tuple((time, 9.0 + 4 * n) for n, time in enumerate(times))),
        Series(
            "process.memory",
            tuple((time, 80.4e6 + 40_000 * (n % 7)) for n, time in enumerate(times)),
            "bytes",
        ),
    )
