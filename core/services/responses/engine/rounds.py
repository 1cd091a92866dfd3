"""The engine: rounds of the model, the stack's tools, the model again, until it has answered or its bounds are reached.

    prepare -> ask -> read the answer -> run its calls -> ask -> ... -> RunEnded

Where a run stands is in one place (`standing.py`), so that it can be recorded, and gone on from by another process (`steps.py`).
"""

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from core.apis.inference import ChatRequest, Inference
from core.apis.responses import MOST_ROUNDS
from core.errors import CONTEXT_LENGTH, ApiError, InvalidRequest, QuotaExceeded, UpstreamFailed
from core.frame.callers import Call
from core.frame.types import JsonObject, JsonStream
from core.platform.json_values import is_object
from core.services.responses.contract import (
    AnswerEnded,
    Event,
    Events,
    RoundEnded,
    Run,
    RunEnded,
    RunTool,
    StepRecorded,
    TextDelta,
    Usage,
)
from core.services.responses.engine.chat import ask
from core.services.responses.engine.failures import NO_FINISH, Deadline, error_of, observe_failure
from core.services.responses.engine.hosted import Steps, admit, run_hosted
from core.services.responses.engine.messages import Dialogue, Tell
from core.services.responses.engine.open_items import OpenItems
from core.services.responses.engine.pieces import WrittenCall
from core.services.responses.engine.preparing import is_call, prepare
from core.services.responses.engine.reading import Piece, Reader
from core.services.responses.engine.standing import Standing, WholeAnswer
from core.services.responses.engine.standins import unknown_tool
from core.services.responses.output import Output

if TYPE_CHECKING:
    from core.services.responses.engine.steps import StepWriter

REASONS: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Of an incomplete response, by the model's reason."""
TOO_MANY_ROUNDS: Final = "max_iterations_exceeded"
"""The reference's word for a response whose model would go on, and may not."""
SPENT: Final = ": what was left of your tokens is used up. There are more in {seconds} seconds"
NOTHING_TOLD: Final = "input: there is nothing in it, or before it, that a model is told. Add a message with the role `user`, or `instructions`."


class RoundEngine:
    """Answers `core.services.responses.contract.Engine` over the inference of one call."""

    def __init__(
        self,
        inference: Inference,
        call: Call | None = None,
        *,
        tell: Tell | None = None,
    ) -> None:
        """`tell` says what a model is told of kept calls, if not the usual."""
        self._inference = inference
        self._call = call
        self._tell = tell

    def run(self, run: Run) -> Events:
        return Rounds(self._inference, self._call, run, Dialogue(run.instructions, self._tell)).events()


