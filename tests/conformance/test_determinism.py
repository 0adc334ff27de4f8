"""One seed, one run: to the byte, in any process; and nothing of it stays behind."""

import asyncio
import builtins
import datetime
import gc
import inspect
import os
import pickle
import random
import secrets
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC
from datetime import datetime as under_another_name
from pathlib import Path
from typing import Any, ClassVar

import anyio
import anyio.to_thread
import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from conformance.asgi import open_asgi
from conformance.asgi.types import Receive, Scope, Send
from conformance.changes import changed
from conformance.counted_classes import counted_classes
from conformance.determinism import EPOCH, seeded, virtual_clock
from fault_injection.virtual import VirtualNetwork

HERE = Path(__file__).parent
BUSY = HERE / "asgi" / "asgi_busy.py"
PROCESSES = 3
SEEDS = 10  # in each of them


def in_seed(seed: int, main: Callable[[], Awaitable[Any]], **options: Any) -> Any:
    with seeded(seed, **options):
        return trio.run(main, clock=MockClock(autojump_threshold=0))


async def order() -> str:
    """The order in which twenty tasks run."""
    found: list[str] = []

    async def note(name: str) -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            found.append(name)

    async with trio.open_nursery() as nursery:
        for letter in "abcdefghijklmnopqrst":
            nursery.start_soon(note, letter)
    return "".join(found)


def test_a_seed_is_an_order() -> None:
    orders = [in_seed(seed, order) for seed in range(10)]
    assert orders == [in_seed(seed, order) for seed in range(10)]
    assert len(set(orders)) == 10


def test_the_same_bytes_in_every_process() -> None:
    """A FastAPI application with sse-starlette, cut connections and delays: see `asgi_busy.py`."""

    def start(hash_seed: int) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(HERE.parents[1])}
        return subprocess.Popen(
            [sys.executable, str(BUSY), "1", str(SEEDS)], env=environment, stdout=subprocess.PIPE, text=True
        )

    digests = []
    for process in [start(hash_seed) for hash_seed in range(1, PROCESSES + 1)]:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        digests.append(output.split())
    assert all(each == digests[0] for each in digests)
    assert len(set(digests[0])) == SEEDS, "another seed is another run"


async def moments() -> list[Any]:
    """What happens when, where sleeps, a call from outside and a wait for idleness meet."""
    found: list[Any] = []

    async def tick(name: str, every: float) -> None:
        for _ in range(3):
            await trio.sleep(every)
            found.append((name, trio.current_time()))

    async with trio.open_nursery() as nursery:
        for name, every in (("a", 0.1), ("b", 0.3), ("c", 1 / 3)):
            nursery.start_soon(tick, name, every)
    trio.lowlevel.current_trio_token().run_sync_soon(lambda: found.append(("called", trio.current_time())))
    await trio.sleep(5)
    with trio.move_on_after(7):
        await wait_all_tasks_blocked()
        found.append(("idle", trio.current_time()))
        await trio.sleep_forever()
    return [*found, trio.current_time()]


def test_the_virtual_clock_is_trios_without_the_detour() -> None:
    found = []
    for clock in (virtual_clock(), MockClock(autojump_threshold=0)):
        with seeded(1):
            found.append(trio.run(moments, clock=clock))
    assert found[0] == found[1]
    assert found[0][-3:] == [("called", 1.0), ("idle", 6.0), 13.0]


async def chance() -> list[Any]:
    await trio.sleep(2.5)
    return [
        random.random(),
        str(uuid.uuid4()),
        secrets.token_hex(4),
        os.urandom(3),
        random.Random().random(),
        random.SystemRandom().random(),
        secrets.choice(range(10**9)),
        os.getrandom(3) if hasattr(os, "getrandom") else b"",
        time.time(),
        time.time_ns(),
        datetime.datetime.now(UTC).isoformat(),
        datetime.datetime.now().timestamp(),
    ]


def test_the_chance_of_the_application() -> None:
    first = in_seed(1, chance)
    assert first == in_seed(1, chance)
    other = in_seed(2, chance)
    assert [one for one, another in zip(first[:8], other[:8], strict=True) if one == another and one] == []
    assert first[8:] == [
        EPOCH + 2.5,
        int(EPOCH * 1e9) + 2_500_000_000,
        "2023-11-14T22:13:22.500000+00:00",
        EPOCH + 2.5,
    ]


async def clocks() -> list[Any]:
    await trio.sleep(2.5)
    random.seed()
    return [
        uuid.uuid1(),
        uuid.uuid1(),
        random.random(),
        time.perf_counter(),
        time.perf_counter_ns(),
        time.strftime("%M:%S"),
        time.gmtime()[:6],
        time.localtime()[4:6],
        time.ctime()[14:19],
        time.asctime()[14:19],
    ]


