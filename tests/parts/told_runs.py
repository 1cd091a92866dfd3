"""Responses of one caller over a store, whose runs say what a test tells them, when it tells it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from core.apis.response_queries import ResponseQuery
from core.apis.responses import ResponseRequest
from core.errors import ApiError
from core.frame.types import JsonObject
from core.services.responses.attachments import Attachments
from core.services.responses.contract import (
    Event,
    Events,
    Item,
    ItemAdded,
    ItemDone,
    RoundEnded,
    Run,
    RunEnded,
    RunTools,
    Slot,
    TextDelta,
    Usage,
)
from core.services.responses.output import Output
from core.services.responses.printing.events import failure_event
from core.services.responses.recording.serving import StoredResponses
from core.services.responses.router import Pieces, ResponsesRouter
from core.services.responses.state.sessions import ThreadHistory
from core.services.responses.tools.resolving import resolve_tools
from core.services.responses.tools.surfaces import ToolSurfaces
from tests.parts.thread_state import Caller

ONE = Usage(10, 0, 5, 0)


@dataclass
class ToldEngine:
    """Tells of its run what it is told to; `closed` is set as the run is."""

    told: asyncio.Queue[Event] = field(default_factory=asyncio.Queue[Event])
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    output: Output = field(default_factory=Output)
    slot: Slot = Slot(0, "")  # noqa: RUF009 - a tuple
    item: Item = field(default_factory=dict[str, Any])
    text: str = ""

    async def run(self, run: Run) -> Events:
        self.output.tail = run.tail
        try:
            while True:
                event = await self.told.get()
                yield event
                if isinstance(event, RunEnded):
                    return
        finally:
            self.closed.set()

    def begin(self) -> None:
        """A message."""
        self.item = {"type": "message", "id": "", "role": "assistant", "status": "in_progress", "content": []}
        self.slot = self.output.add(self.item)
        self.text = ""
        self.told.put_nowait(ItemAdded(self.slot, dict(self.item)))

    def say(self, *words: str) -> None:
        for word in words:
            self.text += word
            self.told.put_nowait(TextDelta(self.slot, word))

    def end_message(self) -> None:
        part: JsonObject = {"type": "output_text", "text": self.text, "annotations": [], "logprobs": []}
        item: Item = {**self.item, "status": "completed", "content": [part]}
        for event in (ItemDone(self.slot, item), RoundEnded(1, (item,), ONE)):
            self.told.put_nowait(event)

    def end(self) -> None:
        self.end_message()
        self.told.put_nowait(RunEnded("completed", ONE))


@dataclass
class Told:
    """A stream on its way: what it gave so far, and whose id."""

    engine: ToldEngine
    events: list[JsonObject] = field(default_factory=list[JsonObject])
    reading: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        identifier: str = self.events[0]["response"]["id"]
        return identifier

    async def until(self, count: int) -> None:
        """Until so many events came."""
        async with asyncio.timeout(10):
            while len(self.events) < count:  # noqa: ASYNC110 - no event of it is the test's
                await asyncio.sleep(0.005)

    async def whole(self) -> list[JsonObject]:
        assert self.reading is not None
        async with asyncio.timeout(20):
            await self.reading
        return self.events


def router_of(caller: Caller, engine: ToldEngine | None = None) -> ResponsesRouter:
    async def find_engine(request: ResponseRequest) -> Any:
        del request
        return engine

    async def find_tools(request: ResponseRequest) -> RunTools:
        return resolve_tools(request, ToolSurfaces())

    state = caller.state
    unused: Any = None
    history = ThreadHistory(state)
    return ResponsesRouter(
        Pieces(
            engine=find_engine,
            history=lambda: history,
            tools=find_tools,
            prompt=unused,
            attachments=lambda: Attachments(lambda: None, unused),
            records=lambda: StoredResponses(state, caller.responses),
            read_context=history.read,
            compactor=unused,
            max_rounds=10,
        )
    )


@asynccontextmanager
async def streaming(caller: Caller, **request: Any) -> AsyncGenerator[Told]:
    """A stream that is read as it comes; its first message has begun. What is left of it is closed."""
    told = Told(ToldEngine())
    told.engine.begin()
    asked = ResponseRequest.model_validate({"model": "m", "input": "hi", "stream": True, **request})
    source = await router_of(caller, told.engine).stream(asked)

    async def read() -> None:
        last = None
        try:
            async for last in source:
                told.events.append(last.data)
        except ApiError as failure:  # as the frames of a stream do it
            told.events.append(failure_event(failure, last).data)

    told.reading = asyncio.create_task(read())
    try:
        await told.until(3)
        yield told
    finally:
        told.reading.cancel()
        await asyncio.wait([told.reading])
        await source.aclose()


async def replay(caller: Caller, response_id: str, after: int | None = None) -> list[JsonObject]:
    query = ResponseQuery(stream=True, starting_after=after)
    return [event.data async for event in await router_of(caller).replay(response_id, query=query)]


async def get(caller: Caller, response_id: str) -> JsonObject:
    return await router_of(caller).get(response_id, query=ResponseQuery())
