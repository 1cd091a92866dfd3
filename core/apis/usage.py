"""What an answer used: what its provider reports, and beside it what came of the answer itself.

Servers report at the end, or the sum so far with every chunk, or never. A report counts for all that came before it; what
came after it, or without any, is estimated from below: a token makes at most one chunk with text in it, and text has, at
four bytes to a token, fewer than it was made of.
"""

from collections.abc import Callable, Mapping, Sized
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

from core.apis.inference import PER_SEARCH, ChatRequest, CompletionRequest, EmbeddingsRequest
from core.frame.callers import Call, UsageRow
from core.frame.types import JsonObject
from core.platform.json_values import to_object

if TYPE_CHECKING:
    from core.apis.prices import Price
    from core.apis.rerank import RerankRequest

type Ending = Literal["whole", "left", "broken"]
"""Of an answer: nothing is missing; nobody waited for the rest, or time was up; its provider failed in it."""

BYTES: Final = 4  # of a token, at most on average
NOT_TEXT: Final = frozenset({"audio", "finish_reason", "id", "index", "logprobs", "role", "stop_reason", "type"})
CACHED: Final = ("cache_read_input_tokens", "prompt_cache_hit_tokens", "cached_tokens")
"""Where servers say it beside OpenAI's own place: Anthropic and who follows it, DeepSeek, Moonshot."""
WRITTEN: Final = ("cache_creation_input_tokens",)
COUNTS: Final = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
MAKERS: Final = (ChatRequest, CompletionRequest)
NOT_PROMPT: Final = frozenset({"data", "file_data", "role", "type", "url"})  # images and files have tokens of their own


class Meter:
    """Measures one answer: fed with it, whole or chunk by chunk, and then charged.

    `provider` is where it comes from: the id of the provider that was asked last; `price` gives what that asks for it, None
    where nobody knows.
    """

    __slots__ = ("_began", "_bytes", "_chunks", "_has_report", "_reported", "_request", "_usage", "price", "provider")

    def __init__(
        self, request: "ChatRequest | CompletionRequest | EmbeddingsRequest | RerankRequest", provider: str = ""
    ) -> None:
        self._request = request
        self.provider = provider
        self.price: Callable[[], Price | None] | None = None
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
        prompt = 0 if self._reported else self._prompt_tokens()
        tokens = self._reported + since + prompt
        if self._has_report and not (ending == "left" and since):
            call.add_tokens(tokens)
        elif ending != "broken":
            call.add_unsaid(tokens)
        elif self._began:
            call.add_tokens(tokens)
        if self._began or ending != "broken":
            said = split_usage(self._usage, self._reported, isinstance(self._request, MAKERS))
            self._note(call, said, prompt, since)
        call.observed.add_usage(self._usage)

    def _note(self, call: Call, said: "Split", prompt: int, since: int) -> None:
        row, price = _row(call, self._request.model, self.provider, said, prompt, since), None
        if self.price is not None:
            price = self.price()
        picos = None if price is None else price.picos(row, self._searches(), said.for_an_hour)
        call.note_use(row.add_cost(0, 1) if picos is None else row, picos)

    def _searches(self) -> int:
        """As how many requests a provider bills it: of a reranker's 100 documents are one."""
        documents: Sized | None = getattr(self._request, "documents", None)
        return 1 if documents is None else -(-len(documents) // PER_SEARCH)

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


def note_report(call: Call, model: str, provider: str, usage: Mapping[str, object]) -> None:
    """Note the row of a whole answer that no Meter was fed with, by its report alone; nobody knows its price."""
    call.note_use(read_report(call, model, provider, usage)[0].add_cost(0, 1))


def read_report(
    call: Call, model: str, provider: str, usage: Mapping[str, object], *, makes_text: bool = True
) -> tuple[UsageRow, int]:
    """The row of a whole answer by its report alone, and how many of the tokens written to a cache are there for an hour."""
    parts = split_usage(usage, _total(usage) or 0, makes_text)
    return _row(call, model, provider, parts), parts.for_an_hour


def _row(call: Call, model: str, provider: str, said: "Split", prompt: int = 0, since: int = 0) -> UsageRow:
    """Of an answer: its report, and what is estimated beside it, of the prompt and of what came `since`."""
    return UsageRow(
        model,
        provider,
        call.observed.api,
        call.observed.operation,
        answers=1,
        prompt_tokens=said.prompt + prompt,
        cached_tokens=said.cached,
        cache_write_tokens=said.writes,
        completion_tokens=said.completion + since,
        reasoning_tokens=said.reasoning,
        estimated_tokens=prompt + since,
    )


class Split(NamedTuple):
    """A report's tokens: prompt and completion are all of them, the others are parts of these; `for_an_hour` is of `writes`."""

    prompt: int
    cached: int
    writes: int
    completion: int
    reasoning: int
    for_an_hour: int = 0


def split_usage(usage: Mapping[str, object], total: int, makes_text: bool) -> Split:  # noqa: FBT001 - for each answer
    """What a report of `total` tokens is made of; no part is more than what it is a part of.

    Some leave reasoning out of the completion tokens, as xAI and Gemini do, and some say the total alone: the rest is of the
    completion, unless the prompt alone is not said, or the model makes no text.
    """
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if not makes_text or (prompt is None and completion is not None):
        prompt = total - (completion or 0)
    prompt = prompt or 0
    if usage.keys() <= COUNTS:  # as servers of one's own mostly say it
        return Split(prompt, 0, 0, total - prompt, 0)
    details, output = to_object(usage.get("prompt_tokens_details")), to_object(usage.get("completion_tokens_details"))
    cached = min(prompt, _first(details.get("cached_tokens"), *map(usage.get, CACHED)))
    writes = min(prompt - cached, _first(details.get("cache_write_tokens"), *map(usage.get, WRITTEN)))
    reasoning = _first(output.get("reasoning_tokens"), usage.get("reasoning_tokens"))
    hour = min(writes, _first(to_object(usage.get("cache_creation")).get("ephemeral_1h_input_tokens")))  # Anthropic's
    return Split(prompt, cached, writes, total - prompt, min(total - prompt, reasoning), hour)


def _first(*values: object) -> int:
    """The first that is a count; 0 where none is."""
    return next((count for value in values if (count := _count(value)) is not None), 0)


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