class Rounds:
    """Those of one run."""

    def __init__(self, inference: Inference, call: Call | None, run: Run, dialogue: Dialogue) -> None:
        self._inference = inference
        self._call = call
        self._deadline = Deadline(call)
        self._run = run
        self._at = Standing(dialogue)
        self._at.call_ids = {str(item["call_id"]) for item in (*run.context, *run.output) if item.get("call_id")}
        writer = self._read_steps() if run.records or run.steps else None
        self._items = OpenItems(Output(len(run.output), run.tail), self._at, writer)
        self._chunks: JsonStream = _no_chunks()
        self._is_asked = False  # whether the model is answering
        self._calls: list[WrittenCall] = []  # of its answer
        self._reader = self._new_reader()

    async def events(self) -> Events:
        preparation = prepare(self._run, self._items, self._deadline)
        try:
            first = () if self._run.steps else await self._begin(preparation)
            try:
                for event in first:
                    yield event
                async for event in preparation:
                    yield event
                async with aclosing(self._rounds()) as events:
                    async for event in events:
                        yield event
            except ApiError as failure:
                observe_failure(self._call, failure)
                for event in self._break_off():
                    yield event
                unfinished = self._reader.usage if self._is_asked else Usage()
                yield RunEnded("failed", self._at.usage + unfinished, error=error_of(failure))
        finally:
            await preparation.aclose()
            await self._chunks.aclose()

    async def _rounds(self) -> Events:
        at = self._at
        while at.end is None:
            if at.answer is None:
                if not self._is_asked:
                    await self._ask()
                async with aclosing(self._read()) as events:
                    async for event in events:
                        yield event
            async with aclosing(self._end_round(at.answer or self._take_answer())) as events:
                async for event in events:
                    yield event
        yield at.end

    def _read_steps(self) -> "StepWriter | None":
        """What says where the run stands, where that is asked for; what said so before is read."""
        from core.services.responses.engine.steps import StepWriter, read_steps  # late: few runs are recorded

        run = self._run
        read_steps(run.steps, run.output, run.id, self._at)
        return StepWriter(self._at, goes_on=bool(run.steps)) if run.records else None

    async def _begin(self, preparation: Events) -> Sequence[Event]:
        """What comes before the first round, as far as a failure is a status; the model is asked then.

        After a call that was approved none is: clients send again what failed with a status, and the call with it.
        """
        events = list[Event]()
        async for event in preparation:
            events.append(event)
            if is_call(event):
                return events
        await self._ask()
        return events

    async def _ask(self) -> None:
        """Where the model cannot be told so much, and the caller lets go of the oldest, less of it each time."""
        if not self._at.dialogue.messages:  # an empty conversation, or items that are for OpenAI's own tools
            raise InvalidRequest(NOTHING_TOLD, param="input")
        self._items.bound.check()
        self._at.was_last = self._at.is_last
        self._reader = self._new_reader()
        while True:
            try:
                self._chunks = await self._deadline.wait(self._inference.stream_chat_completion(self._request()))
            except InvalidRequest as refusal:
                if not self._run.truncate or refusal.code != CONTEXT_LENGTH or not self._shorten():
                    if (refusal.param or "").startswith("messages"):
                        refusal.param = "input"  # what the caller wrote
                    raise
            else:
                self._is_asked = True
                return

    def _shorten(self) -> bool:
        from core.services.responses.engine.truncation import shorten  # late: nearly no conversation is too long

        shorter = shorten(self._at.dialogue.messages)
        self._at.dialogue.messages = shorter or self._at.dialogue.messages
        return shorter is not None

    def _request(self) -> ChatRequest:
        run, most = self._run, self._run.max_output_tokens
        return ask(
            run,
            self._at.dialogue.messages,
            tool_choice=self._choice(),
            most_tokens=None if most is None else max(1, most - self._at.usage.output_tokens),
        )

    def _choice(self) -> object:
        """What must be called is asked for once: else it would be called for ever."""
        choice = self._at.tool_choice
        if self._at.is_last:
            return "none"
        return None if self._at.number > 1 and (choice == "required" or is_object(choice)) else choice

    async def _read(self) -> Events:
        """The model's answer; the calls of the caller's tools in it are done."""
        reader, calls, bound = self._reader, list[WrittenCall](), self._items.bound
        self._calls = calls
        async with aclosing(self._deadline.watch(self._chunks)) as source:
            async for chunk in source:
                bound.check()
                for piece in reader.feed(chunk):
                    if isinstance(piece, TextDelta):  # as nearly all are
                        bound.take(piece)
                        yield piece
                        continue
                    for event in await self._take(piece, calls):
                        yield event
        if not reader.finish:
            raise UpstreamFailed(NO_FINISH)
        for piece in reader.end():
            for event in await self._take(piece, calls):
                yield event

    async def _take(self, piece: Piece, calls: list[WrittenCall]) -> Sequence[Event]:
        if not isinstance(piece, WrittenCall):
            return (self._items.note(piece),)
        calls.append(piece)
        self._items.note_call(piece.slot, piece.call.arguments)
        if (
            piece.tool.hosted or self._items.writer is not None
        ):  # one of an answer that may be lost is no caller's to run
            return ()
        return [event async for event in self._end_call(piece)]

    async def _end_call(self, written: WrittenCall) -> Events:
        """Of one that is the caller's to run."""
        steps = Steps(self._items.output, written.slot, written.item)
        async with aclosing(self._deadline.watch(written.tool.run(written.call, written.item))) as source:
            async for step in source:
                for event in steps.take(step):
                    yield self._items.note(event)
        for event in steps.break_off(written.call.arguments):
            yield self._items.note(event)

    def _take_answer(self) -> WholeAnswer:
        """That which was read; of one that is not whole no call is run."""
        at, reader, calls, self._is_asked = self._at, self._reader, self._calls, False
        at.usage += reader.usage
        hosted = [] if reader.finish in REASONS else [admit(call, self._run, at) for call in calls if call.tool.hosted]
        answer = WholeAnswer("".join(reader.texts), reader.thoughts.fields(), hosted, reader.finish, reader.usage)
        answer.goes_on = bool(hosted) and len(hosted) == len(calls) and not at.was_last
        return answer

    async def _end_round(self, answer: WholeAnswer) -> Events:
        """What follows an answer: its calls are run, and the model is told of them."""
        at, writer = self._at, self._items.writer
        if at.answer is None:  # else it was recorded before
            at.answer = answer
            async with aclosing(self._end_answer(answer)) as events:
                async for event in events:
                    yield event
        if answer.calls:
            async with aclosing(run_hosted(answer.calls, self._items, self._deadline, self._find)) as events:
                async for event in events:
                    yield event
        yield self._count_round(answer)
        if writer is not None:
            yield StepRecorded(writer.print_end())
        if (
            at.end is None and self._call is not None and self._call.is_spent
        ):  # tokens were reserved once, for all rounds
            resets_in = self._call.ledger.resets_in
            raise QuotaExceeded(retry_after=resets_in, reason=SPENT.format(seconds=resets_in))

    async def _end_answer(self, answer: WholeAnswer) -> Events:
        writer = self._items.writer
        for call in self._calls if writer is not None else ():
            if not call.tool.hosted:
                async for event in self._end_call(call):
                    yield event
        for event in self._break_off() if answer.finish in REASONS else ():
            yield event
        yield AnswerEnded(self._at.number, answer.usage)
        if writer is not None and answer.calls:
            yield StepRecorded(writer.print_answer(answer))

    def _count_round(self, answer: WholeAnswer) -> RoundEnded:
        at = self._at
        if answer.goes_on:
            answer.tell(at.dialogue, at.shown)
        ended = RoundEnded(at.number, tuple(at.items), answer.usage)
        at.end = self._end_after(answer)
        at.number += at.end is None
        at.items, at.answer = [], None
        return ended

    def _end_after(self, answer: WholeAnswer) -> RunEnded | None:
        """None where the model is to be asked again."""
        run, usage = self._run, self._at.usage
        if answer.finish in REASONS:
            return RunEnded("incomplete", usage, REASONS[answer.finish])
        if not answer.goes_on:
            return RunEnded("completed", usage)
        if self._at.number >= min(run.max_rounds, MOST_ROUNDS):
            return RunEnded("incomplete", usage, TOO_MANY_ROUNDS)
        if run.max_output_tokens is not None and usage.output_tokens >= run.max_output_tokens:
            return RunEnded("incomplete", usage, REASONS["length"])
        return None

    def _break_off(self) -> Iterator[Event]:
        """The ends of what was begun."""
        for piece in self._reader.end():
            if not isinstance(piece, WrittenCall):
                yield self._items.note(piece)
        yield from self._items.break_off()

    def _new_reader(self) -> Reader:
        return Reader(self._items.output, self._find, self._at.shown.cite, self._at.call_ids)

    def _find(self, name: str) -> RunTool:
        tools = self._run.tools
        return tools.find(name) or unknown_tool(name, tools.definitions)


async def _no_chunks() -> JsonStream:
    for chunk in list[JsonObject]():
        yield chunk
