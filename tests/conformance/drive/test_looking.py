"""Looks at a server that go on until something is over, or surely was not yet."""

import pytest
import trio
from drive_world import in_virtual_time

from conformance.drive.looking import look_until_over


class Server:
    """Something that is over at `over` (seconds from now); its answers take `took`, and are true when it is asked."""

    def __init__(self, over: float, took: float = 0.0, *, mute: bool = False) -> None:
        self.began = trio.current_time()
        self.asked: list[float] = []
        self.most = self._now = 0
        self._over, self._took, self._mute = over, took, mute

    async def look(self) -> bool | None:
        at = trio.current_time() - self.began
        self.asked.append(at)
        self._now += 1
        self.most = max(self.most, self._now)
        await trio.sleep(self._took)
        self._now -= 1
        return None if self._mute else at >= self._over

    @property
    def passed(self) -> float:
        return trio.current_time() - self.began


@in_virtual_time
async def test_it_looks_until_it_is_over() -> None:
    server = Server(over=0.75)
    await look_until_over(server.look, limit=2)
    assert server.passed == pytest.approx(0.8, abs=0.11)
    assert server.asked[-1] >= 0.75


@in_virtual_time
async def test_it_ends_when_it_is_sure_that_the_limit_has_passed() -> None:
    server = Server(over=100)
    await look_until_over(server.look, limit=2)
    assert 2 < server.asked[-1] < 2.11
    assert server.passed < 2.2


@in_virtual_time
async def test_near_the_limit_it_looks_more_often() -> None:
    server = Server(over=100)
    await look_until_over(server.look, limit=2)
    gaps = [after - before for before, after in zip(server.asked, server.asked[1:], strict=False)]
    near = [gap for gap, at in zip(gaps, server.asked, strict=False) if 1.7 < at < 2]
    assert near
    assert max(near) < 0.06
    assert max(gaps) < 0.11


@in_virtual_time
async def test_a_slow_answer_makes_no_gap_and_no_crowd() -> None:
    server = Server(over=1.0, took=0.4)
    await look_until_over(server.look, limit=2)
    gaps = [after - before for before, after in zip(server.asked, server.asked[1:], strict=False)]
    assert max(gaps) < 0.11
    assert 2 <= server.most <= 6


@in_virtual_time
async def test_a_server_that_cannot_be_seen_is_given_up() -> None:
    server = Server(over=0, mute=True)
    await look_until_over(server.look, limit=2)
    assert 2 < server.passed < 6
