"""An OpenAI chat request as the body of Bedrock's Converse and ConverseStream. Pure: no I/O, no SDK."""

from typing import Final

from core.apis.inference import ChatRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.answer_form import PLAIN, AnswerForm
from core.providers.bedrock.converse.calls import pair_calls
from core.providers.bedrock.converse.families import family_of
from core.providers.bedrock.converse.messages import read_messages
from core.providers.bedrock.converse.options import (
    refuse_fields_without_equivalent,
    to_guardrail_config,
    to_inference_config,
    to_model_fields,
    to_output_config,
)
from core.providers.bedrock.converse.tools import FIELDS, NOTHING, answer_form, called_names, offer_tools, read_tools
from core.providers.bedrock.converse.turns import keep_rules, with_instructions, without_refused

TEXT: Final = {"text"}


def to_converse(request: ChatRequest) -> JsonObject:
    """The body without `modelId`; binary content is `bytes`, as the SDK takes it.

    Images and files must be data: URLs. A field that is null is a field that is not there.

    Raises:
        InvalidRequest: Converse cannot be asked for this; `param` is the field's path.
    """
    options = {name: value for name, value in (request.model_extra or {}).items() if value is not None}
    tool_options = {} if FIELDS.isdisjoint(options) else {name: options.pop(name) for name in FIELDS & options.keys()}
    refuse_fields_without_equivalent(options)
    family = family_of(request.model)
    fields = to_model_fields(options)
    system, turns, kinds = read_messages(request.messages)
    offer = NOTHING
    if tool_options:
        called = called_names(request.messages)
        offer = offer_tools(read_tools(tool_options), called, family, thinking=_thinks(fields))
    if kinds != TEXT:
        turns = without_refused(turns, kinds, family)
    if "toolUse" in kinds or "toolResult" in kinds:
        turns = pair_calls(turns, offer.names, family)
    if system and not family.system:
        system, turns = [], with_instructions(turns, system)
    body: JsonObject = {
        "messages": keep_rules(turns, kinds, family, goes_on=request.messages[-1].get("role") == "assistant"),
        "system": system if "system" in family.cache_points else [block for block in system if "text" in block],
        "inferenceConfig": to_inference_config(options),
        "toolConfig": offer.config,
        "outputConfig": to_output_config(options),
        "guardrailConfig": to_guardrail_config(options, stream=bool(request.stream)),
        "additionalModelRequestFields": offer.fields | fields,
    }
    return {name: value for name, value in body.items() if value}


def to_answer_form(request: ChatRequest) -> AnswerForm:
    """How the calls in the answer to a request are told; of one that `to_converse` took."""
    called = called_names(request.messages)
    if not called and FIELDS.isdisjoint(request.model_extra or ()):
        return PLAIN
    options = {name: value for name, value in (request.model_extra or {}).items() if value is not None}
    tool_options = {name: options.pop(name) for name in FIELDS & options.keys()}
    thinking = _thinks(to_model_fields(options))
    return answer_form(read_tools(tool_options), called, family_of(request.model), thinking=thinking)


def streams_tools(model: str) -> bool:
    """Whether the model takes tools in a stream."""
    return family_of(model).streams_tools


def _thinks(fields: JsonObject) -> bool:
    match fields.get("thinking"):
        case {"type": "enabled"}:
            return True
        case _:
            return False
