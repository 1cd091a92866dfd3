"""Answers `core.apis.responses.Responses` for one caller: what a request says is made a run, and its events an answer."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from core.apis.response_rules import check_include
from core.errors import InvalidRequest
from core.frame.streams import OwningStream
from core.frame.types import EventSource, JsonObject, NamedEvent
from core.platform.concurrency import undoing
from core.services.responses.answer import Answer, drain
from core.services.responses.attachments import Attachments
from core.services.responses.contract import Engine, Item, Run, RunTools
from core.services.responses.history import History
from core.services.responses.items import read_input
from core.services.responses.printing.events import EventPrinter
from core.services.responses.printing.objects import begin_response, show_response
from core.services.responses.recording.codec import Beginning
from core.services.responses.requests import Context, build_run

if TYPE_CHECKING:
    from core.apis.response_queries import (
        CompactRequest,
        InputItemsQuery,
        InputTokensRequest,
        ResponseQuery,
        ResponsesQuery,
    )
    from core.apis.responses import ResponseRequest
    from core.services.responses.background.creating import Background
    from core.services.responses.background.handing import Handover
    from core.services.responses.compaction.compactor import Compactor

NO_STREAM: Final = "starting_after: say `stream=true` too, or leave it out to get the whole response."


class Records(Protocol):
    """What there is of stored responses, for one caller; each raises NotFound for what is not there or is another's."""

    async def get(self, response_id: str) -> JsonObject:
        """The whole object, with its output: of one that has not ended, as it is now."""
        ...

    async def replay(self, response_id: str, include: Collection[str] | None, after: int) -> EventSource:
        """The events of its stream whose numbers are above `after`, as they were, and as they come; None includes what the stream did.

        Raises InvalidRequest where it ended before `after`.
        """
        ...

    async def cancel(self, response_id: str) -> JsonObject:
        """The whole object, once it has ended, or as it is after some seconds. Raises InvalidRequest for one that had ended otherwise."""
        ...

    async def index(self, query: "ResponsesQuery") -> JsonObject: ...

    async def delete(self, response_id: str) -> JsonObject: ...

    async def input_items(self, response_id: str, query: "InputItemsQuery") -> JsonObject: ...


def _no_background() -> "Background":
    raise InvalidRequest("background: is not served.", param="background")


async def _never(_: object) -> None:
    return None


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
    background: "Callable[[], Background]" = _no_background
    handover: "Callable[[ResponseRequest], Awaitable[Handover | None]]" = _never
    """How the run goes to a worker where its call has no more time; None where it does not."""


class ResponsesRouter:
    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces

    async def create(self, request: "ResponseRequest") -> JsonObject:
        if request.background is True:
            return show_response(await self._pieces.background().create(request), ())
        answer = await self._open(request)
        await drain(answer.events())
        return show_response(answer.response, request.include or ())

    async def stream(self, request: "ResponseRequest") -> EventSource:
        if request.background is True:
            response = await self._pieces.background().create(request)
            return await self._pieces.records().replay(response["id"], None, -1)
        answer = await self._open(request, streams=True)
        answer.printer = printer = EventPrinter(answer.response, frozenset(request.include or ()))
        return OwningStream(_print(answer, printer), answer.close, lasts=answer.is_recorded)

    async def index(self, *, query: "ResponsesQuery") -> JsonObject:
        return await self._pieces.records().index(query)

    async def get(self, response_id: str, *, query: "ResponseQuery") -> JsonObject:
        check_include(query.include or ())
        if query.starting_after is not None and not query.stream:
            raise InvalidRequest(NO_STREAM, param="starting_after")
        return show_response(await self._pieces.records().get(response_id), query.include or ())

    async def replay(self, response_id: str, *, query: "ResponseQuery") -> EventSource:
        check_include(query.include or ())
        after = -1 if query.starting_after is None else query.starting_after
        include = None if query.include is None else frozenset(query.include)
        return await self._pieces.records().replay(response_id, include, after)

    async def delete(self, response_id: str) -> JsonObject:
        return await self._pieces.records().delete(response_id)

    async def cancel(self, response_id: str) -> JsonObject:
        return show_response(await self._pieces.records().cancel(response_id), ())

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

    async def _open(self, request: "ResponseRequest", *, streams: bool = False) -> Answer:
        """The response with its first event there. Raises what keeps a model from being asked."""
        pieces = self._pieces
        tools = await pieces.tools(request)
        prompt: Sequence[Item] = () if request.prompt is None else await pieces.prompt(request.prompt)
        engine = await pieces.engine(request)
        session = await pieces.history().open(request)
        async with undoing(session.close):
            new_items = read_input(request.input, session.context)
            context = Context([*session.context, *new_items], len(session.context), session.tail)
            response = begin_response(request, session.conversation_id)
            run = await make_run(pieces, request, prompt, context, tools)
            run.id = response["id"]
            handover = await pieces.handover(request)
            run.records = handover is not None
            recorder = None
            if streams or handover is not None:
                beginning = Beginning({**response}, request.include or (), streams, run.records)
                recorder = session.record_run(beginning, new_items, "" if handover is None else handover.request)
        answer = Answer(response, session, new_items, engine.run(run), recorder, handover)
        await answer.begin()
        return answer


async def make_run(
    pieces: Pieces, request: "ResponseRequest", prompt: Sequence[Item], context: Context, tools: RunTools
) -> Run:
    """What the engine is to do: compactions are opened, and what items name is read. No compaction stands for the `prompt`."""
    if pieces.compacts or asks_compactor(request, context):
        from core.services.responses.compaction.opening import open_for_run

        context, tools = await open_for_run(pieces.compactor(), request, context, tools)
    kept_count = len(prompt) + context.kept_count
    items = await pieces.attachments().read([*prompt, *context.items], kept_count)
    return build_run(request, replace(context, items=items, kept_count=kept_count), tools, pieces.max_rounds)


def asks_compactor(request: "ResponseRequest", context: Context) -> bool:
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