def test_the_clocks_that_the_application_reads() -> None:
    before = uuid.getnode(), uuid.uuid1().time
    first = in_seed(1, clocks)
    assert first == in_seed(1, clocks)
    assert first[0] != first[1], "as many at one moment as are wanted"
    assert first[2] != in_seed(2, clocks)[2]
    assert 2.5 < first[3] < 2.6
    assert first[4] > first[3] * 1e9, "it never stands still: who divides by what has passed may do so"
    assert first[5:] == ["13:22", (2023, 11, 14, 22, 13, 22), (13, 22), "13:22", "13:22"]
    assert (uuid.getnode(), uuid.uuid1().time > before[1]) == (before[0], True)


def test_a_given_time_is_that_time() -> None:
    with seeded(1):
        assert time.gmtime(0)[:6] == (1970, 1, 1, 0, 0, 0)
        assert time.strftime("%Y", time.gmtime(0)) == "1970"
        assert time.asctime(time.gmtime(0)) == "Thu Jan  1 00:00:00 1970"
        assert random.Random(7).random() == random.Random(7).random()


def test_the_wall_clock_can_be_left_alone() -> None:
    before = time.time()
    real = in_seed(1, chance, epoch=None)[8]
    assert before <= real <= time.time()


def test_datetime_stays_the_class_that_it_is() -> None:
    class Stamp(datetime.datetime):
        pass

    class Dated(msgspec.Struct):
        at: datetime.datetime

    with seeded(1):
        now = under_another_name.now()
        assert now == datetime.datetime.fromtimestamp(EPOCH) == datetime.datetime.today()
        assert datetime.datetime is type(now) is under_another_name
        assert type(Stamp.now()) is type(Stamp.utcnow()) is Stamp
        assert not isinstance(now, Stamp)
        assert pickle.loads(pickle.dumps(now)) == now

        class DatedHere(msgspec.Struct):
            at: datetime.datetime

        found = b'{"at":"2020-01-01T00:00:00"}'
        for kind in (Dated, DatedHere):
            assert msgspec.json.encode(msgspec.json.decode(found, type=kind)) == found
    assert abs(datetime.datetime.now().timestamp() - time.time()) < 60


async def threads() -> list[float]:
    """Work in threads takes no virtual time, whatever it takes of the real."""
    found = []
    for run in (trio.to_thread.run_sync, anyio.to_thread.run_sync):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 100)
            await run(lambda: sum(range(10_000)))
            found.append(trio.current_time())
            nursery.cancel_scope.cancel()
    return found


def test_threads_work_in_place() -> None:
    assert in_seed(1, threads) == [0.0, 0.0]


async def scopes() -> list[int]:
    """The order in which anyio cancels forty scopes side by side."""
    cancelled: list[int] = []

    async def wait(number: int) -> None:
        with anyio.CancelScope():
            try:
                await anyio.sleep_forever()
            finally:
                cancelled.append(number)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(wait, number)
            await anyio.sleep(1)
            group.cancel_scope.cancel()

    network = VirtualNetwork()
    async with open_asgi(app, network) as subject:
        connection = await network.connect(*subject.address)
        async with connection:
            await connection.send_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            await connection.receive_some()
    return cancelled


def test_anyio_cancels_in_the_same_order() -> None:
    first = in_seed(1, scopes)
    assert sorted(first) == list(range(40))
    elsewhere: list[list[int]] = [[] for _ in range(1000)]  # so that addresses differ
    assert in_seed(1, scopes) == first
    assert len(elsewhere) == 1000
    assert in_seed(2, scopes) == first, "asyncio has an order of its own"


class Mailbox(asyncio.Queue[int]):
    """An application's own kind of queue, which keeps a list of its kinds."""

    kinds: ClassVar[list[type]] = []

    def __init_subclass__(cls) -> None:
        Mailbox.kinds.append(cls)


class Letters(Mailbox):
    pass


