"""An OpenAI chat request as the body of Bedrock's Converse and ConverseStream. Pure: no I/O, no SDK."""

from core.apis.inference import ChatRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.messages import holds_tools, to_converse_messages
from core.providers.bedrock.converse.options import (
    refuse_what_has_no_equivalent,
    to_guardrail_config,
    to_inference_config,
    to_model_fields,
    to_output_config,
)
from core.providers.bedrock.converse.tools import to_tool_config


def to_converse(request: ChatRequest) -> JsonObject:
    """The body without `modelId`; binary content is `bytes`, as the SDK takes it.

    Images and files must be data: URLs. A field that is null is a field that is not there.

    Raises:
        InvalidRequest: Converse cannot be asked for this; `param` is the field's path.
    """
    given = {name: value for name, value in (request.model_extra or {}).items() if value is not None}
    refuse_what_has_no_equivalent(given)
    system, messages = to_converse_messages(request.messages)
    body: JsonObject = {
        "messages": messages,
        "system": system,
        "inferenceConfig": to_inference_config(given),
        "toolConfig": to_tool_config(given, in_conversation=holds_tools(messages)),
        "outputConfig": to_output_config(given),
        "guardrailConfig": to_guardrail_config(given, stream=bool(request.stream)),
        "additionalModelRequestFields": to_model_fields(given),
    }
    return {name: value for name, value in body.items() if value}
