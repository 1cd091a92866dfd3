"""What an answer used: what its provider reports, and beside it what came of the answer itself.

Servers report at the end, or the sum so far with every chunk, or never. A report counts for all that came before it; what
came after it, or without any, is estimated from below: a token makes at most one chunk with text in it, and text has, at
four bytes to a token, fewer than it was made of.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest
from core.frame.callers import Call
from core.frame.types import JsonObject

if TYPE_CHECKING:
    from core.apis.rerank import RerankRequest

type Ending = Literal["whole", "left", "broken"]
"""Of an answer: nothing is missing; nobody waited for the rest, or time was up; its provider failed in it."""

BYTES: Final = 4  # of a token, at most on average
NOT_TEXT: Final = frozenset({"audio", "finish_reason", "id", "index", "logprobs", "role", "stop_reason", "type"})
NOT_PROMPT: Final = frozenset({"data", "file_data", "role", "type", "url"})  # images and files have tokens of their own


class Meter:
    """Measures one answer: fed with it, whole or chunk by chunk, and then charged."""

    __slots__ = ("_began", "_bytes", "_chunks", "_has_report", "_reported", "_request", "_usage")

    def __init__(self, request: "ChatRequest | CompletionRequest | EmbeddingsRequest | RerankRequest") -> None:
        self._request = request
        self._began = False
        self._chunks = 0
        self._bytes = 0
        self._has_report = False
        self._reported = 0
        self._usage: Mapping[str, object] = {}

    def feed(self, answer: JsonObject) -> None:
        """The answer, or a chunk of it, of whatever shape an upstream sent."""
        self._began = True
        text = _text_alone(answer)
        if text is not None:
            self._chunks += bool(text)
            self._bytes += len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
            return
        usage: object = answer.get("usage")
        if isinstance(usage, dict) and usage and self._read(cast("dict[str, object]", usage)):
            return  # it counts for this too
        choices: list[object] | None = answer.get("choices")
        if isinstance(choices, list):
            for choice in choices:
                if size := _size_of_choice(choice):
                    self._chunks += 1
                    self._bytes += size

    def charge(self, call: Call, ending: Ending) -> None:
        """Add to the call's ledger what the answer used; where that may be more, the reservation stays at least.

        Of an answer that broke before it began there is nothing.
        """
        since = max(self._chunks, -(-self._bytes // BYTES))
        tokens = self._reported + since + (0 if self._reported else self._prompt_tokens())
        if self._has_report and not (ending == "left" and since):
            call.add_tokens(tokens)
        elif ending != "broken":
            call.add_unsaid(tokens)
        elif self._began:
            call.add_tokens(tokens)
        call.observed.add_usage(self._usage)

    def _read(self, usage: dict[str, object]) -> bool:
        """A report that says no more than an earlier one says nothing of what came since: False."""
        total = _total(usage)
        if total is None:
            return False
        self._has_report = True
        if total <= self._reported:
            return False
        self._reported, self._usage = total, usage
        self._chunks = self._bytes = 0
        return True

    def _prompt_tokens(self) -> int:
        request = self._request
        match request:
            case ChatRequest():
                prompt: object = [request.messages, (request.model_extra or {}).get("tools")]
            case CompletionRequest():
                prompt = request.prompt
            case EmbeddingsRequest():
                prompt = request.input
            case _:  # a reranker reads the query with each document
                prompt = [*request.documents, *([request.query] * len(request.documents))]
        return -(-_size(prompt, NOT_PROMPT) // BYTES)


def _total(usage: Mapping[str, object]) -> int | None:
    """Prompt and completion tokens together; None where it says no number that could be a count."""
    total, prompt, completion = (
        _count(usage.get("total_tokens")),
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
    )
    if total is None and prompt is None and completion is None:
        return None
    return max(total or 0, (prompt or 0) + (completion or 0))


def _count(value: object) -> int | None:
    if type(value) is not int:
        value = int(value) if isinstance(value, float) and value.is_integer() else -1
    return value if value >= 0 else None


def _text_alone(chunk: JsonObject) -> str | None:
    """The text of a chunk that is nothing else, as nearly all are."""
    choices: Any = chunk.get("choices")
    if choices.__class__ is not list or len(choices) != 1 or chunk.get("usage") is not None:
        return None
    choice: Any = choices[0]
    delta: Any = choice.get("delta") if choice.__class__ is dict else None
    if delta.__class__ is not dict or len(delta) != 1:
        return None
    text: Any = delta.get("content")
    return text if text.__class__ is str else None


def _size_of_choice(choice: object) -> int:
    fields: JsonObject = cast("JsonObject", choice) if isinstance(choice, dict) else {}
    return _size(fields, NOT_TEXT)


def _size(value: object, without: frozenset[str]) -> int:
    """The bytes of all text in it, but under the names `without`; the id of a token is as long as one."""
    size, rest = 0, [value]
    while rest:
        item = rest.pop()
        if isinstance(item, str):
            size += len(item) if item.isascii() else len(item.encode(errors="surrogatepass"))
        elif isinstance(item, dict):
            entries = cast("dict[str, object]", item)
            rest += [entry for name, entry in entries.items() if name not in without]
        elif isinstance(item, list):
            entries_ = cast("list[object]", item)
            rest += entries_
            size += BYTES * sum(type(entry) is int for entry in entries_)
    return size
