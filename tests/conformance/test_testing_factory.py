"""What `sse_explore` is given to make applications with. In this process, so without pytester, which imports anew."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from ways_in import ROOT

from conformance.testing_explore import Explore

CONFIG = Path(ROOT, "conformance", "races")


async def bare(scope: object, receive: object, send: object) -> None:
    """An application in one function."""


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (bare, "bare at 0x.*is an application already"),
        (
            FastAPI(),
            "FastAPI object at 0x.*is an application already, and each schedule takes one of its own",
        ),
        (
            Starlette(),
            "is an application already.*: give a function without arguments .* `lambda: make_app\\(\\)`",
        ),
        (Flask("shop"), "<Flask 'shop'> takes arguments, and is called without any"),
        ("shop:app", "'shop:app' is a str, which cannot be called: give a function"),
        (None, "None is a NoneType, which cannot be called"),
        (lambda: None, "what the factory made is a NoneType, which is not callable"),
        (lambda: bare(None, None, None), "what the factory made: the factory is async"),
    ],
)
def test_what_makes_no_application_is_told(make: Any, says: str, tmp_path: Path) -> None:
    explore = Explore(tmp_path, CONFIG)
    with pytest.raises(TypeError, match=f"^sse_explore: .*{says}"):
        explore(make, "races.toml", schedules=1)


def test_an_application_class_makes_applications(tmp_path: Path) -> None:
    explore = Explore(tmp_path, CONFIG)
    with pytest.raises(AssertionError, match="cannot be driven even without"):
        explore(Starlette, "races.toml", schedules=1)
