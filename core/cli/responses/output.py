"""How `llambda responses` and `conversations` say what was said: what models and tools wrote is shown, and nothing in it is obeyed."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
import json
from typing import TYPE_CHECKING, Final

from core.cli.terminal import Columns, clean
from core.platform.json_values import is_list, is_object, to_object

if TYPE_CHECKING:
    from core.apis.answers.responses import Response
    from core.frame.types import JsonObject

LIST: Final[Columns] = (("RESPONSE", 53), ("STATUS", 11), ("CREATED", 11))
FIELDS: Final = {"function_call": "arguments", "custom_tool_call": "input", "mcp_call": "arguments"}


def list_row(response: "Response") -> list[str]:
    """The cells of LIST."""
    created = datetime.fromtimestamp(response["created_at"], UTC).strftime("%m-%d %H:%M")
    return [response["id"], response["status"], created]


def time_of(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def clean_text(text: str) -> str:
    """Of lines, without what a terminal obeys."""
    return "\n".join(clean(line.expandtabs(4)) for line in text.split("\n"))


def response_lines(response: "Response") -> Iterator[str]:
    """A line for each fact, then what it answered."""
    whole = to_object(response)
    facts: dict[str, object] = {
        "response": response["id"],
        "model": response["model"],
        "status": _status(whole),
        "created": time_of(response["created_at"]),
        "after": whole.get("previous_response_id"),
        "in": to_object(whole.get("conversation")).get("id"),
        "tokens": _tokens(whole),
    }
    yield from (clean(f"{name + ':':10}{fact}") for name, fact in facts.items() if fact)


def item_lines(items: "Iterable[JsonObject]") -> Iterator[str]:
    """Each item in lines of its own, below a blank one."""
    for item in items:
        yield ""
        yield clean_text(item_text(item))


def item_text(item: "JsonObject") -> str:
    """`user: ...`, `function_call: name(...)` and so on."""
    kind = str(item.get("type") or "message")
    if kind == "message":
        return f"{item.get('role')}: {message_text(item)}"
    if kind == "reasoning":
        texts = [str(part.get("text") or "") for part in _objects(item.get("content") or item.get("summary"))]
        return f"reasoning: {''.join(texts)}"
    if kind.endswith("_output"):
        output = item.get("output")
        return f"{kind}: {output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)}"
    return f"{kind}: {step_text(item)}"


def message_text(item: "JsonObject") -> str:
    content = item.get("content")
    return content if isinstance(content, str) else "".join(map(_part_text, _objects(content)))


def step_text(item: "JsonObject") -> str:
    """What a tool is asked, and what came of it."""
    kind, label = str(item.get("type")), item.get("server_label")
    if kind in FIELDS:
        called = f"{item.get('name')}({item.get(FIELDS[kind]) or ''})"
        return f"{label}.{called}{_outcome(item)}" if label else called
    match kind:
        case "file_search_call":
            return "; ".join(map(str, item.get("queries") or ()))
        case "web_search_call":
            return str(to_object(item.get("action")).get("query") or "")
        case "mcp_list_tools":
            return f"{label}: {', '.join(str(tool.get('name')) for tool in _objects(item.get('tools')))}"
        case "mcp_approval_request":
            return f"{label}.{item.get('name')}({item.get('arguments')}): --after ... --approve {item.get('id')}"
        case _:
            return str(item.get("id") or "")


def source_lines(items: "Iterable[JsonObject]") -> list[str]:
    """What the messages cite, each once."""
    parts = [part for item in items if item.get("type") == "message" for part in _objects(item.get("content"))]
    marks = [mark for part in parts for mark in _objects(part.get("annotations"))]
    named = [
        f"{mark.get('filename') or mark.get('title') or ''} ({mark.get('file_id') or mark.get('url')})"
        for mark in marks
    ]
    return [clean(text.strip()) for text in dict.fromkeys(named)]


def end_line(response: "JsonObject") -> str:
    """What became of it, and its tokens."""
    tokens = _tokens(response)
    return clean(f"{response['id']}: {_status(response)}{f', {tokens}' if tokens else ''}")


def cancel_line(response: "JsonObject") -> str:
    """What became of one that was to stop: its status, or that it will."""
    waits = response["status"] in {"queued", "in_progress"}
    return clean(f"{response['id']}: {'is told to stop' if waits else _status(response)}")


def _objects(value: object) -> "list[JsonObject]":
    return [part for part in value if is_object(part)] if is_list(value) else []


def _part_text(part: "JsonObject") -> str:
    text = part.get("text") or part.get("refusal")
    return str(text) if text else "" if str(part.get("type")).endswith("_text") else f"[{part.get('type')}]"


def _outcome(item: "JsonObject") -> str:
    error = item.get("error")
    if error:
        return f" failed: {to_object(error).get('message') or error}"
    return f" = {item['output']}" if item.get("output") else ""


def _status(response: "JsonObject") -> str:
    reason = to_object(response.get("error")).get("message")
    reason = reason or to_object(response.get("incomplete_details")).get("reason")
    return f"{response['status']}: {reason}" if reason else str(response["status"])


def _tokens(response: "JsonObject") -> str:
    usage = to_object(response.get("usage"))
    return f"{usage.get('input_tokens')} tokens in, {usage.get('output_tokens')} out" if usage else ""
