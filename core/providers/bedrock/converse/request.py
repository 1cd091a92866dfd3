"""An OpenAI chat request as the body of Bedrock's Converse and ConverseStream. Pure: no I/O, no SDK."""

from typing import TYPE_CHECKING, Any

from core.apis.inference import ChatRequest
from core.frame.types import JsonObject
from core.platform.json_values import to_object
from core.providers.bedrock.converse.families import Family, family_of
from core.providers.bedrock.converse.messages import holds_tools, to_converse_messages
from core.providers.bedrock.converse.options import (
    refuse_fields_without_equivalent,
    to_guardrail_config,
    to_model_fields,
    to_request_metadata,
    to_service_tier,
    to_top_k,
)
from core.providers.bedrock.converse.sampling import read_stops, to_inference_config
from core.providers.bedrock.converse.tools import to_tool_config

if TYPE_CHECKING:
    from core.providers.bedrock.converse.answer_text import AnswerText


def to_converse(request: ChatRequest) -> JsonObject:
    """The body without `modelId`; binary content is `bytes`, as the SDK takes it.

    Images and files must be data: URLs. A field that is null is a field that is not there.

    Raises:
        InvalidRequest: Converse cannot be asked for this; `param` is the field's path.
    """
    options = _options(request)
    refuse_fields_without_equivalent(options)
    family = family_of(request.model)
    messages, text_format = request.messages, {}
    if "response_format" in options:
        from core.providers.bedrock.converse.output_format import to_format

        output = to_format(options["response_format"], family)
        text_format = output.text_format
        if output.instruction:
            messages = [*messages, {"role": "system", "content": output.instruction}]
    system, turns = to_converse_messages(messages)
    body: dict[str, Any] = {
        "messages": turns,
        "system": system,
        "toolConfig": to_tool_config(options, in_conversation=holds_tools(turns)),
    }
    if options:
        body |= _how_to_answer(options, family, turns)
        body["guardrailConfig"] = to_guardrail_config(options, stream=bool(request.stream))
        body["serviceTier"] = to_service_tier(options, family)
        body["requestMetadata"] = to_request_metadata(options.get("metadata", {}))
    if text_format:
        body["outputConfig"] |= {"textFormat": text_format}
    return {name: value for name, value in body.items() if value}


def text_taken_from(request: ChatRequest) -> "AnswerText | None":
    """What the answer's text loses on its way to the caller, if the request has anything to that end."""
    fields = request.model_extra or {}
    stop = fields.get("stop")
    json = to_object(fields.get("response_format")).get("type", "text") != "text"
    stops = read_stops({"stop": stop}) if stop else []
    if not stops and not json:
        return None
    from core.providers.bedrock.converse.answer_text import AnswerText

    return AnswerText(stops, json=json)


def _options(request: ChatRequest) -> dict[str, Any]:
    return {name: value for name, value in (request.model_extra or {}).items() if value is not None}


def _how_to_answer(options: JsonObject, family: Family, turns: list[JsonObject]) -> dict[str, JsonObject]:
    """How long, how drawn, how much thought about, and the model's own fields, of which the caller's explicit ones win."""
    fields = to_model_fields(options, family)
    effort, bound, alone = "", 0, False
    if "reasoning_effort" in options:
        from core.providers.bedrock.converse.thinking import to_thinking

        thinking = to_thinking(options, family, turns)
        effort, bound, alone = thinking.effort, thinking.max_tokens, thinking.alone
        fields = thinking.fields | fields
    thinks = alone or _thinks(fields)
    if "top_k" in options and not thinks:
        fields = to_top_k(options["top_k"], family) | fields
    inference = to_inference_config(options, family, thinks=thinks)
    if bound:
        inference["maxTokens"] = bound
    output = {"effort": effort} if effort else {}
    return {"inferenceConfig": inference, "additionalModelRequestFields": fields, "outputConfig": output}


def _thinks(fields: JsonObject) -> bool:
    """Whether Claude is told to; the same word is another model's to take or refuse."""
    match fields.get("thinking"):
        case {"type": "enabled" | "adaptive"}:
            return True
        case _:
            return False
