"""Answers `core.apis.responses.Responses` for one caller: what a request says is made a run, and its events an answer."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from core.apis.response_rules import check_include
from core.errors import InvalidRequest
from core.frame.types import EventSource, JsonObject, NamedEvent
from core.platform.concurrency import undoing
from core.services.responses.answer import Answer, OwningStream, drain
from core.services.responses.attachments import Attachments
from core.services.responses.contract import Engine, History, Item, Run, RunTools
from core.services.responses.items import read_input
from core.services.responses.printing.events import EventPrinter
from core.services.responses.printing.objects import begin_response, show_response
from core.services.responses.requests import Context, build_run

if TYPE_CHECKING:
    from core.apis.responses import (
        CompactRequest,
        InputItemsQuery,
        InputTokensRequest,
        ResponseQuery,
        ResponseRequest,
        ResponsesQuery,
    )
    from core.services.responses.compaction.compactor import Compactor

NO_RESUME: Final = "stream: a response that did not run in the background is not streamed again. Get it without `stream`: it has all of the output."
NO_CANCEL: Final = "Response `{id}` does not run in the background, and is not cancelled by this: close the connection that its answer comes by."


class Records(Protocol):
    """What was kept of responses, for one caller; each raises NotFound for what is not there or is another's."""

    async def get(self, response_id: str) -> JsonObject:
        """The whole object, with its output."""
        ...

    async def index(self, query: "ResponsesQuery") -> JsonObject: ...

    async def delete(self, response_id: str) -> JsonObject: ...

    async def input_items(self, response_id: str, query: "InputItemsQuery") -> JsonObject: ...


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a response is made with, each for this caller, and made when it is needed."""

    engine: "Callable[[ResponseRequest], Awaitable[Engine]]"
    history: Callable[[], History]
    tools: "Callable[[ResponseRequest], Awaitable[RunTools]]"
    prompt: Callable[[JsonObject], Awaitable[Sequence[Item]]]
    attachments: Callable[[], Attachments]
    records: Callable[[], Records]
    read_context: "Callable[[str | None, str | JsonObject | None], Awaitable[Sequence[Item]]]"
    """What was said up to a response, or in a conversation."""
    compactor: "Callable[[], Compactor]"
    max_rounds: int
    compacts: bool = False
    """Whether the run config bounds every context."""


class ResponsesRouter:
    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces

    async def create(self, request: "ResponseRequest") -> JsonObject:
        answer = await self._open(request)
        await drain(answer.events())
        return show_response(answer.response, request.include or ())

    async def stream(self, request: "ResponseRequest") -> EventSource:
        answer = await self._open(request)
        printer = EventPrinter(answer.response, frozenset(request.include or ()))
        return OwningStream(_print(answer, printer), answer.close)

    async def index(self, *, query: "ResponsesQuery") -> JsonObject:
        return await self._pieces.records().index(query)

    async def get(self, response_id: str, *, query: "ResponseQuery") -> JsonObject:
        check_include(query.include or ())
        response = await self._pieces.records().get(response_id)
        if query.stream or query.starting_after is not None:
            raise InvalidRequest(NO_RESUME, param="stream")
        return show_response(response, query.include or ())

    async def delete(self, response_id: str) -> JsonObject:
        return await self._pieces.records().delete(response_id)

    async def cancel(self, response_id: str) -> JsonObject:
        await self._pieces.records().get(response_id)
        raise InvalidRequest(NO_CANCEL.format(id=response_id), param="response_id")

    async def input_items(self, response_id: str, *, query: "InputItemsQuery") -> JsonObject:
        check_include(query.include or ())
        return await self._pieces.records().input_items(response_id, query)

    async def compact(self, request: "CompactRequest") -> JsonObject:
        # late, and below: few requests have to do with it
        from core.services.responses.compaction.answering import compact

        return await compact(self._pieces, self._pieces.compactor(), request)

    async def count_input(self, request: "InputTokensRequest") -> JsonObject:
        from core.services.responses.compaction.answering import count_input

        return await count_input(self._pieces, self._pieces.compactor(), request)

    async def _open(self, request: "ResponseRequest") -> Answer:
        """The response with its first event there. Raises what keeps a model from being asked."""
        pieces = self._pieces
        tools = await pieces.tools(request)
        prompt: Sequence[Item] = () if request.prompt is None else await pieces.prompt(request.prompt)
        engine = await pieces.engine(request)
        session = await pieces.history().open(request)
        async with undoing(session.close):
            new_items = read_input(request.input, session.context)
            context = Context([*session.context, *new_items], len(session.context), session.tail)
            run = await self._run(request, prompt, context, tools)
            response = begin_response(request, session.conversation_id)
        answer = Answer(response, session, new_items, engine.run(run))
        await answer.begin()
        return answer

    async def _run(self, request: "ResponseRequest", prompt: Sequence[Item], context: Context, tools: RunTools) -> Run:
        """What the engine is to do: compactions are opened, and what items name is read. No compaction stands for the `prompt`."""
        pieces = self._pieces
        if pieces.compacts or _has_compaction(request, context):
            from core.services.responses.compaction.opening import open_for_run

            context, tools = await open_for_run(pieces.compactor(), request, context, tools)
        kept_count = len(prompt) + context.kept_count
        items = await pieces.attachments().read([*prompt, *context.items], kept_count)
        return build_run(request, replace(context, items=items, kept_count=kept_count), tools, pieces.max_rounds)


def _has_compaction(request: "ResponseRequest", context: Context) -> bool:
    """Whether it asks for one, or has one."""
    asks = (request.model_extra or {}).get("context_management") is not None
    return asks or any(item.get("type") == "compaction" for item in context.items)


async def _print(answer: Answer, printer: EventPrinter) -> AsyncGenerator[NamedEvent]:
    for printed in printer.begin():
        yield printed
    async with aclosing(answer.events()) as events:
        async for event in events:
            for printed in printer.print(event):
                yield printed
