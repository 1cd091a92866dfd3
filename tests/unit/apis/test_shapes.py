"""What servers name without a value, or in a form of their own, in the shape that OpenAI gives it."""

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.shapes import ChunkChecker, check_chat
from core.errors import UpstreamFailed

EMPTY: dict[str, Any] = {
    "tool_calls": [],
    "function_call": None,
    "audio": None,
    "annotations": None,
    "reasoning_content": None,
}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


def chat(finish: str = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}]}


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def checked(answer: dict[str, Any]) -> dict[str, Any]:
    """The choice, of either."""
    answer = copy.deepcopy(answer)
    choice: dict[str, Any] = answer["choices"][0]
    if "message" in choice:
        check_chat(answer)
    else:
        ChunkChecker().check(answer)
    return choice


def test_what_has_no_value_is_left_out_whole_and_streamed() -> None:
    assert checked(chat(content="Hi", **EMPTY))["message"] == {"role": "assistant", "content": "Hi"}
    assert checked(chunk(content="Hi", **EMPTY))["delta"] == {"content": "Hi"}
    assert checked(chat(content="Hi", tool_calls=None))["message"] == {"role": "assistant", "content": "Hi"}


def test_what_openai_itself_says_without_a_value_stays() -> None:
    said: dict[str, Any] = {"content": None, "refusal": None, "annotations": []}
    assert checked(chat(**said))["message"] == {"role": "assistant", **said}
    assert checked(chunk(role="assistant", content=None, refusal=None))["delta"]["content"] is None


def test_calls_stay_as_they_are() -> None:
    assert checked(chat("tool_calls", content=None, tool_calls=[CALL]))["message"]["tool_calls"] == [CALL]
    piece = {"index": 0, "function": {"arguments": '{"pa'}}
    assert checked(chunk(tool_calls=[piece], function_call=None))["delta"] == {"tool_calls": [piece]}


@given(arguments=st.dictionaries(st.text(), JSON) | st.lists(JSON))
def test_arguments_that_are_no_text_become_it(arguments: Any) -> None:
    call = {"id": "0", "type": "function", "function": {"name": "f", "arguments": arguments}}
    made = checked(chat("tool_calls", tool_calls=[call]))["message"]["tool_calls"][0]
    assert json.loads(made["function"]["arguments"]) == arguments


def test_one_call_without_a_list_is_a_list_of_it() -> None:
    assert checked(chunk(role="assistant", tool_calls={"index": 0, **CALL}))["delta"]["tool_calls"] == [
        {"index": 0, **CALL}
    ]


@pytest.mark.parametrize(("said", "means"), [("eos_token", "stop"), ("stop_sequence", "stop"), ("length", "length")])
def test_a_finish_reason_of_old_servers_is_openais(said: str, means: str) -> None:
    assert checked(chat(said, content="Hi"))["finish_reason"] == means
    assert checked(chat(said, content="Hi", refusal=None))["finish_reason"] == means
    assert checked(chunk(said, role="assistant", content=""))["finish_reason"] == means


def test_an_answer_that_calls_ends_with_its_calls_whole_and_streamed() -> None:
    assert checked(chat("stop", content=None, tool_calls=[CALL]))["finish_reason"] == "tool_calls"
    assert checked(chat("length", content=None, tool_calls=[CALL]))["finish_reason"] == "length"
    checker = ChunkChecker()
    for piece in (chunk(role="assistant", tool_calls=[{"index": 0, **CALL}]), chunk(content="")):
        checker.check(piece)
    assert checker.check(chunk("stop"))["choices"][0]["finish_reason"] == "tool_calls"


@given(JSON)
def test_whatever_stands_for_calls_is_refused_or_a_list_of_objects(value: Any) -> None:
    try:
        message = checked(chat("tool_calls", content="Hi", tool_calls=value))["message"]
    except UpstreamFailed:
        return
    calls = message.get("tool_calls", [{}])
    assert calls
    assert all(isinstance(call, dict) for call in calls)


@pytest.mark.parametrize("count", [-1, -1.0, 1e308, 10**40, float("inf"), float("nan")])
def test_more_tokens_than_anybody_can_count_are_no_usage(count: float) -> None:
    with pytest.raises(UpstreamFailed, match="usage"):
        check_chat({**chat(content="Hi"), "usage": {"prompt_tokens": 1, "completion_tokens": count}})
