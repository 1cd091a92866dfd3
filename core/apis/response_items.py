"""The shapes of items that a caller puts in: of a request of Responses, and of a conversation.

What is not named here is kept as it came. Sources: https://platform.openai.com/docs/api-reference/responses/create#responses-create-input;
https://github.com/openai/codex for the items of its own tools.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from core.apis.responses import MOST_ITEMS
from core.apis.values import MISSING, Rule, check_flag, check_object, check_text, fault, items_at, objects_at, one_of
from core.errors import InvalidRequest
from core.frame.types import JsonObject

ROLES: Final = ("user", "assistant", "system", "developer")
DETAILS: Final = ("auto", "low", "high", "original")
REFERENCE: Final = "item_reference"
UNTOLD: Final = frozenset({
    "apply_patch_call", "apply_patch_call_output", "code_interpreter_call", "computer_call", "computer_call_output",
    "image_generation_call", "local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output",
    "tool_search_call", "tool_search_output",
})  # fmt: skip
"""Items of tools that OpenAI alone runs: kept as they are, and no chat model is told of them."""

check_role: Final = one_of(ROLES)
check_detail: Final = one_of(DETAILS)


def check_input(value: str | Sequence[JsonObject] | None, path: str = "input") -> None:
    """Raises InvalidRequest, whose param is the path of what is wrong."""
    if value is None or isinstance(value, str):
        return
    if len(value) > MOST_ITEMS:
        raise InvalidRequest(f"{path}: has {len(value)} items; one request takes at most {MOST_ITEMS}.", param=path)
    for place, item in enumerate(value):
        check_item(item, f"{path}[{place}]")


def kind_of(item: JsonObject) -> str:
    """Its type; messages and references may come without one. "" is neither."""
    kind = item.get("type")
    if kind is not None:
        return str(kind)
    return "message" if "role" in item else REFERENCE if "id" in item else ""


def check_item(item: JsonObject, path: str) -> None:
    """Raises InvalidRequest."""
    kind = kind_of(item)
    if kind == "message":
        check_role(item.get("role", MISSING), f"{path}.role")
        check_content(item.get("content", MISSING), f"{path}.content")
    elif (shape := ITEMS.get(kind)) is not None:
        check_members(item, shape, path)
    elif kind not in UNTOLD:
        check_kind(item.get("type", MISSING), f"{path}.type")
    if item.get("id") is not None:
        check_text(item["id"], f"{path}.id")


def check_members(value: JsonObject, shape: Mapping[str, Rule], path: str) -> None:
    """Each must be there and be as its rule has it; one whose name ends with `?` may be missing, or null."""
    for name, rule in shape.items():
        plain = name.removesuffix("?")
        member: Any = value.get(plain, MISSING)
        if name == plain or (member is not MISSING and member is not None):
            rule(member, f"{path}.{plain}")


def check_content(value: object, path: str) -> None:
    """A text, or content parts."""
    if isinstance(value, str):
        return
    if not isinstance(value, list):
        raise fault(path, "a text, or a list of content parts", value)
    for part, part_path in items_at(cast("object", value), path):
        check_object(part, part_path)
        check_part(cast("JsonObject", part), part_path)


def check_part(part: JsonObject, path: str) -> None:
    """One content part."""
    kind: Any = part.get("type", MISSING)
    check_part_kind(kind, f"{path}.type")
    check_members(part, PARTS[kind], path)
    sources = SOURCES.get(kind)
    if sources is not None and not any(part.get(name) for name in sources):
        names = " or ".join(f"`{name}`" for name in sources)
        raise InvalidRequest(f"{path}: needs {names}.", param=path)


def _check_texts(value: object, path: str) -> None:
    """A list of parts whose text is a text."""
    for part, part_path in objects_at(value, path):
        check_text(part.get("text", MISSING), f"{part_path}.text")


def _check_objects(value: object, path: str) -> None:
    for _ in objects_at(value, path):
        pass


def _check_list(value: object, path: str) -> None:
    if not isinstance(value, list):
        raise fault(path, "a list", value)


PARTS: Final[Mapping[str, Mapping[str, Rule]]] = {
    "input_text": {"text": check_text},
    "input_image": {"image_url?": check_text, "file_id?": check_text, "detail?": check_detail},
    "input_file": {"file_id?": check_text, "file_data?": check_text, "file_url?": check_text, "filename?": check_text},
    "input_audio": {"input_audio": check_object},
    "output_text": {"text": check_text},
    "refusal": {"refusal": check_text},
}
SOURCES: Final[Mapping[str, Sequence[str]]] = {
    "input_image": ("image_url", "file_id"),
    "input_file": ("file_id", "file_data", "file_url"),
}
"""Of the parts that have one of several: which."""
_CALL: Final[Mapping[str, Rule]] = {"call_id": check_text, "name": check_text}
_OF_SERVER: Final[Mapping[str, Rule]] = {"server_label": check_text, "name": check_text, "arguments": check_text}
ITEMS: Final[Mapping[str, Mapping[str, Rule]]] = {
    "function_call": {**_CALL, "arguments": check_text},
    "function_call_output": {"call_id": check_text, "output": check_content},
    "custom_tool_call": {**_CALL, "input": check_text},
    "custom_tool_call_output": {"call_id": check_text, "output": check_content},
    "reasoning": {"summary?": _check_texts, "content?": _check_texts, "encrypted_content?": check_text},
    "mcp_list_tools": {"server_label": check_text, "tools": _check_objects},
    "mcp_call": _OF_SERVER,
    "mcp_approval_request": {"id": check_text, **_OF_SERVER},
    "mcp_approval_response": {"approval_request_id": check_text, "approve": check_flag},
    "file_search_call": {"queries": _check_list, "results?": _check_list},
    "web_search_call": {"action?": check_object},
    "compaction": {"encrypted_content": check_text},
    REFERENCE: {"id": check_text},
}
check_part_kind: Final = one_of(tuple(PARTS))
check_kind: Final = one_of(("message", *ITEMS), more=", or that of an item of OpenAI's own tools")
