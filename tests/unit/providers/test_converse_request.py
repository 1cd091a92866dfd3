"""A whole chat request as Converse's body, held against the SDK's own model of the service."""

import copy
from typing import Any

from botocore.model import ServiceModel
from botocore.session import Session
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.inference import ChatRequest
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.media import DOCUMENTS, IMAGES
from core.providers.bedrock.converse.options import STREAMED_GUARDRAIL
from core.providers.bedrock.converse.reply import FINISH_REASONS, MALFORMED
from core.providers.bedrock.converse.request import to_converse
from core.providers.bedrock.converse.thinking import BUDGETS

ADD: JsonObject = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
FULL: JsonObject = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is in these?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,eA=="}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "thinking_blocks": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "eA=="},
            ],
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a": [1, null]}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "2", "cache_control": {"type": "ephemeral"}},
    ],
    "tools": [ADD | {"cache_control": {"type": "ephemeral"}}],
    "tool_choice": {"type": "function", "function": {"name": "add"}},
    "max_completion_tokens": 64,
    "temperature": 0.5,
    "top_p": 1,
    "stop": "END",
    "response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": {"type": "object"}}},
    "reasoning_effort": "low",
    "guardrail_config": {"guardrailIdentifier": "abc", "guardrailVersion": "1"},
    "top_k": 5,
    "user": "ada",
    "seed": 7,
    "n": 1,
    "logprobs": None,
    "stream_options": {"include_usage": True},
}

EFFORTS = BUDGETS.keys() - {"minimal"}


@pytest.fixture(scope="module")
def service() -> ServiceModel:
    return Session().get_service_model("bedrock-runtime")


def faults(service: ServiceModel, operation: str, body: JsonObject) -> str:
    shape = service.operation_model(operation).input_shape
    assert shape is not None
    report: Any = ParamValidator().validate({"modelId": "m", **body}, shape)
    return str(report.generate_report())


def words(service: ServiceModel, shape: str) -> set[str]:
    return set(service.shape_for(shape).metadata["enum"])


def test_the_tables_hold_the_sdks_words(service: ServiceModel) -> None:
    assert words(service, "ImageFormat") == set(IMAGES.values())
    assert words(service, "DocumentFormat") == set(DOCUMENTS.values())
    assert words(service, "StopReason") == {"end_turn", "stop_sequence", *FINISH_REASONS, *MALFORMED}
    guardrail: Any = service.shape_for("GuardrailStreamConfiguration")
    assert set(guardrail.members) == STREAMED_GUARDRAIL
    effort: Any = service.shape_for("OutputConfig")
    assert all(f">{word}<" in effort.members["effort"].documentation for word in EFFORTS)


@pytest.mark.parametrize(("operation", "stream"), [("Converse", None), ("ConverseStream", True)])
def test_everything_at_once_is_a_body_that_the_sdk_takes(
    service: ServiceModel, operation: str, *, stream: bool | None
) -> None:
    request = FULL | {"stream": stream}
    if stream:
        request["guardrail_config"] = FULL["guardrail_config"] | {"streamProcessingMode": "sync"}
    body = to_converse(ChatRequest.model_validate(request))
    assert not faults(service, operation, body)
    assert sorted(body) == [
        "additionalModelRequestFields",
        "guardrailConfig",
        "inferenceConfig",
        "messages",
        "outputConfig",
        "system",
        "toolConfig",
    ]
    assert body["additionalModelRequestFields"] == {"top_k": 5}
    assert body["inferenceConfig"] == {"maxTokens": 64, "temperature": 0.5, "topP": 1, "stopSequences": ["END"]}


def test_a_plain_question_is_its_message_alone() -> None:
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": None})
    assert to_converse(request) == {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}


def test_logprobs_are_refused_clearly() -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "logprobs": True}
    with pytest.raises(InvalidRequest, match="logprobs: Bedrock's Converse API has no equivalent") as refusal:
        to_converse(ChatRequest.model_validate(request))
    assert refusal.value.param == "logprobs"


def test_a_call_is_told_as_text_where_none_may_be_called() -> None:
    body = to_converse(ChatRequest.model_validate(FULL | {"tool_choice": "none"}))
    assert "toolConfig" not in body
    *_, called, answered = body["messages"]
    assert called["content"][-1] == {"text": '[Called the tool add with {"a": [1, null]}]'}
    assert answered["content"][:2] == [{"text": "[Result of the tool add]"}, {"text": "2"}]


def test_claude_thinks_as_much_as_it_likes_before_a_call_that_must_be() -> None:
    asked: JsonObject = {"model": "anthropic.claude-opus-4-6-v1", "messages": FULL["messages"][1:2], "tools": [ADD]}
    asked |= {"tool_choice": "required", "thinking": {"type": "adaptive"}}
    assert to_converse(ChatRequest.model_validate(asked))["toolConfig"]["toolChoice"] == {"any": {}}
    with pytest.raises(InvalidRequest, match="while it thinks"):
        to_converse(ChatRequest.model_validate(asked | {"thinking": {"type": "enabled", "budget_tokens": 1024}}))


def test_the_request_stays_as_it_was() -> None:
    request = ChatRequest.model_validate(copy.deepcopy(FULL))
    to_converse(request)
    assert request.model_dump(exclude_unset=True) == FULL


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["auto", "none", "function"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "name"]) | st.text(), inner, max_size=3)
    ),
    max_leaves=6,
)


def outcome(fields: JsonObject) -> JsonObject | InvalidRequest:
    try:
        return to_converse(ChatRequest.model_validate(fields))
    except InvalidRequest as refusal:
        return refusal


@given(st.data())
def test_any_field_of_any_kind_is_refused_by_its_name_or_is_what_the_sdk_takes(
    service: ServiceModel, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from([name for name in FULL if name not in {"model", "messages", "stream_options"}]))
    result = outcome(FULL | {name: data.draw(VALUES)})
    if isinstance(result, InvalidRequest):
        assert str(result.param).startswith((name, "tool_choice") if name == "tools" else name)
    else:
        assert not faults(service, "Converse", result)
