"""OpenAI's messages as Converse's system blocks and alternating turns. Pure.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from core.frame.types import JsonObject
from core.platform.json_reader import read_json
from core.providers.bedrock.converse.content import tell_apart, to_blocks, with_cache_point
from core.providers.http.fields import invalid_field, object_at, objects_at, text_at

INSTRUCTIONS: Final = frozenset({"text"})
SHOWN: Final = frozenset({"text", "image_url", "file"})
SPOKEN: Final = frozenset({"text", "refusal"})


def to_converse_messages(messages: Sequence[JsonObject]) -> tuple[list[JsonObject], list[JsonObject]]:
    """The system blocks and the turns; messages of one role in a row are one turn, as Bedrock wants them.

    Raises:
        InvalidRequest: `param` is the path of what is no message, or cannot be said to Converse.
    """
    system: list[JsonObject] = []
    turns: list[JsonObject] = []
    for position, message in enumerate(messages):
        role, blocks = _blocks(message, f"messages[{position}]")
        if role == "system":
            system += blocks
        elif blocks and turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    if not turns:
        raise invalid_field("messages", "must have a message, other than the system's, that is not blank.")
    tell_apart(_documents([block for turn in turns for block in turn["content"]]))
    return system, turns


def holds_tools(turns: Sequence[JsonObject]) -> bool:
    """Whether the conversation has tool calls or their results."""
    return any("toolUse" in block or "toolResult" in block for turn in turns for block in turn["content"])


def _blocks(message: JsonObject, path: str) -> tuple[str, list[JsonObject]]:
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise invalid_field(f"{path}.role", f"must be one of: {', '.join(ROLES)}.")
    turn, translate = ROLES[role]
    return turn, with_cache_point(translate(message, path), message, path)


def _system(message: JsonObject, path: str) -> list[JsonObject]:
    return to_blocks(message.get("content"), f"{path}.content", INSTRUCTIONS)


def _user(message: JsonObject, path: str) -> list[JsonObject]:
    return to_blocks(message.get("content"), f"{path}.content", SHOWN)


def _tool(message: JsonObject, path: str) -> list[JsonObject]:
    """A result without content is one too; cache points cannot be inside a result, so they follow it."""
    call_id = text_at(message.get("tool_call_id"), f"{path}.tool_call_id")
    blocks = to_blocks(message.get("content"), f"{path}.content", SHOWN)
    content = [block for block in blocks if "cachePoint" not in block]
    points = [block for block in blocks if "cachePoint" in block]
    return [{"toolResult": {"toolUseId": call_id, "content": content}}, *points[-1:]]


def _assistant(message: JsonObject, path: str) -> list[JsonObject]:
    """What it thought, said and called, in this order."""
    if message.get("function_call") is not None:
        raise invalid_field(f"{path}.function_call", "is not supported; use tool_calls.")
    thoughts = objects_at(message.get("thinking_blocks"), f"{path}.thinking_blocks")
    calls = objects_at(message.get("tool_calls"), f"{path}.tool_calls")
    texts = [(message.get(name), f"{path}.{name}") for name in ("content", "refusal")]
    return [
        *(block for thinking, at in thoughts for block in _thinking(thinking, at)),
        *(block for text, at in texts if text is not None for block in to_blocks(text, at, SPOKEN)),
        *(_call(call, at) for call, at in calls),
    ]


def _thinking(block: JsonObject, path: str) -> list[JsonObject]:
    """A reply's thinking block as it came; without a signature it is left out, for no model takes it back."""
    match block:
        case {"type": "thinking", "thinking": str(text), "signature": str(signature)} if signature:
            return [{"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}]
        case {"type": "thinking", "thinking": str()}:
            return []
        case {"type": "redacted_thinking", "data": str(data)}:
            from core.providers.bedrock.converse.media import bytes_of

            return [{"reasoningContent": {"redactedContent": bytes_of(data, f"{path}.data")}}]
        case _:
            raise invalid_field(
                path, "must be {type: thinking, thinking, signature} or {type: redacted_thinking, data}."
            )


def _call(call: JsonObject, path: str) -> JsonObject:
    if call.get("type", "function") != "function":
        raise invalid_field(f"{path}.type", "must be function.")
    function_path = f"{path}.function"
    function = object_at(call.get("function"), function_path)
    return {
        "toolUse": {
            "toolUseId": text_at(call.get("id"), f"{path}.id"),
            "name": text_at(function.get("name"), f"{function_path}.name"),
            "input": _arguments(function.get("arguments"), f"{function_path}.arguments"),
        }
    }


def _arguments(arguments: Any, path: str) -> JsonObject:  # noqa: ANN401 - whatever a caller sent
    """The object that the JSON says; no text at all is how some models write a call without arguments."""
    if not isinstance(arguments, str):
        raise invalid_field(path, "must be a string of JSON.")
    try:
        value = read_json(arguments if arguments.strip() else "{}")
    except ValueError as invalid:
        raise invalid_field(path, "is not JSON.") from invalid
    return object_at(value, path)


def _documents(blocks: Sequence[JsonObject]) -> list[JsonObject]:
    leaves = [
        leaf for block in blocks for leaf in (block["toolResult"]["content"] if "toolResult" in block else [block])
    ]
    return [leaf["document"] for leaf in leaves if "document" in leaf]


ROLES: Final[Mapping[str, tuple[str, Callable[[JsonObject, str], list[JsonObject]]]]] = {
    "system": ("system", _system),
    "developer": ("system", _system),
    "user": ("user", _user),
    "assistant": ("assistant", _assistant),
    "tool": ("user", _tool),
}
