"""How many tokens a prompt has at most, whatever tokenizer reads it: a token stands for a byte of the text at least.

What templates put around it is bounded by experience: the texts that go before all others (of Llama and gpt-oss fewer than
80 tokens), Claude's for tools (at most 530), and what marks messages. Texts that a template writes as JSON count as its longest
form, where all but ASCII is escaped. Images count so much each, which most vendors stay below; other media have no bound.
"""

from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring_ascii
from typing import Any, Final, NamedTuple, cast

from core.frame.types import Wire

PREAMBLE: Final = 128  # tokens, before all messages
TOOL_PREAMBLE: Final = 1024  # beside tools
PER_ENTRY: Final = 8  # of a list, as a message, a part, a tool: what marks it
PER_NAME: Final = 4  # of an object: quotes, colon, comma
IMAGE: Final = 2000
CONVERSATIONS: Final = frozenset({
    "content",
    "content_batch",
    "contents",
    "documents",
    "input",
    "input_rows",
    "instructions",
    "items",
    "messages",
    "messages_batch",
    "prompt",
    "query",
})  # fmt: skip
"""The fields in which parts may be media, and texts are read as they are; all others may be written as JSON."""
BATCHES: Final = ("messages_batch", "content_batch", "input_rows")
"""Of which each entry is a prompt, with all that the request says beside them."""
TOOLS: Final = frozenset({"functions", "tools"})
AS_JSON: Final = frozenset({"arguments", "tool_calls"})
"""Of messages."""
IMAGES: Final = frozenset({"image", "image_url", "input_image"})
OTHER_MEDIA: Final = frozenset({"audio", "file", "input_audio", "input_file", "video", "video_url"})
MEDIA: Final = IMAGES | OTHER_MEDIA
PLACES: Final = frozenset({"data", "file_data", "image_url", "uri", "url", "video_url"})
"""Where media are, in parts that are media: of no length that tokens would follow."""


class PromptBound(NamedTuple):
    """`is_open` where it has media whose tokens nothing bounds."""

    tokens: int
    is_open: bool


def bound_prompt(body: Wire) -> PromptBound:
    """Of all that a request says; without what a model is told beside it, as the earlier turns of a conversation."""
    fields = _fields_of(body)
    prompts, rest = _Counter(), _Counter()
    for name, value in fields.items():
        if name in CONVERSATIONS:
            prompts.add(value, is_read=True)
        elif name != "model":
            rest.add(value, is_read=False)
    times = next((len(fields[name]) for name in BATCHES if name in fields), 1)
    beside = PREAMBLE + rest.tokens + (TOOL_PREAMBLE if fields.keys() & TOOLS else 0)
    return PromptBound(prompts.tokens + times * beside + _ranked(fields), prompts.is_open)


def _ranked(fields: Mapping[str, Any]) -> int:
    """A reranker reads the query again with each document."""
    documents: list[object] | None = fields.get("documents") or fields.get("items")
    if "query" not in fields or not isinstance(documents, list):
        return 0
    query = _Counter()
    query.add([fields["query"]], is_read=True)
    return query.tokens * len(documents)


class _Counter:
    def __init__(self) -> None:
        self.tokens = 0
        self.is_open = False

    def add(self, value: object, *, is_read: bool, in_media: bool = False) -> None:
        match value:
            case str():
                self.tokens += _bytes_of(value) if is_read else len(encode_basestring_ascii(value))
            case list() | tuple():
                self._add_list(cast("list[object]", value), is_read=is_read)
            case dict() | Wire():
                self._add_fields(
                    _fields_of(cast("dict[str, object] | Wire", value)), is_read=is_read, in_media=in_media
                )
            case None | bool():
                self.tokens += PER_NAME
            case _:
                self.tokens += len(str(value))

    def _add_list(self, entries: Iterable[object], *, is_read: bool) -> None:
        for entry in entries:
            if type(entry) is int:  # the id of a token
                self.tokens += 1 if is_read else PER_ENTRY + len(str(entry))
            else:
                self.tokens += PER_ENTRY
                self.add(entry, is_read=is_read)

    def _add_fields(self, fields: Mapping[str, object], *, is_read: bool, in_media: bool) -> None:
        kind = fields.get("type") if is_read and not in_media else None
        if isinstance(kind, str) and kind in MEDIA:
            in_media = True
            self.tokens += IMAGE
            self.is_open = self.is_open or kind in OTHER_MEDIA
        for name, value in fields.items():
            self.tokens += _bytes_of(name) + PER_NAME
            if not (in_media and name in PLACES and isinstance(value, str)):
                is_text = is_read and name not in AS_JSON
                self.add(value, is_read=is_text, in_media=in_media)


def _fields_of(value: Wire | dict[str, Any]) -> Mapping[str, Any]:
    return {**vars(value), **(value.model_extra or {})} if isinstance(value, Wire) else value


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
