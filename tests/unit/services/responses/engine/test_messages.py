"""Items of any order come to messages that every chat server takes: each call in an assistant's message, with its one output right behind."""

from collections.abc import Sequence
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.services.responses.engine.messages import NO_OUTPUT, Dialogue

IDS = ("a", "b", "c")
TEXTS = st.sampled_from(["x", "y z", ""])


def told(items: Sequence[JsonObject], instructions: str | None = None, kept: int | None = None) -> list[JsonObject]:
    dialogue = Dialogue(instructions)
    dialogue.add_items(items, len(items) if kept is None else kept)
    return dialogue.messages


def call(call_id: str, arguments: str = "{}", **fields: Any) -> JsonObject:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": arguments, **fields}


def output(call_id: str, text: Any = "done") -> JsonObject:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def says(text: str, role: str = "assistant") -> JsonObject:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


HOSTED = {"type": "mcp_call", "id": "mcp_1", "server_label": "s", "name": "t", "arguments": "{}", "output": "42"}
ITEMS = st.one_of(
    st.builds(call, st.sampled_from(IDS), st.sampled_from(["{}", '{"a": 1}', "", "no json", "[1]"])),
    st.builds(output, st.sampled_from(IDS), TEXTS),
    st.builds(says, TEXTS, st.sampled_from(["assistant", "user", "system", "developer"])),
    st.just(HOSTED),
    st.sampled_from(
        [
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "mcp_list_tools", "id": "l", "server_label": "s", "tools": []},
            {"role": "user", "content": "hello"},
            output(
                "a",
                [
                    {"type": "input_image", "image_url": "data:image/png;base64,AA"},
                    {"type": "input_text", "text": "so"},
                ],
            ),
        ]
    ),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(ITEMS, max_size=12))
def test_every_call_has_its_one_output_right_behind_it(items: list[JsonObject]) -> None:
    waiting: list[str] = []
    calls = 0
    for message in told(items):
        if message["role"] == "tool":
            assert waiting.pop(0) == message["tool_call_id"]
            assert isinstance(message["content"], str)
            continue
        assert not waiting
        waiting = [entry["id"] for entry in message.get("tool_calls", [])]
        calls += len(waiting)
        assert all(
            isinstance(json.loads(entry["function"]["arguments"]), dict) for entry in message.get("tool_calls", [])
        )
        assert message["role"] in {"system", "user", "assistant"}
        assert message["role"] != "assistant" or message["content"] or waiting
    assert not waiting
    assert calls == sum(item.get("type") in {"function_call", "mcp_call"} for item in items)


@settings(max_examples=50, deadline=None)
@given(st.lists(ITEMS, max_size=8))
def test_no_text_is_lost_and_none_is_told_twice(items: list[JsonObject]) -> None:
    numbered = [
        says(f"text {place};", item["role"]) if item.get("type") == "message" else item
        for place, item in enumerate(items)
    ]
    whole = json.dumps(told(numbered, "Be brief."))
    for place, item in enumerate(items):
        if item.get("type") == "message":
            assert whole.count(f"text {place};") == 1
    assert whole.count("Be brief.") == 1


def test_calls_of_one_answer_are_one_message_with_its_text_and_outputs_come_in_their_order() -> None:
    items = [
        says("hi", "user"),
        says("Let me see."),
        call("a"),
        call("b"),
        output("b", "2"),
        output("a", "1"),
        call("c"),
        says("bye", "user"),
    ]
    user, assistant, one, two, again, none, _ = told(items)
    assert (user["content"], assistant["content"]) == ("hi", "Let me see.")
    assert [entry["id"] for entry in assistant["tool_calls"]] == ["a", "b"]
    assert [one["content"], two["content"]] == ["1", "2"]
    assert (again["content"], none["content"]) == (None, NO_OUTPUT)


def test_an_output_without_its_call_is_the_callers_mistake_and_nobodys_once_it_was_kept() -> None:
    with pytest.raises(InvalidRequest, match="call_id `z`") as refusal:
        told([says("hi", "user"), output("z")], kept=1)
    assert refusal.value.param == "input[0].call_id"
    assert [message["role"] for message in told([output("z"), says("hi", "user")], kept=1)] == ["user"]


