"""What the marker `needs` of conftest.py does where a part is there, absent, or absent and demanded."""

import socket
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

_ONE_TEST = """
import pytest

@pytest.mark.needs({part!r})
def test_uses_the_part():
    pass
"""


@pytest.fixture
def bare(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A machine that has none of the parts, with this project's conftest and nothing demanded."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    monkeypatch.setenv("TOXIPROXY_URL", f"http://127.0.0.1:{free}")
    monkeypatch.setenv("PATH", str(pytester.mkdir("bin")))
    monkeypatch.delenv("SSE_CONFORMANCE_DEMAND", raising=False)
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text(encoding="utf-8"))
    return pytester


def _install(machine: pytest.Pytester, *programs: str) -> None:
    for program in programs:
        path = machine.path / "bin" / program
        path.write_text("#!/bin/sh\n", encoding="utf-8")
        path.chmod(0o755)


def _run(machine: pytest.Pytester, part: str) -> pytest.RunResult:
    machine.makepyfile(_ONE_TEST.format(part=part))
    return machine.runpytest_inprocess("-rsfE", "-p", "no:cacheprovider", "--strict-markers")


@pytest.mark.parametrize("part", ["toxiproxy", "chromium", "node", "nginx"])
def test_an_absent_part_skips_with_the_reason(bare: pytest.Pytester, part: str) -> None:
    result = _run(bare, part)
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines([f"SKIPPED *needs {part}: *"])


@pytest.mark.parametrize("part", ["toxiproxy", "chromium", "node", "nginx"])
def test_an_absent_part_that_is_demanded_fails_the_run(
    bare: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setenv("SSE_CONFORMANCE_DEMAND", f" nginx, {part}")
    result = _run(bare, part)
    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*SSE_CONFORMANCE_DEMAND names {part}, which is absent: *"])


def test_demanding_one_part_leaves_the_others_alone(
    bare: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSE_CONFORMANCE_DEMAND", "nginx")
    _run(bare, "chromium").assert_outcomes(skipped=1)


@pytest.mark.parametrize(
    ("part", "programs"),
    [("chromium", ["chromium-browser"]), ("node", ["node", "npm"]), ("nginx", ["nginx"])],
)
def test_a_part_that_is_there_is_used(bare: pytest.Pytester, part: str, programs: list[str]) -> None:
    _install(bare, *programs)
    _run(bare, part).assert_outcomes(passed=1)


def test_half_of_a_part_is_not_the_part(bare: pytest.Pytester) -> None:
    _install(bare, "node")
    result = _run(bare, "node")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED *not on PATH: npm"])


def test_a_demand_that_nobody_knows_is_refused(
    bare: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSE_CONFORMANCE_DEMAND", "chromium,toxyproxy")
    result = _run(bare, "chromium")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*names toxyproxy; known parts are toxiproxy, chromium, node, nginx"])


@pytest.mark.parametrize("part", ["toxyproxy", ""])
def test_a_need_that_nobody_knows_is_refused(bare: pytest.Pytester, part: str) -> None:
    result = _run(bare, part)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_uses_the_part: needs*must name one or more of toxiproxy*"])
