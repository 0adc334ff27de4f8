"""A crowd that is too large for this machine is said to be so before anything is driven."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_world import Sse, in_folder

from conformance.cli.room import too_large

sse = pytest.fixture(in_folder)


@pytest.fixture
def few() -> Iterator[None]:
    """This process may have 256 descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def written(folder: Path, crowd: int) -> None:
    (folder / "sse-conformance.toml").write_text(
        f'target.url = "http://127.0.0.1:1/events"\nlimits.crowd = {crowd}\n', encoding="utf-8"
    )


def test_a_crowd_that_takes_more_descriptors_than_there_are(sse: Sse, few: None, tmp_path: Path) -> None:
    written(tmp_path, 300)
    code, _, said = sse("run")
    assert code == 2
    assert "driving" not in said  # nothing is
    assert (
        "limits.crowd: 300 streams at once take some 428 descriptors, and this process may have 256" in said
    )
    assert "call `ulimit -n 428` before" in said
    assert "or ask for 128 at the most" in said


def test_where_no_crowd_is_driven_it_may_be_as_large_as_it_likes(sse: Sse, few: None, tmp_path: Path) -> None:
    written(tmp_path, 300)
    code, _, said = sse("run", "--scenario", "subscribe")
    assert (code, "limits.crowd" in said) == (3, False)  # nobody listens there


def test_a_crowd_that_no_machine_has_ports_for(sse: Sse, tmp_path: Path) -> None:
    written(tmp_path, 100_000)
    code, _, said = sse("run")
    assert code == 2
    assert "limits.crowd: expected a whole number from 1 to 20000; found 100000" in said


def test_both_ends_in_one_process_take_two_descriptors() -> None:
    assert too_large(400, 1024) == too_large(400, 1024, per_stream=2) == ""
    assert too_large(800, 1024) == ""
    assert "1728 descriptors" in too_large(800, 1024, per_stream=2)
