"""A server that ends while it is driven: which scenario ended it, and who only shared it."""

import sys
from dataclasses import replace

import trio

from conformance.config import Config, Target
from conformance.drive.control import StopSignal
from conformance.drive.scene import Setting, play
from conformance.drive.stage import Stage
from conformance.judging import held
from conformance.outcome import Run
from conformance.rules import Judgement, Rule
from conformance.rules.resource_up import stays_up
from conformance.rules.rule import broken
from conformance.run import run
from conformance.scenarios import Scenario
from fault_injection.virtual import VirtualNetwork
from reports.results import Finding, Level, Verdict


class Server:
    """A server that can be started again; scenarios end it."""

    def __init__(self) -> None:
        self.pid, self.ended = 1, None

    pid: int | None
    ended: int | None

    @property
    def children(self) -> tuple[int, ...]:
        return ()

    def last_words(self) -> str:
        return "no memory left"

    async def start(self) -> None:
        self.pid, self.ended = (self.pid or 0) + 1, None

    async def kill(self) -> None:
        self.ended = -9

    def send_signal(self, name: StopSignal) -> None: ...

    async def exited(self) -> int:
        return self.ended or 0

    def survivors(self) -> tuple[str, ...]:
        return ()

    async def listens(self) -> bool:
        return self.ended is None


def setting(server: Server | None, pid: int | None = None) -> Setting:
    config = Config(target=Target(url="http://h"))
    return Setting(
        network=VirtualNetwork(),
        config=config,
        origin="http://127.0.0.1:9",
        seed=3,
        duration=1.0,
        declared=held(config),
        server=server,
        pid=pid,
    )


async def _waits(_: Stage) -> None:
    await trio.sleep(0.1)


async def _ends(stage: Stage) -> None:
    assert isinstance(stage.server, Server)
    stage.server.ended = 1
    await trio.sleep(0.1)


INNOCENT = Scenario("subscribe", "", _waits)
GUILTY = Scenario("disconnect-mid-stream", "", _ends)


async def drive(*scenarios: Scenario, rules: tuple[Rule, ...] = (stays_up,)) -> Run:
    return await run(setting(Server()), scenarios, rules)


async def test_of_those_who_share_a_server_the_one_that_ended_it_is_named() -> None:
    ran = await drive(INNOCENT, GUILTY)
    verdicts = {case.scenario: case.verdict for case in ran.results.cases}
    assert verdicts == {"subscribe": Verdict.PASS, "disconnect-mid-stream": Verdict.FAIL}


async def test_where_it_takes_several_to_end_it_all_are_named() -> None:
    there = 0

    async def together(stage: Stage) -> None:
        nonlocal there
        there += 1
        await trio.sleep(0.05)
        if there == 2:
            await _ends(stage)
        there -= 1

    ran = await drive(replace(INNOCENT, drive=together), replace(GUILTY, drive=together))
    reasons = [case.reason for case in ran.results.cases if case.verdict is Verdict.FAIL]
    assert len(reasons) == 2
    assert reasons[0].endswith(
        "it was driven beside disconnect-mid-stream, and any of them may have done that (--scenario names one)"
    )


async def test_the_end_of_the_server_is_told_before_what_followed_from_it() -> None:
    found = Rule(
        "a.other",
        Level.MUST,
        claim="c",
        why="w",
        source="https://example.org",
        mend="m",
        scenarios=("subscribe", "disconnect-mid-stream"),
        needs=(),
        timing=False,
        check=lambda _: broken([Finding("it broke")]),
    )
    cases = (await drive(INNOCENT, GUILTY, rules=(found, stays_up))).results.cases
    assert [case.id for case in cases if case.verdict is Verdict.FAIL] == [
        "disconnect-mid-stream/resource.stays-up",
        "subscribe/a.other",
        "disconnect-mid-stream/a.other",
    ]


async def test_the_process_of_a_server_that_runs_already_is_looked_at() -> None:
    process = await trio.lowlevel.open_process([sys.executable, "-c", "input()"], stdin=-1)

    async def killed(_: Stage) -> None:
        process.kill()
        await process.wait()

    async def judged(scenario: Scenario) -> Judgement:
        return stays_up.judge(await play(setting(None, process.pid), scenario))

    assert (await judged(INNOCENT)).verdict == "conforms"
    ended = await judged(replace(GUILTY, drive=killed))
    assert ended.verdict == "broken"
    assert ended.reason.startswith(f"the server had ended (process {process.pid}) when the scenario was over")
    after = await judged(INNOCENT)
    assert after.verdict == "inconclusive"
    assert "before the scenario began" in after.reason
