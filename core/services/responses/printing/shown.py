"""Items as a caller sees them: without what is told only to who asked for it by `include`. Pure."""

from collections.abc import Callable, Collection
from typing import Any, Final

from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object

RESULTS: Final = "file_search_call.results"
SEARCH_RESULTS: Final = "web_search_call.results"
SOURCES: Final = "web_search_call.action.sources"
IMAGE_URLS: Final = "message.input_image.image_url"
LOGPROBS: Final = "message.output_text.logprobs"
ENCRYPTED: Final = "reasoning.encrypted_content"

type Show = Callable[[JsonObject, Collection[str]], JsonObject]


def show_item(item: JsonObject, include: Collection[str]) -> JsonObject:
    """The item, or one like it without what nobody asked for; `item` stays as it is."""
    show = SHOWN.get(item.get("type", ""))
    return item if show is None else show(item, include)


def show_items(items: Collection[JsonObject], include: Collection[str]) -> list[JsonObject]:
    return [show_item(item, include) for item in items]


def _show_message(item: JsonObject, include: Collection[str]) -> JsonObject:
    content = item.get("content")
    if not is_list(content) or (LOGPROBS in include and IMAGE_URLS in include):
        return item
    return {**item, "content": [_show_part(part, include) for part in content]}


def _show_part(part: Any, include: Collection[str]) -> Any:  # noqa: ANN401 - a text, or one of OpenAI's content parts
    match part:
        case {"type": "output_text", "logprobs": [_, *_]} if LOGPROBS not in include:
            return {**part, "logprobs": []}
        case {"type": "input_image", "image_url": str()} if IMAGE_URLS not in include:
            return {**part, "image_url": None}
        case _:
            return part


def _show_search(item: JsonObject, include: Collection[str]) -> JsonObject:
    return item if RESULTS in include or item.get("results") is None else {**item, "results": None}


def _show_web_search(item: JsonObject, include: Collection[str]) -> JsonObject:
    view = dict(item)
    if SEARCH_RESULTS not in include:
        view.pop("results", None)
    action = view.get("action")
    if is_object(action) and "sources" in action and SOURCES not in include:
        view["action"] = {name: value for name, value in action.items() if name != "sources"}
    return view


def _show_reasoning(item: JsonObject, include: Collection[str]) -> JsonObject:
    if ENCRYPTED in include or "encrypted_content" not in item:
        return item
    return {name: value for name, value in item.items() if name != "encrypted_content"}


def _show_call(item: JsonObject, include: Collection[str]) -> JsonObject:
    """Its `error` as a text: clients of OGX read nothing else, and those of OpenAI read both."""
    del include
    error: object = item.get("error")
    if error is None or isinstance(error, str):
        return item
    from core.services.responses.tools.results import tell_error  # late: most calls succeed

    return {**item, "error": tell_error(error)}


SHOWN: Final[dict[str, Show]] = {
    "message": _show_message,
    "file_search_call": _show_search,
    "web_search_call": _show_web_search,
    "reasoning": _show_reasoning,
    "mcp_call": _show_call,
}
