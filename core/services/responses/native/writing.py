"""A run as the body of a provider's own `POST /responses`: stateless, with nothing in it that only this stack knows. Pure.

Source: https://platform.openai.com/docs/api-reference/responses/create.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from core.apis.responses import ResponseRequest
from core.frame.types import JsonObject
from core.services.responses.contract import Item, Run
from core.services.responses.engine.messages import CALLS, NO_OUTPUT, OUTPUTS, pair_outputs
from core.services.responses.engine.parts import to_text
from core.services.responses.tools.told import tell_item

FIELDS: Final = (
    "tool_choice",
    "text",
    "reasoning",
    "temperature",
    "top_p",
    "top_logprobs",
    "truncation",
    "service_tier",
    "prompt_cache_key",
    "safety_identifier",
    "presence_penalty",
    "frequency_penalty",
)
INCLUDED: Final = frozenset({"message.output_text.logprobs", "reasoning.encrypted_content"})
SEALED_HERE: Final = "TDE"
"""How what this stack has sealed begins (see `sealing.envelope`): it says nothing to a provider."""


def write_body(request: ResponseRequest, run: Run) -> JsonObject:
    """What is sent of the request, with the run's context as its input."""
    fields: dict[str, Any] = vars(request) | (request.model_extra or {})
    body: JsonObject = {
        "model": run.model,
        "input": [*write_items(run.context, run.kept_count)],
        "stream": True,
        "store": False,
    }
    body |= {name: fields[name] for name in FIELDS if fields.get(name) is not None}
    if run.instructions:
        body["instructions"] = run.instructions
    if request.tools:
        body["tools"] = request.tools
        body["parallel_tool_calls"] = run.parallel_tool_calls
    if run.max_output_tokens is not None:
        body["max_output_tokens"] = run.max_output_tokens
    if include := [name for name in request.include or () if name in INCLUDED]:
        body["include"] = include
    return body


def write_items(items: Sequence[Item], kept: int) -> Iterator[JsonObject]:
    """Without ids and statuses, which a provider would look up; each call with an output, and the other way round."""
    outputs = pair_outputs(items, kept)
    answering = {id(output) for output in outputs.values()}
    requests = {item["id"]: item for item in items if item.get("type") == "mcp_approval_request" and "id" in item}
    for place, item in enumerate(items):
        kind: str = item.get("type") or "message"
        if kind in CALLS:
            yield _pick(item, "type", "call_id", "name", "arguments", "input")
            if place not in outputs:
                yield {"type": f"{kind}_output", "call_id": item.get("call_id"), "output": NO_OUTPUT}
        elif kind in OUTPUTS:
            yield from [_pick(item, "type", "call_id", "output")] * (id(item) in answering)
        else:
            yield from _write_other(kind, item, requests)


def _write_other(kind: str, item: Item, requests: Mapping[str, Item]) -> Iterator[JsonObject]:
    if kind == "message":
        role = item.get("role") or "user"
        content: Any = to_text(item.get("content")) if role == "assistant" else item.get("content")
        yield {"type": "message", "role": role, "content": content}
    elif kind == "reasoning":
        sealed: Any = item.get("encrypted_content")  # which the provider can read if it is its own
        if isinstance(sealed, str) and sealed and not sealed.startswith(SEALED_HERE):
            yield {"type": "reasoning", "summary": item.get("summary") or [], "encrypted_content": sealed}
    elif (call := tell_item(item, requests)) is not None:
        name, arguments, output = call
        call_id = str(item.get("id") or "call")
        yield {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
        yield {"type": "function_call_output", "call_id": call_id, "output": output}


def _pick(item: Item, *names: str) -> JsonObject:
    return {name: item[name] for name in names if name in item}
