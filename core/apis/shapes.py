"""Whether an upstream's answers have OpenAI's shape, as far as the stack reads them. Pure.

What servers leave out is put in, what they name without a value is taken out where OpenAI knows no such value, and a call of
a function is OpenAI's. Sources: vLLM's chat completions, and those of Text Generation Inference before 3.0.
"""

from collections.abc import Iterator, Mapping
import json
from typing import Any, Final, Protocol, cast

from core.apis.deltas import Deltas
from core.errors import UpstreamFailed
from core.frame.types import JsonObject

TEXTS: Final = ("reasoning_content", "reasoning", "refusal")
USUAL: Final = frozenset({"role", "content"})  # of a message
NUMBERS: Final = frozenset({int, float})
COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")
MOST_TOKENS: Final = 2**53  # what any store and any client can count
NO_VALUE: Final[Mapping[str, tuple[object, ...]]] = {
    "tool_calls": (None, []),
    **dict.fromkeys(("function_call", "audio", "annotations", *TEXTS[:2]), (None,)),
}
"""What stands for none, and in OpenAI's answers never does, by the field of a message. A refusal may be null there."""
FINISHES: Final = {"eos_token": "stop", "stop_sequence": "stop"}
"""The reasons of old servers, by OpenAI's."""


def check_chat(reply: JsonObject) -> JsonObject:
    """A `chat.completion`; raises UpstreamFailed."""
    if _is_usual_chat(reply):
        return reply
    for choice in _numbered(reply, "choices"):
        message: Any = choice.get("message")
        _check_message(message)
        _translate_finish(choice, calls="tool_calls" in message)
    return _check_usage(reply)


def check_completion(reply: JsonObject) -> JsonObject:
    """A `text_completion`; raises UpstreamFailed."""
    for choice in _numbered(reply, "choices"):
        _check_text(choice, "text")
    return _check_usage(reply)


class StreamChecker(Protocol):
    """The chunks of one stream; it is `begun` with the first, and `complete` once nothing is missing."""

    @property
    def begun(self) -> bool: ...

    @property
    def complete(self) -> bool: ...

    def is_usual(self, chunk: JsonObject) -> bool:
        """Whether it needs no check."""
        ...

    def check(self, chunk: JsonObject) -> JsonObject:
        """Raises UpstreamFailed for what is none."""
        ...


class ChunkChecker:
    """The chunks of one stream of either. It is `complete` once every choice that began has its finish reason."""

    __slots__ = ("_finished", "_seen", "begun")

    def __init__(self) -> None:
        self.begun = False
        self._seen: dict[int, Deltas] = {}
        self._finished: set[int] = set()

    @property
    def complete(self) -> bool:
        return bool(self._finished) and self._finished >= self._seen.keys()

    def is_usual(self, chunk: JsonObject) -> bool:
        """One choice with a piece of text, as nearly all of them have: told in a fifth of the time. It needs no check."""
        choices: Any = chunk.get("choices")
        if choices.__class__ is not list or len(choices) != 1 or "error" in chunk or chunk.get("usage") is not None:
            return False
        choice: Any = choices[0]
        if choice.__class__ is not dict or choice.get("finish_reason") is not None or choice.get("text") is not None:
            return False
        index: Any = choice.get("index")
        if index.__class__ is not int or index not in self._seen:
            return False
        delta: Any = choice.get("delta")
        return delta.__class__ is dict and len(delta) == 1 and delta.get("content").__class__ is str

    def check(self, chunk: JsonObject) -> JsonObject:
        """Any of them; raises UpstreamFailed."""
        self.begun = True
        if chunk.get("choices") is None:  # as some send it where there is only the usage
            chunk["choices"] = []
        for choice in _numbered(chunk, "choices"):
            deltas = self._note(choice)
            if choice.get("delta", choice) is None:
                choice["delta"] = {}
            _check_message(delta := choice.get("delta", {}))
            deltas.clean(delta)
            _check_text(choice, "text")
            _translate_finish(choice, calls=deltas.hold_calls)
        return _check_usage(chunk)

    def _note(self, choice: JsonObject) -> Deltas:
        index: int = choice["index"]
        if choice.get("finish_reason"):
            self._finished.add(index)
        return self._seen.setdefault(index, Deltas())


