"""Converse's replies as OpenAI's chat completions."""

from typing import Any

from pydantic import TypeAdapter
import pytest

from core.apis.answers.inference import ChatCompletion
from core.errors import UpstreamFailed
from core.frame.types import JsonObject
from core.providers.bedrock.converse.answer_form import AnswerForm
from core.providers.bedrock.converse.reply import finish_reason_of, from_converse, usage_of

USAGE: JsonObject = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}


def reply(*blocks: object, stop: str = "end_turn") -> JsonObject:
    return {
        "output": {"message": {"role": "assistant", "content": list(blocks)}},
        "stopReason": stop,
        "usage": USAGE,
        "metrics": {"latencyMs": 1},
    }


def answered(*blocks: object) -> JsonObject:
    completion = from_converse(reply(*blocks), model="m", created=7, id="chatcmpl-1")
    assert TypeAdapter(ChatCompletion).validate_python(completion)
    message: JsonObject = completion["choices"][0]["message"]
    return message


def test_an_answer_is_a_chat_completion() -> None:
    assert from_converse(reply({"text": "Hel"}, {"text": "lo"}), model="m", created=7, id="chatcmpl-1") == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }


def test_calls_keep_their_order_ids_and_arguments() -> None:
    blocks: list[JsonObject] = [
        {"toolUse": {"toolUseId": "c1", "name": "add", "input": {"é": 1.0}}},
        {"toolUse": {"toolUseId": "c2", "name": "now", "input": {}}},
    ]
    assert answered(*blocks) == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"é": 1.0}'}},
            {"id": "c2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
        ],
    }


TWO: list[JsonObject] = [
    {"toolUse": {"toolUseId": "c1", "name": "files_read", "input": {}}},
    {"text": "So."},
    {"toolUse": {"toolUseId": "c2", "name": "now", "input": {"a": 1}}},
]


def choice(form: AnswerForm, *blocks: object, stop: str = "tool_use") -> JsonObject:
    completion = from_converse(reply(*blocks, stop=stop), model="m", created=7, id="c", form=form)
    assert TypeAdapter(ChatCompletion).validate_python(completion)
    chosen: JsonObject = completion["choices"][0]
    return chosen


def test_calls_are_told_by_their_callers_names_and_no_more_than_were_asked_for() -> None:
    told = choice(AnswerForm(names={"files_read": "files.read"}, most=1), *TWO)
    (call,) = told["message"]["tool_calls"]
    assert (call["id"], call["function"]["name"], told["finish_reason"]) == ("c1", "files.read", "tool_calls")


@pytest.mark.parametrize("form", [AnswerForm(most=0), AnswerForm(withheld=frozenset({"files_read", "now"}))])
def test_an_answer_whose_calls_are_not_told_is_its_text(form: AnswerForm) -> None:
    assert choice(form, *TWO) == {
        "index": 0,
        "message": {"role": "assistant", "content": "So."},
        "finish_reason": "stop",
    }
    assert choice(form, TWO[0])["message"] == {"role": "assistant", "content": ""}


def test_the_older_form_has_one_function_call() -> None:
    assert choice(AnswerForm(most=1, older=True), TWO[0], TWO[2]) == {
        "index": 0,
        "message": {"role": "assistant", "content": None, "function_call": {"name": "files_read", "arguments": "{}"}},
        "finish_reason": "function_call",
    }


@pytest.mark.parametrize(
    ("stop", "wanted"), [("end_turn", "tool_calls"), ("max_tokens", "length"), ("content_filtered", "content_filter")]
)
def test_calls_end_an_answer_as_calls_unless_it_was_cut(stop: str, wanted: str) -> None:
    assert choice(AnswerForm(), *TWO, stop=stop)["finish_reason"] == wanted


def test_reasoning_is_told_as_text_and_with_its_signatures() -> None:
    message = answered(
        {"reasoningContent": {"reasoningText": {"text": "a", "signature": "s"}}},
        {"reasoningContent": {"reasoningText": {"text": "b"}}},
        {"reasoningContent": {"redactedContent": b"x"}},
        {"text": "So."},
    )
    assert message == {
        "role": "assistant",
        "content": "So.",
        "reasoning_content": "ab",
        "thinking_blocks": [
            {"type": "thinking", "thinking": "a", "signature": "s"},
            {"type": "thinking", "thinking": "b"},
            {"type": "redacted_thinking", "data": "eA=="},
        ],
    }


def test_cited_text_is_text_and_unknown_blocks_are_nothing() -> None:
    cited = {"citationsContent": {"content": [{"text": "a"}, {"text": "b"}], "citations": []}}
    assert answered(cited, {"audio": {}}, {"text": "c"})["content"] == "abc"


def test_an_answer_of_nothing_is_an_empty_text() -> None:
    assert answered() == {"role": "assistant", "content": ""}


@pytest.mark.parametrize(
    ("stop", "wanted"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("something_new", "stop"),
        (None, "stop"),
    ],
)
def test_a_stop_reason_is_openais(stop: object, wanted: str) -> None:
    assert finish_reason_of(stop) == wanted


@pytest.mark.parametrize("stop", ["malformed_model_output", "malformed_tool_use"])
def test_an_answer_that_bedrock_could_not_read_is_the_providers_failure(stop: str) -> None:
    with pytest.raises(UpstreamFailed, match=stop):
        from_converse(reply({"text": "{"}, stop=stop), model="m", created=7, id="c")


def test_the_prompt_counts_what_was_read_from_and_written_to_the_cache() -> None:
    assert usage_of(USAGE | {"cacheReadInputTokens": 100, "cacheWriteInputTokens": 20}) == {
        "prompt_tokens": 130,
        "completion_tokens": 5,
        "total_tokens": 135,
        "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20},
    }


@pytest.mark.parametrize(
    ("details", "hour"),
    [
        ([{"ttl": "1h", "inputTokens": 12}, {"ttl": "5m", "inputTokens": 8}], 12),
        ([{"ttl": "5m", "inputTokens": 20}], None),
        ([{"ttl": "1h"}, "1h", None], None),
        ({"ttl": "1h"}, None),
    ],
)
def test_what_is_kept_for_an_hour_is_said_as_anthropic_does(details: object, hour: int | None) -> None:
    said = usage_of(USAGE | {"cacheWriteInputTokens": 20, "cacheDetails": details})
    assert said.get("cache_creation") == (None if hour is None else {"ephemeral_1h_input_tokens": hour})


@pytest.mark.parametrize("usage", [None, [], {}, {"inputTokens": "1"}])
def test_counts_that_are_missing_are_none(usage: object) -> None:
    assert usage_of(usage)["total_tokens"] == 0


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"output": None},
        {"output": {"message": {"content": "text"}}},
        reply("text"),
        reply({"toolUse": {"name": "add"}}),
        reply({"toolUse": None}),
        reply({"reasoningContent": {"reasoningText": {}}}),
    ],
)
def test_what_is_no_reply_is_the_providers_failure(bad: Any) -> None:
    with pytest.raises(UpstreamFailed, match="not of the Converse API's shape"):
        from_converse(bad, model="m", created=7, id="c")
