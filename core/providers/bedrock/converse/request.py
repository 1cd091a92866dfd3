"""An OpenAI chat request as the body of Bedrock's Converse and ConverseStream. Pure: no I/O, no SDK."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from core.apis.inference import ChatRequest
from core.frame.types import JsonObject
from core.platform.json_values import to_object
from core.providers.bedrock.converse.answer_form import PLAIN, AnswerForm
from core.providers.bedrock.converse.families import Family, family_of
from core.providers.bedrock.converse.messages import called_tools, read_messages
from core.providers.bedrock.converse.options import (
    refuse_fields_without_equivalent,
    to_guardrail_config,
    to_model_fields,
    to_request_metadata,
    to_service_tier,
    to_top_k,
)
from core.providers.bedrock.converse.sampling import read_stops, to_inference_config
from core.providers.bedrock.converse.turns import keep_rules, with_instructions, without_refused

if TYPE_CHECKING:
    from core.providers.bedrock.converse.answer_text import AnswerText
    from core.providers.bedrock.converse.thinking import Thinking
    from core.providers.bedrock.converse.tools import Offer

TOOLS: Final = frozenset({"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"})
TEXT: Final = {"text"}
STREAM_MODE: Final = "streamProcessingMode"
CALLS: Final = frozenset({"toolUse", "toolResult"})
HEARD: Final = frozenset({"audio", "video"})


def to_converse(request: ChatRequest) -> JsonObject:
    """The body without `modelId`; binary content is `bytes`, as the SDK takes it.

    Images and files must be data: URLs. A field that is null is a field that is not there.

    Raises:
        InvalidRequest: Converse cannot be asked for this; `param` is the field's path.
    """
    options, tool_options = _options(request)
    refuse_fields_without_equivalent(options)
    family = family_of(request.model)
    fields = to_model_fields(options, family) if options else {}
    instructions, text_format = _format(options, family) if "response_format" in options else ([], {})
    system, turns, kinds = read_messages([*request.messages, *instructions])
    offer = _offer(tool_options, request.messages, family, fields) if tool_options else None
    if kinds != TEXT:
        turns = _fit_turns(request, turns, kinds, {} if offer is None else offer.names, family)
    if system and not family.system:
        system, turns = [], with_instructions(turns, system)
    body: dict[str, Any] = {
        "messages": keep_rules(turns, kinds, family, goes_on=request.messages[-1].get("role") == "assistant"),
        "system": system if "system" in family.cache_points else [block for block in system if "text" in block],
        "toolConfig": {} if offer is None else offer.config,
        "additionalModelRequestFields": {} if offer is None else offer.fields,
    }
    if options:
        must_call = offer is not None and offer.must_call
        thoughts = _think(options, family, turns, must_call=must_call) if "reasoning_effort" in options else None
        body |= _how_to_answer(options, family, body["additionalModelRequestFields"] | fields, thoughts)
        body["guardrailConfig"] = to_guardrail_config(options, stream=bool(request.stream))
        body["serviceTier"] = to_service_tier(options, family)
        body["requestMetadata"] = to_request_metadata(options.get("metadata", {}))
        body["outputConfig"] |= text_format
    return {name: value for name, value in body.items() if value}


def to_answer_form(request: ChatRequest) -> AnswerForm:
    """How the calls in the answer to a request are told; of one that `to_converse` took."""
    called = called_tools(request.messages)
    if not called and TOOLS.isdisjoint(request.model_extra or ()):
        return PLAIN
    from core.providers.bedrock.converse.tools import answer_form, read_tools

    options, tool_options = _options(request)
    family = family_of(request.model)
    return answer_form(read_tools(tool_options), called, family, thinking=_has_budget(to_model_fields(options, family)))


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


def streams_tools(model: str) -> bool:
    """Whether the model takes tools in a stream."""
    return family_of(model).streams_tools


def without_stream_mode(body: JsonObject) -> JsonObject:
    """The body of a stream for a whole answer, whose guardrail has no mode of a stream."""
    guardrail = {name: value for name, value in body.get("guardrailConfig", {}).items() if name != STREAM_MODE}
    return body | {"guardrailConfig": guardrail} if guardrail else body


def _options(request: ChatRequest) -> tuple[JsonObject, JsonObject]:
    """What is neither null nor a message: the rest, and what is about tools."""
    options = {name: value for name, value in (request.model_extra or {}).items() if value is not None}
    match options.get("reasoning"):
        case {"effort": str(effort), **rest} if not rest:  # as OpenAI's Responses and OpenRouter have it
            del options["reasoning"]
            options.setdefault("reasoning_effort", effort)
        case _:
            pass
    if TOOLS.isdisjoint(options):
        return options, {}
    return options, {name: options.pop(name) for name in TOOLS & options.keys()}


def _offer(options: JsonObject, messages: Sequence[JsonObject], family: Family, fields: JsonObject) -> "Offer":
    from core.providers.bedrock.converse.tools import offer_tools, read_tools

    return offer_tools(read_tools(options), called_tools(messages), family, thinking=_has_budget(fields))


def _fit_turns(
    request: ChatRequest, turns: list[JsonObject], kinds: set[str], names: Mapping[str, str], family: Family
) -> list[JsonObject]:
    """The turns with what the family takes of them; raises InvalidRequest for audio and video that it does not."""
    if not HEARD.isdisjoint(kinds):
        from core.providers.bedrock.converse.media import refuse_unheard

        refuse_unheard(request.messages, family)
    turns = without_refused(turns, kinds, family)
    if CALLS.isdisjoint(kinds):
        return turns
    from core.providers.bedrock.converse.calls import pair_calls

    return pair_calls(turns, names, family)


def _format(options: JsonObject, family: Family) -> tuple[list[JsonObject], JsonObject]:
    """The answer's form as messages of the system, and as Converse's outputConfig."""
    from core.providers.bedrock.converse.output_format import to_format

    output = to_format(options["response_format"], family)
    instructions = [{"role": "system", "content": output.instruction}] if output.instruction else []
    return instructions, {"textFormat": output.text_format} if output.text_format else {}


def _think(options: JsonObject, family: Family, turns: Sequence[JsonObject], *, must_call: bool) -> "Thinking":
    from core.providers.bedrock.converse.thinking import to_thinking

    return to_thinking(options, family, turns, must_call=must_call)


def _how_to_answer(
    options: JsonObject, family: Family, fields: JsonObject, thinking: "Thinking | None"
) -> dict[str, JsonObject]:
    """How long, how drawn, how much thought about, and the model's own `fields`, of which the caller's explicit ones win."""
    bound = 0 if thinking is None or "thinking" in fields else thinking.max_tokens
    fields = fields if thinking is None else thinking.fields | fields
    thinks = _thinks(fields) or (thinking is not None and thinking.alone)
    if "top_k" in options and not thinks:
        fields = to_top_k(options["top_k"], family) | fields
    inference = to_inference_config(options, family, thinks=thinks)
    output: JsonObject = {}
    if thinking is not None:
        inference |= {"maxTokens": bound} if bound else {}
        output = {"effort": thinking.effort} if thinking.effort else {}
    return {"inferenceConfig": inference, "additionalModelRequestFields": fields, "outputConfig": output}


def _thinks(fields: JsonObject) -> bool:
    """Whether Claude is told to; the same word is another model's to take or refuse."""
    match fields.get("thinking"):
        case {"type": "enabled" | "adaptive"}:
            return True
        case _:
            return False


def _has_budget(fields: JsonObject) -> bool:
    """Whether Claude is told to think so much, beside which it cannot be made to call; as much as it likes, it can."""
    return to_object(fields.get("thinking")).get("type") == "enabled"