def _is_usual_chat(reply: JsonObject) -> bool:
    """One choice with a text, and a usage or none."""
    choices: Any = reply.get("choices")
    usage: Any = reply.get("usage")
    if choices.__class__ is not list or len(choices) != 1 or not (usage is None or _counts(usage)):
        return False
    choice: Any = choices[0]
    if choice.__class__ is not dict or choice.get("index").__class__ is not int or _finish_of(choice):
        return False
    message: Any = choice.get("message")
    return message.__class__ is dict and message.keys() == USUAL and message["content"].__class__ is str


def _counts(usage: Any) -> bool:  # noqa: ANN401 - whatever an upstream sent
    if usage.__class__ is not dict:
        return False
    for name in COUNTS:
        count = usage.get(name)
        if count.__class__ is not int or not 0 <= count <= MOST_TOKENS:
            return False
    return True


def check_embeddings(reply: JsonObject) -> JsonObject:
    """A `list` of `embedding` objects; raises UpstreamFailed."""
    for entry in _numbered(reply, "data"):
        vector: object = entry.get("embedding")
        numbers = (
            cast("list[object]", vector) if isinstance(vector, list) else [] if isinstance(vector, str) else [None]
        )
        if not NUMBERS.issuperset(map(type, numbers)):
            raise _failure("embedding")
    return _check_usage(reply)


def _numbered(answer: JsonObject, name: str) -> Iterator[JsonObject]:
    for position, item in enumerate(_objects(answer, name)):
        if not isinstance(item.setdefault("index", position), int):
            raise _failure("index")
        yield item


def _objects(holder: JsonObject, name: str) -> Iterator[JsonObject]:
    value = holder.get(name)
    if not isinstance(value, list):
        raise _failure(name)
    for item in cast("list[object]", value):
        if not isinstance(item, dict):
            raise _failure(name)
        yield cast("JsonObject", item)


def _check_message(message: Any) -> None:  # noqa: ANN401 - whatever an upstream sent
    if not isinstance(message, dict):
        raise _failure("message")
    fields = cast("JsonObject", message)
    if not isinstance(fields.get("content"), str | list | None):  # some send parts
        raise _failure("content")
    for name in TEXTS:
        _check_text(fields, name)
    for name, none in NO_VALUE.items():
        if name in fields and fields[name] in none:
            del fields[name]
    if "tool_calls" in fields:
        _check_calls(fields)


def _check_calls(message: JsonObject) -> None:
    """Some send the one call of a chunk without a list, and its arguments as what they stand for."""
    if isinstance(message["tool_calls"], dict):
        message["tool_calls"] = [message["tool_calls"]]
    for call in _objects(message, "tool_calls"):
        function = call.get("function")
        if not isinstance(function, dict | None):
            raise _failure("function")
        if function and isinstance(arguments := cast("JsonObject", function).get("arguments"), dict | list):
            function["arguments"] = json.dumps(arguments)


def _finish_of(choice: JsonObject) -> str:
    """OpenAI's word for an old server's."""
    reason: Any = choice.get("finish_reason")
    return FINISHES.get(reason, "") if reason.__class__ is str else ""


def _translate_finish(choice: JsonObject, *, calls: bool) -> None:
    """To servers that know no other end, as TGI, calls are a stop: agents would take it for the last word."""
    if reason := _finish_of(choice):
        choice["finish_reason"] = reason
    if calls and choice.get("finish_reason") == "stop":
        choice["finish_reason"] = "tool_calls"


def _check_text(holder: JsonObject, name: str) -> None:
    if not isinstance(holder.get(name), str | None):
        raise _failure(name)


def _check_usage(answer: JsonObject) -> JsonObject:
    usage = answer.get("usage")
    if usage is None:
        return answer
    if not isinstance(usage, dict):
        raise _failure("usage")
    for name in COUNTS:
        count = cast("JsonObject", usage).get(name)
        if isinstance(count, int | float) and not 0 <= count <= MOST_TOKENS:  # some send 7.0
            raise _failure("usage")
    return answer


def _failure(name: str) -> UpstreamFailed:
    return UpstreamFailed(f"The provider's answer is not of OpenAI's shape: look at its `{name}`.")
