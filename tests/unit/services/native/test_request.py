"""Native requests in OpenAI's words: sampling, formats, log probabilities, batches, embeddings."""

import json
from typing import Any

import pytest

from core.apis.native import (
    NativeChatBatchRequest,
    NativeChatRequest,
    NativeCompletionBatchRequest,
    NativeCompletionRequest,
    NativeEmbeddingsRequest,
)
from core.apis.parsing import parse
from core.errors import InvalidRequest
from core.frame.types import Wire
from core.services.inference.native.request import (
    to_openai_chat,
    to_openai_chats,
    to_openai_completion,
    to_openai_completions,
    to_openai_embeddings,
)

HI = {"role": "user", "content": "Hi"}
BARE: dict[str, Any] = {"model": "m", "messages": [HI], "temperature": 0.0}
IMAGE = {"type": "image", "image": {"url": {"uri": "https://example.com/cat.png"}}}


def native[W: Wire](kind: type[W], **fields: Any) -> W:
    return kind.model_validate_json(json.dumps({"model_id": "m"} | fields))


def chat(*, stream: bool = False, **fields: Any) -> dict[str, Any]:
    request = to_openai_chat(native(NativeChatRequest, **({"messages": [HI]} | fields)), stream=stream)
    return request.model_dump(exclude_unset=True)


def completion(**fields: Any) -> dict[str, Any]:
    request = to_openai_completion(native(NativeCompletionRequest, **({"content": "Once"} | fields)))
    return request.model_dump(exclude_unset=True)


def embeddings(**fields: Any) -> dict[str, Any]:
    return to_openai_embeddings(native(NativeEmbeddingsRequest, **fields)).model_dump(exclude_unset=True)