def test_what_the_stack_ran_before_is_told_as_a_call_and_what_was_refused_too() -> None:
    asked = {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "s", "name": "t", "arguments": '{"n": 1}'}
    refused = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False, "reason": "no"}
    messages = told([HOSTED, HOSTED, asked, refused])
    assert [message["role"] for message in messages] == ["assistant", "tool"] * 3
    assert (messages[0]["tool_calls"][0]["function"], messages[1]["content"]) == (
        {"name": "t", "arguments": "{}"},
        "42",
    )
    assert "did not approve" in messages[5]["content"]


def test_what_a_model_thought_is_given_back_with_what_followed() -> None:
    def thought(text: str) -> JsonObject:
        return {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": text}]}

    earlier = [says("hi", "user"), thought("one"), call("a"), output("a"), thought("two"), says("done")]
    messages = told(
        [
            *earlier,
            says("and", "user"),
            thought("three"),
            call("b"),
            output("b"),
            thought("four"),
            says("so"),
            call("c"),
        ]
    )
    assert [message.get("reasoning_content") for message in messages if message["role"] == "assistant"] == [
        "one",
        "two",
        "three",
        "four",
    ]


def test_instructions_and_what_a_developer_says_first_are_one_message() -> None:
    messages = told(
        [says("one", "developer"), says("two", "system"), says("hi", "user"), says("three", "developer")], "zero"
    )
    assert [(message["role"], message["content"]) for message in messages] == [
        ("system", "zero\n\none\n\ntwo"),
        ("user", "hi"),
        ("system", "three"),
    ]


def test_parts_are_those_of_chat() -> None:
    image = {"type": "input_image", "image_url": "https://a.example/x.png", "detail": "low"}
    file = {"type": "input_file", "file_data": "data:application/pdf;base64,AA", "filename": "a.pdf"}
    lost = {"type": "input_image", "file_id": "file-1"}
    sound = {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}
    gone = {"type": "input_file", "file_id": "file-2", "filename": "b.pdf"}
    content = [{"type": "input_text", "text": "see"}, image, file, lost, gone, sound, {"type": "of_another_time"}]
    (message,) = told([{"role": "user", "content": content}])
    assert message["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "https://a.example/x.png", "detail": "low"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA", "filename": "a.pdf"}},
        {"type": "text", "text": "[An image that is not there any more.]"},
        {"type": "text", "text": "[A file that is not there any more.]"},
        sound,
    ]


def test_media_of_an_output_follow_the_tools_messages() -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AA"}
    items = [call("a"), call("b"), output("a", [{"type": "input_text", "text": "so"}, picture]), output("b", {"n": 1})]
    _, one, two, media = told(items)
    assert (one["content"], two["content"]) == ("so", '{"n": 1}')
    assert (media["role"], [part["type"] for part in media["content"]]) == ("user", ["text", "image_url"])


def test_a_custom_tools_input_is_told_as_its_one_argument() -> None:
    custom = {"type": "custom_tool_call", "call_id": "a", "name": "patch", "input": "*** Begin"}
    assistant, tool = told([custom, {"type": "custom_tool_call_output", "call_id": "a", "output": "ok"}])
    assert assistant["tool_calls"][0]["function"] == {"name": "patch", "arguments": '{"input": "*** Begin"}'}
    assert tool["content"] == "ok"


def test_no_two_calls_are_told_by_one_id() -> None:
    items = [call("a"), call("a"), output("a"), says("so"), call("a"), call(""), output("a", "again")]
    messages = told(items)
    ids = [each["id"] for message in messages for each in message.get("tool_calls", ())]
    assert len(ids) == len({*ids, ""}) - 1 == 4
    assert [message["tool_call_id"] for message in messages if message["role"] == "tool"] == ids
    assert [message["content"] for message in messages if message["role"] == "tool"][1:3] == ["done", "again"]


def test_what_is_said_between_a_call_and_its_output_is_one_text_with_what_was_said_before() -> None:
    items = [says("First."), call("a"), says("Then."), output("a")]
    asked, _ = told(items)
    assert asked["content"] == "First.\n\nThen."
    assert [each["id"] for each in asked["tool_calls"]] == ["a"]
