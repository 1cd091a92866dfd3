"""The rest of a chat request as Converse's: guardrails, tiers, metadata, a model's own fields, and what has no equivalent. Pure.

Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html,
https://platform.openai.com/docs/api-reference/chat/create. docs/chat-fields.md is held to these tables.
"""

from collections.abc import Mapping, Sequence
import re
from typing import Any, Final

from core.frame.types import JsonObject
from core.providers.bedrock.converse.families import Family, Sampling, Thinks
from core.providers.http.fields import invalid_field, object_at, text_at

# Translated here, in `sampling`, `output_format` or `thinking`; what is about tools is taken out before.
READ: Final = frozenset(
    {
        "additional_model_request_fields",
        "guardrailConfig",
        "guardrail_config",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "reasoning_effort",
        "response_format",
        "service_tier",
        "stop",
        "temperature",
        "top_k",
        "top_p",
    }
)
# They are about OpenAI's own service or its speed, or promise nothing (seed).
DROPPED: Final = frozenset(
    {
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "seed",
        "store",
        "user",
    }
)
# What programs say to other gateways: how to route, trace and bill, nothing of the answer.
OTHERS: Final = frozenset(
    {
        "background_tasks",
        "cache",
        "chat_id",
        "drop_params",
        "extra_headers",
        "features",
        "include_reasoning",
        "message_id",
        "model_item",
        "no-log",
        "num_retries",
        "provider",
        "request_id",
        "request_timeout",
        "route",
        "session_id",
        "tags",
        "timeout",
        "trace_id",
        "transforms",
        "usage",
        "variables",
    }
)
# Fields that Converse has nothing for, and the values that ask for nothing: OpenAI's, then vLLM's and others'.
NO_EQUIVALENT: Final[Mapping[str, Sequence[object]]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "presence_penalty": (0,),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
    "bad_words": ([],),
    "best_of": (1,),
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "guided_choice": ([],),
    "guided_grammar": (),
    "guided_json": ({},),
    "guided_regex": (),
    "ignore_eos": (False,),
    "include_stop_str_in_output": (False,),
    "length_penalty": (1,),
    "logits_processors": ([],),
    "min_p": (0,),
    "min_tokens": (0,),
    "models": ([],),
    "plugins": ([],),
    "repetition_penalty": (1,),
    "stop_token_ids": ([],),
    "structured_outputs": ({},),
    "top_a": (0,),
    "truncate_prompt_tokens": (),
    "typical_p": (1,),
    "use_beam_search": (False,),
}
TIERS: Final = {"flex": "flex", "priority": "priority"}  # the others of OpenAI's are its own, or the usual one
METADATA_KEY: Final = r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}"
METADATA_VALUE: Final = r"[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}"
MOST_METADATA: Final = 16
NO_TOP_K: Final = (0, -1)  # all tokens, as vLLM and others have it
ANTHROPIC: Final = frozenset({Thinks.EFFORT, Thinks.BUDGET, Thinks.ADAPTIVE})
GUARDRAIL: Final = frozenset({"guardrailIdentifier", "guardrailVersion", "trace"})
STREAMED_GUARDRAIL: Final = GUARDRAIL | {"streamProcessingMode"}


def refuse_fields_without_equivalent(options: JsonObject) -> None:
    """Raise InvalidRequest for a field whose meaning would be lost."""
    for name, value in options.items():
        if name in NO_EQUIVALENT and value not in NO_EQUIVALENT[name]:
            raise invalid_field(name, "Bedrock's Converse API has no equivalent for this; leave it out.")


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


def to_service_tier(options: Mapping[str, Any], family: Family) -> JsonObject:
    """A model without tiers answers in its usual one: they are about price and speed."""
    tier = options.get("service_tier")
    return {"type": TIERS[tier]} if isinstance(tier, str) and tier in TIERS and family.tiers else {}


def to_request_metadata(metadata: Any) -> JsonObject:  # noqa: ANN401 - whatever a caller sent
    """For the invocation log of the operator's account: what it has no room for is left out."""
    fitting = {
        key: value
        for key, value in object_at(metadata, "metadata").items()
        if isinstance(value, str) and re.fullmatch(METADATA_KEY, key) and re.fullmatch(METADATA_VALUE, value)
    }
    return fitting if len(fitting) <= MOST_METADATA else {}


def to_model_fields(options: Mapping[str, Any], family: Family) -> JsonObject:
    """`additional_model_request_fields`, and all that nobody here knows: the model takes or refuses it."""
    name = "additional_model_request_fields"
    others = {field: value for field, value in options.items() if field not in KNOWN}
    if family.thinks not in ANTHROPIC and others.get("thinking") == {"type": "disabled"}:
        del others["thinking"]
    return others | object_at(options.get(name, {}), name)


def to_top_k(value: object, family: Family) -> JsonObject:
    """Where the model has it among its own fields; nothing to one that draws its own way, as of temperature."""
    if value in NO_TOP_K or family.sampling is Sampling.NONE:
        return {}
    if family.top_k is None:
        raise invalid_field("top_k", "Bedrock has none for this model; leave it out.")
    *holders, name = family.top_k.split(".")
    fields: JsonObject = {name: value}
    for holder in reversed(holders):
        fields = {holder: fields}
    return fields


KNOWN: Final = READ | DROPPED | OTHERS | NO_EQUIVALENT.keys()
