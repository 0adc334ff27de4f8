"""Results as the XML that CI systems read: a suite per scenario, a test case per case.

Built with the standard library's ElementTree: the form is small, a habit rather than a standard, and what
needs care here (characters that XML forbids) is not what a JUnit library takes off one's hands.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from reports.outcome import Outcome, Status, outcome, status
from reports.results import Case, Results
from reports.text import brief, seconds, shorten, visible

_MESSAGE = 300
_BODY = 8_000


def render_junit(results: Results) -> str:
    """An XML document of the form that Jenkins, GitLab, GitHub actions and others read.

    A broken rule is a `failure` of type `MUST` or `SHOULD`, a failure of the harness an `error`; what was not
    judged, and an excused case, is `skipped` with its reason. A warning passes and is told in `system-out`,
    unless the run is strict. Cases share their scenario's time evenly, so that a reader that adds up the test
    cases gets the time of the scenario. A run that was interrupted, or did not reach its target, has a suite
    `run` with an `error`, so that it is never green. Every character is legal XML 1.0; long texts are cut.
    """
    root = Element("testsuites", name="conformance")
    for scenario, cases in _by_scenario(results):
        _suite(root, results, scenario, cases)
    _run(root, results)
    for count in ("tests", "failures", "errors", "skipped"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    root.set("time", _time(results.duration))
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _by_scenario(results: Results) -> Iterator[tuple[str, list[Case]]]:
    """Scenarios in the order of the run, then those that are not listed, each with its cases."""
    order = list(dict.fromkeys([s.name for s in results.scenarios] + [c.scenario for c in results.cases]))
    cases = sorted(results.cases, key=lambda case: order.index(case.scenario))
    for name, group in groupby(cases, key=lambda case: case.scenario):
        yield name, list(group)


def _suite(root: Element, results: Results, scenario: str, cases: Sequence[Case]) -> None:
    took = max(case.duration for case in cases)
    suite = SubElement(root, "testsuite", name=brief(visible(scenario), _MESSAGE))
    known = next((s for s in results.scenarios if s.name == scenario), None)
    properties = {"target": results.target, "seed": str(results.seed)}
    properties |= {"how": results.how} if results.how else {}
    properties |= known.figures if known else {}
    box = SubElement(suite, "properties")
    for name, value in properties.items():
        SubElement(box, "property", name=_line(name), value=_line(value))
    for case in cases:
        _testcase(suite, case, took / len(cases), results.strict)
    _total(suite, took, results.started)


def _testcase(suite: Element, case: Case, time: float, strict: bool) -> None:
    # Dots part packages: `resume.no-gap` in `cut-once` is shown as class cut-once.resume, test no-gap.
    classname = f"{case.scenario.replace('.', '_')}.{case.area}"
    name = case.rule.partition(".")[2] or case.rule
    element = SubElement(suite, "testcase", name=_line(name), classname=_line(classname), time=_time(time))
    kind, reason = status(case), case.reason or _first(case)
    if kind is Status.FAIL or (strict and kind is Status.WARN):
        _child(element, "failure", reason or "broken", _account(case), case.level.value)
    elif kind is Status.STALE:
        message = f"listed as a known failure, but it passes now: take it off the list ({case.excused})"
        _child(element, "failure", message, message, "known-failure-passes")
    elif kind is Status.ERROR:
        _child(element, "error", reason or "the harness failed", _account(case), "harness")
    elif kind is Status.EXCUSED:
        SubElement(element, "skipped", message=_line(f"known failure: {case.excused}"))
    elif kind in (Status.NOT_APPLICABLE, Status.INCONCLUSIVE):
        SubElement(element, "skipped", message=_line(f"{kind.value}: {case.reason}"))
    elif kind is Status.WARN:
        SubElement(element, "system-out").text = _block(f"warning: {_account(case)}")


def _run(root: Element, results: Results) -> None:
    """A suite for what befell the run as a whole, if something did."""
    messages = {
        Outcome.UNREACHED: f"the target was not reached: {results.unreached}",
        Outcome.INTERRUPTED: "the run was interrupted before its end",
        Outcome.NOTHING_JUDGED: "not one rule could be judged",
    }
    message = messages.get(outcome(results))
    if message is not None:
        suite = SubElement(root, "testsuite", name="run")
        element = SubElement(suite, "testcase", name="run", classname="run", time=_time(results.duration))
        _child(element, "error", message, message, "run")
        _total(suite, results.duration, results.started)


def _total(suite: Element, took: float, started: str) -> None:
    counts = {"tests": "testcase", "failures": "testcase/failure", "errors": "testcase/error"}
    for name, path in {**counts, "skipped": "testcase/skipped"}.items():
        suite.set(name, str(len(suite.findall(path))))
    suite.set("time", _time(took))
    try:
        moment = datetime.fromisoformat(started)
    except ValueError:
        return
    if moment.tzinfo is not None:  # the form has no zones: all readers take it for UTC or for their own
        moment = moment.astimezone(UTC)
    suite.set("timestamp", moment.strftime("%Y-%m-%dT%H:%M:%S"))


def _child(parent: Element, tag: str, message: str, text: str, kind: str) -> None:
    SubElement(parent, tag, message=_line(message), type=kind).text = _block(text)


def _first(case: Case) -> str:
    return case.findings[0].message if case.findings else ""


def _account(case: Case) -> str:
    """Everything that was seen, as lines of text."""
    lines = [case.id]
    if case.faults:
        lines.append(f"faults: {', '.join(case.faults)}")
    if case.reason:
        lines.append(case.reason)
    for finding in case.findings:
        lines.append(f"- {finding.message}")
        for seen in finding.evidence:
            where = [
                f"connection {seen.connection}" if seen.connection is not None else "",
                f"at {seconds(seen.time)}" if seen.time is not None else "",
                f"at byte {seen.offset:,}" if seen.offset is not None else "",
            ]
            lines += [f"  {', '.join(filter(None, where))}"] * any(where)
            for name in ("expected", "actual", "excerpt"):
                value: str = getattr(seen, name)
                lines += [f"  {name}: {visible(shorten(value, 600))}"] * bool(value)
    return "\n".join(lines)


def _line(text: str) -> str:
    return visible(shorten(text, _MESSAGE))


def _block(text: str) -> str:
    return "\n".join(visible(line) for line in shorten(text, _BODY).split("\n"))


def _time(value: float) -> str:
    return f"{max(value, 0):.3f}"