def test_a_chat_is_greedy_unless_it_says_more() -> None:
    assert chat() == BARE
    assert chat(sampling_params={}) == BARE
    assert chat(sampling_params={"strategy": {"type": "greedy"}}) == BARE


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        ({"type": "greedy"}, {"temperature": 0.0}),
        ({"type": "top_p", "temperature": 0.7, "top_p": 0.9}, {"temperature": 0.7, "top_p": 0.9}),
        ({"type": "top_p", "temperature": 1}, {"temperature": 1.0, "top_p": 0.95}),
        ({"type": "top_p", "top_p": None}, {}),
        ({"type": "top_k", "top_k": 40}, {"top_k": 40}),
    ],
)
def test_sampling_strategies(strategy: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert chat(sampling_params={"strategy": strategy}) == {"model": "m", "messages": [HI]} | wanted


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({"max_tokens": 0}, {}),
        ({"max_tokens": None}, {}),
        ({"max_tokens": 12}, {"max_tokens": 12}),
        ({"repetition_penalty": 1.0}, {}),
        ({"repetition_penalty": 1}, {}),
        ({"repetition_penalty": None}, {}),
        ({"repetition_penalty": 1.2}, {"repetition_penalty": 1.2}),
        ({"stop": ["END"]}, {"stop": ["END"]}),
        ({"stop": []}, {}),
    ],
)
def test_sampling_params_that_are_set_are_passed_on(params: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert chat(sampling_params=params) == BARE | wanted


def test_a_json_schema_is_named_by_its_title() -> None:
    schema = {"title": "My answer!", "type": "object"}
    wanted = {"type": "json_schema", "json_schema": {"name": "My_answer_", "schema": schema, "strict": True}}
    given = {"type": "json_schema", "json_schema": schema}
    assert chat(response_format=given)["response_format"] == wanted
    assert completion(response_format=given)["response_format"] == wanted
    long = {"type": "json_schema", "json_schema": {"title": "x" * 99}}
    assert chat(response_format=long)["response_format"]["json_schema"]["name"] == "x" * 64
    unnamed = {"type": "json_schema", "json_schema": {"type": "object", "title": 7}}
    assert chat(response_format=unnamed)["response_format"]["json_schema"]["name"] == "response"


def test_log_probabilities_are_asked_for_in_each_apis_way() -> None:
    assert chat(logprobs={"top_k": 3}) == BARE | {"logprobs": True, "top_logprobs": 3}
    assert chat(logprobs={}) == BARE | {"logprobs": True}
    assert completion(logprobs={"top_k": 3})["logprobs"] == 3
    assert completion(logprobs={"top_k": None})["logprobs"] == 0
    assert "logprobs" not in completion()


def test_a_stream_asks_for_its_usage() -> None:
    assert chat(stream=True) == BARE | {"stream": True, "stream_options": {"include_usage": True}}
    streamed = to_openai_completion(native(NativeCompletionRequest, content="Once", stream=True), stream=True)
    assert streamed.model_dump()["stream"] is True
    assert streamed.model_dump()["stream_options"] == {"include_usage": True}


def test_what_is_not_known_goes_on_but_for_what_would_change_the_answers_shape() -> None:
    unknown: dict[str, Any] = {
        "seed": 7,
        "temperature": 0.5,
        "n": 3,
        "stream_options": {},
        "model": "other",
        "prompt": None,
    }
    assert chat(**unknown) == BARE | {"seed": 7, "temperature": 0.5, "prompt": None}
    assert completion(seed=7, n=2) == {"model": "m", "prompt": "Once", "temperature": 0.0, "seed": 7}
    batch = native(NativeChatBatchRequest, messages_batch=[[HI]], stream=True, n=2)
    assert to_openai_chats(batch)[0].model_dump(exclude_unset=True) == BARE
    assert embeddings(contents=["a"], encoding_format="base64", user="u") == {
        "model": "m",
        "input": ["a"],
        "user": "u",
    }


def test_prompt_formats_are_taken_and_change_nothing() -> None:
    config = {"tool_prompt_format": "json", "system_message_behavior": "replace"}
    assert chat(tool_prompt_format="python_list", tool_config=config) == BARE


def test_a_completions_content_is_its_prompt() -> None:
    assert completion(content=[{"type": "text", "text": "Once "}, {"type": "text", "text": "upon"}]) == {
        "model": "m",
        "prompt": "Once upon",
        "temperature": 0.0,
    }


def test_a_batch_is_one_request_each_in_order_with_what_they_share() -> None:
    other = [{"role": "system", "content": "S"}, HI]
    batch = native(NativeChatBatchRequest, messages_batch=[[HI], other], sampling_params={"max_tokens": 5})
    chats = [request.model_dump(exclude_unset=True) for request in to_openai_chats(batch)]
    assert chats == [BARE | {"max_tokens": 5}, BARE | {"max_tokens": 5, "messages": other}]
    texts = native(NativeCompletionBatchRequest, content_batch=["a", {"type": "text", "text": "b"}])
    assert [request.prompt for request in to_openai_completions(texts)] == ["a", "b"]


def test_embeddings_are_always_asked_for_as_a_list_of_texts() -> None:
    contents = ["a", {"type": "text", "text": "b"}]
    assert embeddings(contents=contents, text_truncation="none") == {"model": "m", "input": ["a", "b"]}
    assert embeddings(contents=["a"], output_dimension=64, text_truncation="end", task_type="query") == {
        "model": "m",
        "input": ["a"],
        "dimensions": 64,
        "text_truncation": "end",
        "task_type": "query",
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"sampling_params": {"strategy": {"type": "top_k"}}}, "sampling_params.strategy.top_k"),
        ({"response_format": {"type": "grammar", "bnf": {}}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"messages": [HI, {"role": "user", "content": [IMAGE, 3]}]}, "messages[1].content[1]"),
        ({"tools": [{"tool_name": "t"}], "tool_choice": "u"}, "tool_choice"),
    ],
)
def test_what_openais_wire_cannot_say_is_refused_by_its_path(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        chat(**fields)
    assert refusal.value.param == param


def test_images_are_refused_where_only_text_goes() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        completion(content=["a", IMAGE])
    assert refusal.value.param == "content[1]"
    with pytest.raises(InvalidRequest) as refusal:
        embeddings(contents=["a", IMAGE])
    assert refusal.value.param == "contents[1]"
    with pytest.raises(InvalidRequest) as refusal:
        to_openai_completions(native(NativeCompletionBatchRequest, content_batch=["a", IMAGE]))
    assert refusal.value.param == "content_batch[1]"
    with pytest.raises(InvalidRequest) as refusal:
        to_openai_chats(native(NativeChatBatchRequest, messages_batch=[[HI], [HI, {"role": "user", "content": 1}]]))
    assert refusal.value.param == "messages_batch[1][1].content"


@pytest.mark.parametrize(
    ("kind", "fields", "param"),
    [
        (NativeChatRequest, {}, "messages"),
        (NativeChatRequest, {"messages": []}, "messages"),
        (NativeChatRequest, {"messages": [HI], "model_id": ""}, "model_id"),
        (NativeChatRequest, {"messages": [{"role": "user"}]}, "messages[0].content"),
        (NativeChatRequest, {"messages": [HI, {"role": "boss", "content": ""}]}, "messages[1].role"),
        (NativeChatRequest, {"messages": [HI | {"tool_calls": [{}]}]}, "messages[0].tool_calls[0].call_id"),
        (NativeChatRequest, {"messages": [HI], "tools": [{}]}, "tools[0].tool_name"),
        (
            NativeChatRequest,
            {"messages": [HI], "tools": [{"tool_name": "t", "parameters": {"p": {"param_type": "x" * 257}}}]},
            "tools[0].parameters.p.param_type",
        ),
        (NativeChatRequest, {"messages": [HI], "sampling_params": {"max_tokens": -1}}, "sampling_params.max_tokens"),
        (
            NativeChatRequest,
            {"messages": [HI], "sampling_params": {"strategy": {"type": "beam"}}},
            "sampling_params.strategy.type",
        ),
        (NativeChatRequest, {"messages": [HI], "logprobs": {"top_k": "3"}}, "logprobs.top_k"),
        (NativeChatRequest, {"messages": [HI], "stream": "yes"}, "stream"),
        (NativeChatBatchRequest, {"messages_batch": []}, "messages_batch"),
        (NativeChatBatchRequest, {"messages_batch": [[HI], []]}, "messages_batch[1]"),
        (NativeCompletionRequest, {}, "content"),
        (NativeCompletionBatchRequest, {"content_batch": "a"}, "content_batch"),
        (NativeEmbeddingsRequest, {"contents": []}, "contents"),
        (NativeEmbeddingsRequest, {"contents": ["a"], "task_type": "poem"}, "task_type"),
        (NativeEmbeddingsRequest, {"contents": ["a"], "output_dimension": 0}, "output_dimension"),
    ],
)
def test_a_field_at_fault_is_named_by_its_native_path(kind: type[Wire], fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse(kind, json.dumps({"model_id": "m"} | fields).encode())
    assert refusal.value.param == param
