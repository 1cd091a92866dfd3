"""reasoning_effort: the model's own word for it, and what it excludes."""

from typing import Any

import pytest

from core.apis.inference import ChatRequest
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.request import to_converse

SONNET_4_5 = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
OPUS_4_6 = "us.anthropic.claude-opus-4-6-v1"
OPUS_4_7 = "us.anthropic.claude-opus-4-7"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
GPT_OSS = "openai.gpt-oss-20b-1:0"
TOOL = {"type": "function", "function": {"name": "f"}}
CALLED: list[JsonObject] = [
    {"role": "user", "content": "hi"},
    {
        "role": "assistant",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "ok"},
]


def asked(model: str, effort: object, **more: Any) -> JsonObject:
    """What is said of it, without the messages and tools."""
    request = {"model": model, "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": effort, **more}
    body = to_converse(ChatRequest.model_validate(request))
    return {name: value for name, value in body.items() if name not in {"messages", "toolConfig"}}


def budget(tokens: int) -> JsonObject:
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


ADAPTIVE: JsonObject = {"thinking": {"type": "adaptive"}}


@pytest.mark.parametrize(
    ("model", "effort", "fields", "output"),
    [
        (OPUS_4_6, "minimal", ADAPTIVE, "low"),
        (OPUS_4_6, "xhigh", ADAPTIVE, "high"),
        (OPUS_4_7, "xhigh", ADAPTIVE, "xhigh"),
        (OPUS_4_7, "max", ADAPTIVE, "max"),
        (NOVA_2, "low", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}, ""),
        (NOVA_2, "max", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}, ""),
        (GPT_OSS, "medium", {"reasoning_effort": "medium"}, ""),
        (GPT_OSS, "none", {"reasoning_effort": "none"}, ""),
        ("openai.gpt-5.6-sol", "high", {"reasoning": {"effort": "high"}}, ""),
        ("somebodys-own", "high", {}, "high"),
    ],
)
def test_an_effort_is_said_in_the_models_words(model: str, effort: str, fields: JsonObject, output: str) -> None:
    wanted = {"additionalModelRequestFields": fields, "outputConfig": {"effort": output} if output else {}}
    assert asked(model, effort) == {name: value for name, value in wanted.items() if value}


def test_an_effort_may_be_said_as_openais_responses_say_it() -> None:
    request: JsonObject = {"model": GPT_OSS, "messages": [{"role": "user", "content": "hi"}]}
    for more in ({"reasoning": {"effort": "low"}}, {"reasoning": {"effort": "high"}, "reasoning_effort": "low"}):
        body = to_converse(ChatRequest.model_validate(request | more))
        assert body["additionalModelRequestFields"] == {"reasoning_effort": "low"}
    own = {"reasoning": {"effort": "low", "summary": "auto"}}
    assert to_converse(ChatRequest.model_validate(request | own))["additionalModelRequestFields"] == own


@pytest.mark.parametrize("model", [SONNET_4_5, OPUS_4_6, NOVA_2, "meta.llama3-3-70b-instruct-v1:0", "somebodys-own"])
def test_no_effort_asks_for_nothing(model: str) -> None:
    assert asked(model, "none") == {}


@pytest.mark.parametrize(
    ("effort", "bound", "tokens", "most"),
    [
        ("low", None, 2048, 6144),
        ("high", None, 16384, 20480),
        ("high", 8000, 4000, 8000),
        ("minimal", 2048, 1024, 2048),
    ],
)
def test_a_budget_leaves_half_of_the_bound_for_the_answer(
    effort: str, bound: int | None, tokens: int, most: int
) -> None:
    more = {} if bound is None else {"max_tokens": bound}
    wanted = {"inferenceConfig": {"maxTokens": most}, "additionalModelRequestFields": budget(tokens)}
    assert asked(SONNET_4_5, effort, **more) == wanted


def test_a_bound_without_room_for_thoughts_is_for_the_answer() -> None:
    assert asked(SONNET_4_5, "high", max_completion_tokens=2047) == {"inferenceConfig": {"maxTokens": 2047}}


