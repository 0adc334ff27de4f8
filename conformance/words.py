"""A case in words, for terminals and for people's own tests: what a peer sent is made visible, and steers nothing."""

from reports.results import Case, Evidence
from reports.text import instant, visible


class BrokenShould(UserWarning):
    """The stream breaks a SHOULD; `--sse-strict` makes it fail."""


def explain(case: Case, mend: str) -> str:
    """A broken case in words: what, where, and how to mend it. What a peer sent is made visible."""
    lines = [
        f"{case.verdict.value} {case.rule} ({case.level.value}) in {case.scenario}: {visible(case.reason)}"
    ]
    for index, finding in enumerate(case.findings):
        if index or finding.message != case.reason:
            lines.append(f"  {visible(finding.message)}")
        lines += [f"    {visible(evidence_line(evidence))}" for evidence in finding.evidence]
    if case.history is not None:
        lines.append(f"  history: {case.history}")
    return "\n".join([*lines, f"  mend: {mend}"])


def evidence_line(evidence: Evidence) -> str:
    """A piece of evidence on one line, as it was sent."""
    parts = [
        evidence.connection or "",
        "" if evidence.time is None else f"at {instant(evidence.time)}",
        "" if evidence.offset is None else f"byte {evidence.offset}",
        f"expected {evidence.expected}" if evidence.expected else "",
        f"got {evidence.actual}" if evidence.actual else "",
        evidence.excerpt,
    ]
    return " · ".join(part for part in parts if part)