class Named(asyncio.Event):
    """All of one name are the same."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named)

    def __hash__(self) -> int:
        return 7


class OncePerName(type):
    """A metaclass with a register."""

    names: ClassVar[set[str]] = set()

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> "OncePerName":
        assert name not in cls.names
        cls.names.add(name)
        return super().__new__(cls, name, bases, body)


class Registered(asyncio.Queue[int], metaclass=OncePerName):
    pass


def closed(streams: Any) -> Any:
    for each in streams:
        each.close()  # else it complains when it is freed
    return streams


def walk(make: Callable[[], Any]) -> list[int]:
    """Where in a set the objects stand that are put into it one after the other."""

    async def made() -> list[Any]:
        return [make() for _ in range(100)]

    with seeded(1):
        objects = asyncio.run(made())
        number = {id(each): index for index, each in enumerate(objects)}
        return [number[id(each)] for each in set(objects)]


@pytest.mark.parametrize(
    "make",
    [
        asyncio.Queue,
        lambda: asyncio.PriorityQueue(maxsize=3),
        Letters,
        Registered,
        asyncio.Event,
        asyncio.Lock,
        asyncio.Condition,
        lambda: asyncio.BoundedSemaphore(2),
        lambda: asyncio.Barrier(2),
        lambda: asyncio.Future(),
        lambda: asyncio.get_running_loop().create_future(),
        lambda: trio.open_memory_channel[int](1)[0],
        lambda: trio.open_memory_channel[int](1)[1],
        lambda: closed(anyio.create_memory_object_stream[int](1))[0],
    ],
)
def test_sets_of_what_the_application_waits_for_are_walked_in_one_order(make: Callable[[], Any]) -> None:
    assert walk(make) == list(range(100))


CLASSES = """
from abc import ABC, ABCMeta, abstractmethod
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, runtime_checkable

import typing_extensions

T = TypeVar("T")

class Abstract(ABC): pass

class OldAbstract(metaclass=ABCMeta):
    @abstractmethod
    def wait(self): ...

class Concrete(OldAbstract):
    def wait(self): ...

class Boxed(Generic[T]): pass

class Both(ABC, Generic[T]): pass

@runtime_checkable
class Sink(Protocol[T]):
    def put(self): ...

class Wide(Sink[T], Protocol): ...

class Other(typing_extensions.Protocol): ...

class Pipe(Sink[int], Other):
    def put(self): ...

class Plain: pass

class Derived(Plain): pass

@dataclass(eq=False)
class Client:
    name: str = "a"

@dataclass
class Equal:
    name: str = "a"

@dataclass(frozen=True)
class Frozen:
    name: str = "a"

class Slotted:
    __slots__ = ("name",)

class Own:
    def __hash__(self): return 7

class Error(Exception): pass
"""


def made_in(folder: Path) -> dict[str, Any]:
    """The classes of an application, as they are when it is imported."""
    names: dict[str, Any] = {"__name__": "classes"}
    exec(compile(CLASSES, str(folder / "classes.py"), "exec"), names)
    return names


def test_sets_of_an_applications_own_objects_are_walked_in_one_order(tmp_path: Path) -> None:
    with changed(counted_classes()):
        classes = made_in(tmp_path)
    for name in ("Plain", "Derived", "Client", "Abstract", "Concrete", "Boxed", "Both", "Pipe"):
        assert walk(classes[name]) == list(range(100)), name
    with seeded(1):
        meanwhile = made_in(tmp_path)
        kept = [meanwhile["Plain"]() for _ in range(3)]
        found = {*kept}
    assert found == {*kept}, "in a set it stays"
    assert [hash(each) for each in kept] == [0, 1, 2]


def test_the_other_classes_are_what_they_were(tmp_path: Path) -> None:
    with changed(counted_classes()):
        classes = made_in(tmp_path)
    usual = made_in(tmp_path)
    assert usual["Plain"].__bases__ == (object,)
    with pytest.raises(TypeError, match="unhashable"):
        hash(classes["Equal"]())
    assert hash(classes["Frozen"]("b")) == hash(usual["Frozen"]("b"))
    assert classes["Frozen"]("b") == classes["Frozen"]("b")
    assert hash(classes["Own"]()) == 7
    assert {slotted := classes["Slotted"]()} == {slotted}
    assert issubclass(classes["Error"], Exception)
    assert vars(classes["Plain"]()) == {}
    with pytest.raises(TypeError, match="abstract"):
        classes["OldAbstract"]()
    assert isinstance(classes["Pipe"](), classes["Sink"])
    assert not isinstance(classes["Plain"](), classes["Sink"])
    assert classes["Boxed"][int].__origin__ is classes["Boxed"]


MIXED = """
class Mixin: pass

class Name(Mixin, str): pass

class Pair(Mixin, tuple): pass

class Bag(Mixin, dict): pass

class Old(object): pass

