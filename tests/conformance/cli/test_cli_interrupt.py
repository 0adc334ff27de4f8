"""Ctrl-C where it is asked for."""

import os
import signal

import pytest

from conformance.cli.interrupt import asked_for


def test_it_waits_until_it_is_asked_for() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with asked_for() as ask:
        ask()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            ask()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_at_the_end_it_comes_by_itself() -> None:
    with pytest.raises(KeyboardInterrupt), asked_for():
        os.kill(os.getpid(), signal.SIGINT)
