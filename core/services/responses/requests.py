"""A request as a run of the engine. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.apis.responses import ResponseRequest
from core.frame.types import JsonObject
from core.services.responses.contract import Item, Run, RunTools
from core.services.responses.printing.shown import LOGPROBS

SAME: Final = (
    *("temperature", "top_p", "top_logprobs", "presence_penalty", "frequency_penalty"),
    *("service_tier", "prompt_cache_key", "safety_identifier", "user"),
)
"""Fields that both APIs have by one name."""


@dataclass(frozen=True, slots=True)
class Context:
    """All that a model is told but the instructions: of the `items` the first `kept_count` come from what was kept. `tail` ends the ids of what it answers."""

    items: Sequence[Item]
    kept_count: int = 0
    tail: str = ""


def build_run(request: ResponseRequest, context: Context, tools: RunTools, max_rounds: int) -> Run:
    """What the engine is to do."""
    return Run(
        model=request.model,
        context=context.items,
        tools=tools,
        instructions=request.instructions,
        chat=chat_fields(request),
        tool_choice=request.tool_choice,
        parallel_tool_calls=request.parallel_tool_calls is not False,
        max_rounds=request.max_infer_iters or max_rounds,
        max_tool_calls=request.max_tool_calls,
        max_output_tokens=request.max_output_tokens,
        truncate=request.truncation == "auto",
        kept_count=context.kept_count,
        tail=context.tail,
    )


def chat_fields(request: ResponseRequest) -> JsonObject:
    """What of the request is the model's, and is the same in every round."""
    values = vars(request) | (request.model_extra or {})
    fields = {name: values[name] for name in SAME if values.get(name) is not None}
    text, reasoning = request.text or {}, request.reasoning or {}
    if (form := to_response_format(text.get("format"))) is not None:
        fields["response_format"] = form
    if verbosity := text.get("verbosity"):
        fields["verbosity"] = verbosity
    if effort := reasoning.get("effort"):
        fields["reasoning_effort"] = effort
    if request.top_logprobs or LOGPROBS in (request.include or ()):
        fields["logprobs"] = True
    return fields


def to_response_format(form: JsonObject | None) -> JsonObject | None:
    """Chat completions have what describes a schema one level deeper; None for plain text."""
    match form:
        case {"type": "json_schema", **rest}:
            schema = {name: value for name, value in rest.items() if value is not None}
            return {"type": "json_schema", "json_schema": schema}
        case {"type": "json_object"}:
            return {"type": "json_object"}
        case _:
            return None
