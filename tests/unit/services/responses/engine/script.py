"""A run over a model that answers by a script, and tools that do as they are told."""

from asyncio import sleep
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest
from core.apis.retrieval import Passage
from core.errors import ApiError
from core.frame.callers import Call
from core.frame.types import JsonObject, JsonStream
from core.services.responses.contract import (
    Event,
    Item,
    ItemDone,
    Run,
    RunEnded,
    RunTool,
    Step,
    StepDone,
    StepPhase,
    Steps,
    ToolCall,
)
from core.services.responses.engine.rounds import RoundEngine
from tests.unit.services.responses.engine.rules import check_events

SILENCE: JsonObject = {}
"""In a script: nothing comes any more."""

type Chunks = Sequence[JsonObject | ApiError]


def chunk(delta: JsonObject, finish: str | None = None, **choice: Any) -> JsonObject:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish, **choice}]}


def usage(prompt: int = 10, completion: int = 5) -> JsonObject:
    return {
        "choices": [],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion},
    }


def says(*texts: str, finish: str | None = "stop") -> list[JsonObject]:
    return [*(chunk({"content": text}) for text in texts), chunk({}, finish), usage()]


def calls(*named: tuple[str, str], text: str = "", finish: str = "tool_calls", prefix: str = "c") -> list[JsonObject]:
    """Each a name and arguments, whose ids are `c0`, `c1` and so on."""
    pieces = [chunk({"content": text})] if text else []
    for place, (name, arguments) in enumerate(named):
        begin = {
            "index": place,
            "id": f"{prefix}{place}",
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }
        pieces.append(chunk({"tool_calls": [begin]}))
        for at in range(0, len(arguments), 4):
            piece = {"index": place, "function": {"arguments": arguments[at : at + 4]}}
            pieces.append(chunk({"tool_calls": [piece]}))
    return [*pieces, chunk({}, finish), usage()]


@dataclass
class ScriptedModel:
    """Answers each request by the next of `script`; an ApiError alone is raised before the first chunk. `open` are its streams under way."""

    script: list[Chunks | ApiError]
    requests: list[ChatRequest] = field(default_factory=list[ChatRequest])
    open: int = 0

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        self.requests.append(request)
        answer = self.script.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        return self._play(answer)

    async def _play(self, chunks: Chunks) -> JsonStream:
        self.open += 1
        try:
            for piece in chunks:
                if isinstance(piece, ApiError):
                    raise piece
                if piece is SILENCE:
                    await sleep(60)
                yield piece
        finally:
            self.open -= 1

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        raise NotImplementedError

    async def completion(self, request: CompletionRequest) -> JsonObject:
        raise NotImplementedError

    async def stream_completion(self, request: CompletionRequest) -> JsonStream:
        raise NotImplementedError

    async def embeddings(self, request: EmbeddingsRequest) -> JsonObject:
        raise NotImplementedError


@dataclass
class FunctionTool:
    """A caller's."""

    name: str
    hosted: bool = False
    counted: bool = False
    streams_arguments: bool = True

    @property
    def definition(self) -> JsonObject:
        return {"type": "function", "function": {"name": self.name, "parameters": {"type": "object", "properties": {}}}}

    def begin(self, call_id: str) -> Item | None:
        return {
            "type": "function_call",
            "call_id": call_id,
            "name": self.name,
            "arguments": "",
            "status": "in_progress",
        }

    async def run(self, call: ToolCall, item: Item | None) -> Steps:
        yield StepDone({**(item or {}), "arguments": call.arguments, "status": "completed"})


@dataclass
class HostedTool:
    """Says its name and arguments again, or fails with `failure`."""

    name: str
    passages: Sequence[Passage] = ()
    sources: Sequence[JsonObject] = ()
    failure: ApiError | None = None
    seconds: float = 0
    begins: bool = True
    hosted: bool = True
    counted: bool = True
    streams_arguments: bool = True
    running: int = 0
    most_running: int = 0

    @property
    def definition(self) -> JsonObject:
        return FunctionTool(self.name).definition

    def begin(self, call_id: str) -> Item | None:
        del call_id
        item = {
            "type": "mcp_call",
            "server_label": "s",
            "name": self.name,
            "approval_request_id": None,
            "arguments": "",
            "output": None,
            "error": None,
        }
        return {**item, "status": "in_progress"} if self.begins else None

    async def run(self, call: ToolCall, item: Item | None) -> Steps:
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            yield StepPhase("in_progress")
            await sleep(self.seconds)
            if self.failure is not None:
                raise self.failure
            yield StepPhase("completed")
            output = f"{self.name}({call.arguments})"
            item = item or {"type": "mcp_call", "server_label": "s", "name": self.name, "error": None}
            yield StepDone(
                {**item, "arguments": call.arguments, "output": output, "status": "completed"},
                output,
                self.passages,
                self.sources,
            )
        finally:
            self.running -= 1


@dataclass
class Tools:
    tools: Sequence[FunctionTool | HostedTool] = ()
    first: Sequence[Step] = ()
    seen: Sequence[Item] = ()

    @property
    def definitions(self) -> Sequence[JsonObject]:
        return [tool.definition for tool in self.tools]

    async def prepare(
        self, context: Sequence[Item], done: Sequence[Item] = (), run_id: str = ""
    ) -> AsyncGenerator[Step]:
        del done, run_id
        self.seen = context
        for step in self.first:
            yield step

    def find(self, name: str) -> RunTool | None:
        return next((tool for tool in self.tools if tool.name == name), None)

    def choose(self, tool_choice: object) -> object:
        return tool_choice


ASKED: Sequence[Item] = ({"role": "user", "content": "hello"},)


def a_run(
    *tools: FunctionTool | HostedTool, context: Sequence[Item] = ASKED, first: Sequence[Step] = (), **fields: Any
) -> Run:
    return Run("m", context, Tools(tools, first), **fields)


async def play(run: Run, model: ScriptedModel, call: Call | None = None) -> list[Event]:
    """The events, which keep the rules, where a run begins; nothing is left under way."""
    async with aclosing(RoundEngine(model, call).run(run)) as source:
        events = [event async for event in source]
    assert not model.open
    check_events(events, begin=len(run.output))
    return events


def items_of(events: Iterable[Event]) -> list[Item]:
    done = sorted((event for event in events if isinstance(event, ItemDone)), key=lambda event: event.slot.place)
    return [event.item for event in done]


def ended(events: Sequence[Event]) -> RunEnded:
    assert isinstance(events[-1], RunEnded)
    return events[-1]
