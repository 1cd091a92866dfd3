"""OpenAI's answers in native words: stop reasons, tool calls, log probabilities, metrics, embeddings."""

from typing import Any

import pytest

from core.errors import UpstreamFailed
from core.services.inference.native.reply import (
    from_openai_chat,
    from_openai_completion,
    from_openai_embeddings,
    metrics_of,
    native_tool_call,
)
from tests.unit.routing.fakes import METRICS, USAGE, chat_reply, tool_call

TOKENS = {
    "content": [
        {
            "token": "Hel",
            "logprob": -0.5,
            "top_logprobs": [{"token": "Hel", "logprob": -0.5}, {"token": "By", "logprob": -2}],
        },
        {"token": "lo", "logprob": -0.25, "top_logprobs": []},
    ]
}
BY_TOKEN = [{"logprobs_by_token": {"Hel": -0.5, "By": -2}}, {"logprobs_by_token": {"lo": -0.25}}]


def test_a_chat_completion_becomes_a_completion_message() -> None:
    reply = chat_reply("Hello", logprobs=TOKENS) | {"usage": USAGE}
    assert from_openai_chat(reply) == {
        "metrics": METRICS,
        "completion_message": {
            "role": "assistant",
            "content": "Hello",
            "stop_reason": "end_of_turn",
            "tool_calls": [],
        },
        "logprobs": BY_TOKEN,
    }


def test_what_the_provider_did_not_tell_is_null_and_no_content_is_an_empty_one() -> None:
    answer = from_openai_chat(chat_reply(None))
    assert answer["completion_message"]["content"] == ""
    assert answer["metrics"] is None
    assert answer["logprobs"] is None


@pytest.mark.parametrize(
    ("finish", "stop_reason"),
    [
        ("stop", "end_of_turn"),
        ("length", "out_of_tokens"),
        ("tool_calls", "end_of_message"),
        ("function_call", "end_of_message"),
        ("content_filter", "end_of_turn"),
        (None, "end_of_turn"),
    ],
)
def test_stop_reasons(finish: str | None, stop_reason: str) -> None:
    assert from_openai_chat(chat_reply(finish=finish))["completion_message"]["stop_reason"] == stop_reason
    assert from_openai_completion({"choices": [{"text": "", "finish_reason": finish}]})["stop_reason"] == stop_reason


def test_tool_calls_keep_their_order_and_the_json_of_their_arguments() -> None:
    calls = [tool_call("c1", "add", '{"a": 1.50}'), tool_call("c2", "now", "")]
    assert from_openai_chat(chat_reply(None, calls, "tool_calls"))["completion_message"]["tool_calls"] == [
        {"call_id": "c1", "tool_name": "add", "arguments": {"a": 1.5}, "arguments_json": '{"a": 1.50}'},
        {"call_id": "c2", "tool_name": "now", "arguments": {}, "arguments_json": "{}"},
    ]


@pytest.mark.parametrize(
    "raw", ['{"a": 1', "[1]", '"text"', "null", '{"a": NaN}', '{"a": "\\ud800"}', '{"a":' + "[" * 999, '{"a":1}x']
)
def test_arguments_that_are_no_json_object_stay_a_string(raw: str) -> None:
    call = native_tool_call("c", "t", raw)
    assert call == {"call_id": "c", "tool_name": "t", "arguments": raw, "arguments_json": None}


@pytest.mark.parametrize(
    ("logprobs", "wanted"),
    [
        (None, None),
        ({}, None),
        ({"content": None}, None),
        ({"content": []}, []),
        (TOKENS, BY_TOKEN),
        ({"content": [{"token": "a", "logprob": None, "top_logprobs": None}]}, [{"logprobs_by_token": {}}]),
        (
            {"tokens": ["a", "b"], "token_logprobs": [None, -1.0], "top_logprobs": [None, {"b": -1.0, "c": -2.0}]},
            [{"logprobs_by_token": {}}, {"logprobs_by_token": {"b": -1.0, "c": -2.0}}],
        ),
        ({"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": None}, [{"logprobs_by_token": {"a": -1.0}}]),
    ],
)
def test_log_probabilities_are_one_table_per_token(logprobs: object, wanted: object) -> None:
    assert from_openai_chat(chat_reply(logprobs=logprobs))["logprobs"] == wanted
    assert from_openai_completion({"choices": [{"text": "", "logprobs": logprobs}]})["logprobs"] == wanted


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        (None, None),
        ({}, None),
        (USAGE, METRICS),
        ({"prompt_tokens": 3, "completion_tokens": None, "prompt_tokens_details": {}}, METRICS[:1]),
        ("much", None),
    ],
)
def test_usage_becomes_metrics(usage: object, wanted: object) -> None:
    assert metrics_of(usage) == wanted


def test_a_text_completion_becomes_its_content() -> None:
    reply = {"choices": [{"text": " upon", "finish_reason": "length"}], "usage": USAGE}
    assert from_openai_completion(reply) == {
        "metrics": METRICS,
        "content": " upon",
        "stop_reason": "out_of_tokens",
        "logprobs": None,
    }


def test_embeddings_are_in_the_order_of_their_indexes() -> None:
    data = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    assert from_openai_embeddings({"data": data}) == {"embeddings": [[1.0], [2.0]]}
    assert from_openai_embeddings({"data": [{"embedding": [1.0]}, {"embedding": [2.0]}]}) == {
        "embeddings": [[1.0], [2.0]]
    }


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"choices": []},
        {"choices": None},
        {"choices": ["text"]},
        {"choices": [{}]},
        {"choices": [{"message": "Hello"}]},
        chat_reply(calls=[7]),  # type: ignore[list-item] # what a broken provider sends
        {"choices": [{"message": {"content": ["Hello"]}}]},
        {"choices": [{"message": {"tool_calls": {}}}]},
        {"choices": [{"message": {"tool_calls": [{"function": {"name": "t", "arguments": {}}}]}}]},
        chat_reply(logprobs={"content": ["Hel"]}),
    ],
)
def test_a_chat_answer_of_another_shape_is_the_providers_failure(reply: dict[str, Any]) -> None:
    with pytest.raises(UpstreamFailed, match="not of OpenAI's shape"):
        from_openai_chat(reply)


@pytest.mark.parametrize("data", ["x", [1], [{}], [{"index": 0, "embedding": "AAAA"}]])
def test_embeddings_of_another_shape_are_the_providers_failure(data: object) -> None:
    with pytest.raises(UpstreamFailed, match="not of OpenAI's shape"):
        from_openai_embeddings({"data": data})
