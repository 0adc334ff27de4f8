"""What the tests of documented protocols share: the configuration that a page shows, a scenario on an application."""

import re
from pathlib import Path

from drive_world import set_up
from ways_in import ROOT

from conformance.asgi import Options, open_asgi
from conformance.asgi.types import ASGIApp
from conformance.config import Config, load_config
from conformance.drive.scene import play
from conformance.history import History
from conformance.judging import judge
from conformance.rules import RULES
from conformance.scenarios import SCENARIOS
from fault_injection.virtual import VirtualNetwork
from reports.results import Case

ON_TRIO = Options(flavour="trio")


def shown_in(page: str) -> str:
    """The first TOML that a page of docs/ shows."""
    found = re.search(r"```toml\n(.*?)```", (Path(ROOT) / "docs" / page).read_text("utf-8"), re.DOTALL)
    assert found is not None, page
    return found[1]


def read(text: str, folder: Path) -> Config:
    path = folder / "sse-conformance.toml"
    path.write_text(text, "utf-8")
    return load_config(path, environ={}).config


async def driven(app: ASGIApp, config: Config, name: str, options: Options = ON_TRIO) -> History:
    """The history of a scenario on an application in memory."""
    network = VirtualNetwork()
    async with open_asgi(app, network, options=options) as subject:
        host, port = subject.address
        setting = set_up(network, f"http://{host}:{port}", config)
        return await play(setting, next(each for each in SCENARIOS if each.name == name))


def judged(played: History, rule: str) -> Case:
    return next(case for case in judge(played, RULES) if case.rule == rule)