class Waits(Mixin, asyncio.Queue): pass
"""


def test_a_mixin_leaves_the_hash_of_the_base_beside_it(tmp_path: Path) -> None:
    names: dict[str, Any] = {"__name__": "mixed", "asyncio": asyncio}
    with changed(counted_classes()):
        exec(compile(MIXED, str(tmp_path / "mixed.py"), "exec"), names)
    assert {"a": 1}[names["Name"]("a")] == 1
    assert names["Pair"]((1, 2)) in {(1, 2)}
    with pytest.raises(TypeError, match="unhashable type: 'Bag'"):
        hash(names["Bag"]())
    for name in ("Old", "Waits"):
        assert walk(names[name]) == list(range(100)), name
    assert inspect.getdoc(names["Old"]) is None


def test_a_future_is_none_of_an_applications_own() -> None:
    async def main() -> None:
        class Reply(asyncio.Future[int]):
            pass

        future, reply = asyncio.get_running_loop().create_future(), Reply()
        assert isinstance(reply, Reply)
        assert isinstance(reply, asyncio.Future)
        assert not isinstance(future, Reply)
        assert not issubclass(asyncio.Task, Reply)

    with seeded(1):
        asyncio.run(main())


def test_what_is_in_a_set_stays_in_it_when_the_block_ends() -> None:
    before = asyncio.Queue[int]()
    waiting = {before}
    with seeded(1):
        meanwhile = Letters()
        event, future = trio.Event(), asyncio.Future[int](loop=asyncio.new_event_loop())
        waiting |= {meanwhile}
        assert isinstance(future, asyncio.Future)
        assert isinstance(asyncio.Queue(), asyncio.Queue)
        assert {Named()} == {Named()}, "who says when two are the same is believed"
        assert repr(meanwhile).startswith("<Letters at")
    assert waiting == {before, meanwhile}
    assert {before, meanwhile} <= waiting
    assert Mailbox.kinds == [Letters]
    assert type(asyncio.Queue()) is asyncio.Queue
    assert isinstance(future, asyncio.Future)
    assert isinstance(event, trio.Event)
    future.get_loop().close()


def test_nothing_stays_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = sys.modules["trio._core._run"]
    monkeypatch.setattr(inner, "_ALLOW_DETERMINISTIC_SCHEDULING", False)

    def everything() -> dict[str, Any]:
        on_asyncio = vars(sys.modules["anyio._backends._asyncio"])
        on_trio = vars(sys.modules["anyio._backends._trio"])
        return {
            "scheduling": vars(inner)["_ALLOW_DETERMINISTIC_SCHEDULING"],
            "order": vars(inner)["_r"].getstate(),
            "scope": on_asyncio["CancelScope"],
            "asyncio's threads": vars(on_asyncio["AsyncIOBackend"])["run_sync_in_worker_thread"],
            "trio's threads by anyio": vars(on_trio["TrioBackend"])["run_sync_in_worker_thread"],
            "trio's threads": trio.to_thread.run_sync,
            "time": time.time,
            "time_ns": time.time_ns,
            "monotonic": time.monotonic,
            "perf_counter": time.perf_counter,
            "strftime": time.strftime,
            "localtime": time.localtime,
            "uuid": uuid._last_timestamp,  # type: ignore[attr-defined]
            "node": uuid._node,  # type: ignore[attr-defined]
            "seed": random.Random.seed,
            "seed of all": random.seed,
            "datetime": vars(datetime.datetime)["now"],
            "utcnow": vars(datetime.datetime)["utcnow"],
            "urandom": os.urandom,
            "random": random.getstate(),
            "garbage": gc.isenabled(),
            "classes": vars(builtins)["__build_class__"],
            "queue": vars(asyncio.Queue)["__init__"],
            "channel": vars(trio.MemorySendChannel)["__init__"],
            "future": asyncio.Future,
            "create_future": asyncio.futures.Future,
        }

    with seeded(0):
        pass  # so that anyio's modules are there
    uuid._last_timestamp = 1  # type: ignore[attr-defined]
    before = everything()
    with seeded(1):
        during = everything()
        assert [name for name, value in before.items() if during[name] == value] == []
    assert everything() == before
    with pytest.raises(KeyError), seeded(1):
        raise KeyError
    assert everything() == before


def test_one_at_a_time() -> None:
    with seeded(1), pytest.raises(RuntimeError, match="another seeded block is active"), seeded(2):
        pytest.fail("two at a time")
    with seeded(3):
        pass


async def test_it_goes_around_trio() -> None:
    with pytest.raises(RuntimeError, match=r"goes around trio\.run"), seeded(1):
        pytest.fail("inside")


def test_another_trio_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("trio._core._run._r")
    text = r"trio [\d.]+ has no _r in trio\._core\._run: this version cannot be run from a seed"
    with pytest.raises(RuntimeError, match=text), seeded(1):
        pytest.fail("it knew how")
