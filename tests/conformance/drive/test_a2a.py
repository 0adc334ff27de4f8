"""Agent2Agent: the configuration that docs/a2a.md shows, on a server that is right, and on ones that are not."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from documented import driven, read, shown_in
from drive_world import in_virtual_time

from conformance.asgi import Options
from conformance.asgi.types import Receive, Scope, Send
from conformance.config import Config
from conformance.judging import judge
from conformance.races.base import Response, Service
from conformance.rules import RULES
from reports.results import Verdict

DRIVEN = [
    *("subscribe", "two-subscribers", "late-subscriber", "after-completion", "disconnect-before-head"),
    *("disconnect-mid-stream", "close-at-completion", "unknown-stream", "side-by-side", "cancel"),
    *("abandoned", "one-leaves"),
]
ON_ASYNCIO = Options()
NO_TASK = {"code": -32001, "message": "Task not found"}
OVER = {"code": -32004, "message": "the task is over"}
NOT_CANCELABLE = {"code": -32002, "message": "Task cannot be canceled"}


class Task:
    """A task: its updates, and whoever works on it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = "TASK_STATE_SUBMITTED"
        self.updates: list[dict[str, Any]] = []
        self.changed = asyncio.Event()

    def tell(self, kind: str, **told: Any) -> None:
        self.updates.append({kind: {"taskId": self.name, "contextId": "c", **told}})
        self.changed.set()
        self.changed = asyncio.Event()

    def become(self, state: str) -> None:
        self.state = f"TASK_STATE_{state}"
        self.tell("statusUpdate", status={"state": self.state})

    @property
    def over(self) -> bool:
        return self.state not in {"TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"}


class Agent(Service):
    """Speaks JSON-RPC, version 1.0."""

    step = 0.2  # seconds from one artifact to the next

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, Task] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
            return
        asked = json.loads((await receive())["body"])
        answer = {
            "SendStreamingMessage": self.send_message,
            "SubscribeToTask": self.subscribe,
            "GetTask": self.get,
            "CancelTask": self.cancel,
        }[asked["method"]]
        await self._until_gone(answer(asked["id"], asked["params"], Response(send)), receive)

    async def send_message(self, id: str, params: Any, response: Response) -> None:
        task = Task(f"t{len(self.tasks)}")
        self.tasks[task.name] = task
        self.in_background(self.count(task))
        await self.told(id, task, response)

    async def subscribe(self, id: str, params: Any, response: Response) -> None:
        task = self.tasks.get(params["id"])
        if task is None or task.over:
            await self.refuse(id, NO_TASK if task is None else OVER, response)
        else:
            await self.told(id, task, response)

    async def get(self, id: str, params: Any, response: Response) -> None:
        task = self.tasks[params["id"]]
        status = {"state": task.state}
        await response.answer({"jsonrpc": "2.0", "id": id, "result": {"id": task.name, "status": status}})

    async def cancel(self, id: str, params: Any, response: Response) -> None:
        task = self.tasks[params["id"]]
        if task.over:
            await self.refuse(id, NOT_CANCELABLE, response)
            return
        task.become("CANCELED")
        await self.get(id, params, response)

    async def refuse(self, id: str, error: dict[str, Any], response: Response) -> None:
        await response.answer({"jsonrpc": "2.0", "id": id, "error": error})

    async def count(self, task: Task) -> None:
        for seq in range(1, 6):
            await asyncio.sleep(self.step)
            if task.over:
                return
            task.tell("artifactUpdate", artifact={"artifactId": "a", "parts": [{"text": f"part {seq}"}]})
        task.become("COMPLETED")

    async def told(self, id: str, task: Task, response: Response) -> None:
        async def send(result: dict[str, Any]) -> None:
            data = json.dumps({"jsonrpc": "2.0", "id": id, "result": result})
            await response.write(f"data: {data}\n\n".encode())

        await response.begin()
        sent = len(task.updates)
        await send({"task": {"id": task.name, "contextId": "c", "status": {"state": task.state}}})
        while True:
            while sent < len(task.updates):
                sent += 1
                await send(task.updates[sent - 1])
            if task.over:
                await response.end()
                return
            await task.changed.wait()


class Failing(Agent):
    """Answers what it should refuse with an internal error."""

    async def refuse(self, id: str, error: dict[str, Any], response: Response) -> None:
        await super().refuse(id, {"code": -32603, "message": "KeyError"}, response)


class Closed(Agent):
    """Lets nobody subscribe."""

    async def subscribe(self, id: str, params: Any, response: Response) -> None:
        await self.refuse(id, {"code": -32004, "message": "no streaming here"}, response)


class Deaf(Agent):
    """Refuses to cancel what goes on for long."""

    step = 1.0

    async def cancel(self, id: str, params: Any, response: Response) -> None:
        await self.refuse(id, NOT_CANCELABLE, response)


@pytest.fixture(params=['"{exchange}"', "1"])
def config(tmp_path: Path, request: pytest.FixtureRequest) -> Config:
    """The configuration that docs/a2a.md shows; and with the same id in each request for the stream."""
    text = shown_in("a2a.md").replace('id = "{exchange}",', f"id = {request.param},")
    assert request.param in text
    return read(text, tmp_path)


@in_virtual_time
@pytest.mark.parametrize("name", DRIVEN)
async def test_a_correct_agent_is_blamed_for_nothing(config: Config, name: str) -> None:
    played = await driven(Agent(), config, name, ON_ASYNCIO)
    assert played.concluded is not None
    assert played.concluded.outcome == "done", played.concluded
    cases = judge(played, RULES)
    assert not [case for case in cases if case.verdict is Verdict.FAIL]
    assert [case for case in cases if case.verdict is Verdict.PASS]


@in_virtual_time
@pytest.mark.parametrize(
    ("make", "scenario", "rule", "said"),
    [
        (Failing, "unknown-stream", "http.unknown-stream", "error -32603, KeyError"),
        (Failing, "cancel", "cancel.twice", "error -32603, KeyError"),
        (Closed, "subscribe", "http.status", "error -32004, no streaming here"),
        (Deaf, "cancel", "cancel.acknowledged", "error -32002, Task cannot be canceled"),
    ],
)
async def test_what_an_agent_says_that_is_wrong_is_told(
    config: Config, make: type[Agent], scenario: str, rule: str, said: str
) -> None:
    cases = judge(await driven(make(), config, scenario, ON_ASYNCIO), RULES)
    reasons = {case.rule: case.reason for case in cases if case.verdict in {Verdict.FAIL, Verdict.WARN}}
    assert said in reasons[rule]