@pytest.mark.parametrize("model", [SONNET_4_5, OPUS_4_6])
@pytest.mark.parametrize("more", [{}, {"thinking": {"type": "enabled", "budget_tokens": 1500}}])
def test_thoughts_exclude_sampling(model: str, more: JsonObject) -> None:
    body = asked(model, "low", temperature=0.2, top_p=0.5, top_k=5, **more)
    assert "top_k" not in body["additionalModelRequestFields"]
    assert not {"temperature", "topP"} & body.get("inferenceConfig", {}).keys()
    if more:
        assert body["additionalModelRequestFields"] == more


def test_the_highest_effort_of_nova_excludes_a_bound_which_stays() -> None:
    high = asked(NOVA_2, "high", temperature=0.2, top_p=0.5, stop="END")
    assert high["inferenceConfig"] == {"stopSequences": ["END"]}
    bounded = asked(NOVA_2, "high", temperature=0.2, max_tokens=50)
    assert bounded["inferenceConfig"] == {"maxTokens": 50, "temperature": 0.2}
    assert bounded["additionalModelRequestFields"]["reasoningConfig"]["maxReasoningEffort"] == "medium"


def test_only_claudes_thoughts_and_novas_highest_effort_exclude_sampling() -> None:
    assert asked(GPT_OSS, "low", temperature=0.2)["inferenceConfig"] == {"temperature": 0.2}
    assert asked(NOVA_2, "low", temperature=0.2)["inferenceConfig"] == {"temperature": 0.2}
    assert asked(OPUS_4_6, "none", temperature=0.2) == {"inferenceConfig": {"temperature": 0.2}}


def test_a_forced_tool_excludes_claudes_thoughts() -> None:
    forced: JsonObject = {"tools": [TOOL], "tool_choice": "required"}
    assert asked(SONNET_4_5, "high", **forced) == {}
    assert asked(OPUS_4_6, "max", **forced) == {"outputConfig": {"effort": "high"}}


def test_a_conversation_that_lost_its_thoughts_goes_on_without() -> None:
    assert asked(SONNET_4_5, "high", messages=CALLED, tools=[TOOL]) == {}
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s"}
    kept = [CALLED[0], CALLED[1] | {"thinking_blocks": [thinking]}, CALLED[2]]
    assert asked(SONNET_4_5, "high", messages=kept, tools=[TOOL])["additionalModelRequestFields"] == budget(16384)
    assert asked(OPUS_4_6, "high", messages=CALLED, tools=[TOOL])["additionalModelRequestFields"] == ADAPTIVE


def test_an_answer_that_was_begun_is_ended_without_thoughts() -> None:
    begun: list[JsonObject] = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "So"}]
    assert asked(SONNET_4_5, "high", messages=begun) == {}
    assert asked(OPUS_4_6, "high", messages=begun)["additionalModelRequestFields"] == ADAPTIVE


def test_a_callers_own_thinking_comes_before_the_effort() -> None:
    own = asked(SONNET_4_5, "low", thinking={"type": "enabled", "budget_tokens": 9000}, max_tokens=10000)
    assert own == {"inferenceConfig": {"maxTokens": 10000}, "additionalModelRequestFields": budget(9000)}
    assert "inferenceConfig" not in asked(SONNET_4_5, "low", thinking={"type": "enabled", "budget_tokens": 9000})
    assert asked(OPUS_4_6, "low", thinking={"type": "disabled"})["outputConfig"] == {"effort": "low"}


@pytest.mark.parametrize(
    ("model", "effort"),
    [
        (SONNET_4_5, "huge"),
        (SONNET_4_5, ["low"]),
        ("amazon.nova-pro-v1:0", "high"),
        ("meta.llama3-3-70b-instruct-v1:0", "low"),
    ],
)
def test_an_effort_that_nobody_can_make_is_refused(model: str, effort: object) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        asked(model, effort)
    assert refusal.value.param == "reasoning_effort"
