"""Whatever a caller sends to whatever model: it is refused by the name of what is wrong, or Bedrock's model takes it."""

from base64 import b64encode
from typing import Any

from botocore.model import ServiceModel
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.apis.inference import ChatRequest
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.options import NO_EQUIVALENT
from core.providers.bedrock.converse.request import text_taken_from, to_converse
from tests.parts.converse_body import faults, service

MODELS = (
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "anthropic.claude-opus-4-7",
    "anthropic.claude-3-haiku-20240307-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "amazon.nova-micro-v1:0",
    "meta.llama3-3-70b-instruct-v1:0",
    "mistral.mistral-large-2407-v1:0",
    "mistral.mistral-7b-instruct-v0:2",
    "cohere.command-r-plus-v1:0",
    "openai.gpt-oss-120b-1:0",
    "openai.gpt-5.6-sol",
    "qwen.qwen3-32b-v1:0",
    "somebodys-own",
)
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
TEXTS = st.text(max_size=20)
NAMES = st.text("abcé/ .-_", max_size=300)
IMAGES = st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"%PDF-1.7", b"x", b""])
SCHEMAS = st.recursive(
    st.sampled_from([{}, {"type": "string", "minLength": 1}, {"type": "object"}, {"$ref": "#"}, {"$ref": "#/$defs/A"}]),
    lambda inner: st.builds(lambda a, b: {"type": "object", "properties": {"a": a}, "$defs": {"A": b}}, inner, inner),
    max_leaves=4,
)


def data_url(label: str, content: bytes) -> str:
    return f"data:{label};base64,{b64encode(content).decode()}"


PARTS = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, TEXTS),
    st.builds(lambda content: {"type": "image_url", "image_url": {"url": data_url("image/png", content)}}, IMAGES),
    st.builds(
        lambda name, content: {"type": "file", "file": {"filename": name, "file_data": data_url("text/csv", content)}},
        NAMES,
        IMAGES,
    ),
    st.builds(
        lambda content: {"type": "input_audio", "input_audio": {"data": b64encode(content).decode(), "format": "mp3"}},
        IMAGES,
    ),
)
USERS = st.builds(lambda content: {"role": "user", "content": content}, TEXTS | st.lists(PARTS, min_size=1, max_size=3))
OTHERS = st.builds(
    lambda role, content: {"role": role, "content": content}, st.sampled_from(["assistant", "system"]), TEXTS
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": st.integers(-1, 10_000),
    "max_completion_tokens": st.integers(1, 2**33),
    "temperature": st.sampled_from([0, 0.5, 1, 1.0, 2]),
    "top_p": st.sampled_from([0, 0.5, 1]),
    "top_k": st.sampled_from([-1, 0, 5]),
    "stop": TEXTS | st.lists(TEXTS | st.sampled_from(["", " ", "\n"]), max_size=6),
    "reasoning_effort": st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
    "response_format": st.sampled_from([{"type": "text"}, {"type": "json_object"}])
    | st.builds(
        lambda schema, name: {"type": "json_schema", "json_schema": {"schema": schema, "name": name}}, SCHEMAS, NAMES
    ),
    "service_tier": st.sampled_from(["auto", "default", "flex", "priority", "scale"]),
    "metadata": st.dictionaries(NAMES, NAMES, max_size=20),
    "thinking": st.sampled_from(
        [{"type": "disabled"}, {"type": "enabled", "budget_tokens": 1024}, {"type": "adaptive"}]
    ),
    "user": TEXTS,
    "seed": st.integers(),
    **{name: st.sampled_from(values) if values else JUNK for name, values in NO_EQUIVALENT.items()},
}


@pytest.fixture(scope="module")
def bedrock() -> ServiceModel:
    return service()


def outcome(model: str, messages: list[JsonObject], fields: JsonObject) -> JsonObject | InvalidRequest:
    try:
        request = ChatRequest.model_validate({"model": model, "messages": messages, **fields})
        body = to_converse(request)
    except InvalidRequest as refusal:
        return refusal
    text_taken_from(request)  # what is taken is read without a refusal of its own
    return body


@settings(max_examples=300)
@given(
    st.sampled_from(MODELS),
    st.lists(USERS | OTHERS, min_size=1, max_size=4),
    st.fixed_dictionaries({}, optional={name: values | JUNK for name, values in FIELDS.items()}),
)
def test_an_accepted_request_is_a_body_that_bedrock_takes(
    bedrock: ServiceModel, model: str, messages: list[JsonObject], fields: JsonObject
) -> None:
    result = outcome(model, messages, fields)
    if isinstance(result, InvalidRequest):
        assert str(result.param).partition("[")[0].partition(".")[0] in {"messages", *fields}
        assert result.message.startswith(f"{result.param}: ")
    else:
        assert not faults(bedrock, result)


@given(
    st.sampled_from(MODELS),
    st.fixed_dictionaries(
        {}, optional={name: FIELDS[name] for name in ("temperature", "top_p", "top_k", "reasoning_effort")}
    ),
)
def test_no_model_is_asked_for_what_it_excludes(model: str, fields: JsonObject) -> None:
    result = outcome(model, [{"role": "user", "content": "hi"}], fields)
    if isinstance(result, InvalidRequest):
        return
    inference, own = result.get("inferenceConfig", {}), result.get("additionalModelRequestFields", {})
    if "claude" in model and "3-haiku" not in model:
        assert not {"temperature", "topP"} <= inference.keys()
    if "thinking" in own:
        assert "top_k" not in own
        assert not {"temperature", "topP"} & inference.keys()
        assert own["thinking"].get("budget_tokens", 0) < inference.get("maxTokens", 1)
    if own.get("reasoningConfig", {}).get("maxReasoningEffort") == "high":
        assert not inference
    if model in ("anthropic.claude-opus-4-7", "openai.gpt-5.6-sol"):
        assert not {"temperature", "topP"} & inference.keys()
