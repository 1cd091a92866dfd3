"""What a turn puts in: messages and documents of Llama Stack 0.2, and answers of client tools, as items of Responses."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
import io
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from core.apis.agents import ToolAnswer, TurnDocument, TurnMessage
from core.apis.native import Message
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.platform.concurrency import run_all
from core.platform.json_values import is_object
from core.services.inference.native.messages import to_openai_content, to_openai_messages
from core.services.responses.contract import Item

if TYPE_CHECKING:
    from core.apis.rag import Fetched

type Fetch = Callable[[str, str], "Awaitable[Fetched]"]
"""From a URL, and the path of the field that has it, to what is there."""

AT_ONCE: Final = 4
MOST_BYTES: Final = 32 * 1024 * 1024
"""Of the documents of a turn that are fetched: they are in memory together."""
MOST_TEXT: Final = 2_000_000
"""Characters of one document."""
MOST_SECONDS: Final = 20.0  # for the text of one document
MOST_ANSWER: Final = 1_048_576
"""Bytes of what a client tool answers: more than a model reads, and less than a session could keep of many."""
BETWEEN: Final = "\n"  # documents; between a message and the first there is nothing, as in 0.2


def read_messages(messages: Sequence[TurnMessage]) -> list[Item]:
    """An item for each, in order. Raises InvalidRequest by the message's path."""
    native = [
        Message.model_construct(
            role=message.role, content=message.content, context=message.context, call_id=message.call_id
        )
        for message in messages
    ]
    return [_to_item(message) for message in to_openai_messages(native, "messages")]


def show_messages(messages: Sequence[TurnMessage]) -> list[JsonObject]:
    """As a turn says them again."""
    return [message.model_dump(exclude_unset=True) for message in messages]


def read_answer(answer: ToolAnswer, path: str) -> Item:
    """Raises InvalidRequest for one that is no content, or too long."""
    content = to_openai_content(answer.content, f"{path}.content")
    size = _size_of(content)
    if size > MOST_ANSWER:
        raise InvalidRequest(
            f"{path}.content: has {size:,} bytes, and a client tool may answer {MOST_ANSWER:,}. Answer the part that the model needs, or put it "
            "into a vector store and let the model search it.",
            param=f"{path}.content",
        )
    output = content if isinstance(content, str) else _to_parts(content)
    return {"type": "function_call_output", "call_id": answer.call_id, "output": output}


@dataclass(slots=True)
class Documents:
    """Those of one turn; `fetch` gets what is named by a URL."""

    fetch: Fetch
    _fetched: int = field(default=0, init=False)  # bytes

    async def add(self, items: Sequence[Item], documents: Sequence[TurnDocument]) -> list[Item]:
        """The items, with the documents at the end of the last message of the user's. Raises InvalidRequest by the document's path."""
        if not documents:
            return [*items]
        jobs = [partial(self._read, document, f"documents[{place}]") for place, document in enumerate(documents)]
        texts = await run_all(jobs, at_once=AT_ONCE)
        place = next((place for place in range(len(items) - 1, -1, -1) if items[place].get("role") == "user"), None)
        if place is None:
            return [*items, {"role": "user", "content": _join((), texts)}]
        message = {**items[place], "content": _join(items[place]["content"], texts)}
        return [*items[:place], message, *items[place + 1 :]]

    async def _read(self, document: TurnDocument, path: str) -> list[JsonObject]:
        """Its parts; a text is one."""
        content, place = document.content, f"{path}.content"
        if not (is_object(content) and isinstance(content.get("uri"), str)):
            return _to_parts(to_openai_content(content, place))
        from core.services.retrieval.document_text import fetch_content  # late: few turns have documents

        fetched = await fetch_content(content["uri"], place, self.fetch)
        self._fetched += len(fetched.content)
        if self._fetched > MOST_BYTES:
            message = f"documents: they have more than {MOST_BYTES // 1024**2} MB together. Put them into a vector store, and let the model search it."
            raise InvalidRequest(message, param="documents")
        return await _read_text(fetched, content["uri"], document.mime_type, place)


async def _read_text(fetched: "Fetched", url: str, media_type: str, path: str) -> list[JsonObject]:
    import asyncio

    from core.services.vector_stores.ingest.extract import extract_text
    from core.services.vector_stores.ingest.limits import ExtractLimits, Unreadable

    name = "" if url[:5].lower() == "data:" else unquote(urlsplit(url).path.rpartition("/")[2])
    limits = ExtractLimits(text=MOST_TEXT, seconds=MOST_SECONDS)

    def extract() -> str:
        return "".join(extract_text(io.BytesIO(fetched.content), name, media_type or fetched.content_type, limits))

    try:
        return _to_parts(await asyncio.to_thread(extract))
    except Unreadable as unreadable:
        raise InvalidRequest(f"{path}: {unreadable.message}", param=path) from None


def _join(content: Sequence[JsonObject], documents: Sequence[Sequence[JsonObject]]) -> list[JsonObject]:
    """Texts that follow each other are one."""
    parts = [dict(part) for part in content]
    for number, document in enumerate(documents):
        for place, part in enumerate(document):
            between = BETWEEN if number and not place else ""
            if part["type"] == "input_text" and parts and parts[-1]["type"] == "input_text":
                parts[-1]["text"] += between + part["text"]
            else:
                parts.append(dict(part))
    return parts


def _to_item(message: JsonObject) -> Item:
    content: Any = message["content"]
    if message["role"] == "tool":
        output = content if isinstance(content, str) else _to_parts(content)
        return {"type": "function_call_output", "call_id": message["tool_call_id"], "output": output}
    return {"role": "user", "content": _to_parts(content)}


def _to_parts(content: str | list[JsonObject]) -> list[JsonObject]:
    """OpenAI's content of a chat message as that of an item."""
    if isinstance(content, str):
        return [{"type": "input_text", "text": content}]
    return [_to_part(part) for part in content]


def _to_part(part: JsonObject) -> JsonObject:
    if part["type"] == "text":
        return {"type": "input_text", "text": part["text"]}
    return {"type": "input_image", "image_url": part["image_url"]["url"], "detail": "auto"}


def _size_of(content: str | list[JsonObject]) -> int:
    if isinstance(content, str):
        return len(content.encode(errors="replace"))
    return sum(len(str(part.get("text") or part.get("image_url"))) for part in content)
