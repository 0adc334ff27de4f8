"""`module:attribute` to an application: what goes wrong is said in words."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.asgi import AppNotFound, load_app

SHOP = """
async def app(scope, receive, send): ...
class Shop:
    async def __call__(self, scope, receive, send): ...
    async def method(self, scope, receive, send): ...
shop = Shop()
def make(): return shop
def make_with(size): return shop
def broken(): raise KeyError("no database")
def leaves(): raise SystemExit(3)
async def late(): return shop
def environ(environ, start_response): ...
number = 4
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "asgi_shop.py").write_text(SHOP)
    (tmp_path / "asgi_needs.py").write_text("import a_package_that_nobody_has\n")
    (tmp_path / "asgi_fails.py").write_text("raise ValueError('no key')\n")
    (tmp_path / "asgi_stops.py").write_text("class Stop(BaseException): pass\nraise Stop('no key')\n")
    yield tmp_path
    for name in ("asgi_shop", "asgi_needs", "asgi_fails", "asgi_stops"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "name", ["asgi_shop:app", "asgi_shop:shop", "asgi_shop:shop.method", "asgi_shop:make()"]
)
def test_finds_applications(folder: Path, name: str) -> None:
    assert callable(load_app(name, folder=folder))


def test_looks_in_the_current_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert load_app("asgi_shop:app").__module__ == "asgi_shop"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("asgi_shop", "is no name of an application"),
        ("asgi_shop:", "is no name of an application"),
        ("asgi_shop:app(1)", "is no name of an application"),
        ("../asgi_shop:app", "is no name of an application"),
        ("asgi_shpo:app", "there is no module 'asgi_shpo' in {folder}"),
        ("asgi_shop.web:app", "there is no module 'asgi_shop.web'"),
        ("asgi_needs:app", "asgi_needs imports 'a_package_that_nobody_has', which is not installed"),
        ("asgi_fails:app", "importing asgi_fails failed: ValueError: no key"),
        ("asgi_stops:app", "importing asgi_stops failed: Stop: no key"),
        ("asgi_shop:leaves()", "leaves() failed: SystemExit: 3"),
        ("asgi_shop:ap", "asgi_shop has no 'ap'; did you mean 'app'?"),
        ("asgi_shop:shop.methd", "asgi_shop.shop has no 'methd'; did you mean 'method'?"),
        ("asgi_shop:number", "is an int, which is not callable"),
        ("asgi_shop:number()", "number is not callable"),
        ("asgi_shop:make", "write 'asgi_shop:make()'"),
        ("asgi_shop:make_with()", "make_with() failed: TypeError"),
        ("asgi_shop:broken()", "broken() failed: KeyError: 'no database'"),
        ("asgi_shop:late()", "the factory is async"),
        ("asgi_shop:environ", "takes 2 arguments; ASGI 3.0 calls with (scope, receive, send)"),
    ],
)
def test_says_where_it_ended(folder: Path, name: str, text: str) -> None:
    with pytest.raises(AppNotFound) as caught:
        load_app(name, folder=folder)
    assert text.format(folder=folder) in str(caught.value)
    assert name in str(caught.value)


def test_a_ctrl_c_goes_on(folder: Path) -> None:
    (folder / "asgi_stops.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_app("asgi_stops:app", folder=folder)
