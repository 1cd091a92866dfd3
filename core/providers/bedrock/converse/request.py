"""An OpenAI chat request as the body of Bedrock's Converse and ConverseStream. Pure: no I/O, no SDK."""

from core.apis.inference import ChatRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.messages import holds_tools, to_converse_messages
from core.providers.bedrock.converse.options import (
    refuse_fields_without_equivalent,
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
    options = {name: value for name, value in (request.model_extra or {}).items() if value is not None}
    refuse_fields_without_equivalent(options)
    system, messages = to_converse_messages(request.messages)
    body: JsonObject = {
        "messages": messages,
        "system": system,
        "inferenceConfig": to_inference_config(options),
        "toolConfig": to_tool_config(options, in_conversation=holds_tools(messages)),
        "outputConfig": to_output_config(options),
        "guardrailConfig": to_guardrail_config(options, stream=bool(request.stream)),
        "additionalModelRequestFields": to_model_fields(options),
    }
    return {name: value for name, value in body.items() if value}
