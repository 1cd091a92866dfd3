"""The input of a request as items: each whole, with an id, as it is kept and as a model is told it. Pure."""

from collections.abc import Sequence
import re
from typing import Any, Final

from core.apis.response_items import REFERENCE, kind_of
from core.errors import InvalidRequest, shorten
from core.frame.types import JsonObject
from core.services.responses.contract import Item
from core.services.responses.output import PREFIXES, make_id

OWN_ID: Final = re.compile(r"[a-z]{2,6}_[0-9a-f]{48}")
HAS_STATUS: Final = frozenset({
    "message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "mcp_call",
    "file_search_call", "web_search_call",
})  # fmt: skip
MOST_SHOWN: Final = 80
NO_ITEM: Final = (
    "{path}.id: there is no item `{id}` in the context of this request. Send the item itself, or the `previous_response_id` or the "
    "`conversation` that has it."
)


def read_input(value: str | list[JsonObject] | None, context: Sequence[Item]) -> list[Item]:
    """The new items of a request whose shapes were checked; `context` is what was said before.

    A reference to an item of the context says nothing new. Raises InvalidRequest for one to any other.
    """
    if value is None:
        return []
    if isinstance(value, str):
        return [_whole({"role": "user", "content": value}, set())]
    seen: set[str] = {item["id"] for item in context if "id" in item}
    items: list[Item] = []
    for position, item in enumerate(value):
        if kind_of(item) != REFERENCE:
            items.append(_whole(item, seen))
        elif item["id"] not in seen:
            path = f"input[{position}]"
            name = shorten(item["id"], MOST_SHOWN)
            raise InvalidRequest(NO_ITEM.format(path=path, id=name), param=f"{path}.id")
    return items


def text_message(role: str, text: str) -> Item:
    """A message as it is kept, with an id."""
    return _whole({"role": role, "content": text}, set())


def _whole(item: JsonObject, seen: set[str]) -> Item:
    """A copy that lacks nothing; an id of the caller's stays where it could be ours, and nothing has it."""
    kind = kind_of(item)
    whole: Item = {**item, "type": kind}
    if kind == "message":
        whole["content"] = _content(item["role"], item["content"])
    if kind in HAS_STATUS and not whole.get("status"):
        whole["status"] = "completed"
    whole["id"] = _id_of(item, kind, seen)
    seen.add(whole["id"])
    return whole


def _id_of(item: JsonObject, kind: str, seen: set[str]) -> str:
    own_id = item.get("id")
    if not isinstance(own_id, str) or own_id in seen:
        own_id = ""
    # What an approval names is found by its id, whoever gave it.
    if own_id and (kind == "mcp_approval_request" or OWN_ID.fullmatch(own_id)):
        return own_id
    return make_id(PREFIXES.get(kind, "item_"))


def _content(role: str, content: Any) -> list[JsonObject]:  # noqa: ANN401 - a text, or OpenAI's content parts
    if not isinstance(content, str):
        parts: list[JsonObject] = content
        return parts
    if role == "assistant":
        return [{"type": "output_text", "text": content, "annotations": [], "logprobs": []}]
    return [{"type": "input_text", "text": content}]
