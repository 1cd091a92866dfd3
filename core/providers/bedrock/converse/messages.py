"""OpenAI's messages as Converse's system blocks and turns, each role's in a row as one. Pure.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html. The turns are not yet what
Bedrock takes: `calls` answers their calls, `turns` holds them to the rules of the model.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

from core.frame.types import JsonObject
from core.platform.json_reader import read_json
from core.providers.bedrock.converse.content import tell_apart, text_blocks, to_blocks, with_cache_point
from core.providers.http.fields import invalid_field, object_at, objects_at, text_at

INSTRUCTIONS: Final = frozenset({"text"})
SHOWN: Final = frozenset({"text", "image_url", "file", "input_audio", "video_url"})
SPOKEN: Final = frozenset({"text", "refusal"})
HOLDS_DOCUMENTS: Final = frozenset({"document", "toolResult"})
UNREADABLE: Final = "unreadable_arguments"  # the field of what a model wrote that is no object


def read_messages(messages: Sequence[JsonObject]) -> tuple[list[JsonObject], list[JsonObject], set[str]]:
    """The system blocks, the turns in the order of the messages, and the kinds of block in these.

    Blank texts are left out, and what is then empty. Calls and results have the callers' ids and names; a result that
    names its tool has that as its `name`. Users of several names are told apart by them.

    Raises:
        InvalidRequest: `param` is the path of what is no message, or cannot be said to Converse.
    """
    system: list[JsonObject] = []
    turns: list[JsonObject] = []
    speakers: list[tuple[JsonObject, list[JsonObject]]] = []
    for position, message in enumerate(messages):
        role, blocks = _blocks(message, f"messages[{position}]")
        if "name" in message:
            speakers.append((message, blocks))
        if role == "system":
            system += blocks
        elif blocks and turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    if speakers:
        _tell_users_apart(speakers)
    kinds = {kind for turn in turns for block in turn["content"] for kind in block}
    if not HOLDS_DOCUMENTS.isdisjoint(kinds):
        tell_apart(_documents([block for turn in turns for block in turn["content"]]))
    return system, turns, kinds


def called_tools(messages: Iterable[JsonObject]) -> list[str]:
    """The tools that a conversation's messages call, each as often as they do."""
    names: list[str] = []
    for message in messages:
        if message.get("tool_calls") or message.get("function_call"):
            match message:
                case {"tool_calls": [_, *_] as calls}:
                    names += [_tool_name(call) for call in calls]
                case _:
                    names.append(_tool_name({"function": message.get("function_call")}))
    return [name for name in names if name]


def _tool_name(call: Any) -> str:  # noqa: ANN401 - whatever a caller sent
    match call:
        case {"function": {"name": str(name)}} | {"type": "custom", "custom": {"name": str(name)}}:
            return name
        case _:
            return ""


def _tell_users_apart(speakers: Sequence[tuple[JsonObject, list[JsonObject]]]) -> None:
    """Say who it is before what each says, in place, if there are several."""
    users = [
        (str(message["name"]), blocks[0])
        for message, blocks in speakers
        if message["role"] == "user" and message["name"] and blocks and "text" in blocks[0]
    ]
    if len({name for name, _ in users}) > 1:
        for name, block in users:
            block["text"] = f"{name}: {block['text']}"


def _blocks(message: JsonObject, path: str) -> tuple[str, list[JsonObject]]:
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise invalid_field(f"{path}.role", f"must be one of: {', '.join(ROLES)}.")
    turn, translate = ROLES[role]
    return turn, with_cache_point(translate(message, path), message, path)


def _system(message: JsonObject, path: str) -> list[JsonObject]:
    return _content(message, path, INSTRUCTIONS)


def _user(message: JsonObject, path: str) -> list[JsonObject]:
    return _content(message, path, SHOWN)


def _content(message: JsonObject, path: str, kinds: frozenset[str]) -> list[JsonObject]:
    content = message.get("content")
    return [] if content is None else to_blocks(content, f"{path}.content", kinds)


def _tool(message: JsonObject, path: str) -> list[JsonObject]:
    """A result without content is one too; cache points cannot be inside a result, so they follow it."""
    call_id, name = message.get("tool_call_id"), message.get("name")
    if call_id is not None and not isinstance(call_id, str):
        raise invalid_field(f"{path}.tool_call_id", "must be a string.")
    blocks = _content(message, path, SHOWN)
    content = [block for block in blocks if "cachePoint" not in block]
    points = [block for block in blocks if "cachePoint" in block]
    result = {"toolUseId": call_id or "", "content": content} | (
        {"name": name} if isinstance(name, str) and name else {}
    )
    return [{"toolResult": result}, *points[-1:]]


def _assistant(message: JsonObject, path: str) -> list[JsonObject]:
    """What it thought, said and called, in this order."""
    thoughts = objects_at(message.get("thinking_blocks"), f"{path}.thinking_blocks")
    calls = objects_at(message.get("tool_calls"), f"{path}.tool_calls")
    refusal = message.get("refusal")
    return [
        *(block for thinking, at in thoughts for block in _thinking(thinking, at)),
        *_content(message, path, SPOKEN),
        *([] if refusal is None else to_blocks(refusal, f"{path}.refusal", SPOKEN)),
        *_transcript(message, path),
        *([_call(call, at) for call, at in calls] or _function_call(message, path)),
    ]


def _transcript(message: JsonObject, path: str) -> list[JsonObject]:
    """The words of an audio answer, if they are not its content already."""
    if message.get("audio") is None:
        return []
    audio = object_at(message["audio"], f"{path}.audio")
    if message.get("content"):
        return []
    if not isinstance(audio.get("transcript"), str):
        raise invalid_field(f"{path}.audio", "is not kept here; send its transcript as the content.")
    return text_blocks(audio["transcript"])


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
    kind = call.get("type") or "function"
    if kind not in ("function", "custom"):
        raise invalid_field(f"{path}.type", "must be function or custom.")
    call_id = call.get("id")
    if call_id is not None and not isinstance(call_id, str):
        raise invalid_field(f"{path}.id", "must be a string.")
    return _use(call.get(kind), f"{path}.{kind}", call_id or "")


def _function_call(message: JsonObject, path: str) -> list[JsonObject]:
    call = message.get("function_call")
    return [] if call is None else [_use(call, f"{path}.function_call", "")]


def _use(function: Any, path: str, call_id: str) -> JsonObject:  # noqa: ANN401 - whatever a caller sent
    function = object_at(function, path)
    name = text_at(function.get("name"), f"{path}.name")
    arguments = {"input": function["input"]} if "input" in function else _input(function.get("arguments"))
    return {"toolUse": {"toolUseId": call_id, "name": name, "input": arguments}}


def _input(arguments: Any) -> JsonObject:  # noqa: ANN401 - whatever a caller sent, which a model wrote
    """The object that they say. What says none is told as it was written, for whoever wrote it to see.

    No text at all is how some models write a call without arguments; others write the JSON of a string of JSON.
    """
    value = arguments
    for _ in range(2):
        if isinstance(value, str):
            try:
                value = read_json(value if value.strip() else "{}")
            except ValueError:
                break
    if value is None:
        return {}
    return cast("JsonObject", value) if isinstance(value, dict) else {UNREADABLE: _readable(arguments)}


def _readable(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Text that UTF-8 can hold: an emoji that was cut in two cannot be sent."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


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
    "function": ("user", _tool),
}
