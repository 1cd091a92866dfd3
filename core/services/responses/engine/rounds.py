"""The engine: rounds of the model, the stack's tools, the model again, until it has answered or its bounds are reached.

    prepare -> ask -> read the answer -> run its calls -> ask -> ... -> RunEnded

A round is a step that can be recorded: after it the messages of the next one follow from the items alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Final

from core.apis.inference import ChatRequest, Inference
from core.apis.responses import MOST_ROUNDS
from core.errors import CONTEXT_LENGTH, ApiError, InvalidRequest, QuotaExceeded, UpstreamFailed
from core.frame.callers import Call
from core.frame.types import JsonObject, JsonStream
from core.platform.json_values import is_object
from core.services.responses.contract import (
    Event,
    Events,
    Item,
    ItemAdded,
    ItemDone,
    Output,
    RoundEnded,
    Run,
    RunEnded,
    RunTool,
    Slot,
    TextDelta,
    Usage,
)
from core.services.responses.engine.chat import ask
from core.services.responses.engine.citing import Shown
from core.services.responses.engine.failures import NO_FINISH, Deadline, error_of, observe_failure
from core.services.responses.engine.hosted import NO_ANSWER, Steps, run_calls
from core.services.responses.engine.messages import Dialogue, Tell, ToldCall
from core.services.responses.engine.pieces import WrittenCall, broken_item
from core.services.responses.engine.reading import Piece, Reader
from core.services.responses.engine.standins import over_limit, unknown_tool

REASONS: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Of an incomplete response, by the model's reason."""
MOST_CALLS: Final = 1000
"""Of the stack's tools in one response, whatever its caller allows."""
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
        self._output = Output(tail=run.tail)
        self._dialogue = dialogue
        self._chunks: JsonStream = _no_chunks()
        self._tool_choice: object = None
        self._number = 1
        self._ran = 0  # calls of the stack's tools
        self._counted = 0  # those of them that max_tool_calls is about
        self._is_last = self._was_last = False  # the model is to answer without tools, and was asked to
        self._call_ids = {str(item["call_id"]) for item in run.context if item.get("call_id")}
        self._shown = Shown()
        self._usage = Usage()
        self._opened: dict[Slot, Item] = {}  # what was added and is not done
        self._items: list[Item] = []  # what was done since the last round ended
        self._reader = self._new_reader()

    async def events(self) -> Events:
        prepared = await self._prepare()
        if not (has_acted := any(map(_is_call, prepared))):
            await self._ask()
        try:
            for event in prepared:
                yield event
            if has_acted:  # a failure that is a status is one that clients send again, and the call with it
                await self._ask()
            async with aclosing(self._rounds()) as events:
                async for event in events:
                    yield event
        except ApiError as failure:
            observe_failure(self._call, failure)
            for event in self._break_off():
                yield event
            yield RunEnded("failed", self._usage, error=error_of(failure))
        finally:
            await self._chunks.aclose()

    async def _rounds(self) -> Events:
        while True:
            calls: list[WrittenCall] = []
            async with aclosing(self._read(calls)) as events:
                async for event in events:
                    yield event
            async with aclosing(self._answer(calls)) as events:
                async for event in events:
                    yield event
            yield self._end_round()
            if (end := self._end(calls)) is not None:
                yield end
                return
            self._number += 1
            if self._call is not None and self._call.is_spent:  # tokens were reserved once, for all of the rounds
                resets_in = self._call.ledger.resets_in
                raise QuotaExceeded(retry_after=resets_in, reason=SPENT.format(seconds=resets_in))
            await self._ask()

    async def _prepare(self) -> list[Event]:
        """What comes before the first round. The context is looked at before anything is run."""
        run, events, steps = self._run, list[Event](), Steps(self._output)
        self._dialogue.add_items(run.context, run.kept_count)
        self._shown.add_context(run.context)
        async with aclosing(self._deadline.watch(run.tools.prepare(run.context))) as source:
            async for step in source:
                events += map(self._note, steps.take(step))
                if steps.done is not None:
                    self._dialogue.add_call(steps.done.item, steps.done.output)
                    self._shown.add(steps.done)
                    steps = Steps(self._output)
        self._tool_choice = run.tools.choose(run.tool_choice)
        return events

    async def _ask(self) -> None:
        """Where the model cannot be told so much, and the caller lets go of the oldest, less of it each time."""
        if not self._dialogue.messages:  # an empty conversation, or items that are for OpenAI's own tools
            raise InvalidRequest(NOTHING_TOLD, param="input")
        self._was_last = self._is_last
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
                return

    def _shorten(self) -> bool:
        from core.services.responses.engine.truncation import shorten  # late: nearly no conversation is too long

        shorter = shorten(self._dialogue.messages)
        self._dialogue.messages = shorter or self._dialogue.messages
        return shorter is not None

    def _request(self) -> ChatRequest:
        run, most = self._run, self._run.max_output_tokens
        return ask(
            run,
            self._dialogue.messages,
            tool_choice=self._choice(),
            most_tokens=None if most is None else max(1, most - self._usage.output_tokens),
        )

    def _choice(self) -> object:
        """What must be called is asked for once: else it would be called for ever."""
        choice = self._tool_choice
        if self._is_last:
            return "none"
        return None if self._number > 1 and (choice == "required" or is_object(choice)) else choice

    async def _read(self, calls: list[WrittenCall]) -> Events:
        """The model's answer; its calls are put to `calls`, and those of the caller's tools are done."""
        reader = self._reader
        async with aclosing(self._deadline.watch(self._chunks)) as source:
            async for chunk in source:
                for piece in reader.feed(chunk):
                    if isinstance(piece, TextDelta):  # as nearly all are
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
            return (self._note(piece),)
        calls.append(piece)
        if piece.slot is not None and piece.slot in self._opened:
            self._opened[piece.slot] = broken_item(self._opened[piece.slot], piece.call.arguments)
        if piece.tool.hosted:
            return ()
        steps, events = Steps(self._output, piece.slot, piece.item), list[Event]()
        async with aclosing(self._deadline.watch(piece.tool.run(piece.call, piece.item))) as source:
            async for step in source:
                events += map(self._note, steps.take(step))
        return [*events, *map(self._note, steps.break_off())]

    async def _answer(self, calls: Sequence[WrittenCall]) -> Events:
        """Run the stack's tools, all of the round at once, and tell the model what came of them; not of an answer that is not whole."""
        if self._reader.finish in REASONS:
            for event in self._break_off():
                yield event
            return
        hosted = [self._admit(call) for call in calls if call.tool.hosted]
        runs = {call: Steps(self._output, call.slot, call.item) for call in hosted}
        async with aclosing(self._deadline.watch(run_calls(hosted))) as source:
            async for call, step in source:
                for event in runs[call].take(step) if step is not None else runs[call].break_off():
                    yield self._note(event)
        self._dialogue.add_round(
            "".join(self._reader.texts), self._reader.thoughts, [self._tell(call, runs[call]) for call in hosted]
        )

    def _admit(self, call: WrittenCall) -> WrittenCall:
        """The call, or one in its place that says that there were too many."""
        most = MOST_CALLS if self._run.max_tool_calls is None else self._run.max_tool_calls
        self._ran += 1
        self._counted += call.tool.counted
        if self._ran <= MOST_CALLS and (not call.tool.counted or self._counted <= most):
            return call
        self._is_last = True
        return WrittenCall(over_limit(call.call.name, min(most, MOST_CALLS)), call.call, call.slot, call.item)

    def _tell(self, call: WrittenCall, steps: Steps) -> ToldCall:
        done = steps.done
        output = NO_ANSWER if done is None or done.output is None else done.output
        if done is not None:
            self._shown.add(done)
        return ToldCall(call.call.call_id, call.tool.definition["function"]["name"], call.call.arguments, output)

    def _end_round(self) -> RoundEnded:
        usage, items = self._reader.usage, tuple(self._items)
        self._usage += usage
        self._items = []
        return RoundEnded(self._number, items, usage)

    def _end(self, calls: Sequence[WrittenCall]) -> RunEnded | None:
        """None where the model is to be asked again."""
        run, finish, usage = self._run, self._reader.finish, self._usage
        if finish in REASONS:
            return RunEnded("incomplete", usage, REASONS[finish])
        if not calls or not all(call.tool.hosted for call in calls) or self._was_last:
            return RunEnded("completed", usage)
        if self._number >= min(run.max_rounds, MOST_ROUNDS):
            return RunEnded("incomplete", usage, TOO_MANY_ROUNDS)
        if run.max_output_tokens is not None and usage.output_tokens >= run.max_output_tokens:
            return RunEnded("incomplete", usage, REASONS["length"])
        return None

    def _break_off(self) -> Iterator[Event]:
        """The ends of what was begun."""
        for piece in self._reader.end():
            if not isinstance(piece, WrittenCall):
                yield self._note(piece)
        for slot, item in [*self._opened.items()]:
            yield self._note(ItemDone(slot, broken_item(item)))

    def _note[E: (Event)](self, event: E) -> E:
        if isinstance(event, ItemAdded):
            self._opened[event.slot] = event.item
        elif isinstance(event, ItemDone):
            self._opened.pop(event.slot, None)
            self._items.append(event.item)
        return event

    def _new_reader(self) -> Reader:
        return Reader(self._output, self._find, self._shown.cite, self._call_ids)

    def _find(self, name: str) -> RunTool:
        tools = self._run.tools
        return tools.find(name) or unknown_tool(name, tools.definitions)


def _is_call(event: Event) -> bool:
    """Whether a server did something: a call that was approved."""
    return isinstance(event, ItemDone) and event.item["type"] == "mcp_call"


async def _no_chunks() -> JsonStream:
    for chunk in list[JsonObject]():
        yield chunk
