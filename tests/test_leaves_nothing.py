"""The check that every test leaves nothing behind: it finds what a test leaves, and nothing where it leaves nothing."""

import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).with_name("conftest.py")

TESTS = """
import os, socket, subprocess, sys, threading
import pytest

over = threading.Event()
kept = []

def test_thread():
    threading.Thread(target=over.wait, name="mine", daemon=True).start()

def test_socket():
    kept.append(socket.socket())

def test_pipe():
    os.pipe()

def test_child():
    kept.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(5)"]))

def test_nothing():
    with socket.socket():
        pass

def test_left_to_the_collector():
    here = [os.fdopen(os.dup(0), "rb", closefd=True)]
    here.append(here)

@pytest.mark.beside("somebody else opens pipes")
def test_beside():
    os.pipe()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc, which only Linux has")
def test_what_a_test_leaves_is_an_error(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CONFTEST.parents[1]))
    pytester.makeconftest(CONFTEST.read_text("utf-8").replace("_PATIENCE = 2.0", "_PATIENCE = 0.1"))
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=7, errors=4)
    result.stdout.fnmatch_lines_random(
        [
            f"*AssertionError: left behind: *{words}*"
            for words in ("the thread mine", "the socket:", "pipe:", "the child process ")
        ]
    )
