"""The rest of a chat request as Converse's: how to sample, the answer's form, guardrails, a model's own fields. Pure.

Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html,
https://platform.openai.com/docs/api-reference/chat/create.
"""

from collections.abc import Mapping, Sequence
import json
from typing import Any, Final

from core.frame.types import JsonObject
from core.providers.http.fields import invalid_field, list_at, object_at, text_at

# Translated here or in `tools`.
READ: Final = frozenset(
    {
        "additional_model_request_fields",
        "guardrailConfig",
        "guardrail_config",
        "max_completion_tokens",
        "max_tokens",
        "reasoning_effort",
        "response_format",
        "stop",
        "temperature",
        "tool_choice",
        "tools",
        "top_p",
    }
)
# They are about OpenAI's own service, or promise nothing (seed).
DROPPED: Final = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "seed",
        "service_tier",
        "store",
        "user",
    }
)
# OpenAI's fields that Converse has nothing for, and the values that ask for nothing.
NO_EQUIVALENT: Final[Mapping[str, Sequence[object]]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": (),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True,),
    "prediction": (),
    "presence_penalty": (0,),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
EFFORTS: Final = frozenset({"low", "medium", "high", "xhigh", "max"})
GUARDRAIL: Final = frozenset({"guardrailIdentifier", "guardrailVersion", "trace"})
STREAMED_GUARDRAIL: Final = GUARDRAIL | {"streamProcessingMode"}


def refuse_fields_without_equivalent(options: JsonObject) -> None:
    """Raise InvalidRequest for a field whose meaning would be lost."""
    for name, harmless in NO_EQUIVALENT.items():
        if name in options and options[name] not in harmless:
            raise invalid_field(name, "Bedrock's Converse API has no equivalent for this; leave it out.")


def to_inference_config(options: JsonObject) -> JsonObject:
    """What bounds and steers the sampling; `max_completion_tokens` is asked before the older `max_tokens`."""
    config: JsonObject = {}
    for name in ("max_tokens", "max_completion_tokens"):
        if name in options:
            config["maxTokens"] = _count(options[name], name)
    for name, converse in (("temperature", "temperature"), ("top_p", "topP")):
        if name in options:
            config[converse] = _fraction(options[name], name)
    stops = _stops(options.get("stop", []))
    if stops:
        config["stopSequences"] = stops
    return config


def to_output_config(options: JsonObject) -> JsonObject:
    """The answer's form, and how hard the model thinks about it."""
    config: JsonObject = {}
    if "response_format" in options:
        config |= _format(object_at(options["response_format"], "response_format"))
    if "reasoning_effort" in options:
        effort = options["reasoning_effort"]
        if not isinstance(effort, str) or effort not in EFFORTS:
            raise invalid_field("reasoning_effort", "must be low, medium, high, xhigh or max.")
        config["effort"] = effort
    return config


def to_guardrail_config(options: JsonObject, *, stream: bool) -> JsonObject:
    """The guardrail of `guardrail_config`, or `guardrailConfig`: Converse's own object."""
    name = "guardrail_config" if "guardrail_config" in options else "guardrailConfig"
    config = object_at(options.get(name, {}), name)
    fields = STREAMED_GUARDRAIL if stream else GUARDRAIL
    for field, value in config.items():
        if field not in fields:
            raise invalid_field(f"{name}.{field}", f"is unknown; the fields are {', '.join(sorted(fields))}.")
        text_at(value, f"{name}.{field}")
    return config


def to_model_fields(options: JsonObject) -> JsonObject:
    """`additional_model_request_fields`, and all that is not OpenAI's (top_k, thinking): the model takes or refuses it."""
    name = "additional_model_request_fields"
    known_names = READ | DROPPED | NO_EQUIVALENT.keys()
    others = {field: value for field, value in options.items() if field not in known_names}
    return others | object_at(options.get(name, {}), name)


def _count(value: Any, path: str) -> int:  # noqa: ANN401 - whatever a caller sent
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise invalid_field(path, "must be a whole number of at least 1.")
    return value


def _fraction(value: Any, path: str) -> float:  # noqa: ANN401 - whatever a caller sent
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise invalid_field(path, "must be a number from 0 to 1, which is Bedrock's range.")
    return value


def _stops(stop: Any) -> list[str]:  # noqa: ANN401 - whatever a caller sent
    if isinstance(stop, str):
        return [text_at(stop, "stop")]
    return [text_at(text, f"stop[{position}]") for position, text in enumerate(list_at(stop, "stop"))]


def _format(response_format: JsonObject) -> JsonObject:
    match response_format.get("type"):
        case "text":
            return {}
        case "json_schema":
            definition = _schema(object_at(response_format.get("json_schema"), "response_format.json_schema"))
            return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": definition}}}
        case "json_object":
            raise invalid_field(
                "response_format.type", "Bedrock's Converse API has no json_object; give a json_schema."
            )
        case _:
            raise invalid_field("response_format.type", "must be text or json_schema.")


def _schema(json_schema: JsonObject) -> JsonObject:
    path = "response_format.json_schema"
    schema = object_at(json_schema.get("schema"), f"{path}.schema")
    definition: JsonObject = {"schema": json.dumps(schema, ensure_ascii=False)}
    for name in ("name", "description"):
        if json_schema.get(name) is not None:
            definition[name] = text_at(json_schema[name], f"{path}.{name}")
    return definition
