"""The `response` object: what it has from its beginning, and what its run brings. Pure.

Sources: https://platform.openai.com/docs/api-reference/responses/object; https://www.openresponses.org for what must be there, and not null.
"""

from collections.abc import Collection, Mapping, Sequence
import time
from typing import Any, Final
from urllib.parse import urlsplit

from core.apis.responses import ResponseRequest
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object
from core.services.responses.contract import RunEnded, Usage
from core.services.responses.output import make_id
from core.services.responses.printing.shown import show_items

PREFIX: Final = "resp_"
SECRETS: Final = frozenset({"authorization", "headers", "domain_secrets"})
"""Of a tool, wherever they are in it; no answer has them, and nothing that is kept."""
CALLERS: Final = ("function", "custom")
"""Types of tools that bring nothing for a server: a schema may well have `headers`."""
ECHOED: Final[Mapping[str, Any]] = {
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
}
"""What the object says again of its request, and what it says where this does not."""
ECHOED_IF_GIVEN: Final = ("prompt", "prompt_cache_retention", "user", "max_infer_iters")
FUNCTION: Final = {"description": None, "parameters": None, "strict": None}


def begin_response(request: ResponseRequest, conversation_id: str | None) -> JsonObject:
    """The object of a response that begins now; it has an id of its own."""
    fields = _without_nulls(vars(request) | (request.model_extra or {}))
    return {
        "id": make_id(PREFIX),
        "object": "response",
        "created_at": int(time.time()),
        "completed_at": None,
        "status": "in_progress",
        "background": False,
        "conversation": None if conversation_id is None else {"id": conversation_id},
        "error": None,
        "incomplete_details": None,
        "model": request.model,
        "output": [],
        "reasoning": {"effort": None, "summary": None} | (request.reasoning or {}),
        "text": {"format": {"type": "text"}} | _without_nulls(request.text or {}),
        "tools": [show_tool(tool) for tool in request.tools or ()],
        "usage": None,
        **{name: fields.get(name, default) for name, default in ECHOED.items()},
        "tool_choice": show_choice(fields.get("tool_choice", "auto")),
        **{name: fields[name] for name in ECHOED_IF_GIVEN if name in fields},
    }


def _without_nulls(fields: JsonObject) -> JsonObject:
    return {name: value for name, value in fields.items() if value is not None}


def show_tool(tool: JsonObject) -> JsonObject:
    """As the object says it again: without the secrets of the caller, and of a server's URL no more than its host."""
    return FUNCTION | tool if tool.get("type") == "function" else _hide(tool)


def show_choice(choice: object) -> object:
    """A `tool_choice`, in which callers name a tool by the whole of it."""
    return _hide(choice)


def _hide(value: Any) -> Any:  # noqa: ANN401 - of whatever is in a tool
    if is_list(value):
        return [*map(_hide, value)]
    if not is_object(value) or value.get("type") in CALLERS:
        return value
    view = {name: _hide(part) for name, part in value.items() if name.lower() not in SECRETS}
    if isinstance(url := view.get("server_url"), str):
        view["server_url"] = _hide_path(url)
    return view


def _hide_path(url: str) -> str:
    """A path, a query or a user may be a key; what is no URL at all may be anything."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket without its other one, as of an IPv6 address
        return "<redacted>"
    host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return host if parts.path in ("", "/") and not parts.query else f"{host}/<redacted>"


def end_response(
    response: JsonObject, end: RunEnded, output: Sequence[JsonObject], completed_at: int | None = None
) -> None:
    """Make `response` that of a run that has ended so; `completed_at` is in Unix seconds, None for now."""
    response["status"] = end.status
    response["output"] = list(output)
    response["error"] = end.error
    response["incomplete_details"] = {"reason": end.reason} if end.reason else None
    now = max(int(time.time()), response["created_at"])  # which another clock may have said
    response["completed_at"] = (completed_at or now) if end.status == "completed" else None
    if end.usage != Usage() or end.error is None:
        response["usage"] = show_usage(end.usage)


def show_usage(usage: Usage) -> JsonObject:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def show_response(response: JsonObject, include: Collection[str]) -> JsonObject:
    """The whole object as a caller sees it."""
    return {**response, "output": show_items(response["output"], include)}
