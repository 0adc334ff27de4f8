"""`sse_explore` in somebody's own tests, and `--sse-replay`, which plays again what it found."""

import re
import shlex
from pathlib import Path

import pytest
from ways_in import COMMAND, PLUGIN, ROOT

from conformance.explore import Leave, Replay, Schedule, save_replay

pytest_plugins = "pytester"

TEST = """
from conformance.races.orphaned_producer import Racy, Twin

def test_of_mine(sse_explore):
    sse_explore(Twin, "sse-conformance.toml", schedules=5)
    sse_explore(Racy, "sse-conformance.toml", schedules=40)

def test_of_others(sse_explore):
    sse_explore(Twin, "sse-conformance.toml", schedules=5)
"""


@pytest.fixture(autouse=True)
def _mine(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ROOT)
    pytester.makepyfile(test_mine=TEST)
    races = Path(ROOT, "conformance", "races", "races.toml").read_text("utf-8")
    (pytester.path / "sse-conformance.toml").write_text(races, "utf-8")


def test_what_a_test_found_is_played_again_by_that_test(pytester: pytest.Pytester) -> None:
    kept = pytester.path.parent / "kept"  # as usual, not below pytest's root
    found = pytester.runpytest_subprocess(*PLUGIN, f"--basetemp={kept}")
    said = found.stdout.str()
    found.assert_outcomes(failed=1, passed=1)
    assert "this schedule breaks it:" in said
    assert "resource.tasks-left" in said
    again = re.search(r"again: pytest (.*)", said)
    assert again is not None
    arguments = shlex.split(again[1])
    assert arguments[0] == "test_mine.py::test_of_mine"
    option, _, file = arguments[1].partition("=")
    assert option == "--sse-replay"

    played = pytester.runpytest_subprocess(*PLUGIN, *arguments)
    played.assert_outcomes(failed=1)
    assert "the identical history" in played.stdout.str()

    everything = pytester.runpytest_subprocess(*PLUGIN, *arguments[1:])
    everything.assert_outcomes(failed=2)
    assert "is of another test: select test_mine.py::test_of_mine" in everything.stdout.str()

    by_command = pytester.run(*COMMAND, "replay", file)
    assert by_command.ret == 2
    assert "pytest test_mine.py::test_of_mine --sse-replay=" in by_command.stderr.str()


def test_an_application_without_an_event_stream_does_not_pass(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_mine="""
        def page():
            async def app(scope, receive, send):
                assert scope["type"] == "http"
                headers = [(b"content-type", b"application/json")]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": b'{"job": "1", "id": "1", "state": "completed"}'})
            return app

        def test_page(sse_explore):
            sse_explore(page, "sse-conformance.toml", schedules=5)
        """
    )
    result = pytester.runpytest_subprocess(*PLUGIN)
    result.assert_outcomes(failed=1)
    assert "no event stream at http://" in result.stdout.str()


def kept(pytester: pytest.Pytester, subject: str) -> str:
    """A file as it would have been kept, of the schedule that breaks it."""
    leaves = Leave("a", "before-head")
    save_replay(pytester.path / "kept.json", Replay(subject=subject, schedule=Schedule((leaves,))))
    return "kept.json"


def test_what_was_mended_passes(pytester: pytest.Pytester) -> None:
    file = kept(pytester, "test test_mine.py::test_of_mine (call 2)")
    broken = pytester.runpytest_subprocess(*PLUGIN, "-k", "test_of_mine", "--sse-replay", file)
    broken.assert_outcomes(failed=1, deselected=1)
    assert "the history differs from the one that was found" in broken.stdout.str()
    pytester.makepyfile(test_mine=TEST.replace("(Racy,", "(Twin,"))
    mended = pytester.runpytest_subprocess(*PLUGIN, "-k", "test_of_mine", "--sse-replay", file)
    mended.assert_outcomes(passed=1, deselected=1)


def test_what_the_command_found_can_be_played_by_a_test(pytester: pytest.Pytester) -> None:
    file = kept(pytester, "conformance.races.orphaned_producer:Racy()")
    pytester.makepyfile(test_mine=TEST.replace("Twin,", "Racy,"))
    played = pytester.runpytest_subprocess(*PLUGIN, "-k", "test_of_others", "--sse-replay", file)
    played.assert_outcomes(failed=1, deselected=1)
    assert "this schedule breaks it:" in played.stdout.str()


def test_what_does_not_repeat_fails_and_says_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_mine="""
        from itertools import count
        from conformance.races.orphaned_producer import Racy, Twin

        numbers = count()

        def moody():
            return Racy() if next(numbers) % 3 else Twin()

        def test_moody(sse_explore):
            sse_explore(moody, "sse-conformance.toml", schedules=100)
        """
    )
    result = pytester.runpytest_subprocess(*PLUGIN)
    result.assert_outcomes(failed=1)
    assert "it does not repeat exactly: played again" in result.stdout.str()
    assert "likely causes: a set of the application's own objects" in result.stdout.str()


def test_a_rule_can_be_left_out_but_not_one_that_is_none(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_mine="""
        import pytest
        from conformance.races.orphaned_producer import Racy

        def test_of_mine(sse_explore):
            sse_explore(Racy, "sse-conformance.toml", schedules=40, without=["resource.tasks-left"])

        def test_of_others(sse_explore):
            with pytest.raises(ValueError, match="did you mean 'resource.tasks-left'"):
                sse_explore(Racy, "sse-conformance.toml", without=["resource.task-left"])

        def test_of_nothing(sse_explore):
            with pytest.raises(ValueError, match="schedules=0: at least one must be tried"):
                sse_explore(Racy, "sse-conformance.toml", schedules=0)
        """
    )
    pytester.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=3)


def test_a_broken_should_is_a_warning_unless_it_is_wanted_strictly(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_mine="""
        from conformance.races.late_heartbeat import Racy

        def test_of_mine(sse_explore):
            sse_explore(Racy, "sse-conformance.toml", schedules=60)
        """
    )
    warned = pytester.runpytest_subprocess(*PLUGIN)
    warned.assert_outcomes(passed=1)
    assert "BrokenShould: this schedule breaks it:" in warned.stdout.str()
    strict = pytester.runpytest_subprocess(*PLUGIN, "--sse-strict", "--basetemp", "kept")
    strict.assert_outcomes(failed=1)
    again = re.search(r"again: pytest (.*)", strict.stdout.str())
    assert again is not None
    played = pytester.runpytest_subprocess(*PLUGIN, *shlex.split(again[1]))
    played.assert_outcomes(failed=1)
    assert "the identical history" in played.stdout.str()


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("nowhere.json", "--sse-replay nowhere.json: No such file or directory"),
        ("test_mine.py", "--sse-replay test_mine.py: not a replay file"),
    ],
)
def test_a_file_that_is_none_is_a_wrong_call(pytester: pytest.Pytester, file: str, says: str) -> None:
    called = pytester.runpytest_subprocess(*PLUGIN, "-k", "test_of_others", "--sse-replay", file)
    assert called.ret == pytest.ExitCode.USAGE_ERROR
    assert says in called.stderr.str()
    assert "Traceback" not in called.stderr.str()
