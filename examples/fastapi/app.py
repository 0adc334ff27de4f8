"""A stream that can be resumed, written as FastAPI's tutorial on Server-Sent Events has it."""

import asyncio
from collections.abc import AsyncIterable
from typing import Annotated

from fastapi import FastAPI, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

app = FastAPI()


class Reading(BaseModel):
    sensor: str
    celsius: float


readings = [Reading(sensor="roof", celsius=18.5 + 0.25 * hour) for hour in range(8)]


@app.get("/readings/stream", response_class=EventSourceResponse)
async def stream_readings(
    last_event_id: Annotated[int | None, Header()] = None,
) -> AsyncIterable[ServerSentEvent]:
    start = 0 if last_event_id is None else last_event_id + 1
    for i, reading in enumerate(readings):
        if i < start:
            continue
        await asyncio.sleep(0.1)
        yield ServerSentEvent(data=reading, event="reading", id=str(i))
    yield ServerSentEvent(raw_data="[DONE]")
