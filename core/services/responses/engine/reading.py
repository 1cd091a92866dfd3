"""A chat model's answer, chunk by chunk, as the events of a round. Pure.

Sources: https://platform.openai.com/docs/api-reference/chat-streaming; the fields for thoughts are those of vLLM, DeepSeek and Bedrock here
(`reasoning_content`), of Groq, Ollama and newer vLLM (`reasoning`), and of OpenRouter (`reasoning_details`); parts as content are Mistral's.

Items follow each other as the model writes them: thoughts, message, calls. One ends where the next begins, but for a call whose arguments are
not whole: parallel calls may come in turns.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from secrets import token_hex
from typing import Any, Final

from core.apis.deltas import Deltas
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object, to_object
from core.services.responses.contract import Event, ItemDone, RunTool, TextDelta, Usage
from core.services.responses.engine.citing import Citing
from core.services.responses.engine.messages import is_json_object
from core.services.responses.engine.pieces import Call, Message, Reasoning, WrittenCall, broken_item
from core.services.responses.engine.thoughts import Thoughts
from core.services.responses.output import Output

THOUGHTS: Final = ("reasoning_content", "reasoning", "reasoning_text")
FINAL: Final = frozenset({"stop", "tool_calls", "function_call"})
"""Reasons of an answer that is whole; whatever a server invents beside `length` and `content_filter` counts as such."""

type Piece = Event | WrittenCall


class Reader:
    """One round. `finish` is the model's reason, "" while there is none; `usage` is what the answer used, as it was reported."""

    def __init__(
        self,
        output: Output,
        find: Callable[[str], RunTool],
        cite: Callable[[], Citing | None],
        call_ids: set[str],
    ) -> None:
        """`call_ids` are those of the conversation so far: what a model gives twice gets another."""
        self.finish = ""
        self.usage = Usage()
        self.thoughts = Thoughts()
        self.texts: list[str] = []
        self.count = 0  # items
        self._output = output
        self._find = find
        self._cite = cite
        self._call_ids = call_ids
        self._deltas = Deltas()
        self._blank = ""  # text that may be all that there is between two items
        self._reasoning: Reasoning | None = None
        self._message: Message | None = None
        self._calls: dict[int, Call] = {}
        self._waiting: dict[int, list[str]] = {}  # arguments of a call whose name has not come

    def feed(self, chunk: JsonObject) -> Iterable[Piece]:
        """What is new, in order; a chunk with a piece of text and nothing else, as nearly all are, is read in a few steps."""
        choices: Any = chunk.get("choices")
        if choices:
            choice: JsonObject = choices[0]
            delta: Any = choice.get("delta")
            message = self._message
            if message is not None and delta and len(delta) == 1 and choice.get("finish_reason") is None:
                text = delta.get("content")
                if text.__class__ is str and text and message.plain and choice.get("logprobs") is None:
                    message.texts.append(text)
                    return (TextDelta(message.slot, text),)
            return self._read(choice, to_object(delta))
        self._count(to_object(chunk.get("usage")))
        return ()

    def end(self) -> Iterator[Piece]:
        """After the last chunk: the ends of all items, which are whole if the model said so."""
        whole = self.finish not in {"", "length", "content_filter"}
        if self._blank and not self.count:
            yield from self._say(self._blank, ())
        if whole and not self.count and not self._calls:
            yield from self._open_message()
        yield from self._close_reasoning(whole=whole)
        yield from self._close_message(whole=whole)
        for call in self._calls.values():
            if whole:
                yield call.end()
            elif call.slot is not None and call.item is not None:
                yield ItemDone(call.slot, broken_item(call.item, "".join(call.texts)))
        self._calls = {}

    def _read(self, choice: JsonObject, delta: JsonObject) -> Iterator[Piece]:
        yield from self._think(delta)
        content: Any = delta.get("content")
        if is_list(content):
            for part in content:
                yield from self._read_part(to_object(part))
        elif content := text_at(delta, "content"):
            yield from self._read_text(content, logprobs_of(choice))
        if refusal := text_at(delta, "refusal"):
            yield from self._open_message()
            if self._message is not None:
                yield from self._message.refuse(refusal)
        if calls := calls_of(delta):
            yield from self._read_calls(calls)
        if finish := text_at(choice, "finish_reason"):
            self.finish = finish

    def _think(self, delta: JsonObject) -> Iterator[Event]:
        details: Any = delta.get("reasoning_details")
        summaries = [
            entry for entry in map(to_object, details if is_list(details) else ()) if text_at(entry, "summary")
        ]
        for entry in summaries:
            yield from self._open_reasoning()
            if self._reasoning is not None:
                yield from self._reasoning.sum_up(number_of(entry, "index"), entry["summary"])
        name = next((name for name in THOUGHTS if text_at(delta, name)), "")
        if name and not summaries:
            self.thoughts.add_text(name, delta[name])
            yield from self._read_thinking(delta[name])
        if blocks := delta.get("thinking_blocks"):
            self.thoughts.add_blocks(blocks)

    def _read_thinking(self, text: str) -> Iterator[Event]:
        if self._reasoning is not None and self._reasoning.sums_up:
            yield from self._close_reasoning(whole=True)
        yield from self._open_reasoning()
        if self._reasoning is not None:
            yield from self._reasoning.think(text)

    def _read_part(self, part: JsonObject) -> Iterator[Event]:
        """Mistral's: `{type: text, text}`, `{type: thinking, thinking: [{type: text, text}]}`."""
        if text := text_at(part, "text"):
            yield from self._read_text(text, ())
        thinking = part.get("thinking")
        for entry in thinking if is_list(thinking) else ():
            if text := text_at(to_object(entry), "text"):
                yield from self._read_thinking(text)

    def _read_text(self, text: str, logprobs: Sequence[JsonObject]) -> Iterator[Event]:
        if self._message is None and not text.strip():  # templates leave line breaks before and behind calls
            self._blank += text
            return
        yield from self._say(self._blank + text, logprobs)

    def _say(self, text: str, logprobs: Sequence[JsonObject]) -> Iterator[Event]:
        self._blank = ""
        if self._message is not None and self._message.refuses:
            yield from self._close_message(whole=True)
        yield from self._open_message()
        if self._message is not None:
            yield from self._message.say(text, logprobs)

    def _open_reasoning(self) -> Iterator[Event]:
        yield from self._close_message(whole=True)
        if self._reasoning is None:
            self._reasoning = Reasoning(self._output)
            self.count += 1
            yield self._reasoning.beginning

    def _open_message(self) -> Iterator[Event]:
        yield from self._close_reasoning(whole=True)
        if self._message is None:
            self._message = Message(self._output, self._cite())
            self.count += 1
            yield self._message.beginning

    def _close_reasoning(self, *, whole: bool) -> Iterator[Event]:
        reasoning, self._reasoning = self._reasoning, None
        if reasoning is not None:
            yield from reasoning.end(whole=whole)

    def _close_message(self, *, whole: bool) -> Iterator[Event]:
        message, self._message = self._message, None
        if message is not None:
            yield from message.end(whole=whole)
            self.texts.append("".join(message.texts))

    def _read_calls(self, calls: Sequence[JsonObject]) -> Iterator[Piece]:
        self._deltas.clean({"tool_calls": calls})
        for piece in calls:
            function, place = to_object(piece.get("function")), piece["index"]
            call = self._calls.get(place)
            arguments = text_at(function, "arguments")
            if call is None and not text_at(function, "name"):
                if arguments.strip():  # of a call that is over, there may be blanks
                    self._waiting.setdefault(place, []).append(arguments)
                continue
            if call is None:
                yield from self._begin_call(place, piece.get("id"), function["name"])
                call, arguments = self._calls[place], "".join(self._waiting.pop(place, ())) + arguments
            if arguments:
                yield from call.write(arguments)

    def _begin_call(self, place: int, call_id: object, name: str) -> Iterator[Piece]:
        yield from self._close_reasoning(whole=True)
        yield from self._close_message(whole=True)
        for earlier, call in [*self._calls.items()]:
            if call.read == len(call.texts):  # since the last call began nothing came of it: there may be thousands
                continue
            call.read = len(call.texts)
            if is_whole("".join(call.texts)):
                yield self._calls.pop(earlier).end()
        if not isinstance(call_id, str) or not call_id or call_id in self._call_ids:
            call_id = f"call_{token_hex(12)}"
        self._call_ids.add(call_id)
        call = self._calls[place] = Call(self._find(name), call_id, name)
        self._blank = ""
        self.count += 1
        yield from call.begin(self._output)

    def _count(self, usage: JsonObject) -> None:
        if usage:
            self.usage = Usage(
                number_of(usage, "prompt_tokens"),
                number_of(to_object(usage.get("prompt_tokens_details")), "cached_tokens"),
                number_of(usage, "completion_tokens"),
                number_of(to_object(usage.get("completion_tokens_details")), "reasoning_tokens"),
            )


def is_whole(arguments: str) -> bool:
    """Whether no more can come of them; `{}` some send before they know better."""
    return len(arguments.strip()) > len("{}") and is_json_object(arguments)


def calls_of(delta: JsonObject) -> list[JsonObject]:
    """Those of the delta, the one of the older form too."""
    calls: Any = delta.get("tool_calls")
    if is_list(calls):
        return [call for call in calls if is_object(call) and is_object(call.get("function"))]
    older: Any = delta.get("function_call")
    return [{"index": 0, "function": older}] if is_object(older) else []


def text_at(holder: JsonObject, name: str) -> str:
    """The text in it; none where there is something else."""
    text: Any = holder.get(name)
    return text if text.__class__ is str else ""


def logprobs_of(choice: JsonObject) -> Sequence[JsonObject]:
    content: Any = to_object(choice.get("logprobs")).get("content")
    return [row for row in content if is_object(row)] if is_list(content) else ()


def number_of(counts: JsonObject, name: str) -> int:
    count: Any = counts.get(name)
    return count if isinstance(count, int) and count > 0 else 0
