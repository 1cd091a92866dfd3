"""OpenAI's messages as Converse's turns: who speaks, in which order, and what no turn may be."""

import copy
import itertools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.messages import UNREADABLE, read_messages

EPHEMERAL: JsonObject = {"type": "ephemeral"}
POINT: JsonObject = {"cachePoint": {"type": "default"}}
PDF = "data:application/pdf;base64,eA=="
PNG = "data:image/png;base64,eA=="


def call(arguments: object = "{}", call_id: object = "c1", name: object = "add", **more: object) -> JsonObject:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def called(*calls: object, **more: object) -> JsonObject:
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **more}


def user(content: object, **more: object) -> JsonObject:
    return {"role": "user", "content": content, **more}


def turns(*messages: JsonObject) -> list[tuple[str, list[JsonObject]]]:
    return [(turn["role"], turn["content"]) for turn in read_messages(messages)[1]]


def refused(*messages: JsonObject) -> str | None:
    with pytest.raises(InvalidRequest) as refusal:
        read_messages(messages)
    return refusal.value.param


def test_a_conversation_with_parallel_calls_alternates() -> None:
    system, said, _ = read_messages(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "In English."}]},
            user("1+1 and 2+2?"),
            called(call('{"a": 1}'), call('{"a": 2}', "c2"), content="So:"),
            {"role": "tool", "tool_call_id": "c1", "content": "2"},
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "4"}]},
            user("And?"),
        ]
    )
    assert system == [{"text": "Be brief."}, {"text": "In English."}]
    assert said == [
        {"role": "user", "content": [{"text": "1+1 and 2+2?"}]},
        {
            "role": "assistant",
            "content": [
                {"text": "So:"},
                {"toolUse": {"toolUseId": "c1", "name": "add", "input": {"a": 1}}},
                {"toolUse": {"toolUseId": "c2", "name": "add", "input": {"a": 2}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "c1", "content": [{"text": "2"}]}},
                {"toolResult": {"toolUseId": "c2", "content": [{"text": "4"}]}},
                {"text": "And?"},
            ],
        },
    ]


def test_blank_messages_are_left_out_and_their_neighbours_are_one_turn() -> None:
    assert turns(user("a"), {"role": "assistant", "content": ""}, user("b")) == [
        ("user", [{"text": "a"}, {"text": "b"}])
    ]


@pytest.mark.parametrize("content", ["", " \n", None, []])
@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_a_message_without_a_word_is_left_out(role: str, content: object) -> None:
    assert read_messages([{"role": role, "content": content}])[:2] == ([], [])


@pytest.mark.parametrize("content", ["", " ", None, []])
def test_an_empty_result_is_a_result(content: object) -> None:
    assert turns(called(call()), {"role": "tool", "tool_call_id": "c1", "content": content})[1] == (
        "user",
        [{"toolResult": {"toolUseId": "c1", "content": []}}],
    )


def test_a_result_may_show_images_and_its_cache_point_follows_it() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": PNG}, "cache_control": EPHEMERAL},
        {"type": "text", "text": "a", "cache_control": EPHEMERAL},
    ]
    shown: list[JsonObject] = [{"image": {"format": "png", "source": {"bytes": b"x"}}}, {"text": "a"}]
    message: JsonObject = {"role": "tool", "tool_call_id": "c1", "content": parts, "cache_control": EPHEMERAL}
    assert turns(message) == [("user", [{"toolResult": {"toolUseId": "c1", "content": shown}}, POINT])]


def test_a_messages_cache_control_is_a_cache_point_at_its_end() -> None:
    system, said, _ = read_messages(
        [
            {"role": "system", "content": "Long.", "cache_control": EPHEMERAL},
            user("a", cache_control=EPHEMERAL),
            called(call(), cache_control=EPHEMERAL),
        ]
    )
    assert system == [{"text": "Long."}, POINT]
    assert [turn["content"][-1] for turn in said] == [POINT, POINT]


def test_signed_and_encrypted_thoughts_go_back_first_and_unsigned_ones_do_not() -> None:
    thoughts = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "thinking", "thinking": "unsigned"},
        {"type": "thinking", "thinking": "unsigned", "signature": ""},
        {"type": "redacted_thinking", "data": "eA=="},
    ]
    assert turns(called(call(), content="Well.", reasoning_content="hm", thinking_blocks=thoughts)) == [
        (
            "assistant",
            [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                {"reasoningContent": {"redactedContent": b"x"}},
                {"text": "Well."},
                {"toolUse": {"toolUseId": "c1", "name": "add", "input": {}}},
            ],
        )
    ]


def test_a_refusal_is_what_the_assistant_said() -> None:
    assert turns({"role": "assistant", "content": None, "refusal": "I cannot."}) == [
        ("assistant", [{"text": "I cannot."}])
    ]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("", {}),
        (None, {}),
        ("null", {}),
        ({"a": 1}, {"a": 1}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('{"pa', {UNREADABLE: '{"pa'}),
        ("{'a': True, 'b': None}", {UNREADABLE: "{'a': True, 'b': None}"}),
        ("[1]", {UNREADABLE: "[1]"}),
        ("[]", {UNREADABLE: "[]"}),
        ([], {UNREADABLE: []}),
        ("7", {UNREADABLE: "7"}),
        (7, {UNREADABLE: 7}),
        ('{"a": NaN}', {UNREADABLE: '{"a": NaN}'}),
        ("[" * 9999, {UNREADABLE: "[" * 9999}),
        ('{"a": "\ud83d', {UNREADABLE: '{"a": "?'}),
        (
            '{"n": 1.0, "big": 12345678901234567890, "é": [null, true]}',
            {"n": 1.0, "big": 12345678901234567890, "é": [None, True]},
        ),
    ],
)
def test_arguments_are_the_object_that_they_say_or_what_was_written(arguments: object, wanted: JsonObject) -> None:
    ((_, [block]),) = turns(called(call(arguments)))
    assert json.dumps(block["toolUse"]["input"]) == json.dumps(wanted)


def test_documents_of_one_name_are_told_apart_across_the_conversation() -> None:
    part = {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}
    said = turns(user([part]), called(call()), {"role": "tool", "tool_call_id": "c1", "content": [part]}, user([part]))
    result, last = said[2][1]
    names = [block["document"]["name"] for block in (*said[0][1], *result["toolResult"]["content"], last)]
    assert names == ["a", "a (2)", "a (3)"]


def test_the_kinds_of_block_are_told() -> None:
    assert read_messages([user("a")])[2] == {"text"}
    assert read_messages([user("a"), called(call())])[2] == {"text", "toolUse"}
    assert read_messages([{"role": "tool", "tool_call_id": "c", "content": "2"}])[2] == {"toolResult"}


def test_an_older_call_and_its_result_are_one_of_today() -> None:
    older = {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": "{}"}}
    assert turns(older, {"role": "function", "name": "add", "content": "2"}) == [
        ("assistant", [{"toolUse": {"toolUseId": "", "name": "add", "input": {}}}]),
        ("user", [{"toolResult": {"toolUseId": "", "content": [{"text": "2"}], "name": "add"}}]),
    ]


@pytest.mark.parametrize("name", [None, "", 5])
def test_a_result_that_names_no_tool_has_no_name(name: object) -> None:
    ((_, [block]),) = turns({"role": "tool", "tool_call_id": "c", "content": "2", "name": name})
    assert "name" not in block["toolResult"]


def test_what_an_assistant_said_aloud_is_what_it_said() -> None:
    audio = {"id": "audio_1", "transcript": "Hello."}
    assert turns({"role": "assistant", "content": None, "audio": audio}) == [("assistant", [{"text": "Hello."}])]
    assert turns({"role": "assistant", "content": "Hi.", "audio": {"id": "a"}}) == [("assistant", [{"text": "Hi."}])]


def test_users_are_told_apart_by_their_names_if_there_are_several() -> None:
    ada, bob = user("a", name="ada"), user([{"type": "text", "text": "b"}], name="bob")
    assert turns(ada, bob, user("c")) == [("user", [{"text": "ada: a"}, {"text": "bob: b"}, {"text": "c"}])]
    assert turns(ada, ada, user("", name="bob")) == [("user", [{"text": "a"}, {"text": "a"}])]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({}, "messages[1].role"),
        ({"role": ["user"]}, "messages[1].role"),
        ({"role": "user", "content": [{"type": "refusal", "refusal": "no"}]}, "messages[1].content[0].type"),
        ({"role": "system", "content": [{"type": "image_url"}]}, "messages[1].content[0].type"),
        ({"role": "assistant", "content": [{"type": "file"}]}, "messages[1].content[0].type"),
        ({"role": "assistant", "refusal": 1}, "messages[1].refusal"),
        ({"role": "assistant", "function_call": {}}, "messages[1].function_call.name"),
        ({"role": "assistant", "audio": {"id": "audio_1"}}, "messages[1].audio"),
        ({"role": "user", "content": 1}, "messages[1].content"),
        ({"role": "user", "content": [{"type": "sound"}]}, "messages[1].content[0].type"),
        ({"role": "tool", "tool_call_id": 1, "content": "2"}, "messages[1].tool_call_id"),
        (called(call(call_id=1)), "messages[1].tool_calls[0].id"),
        (called(call(name="")), "messages[1].tool_calls[0].function.name"),
        ({"role": "assistant", "thinking_blocks": {}}, "messages[1].thinking_blocks"),
        ({"role": "assistant", "thinking_blocks": [{"type": "x"}]}, "messages[1].thinking_blocks[0]"),
        (
            {"role": "assistant", "thinking_blocks": [{"type": "redacted_thinking", "data": "!"}]},
            "messages[1].thinking_blocks[0].data",
        ),
        (called(1), "messages[1].tool_calls[0]"),
        ({"role": "assistant", "tool_calls": 0}, "messages[1].tool_calls"),
        (called(call() | {"type": "sound"}), "messages[1].tool_calls[0].type"),
        (called(call() | {"type": "custom"}), "messages[1].tool_calls[0].custom"),
        (called({"id": "c"}), "messages[1].tool_calls[0].function"),
        (called(call(name=None)), "messages[1].tool_calls[0].function.name"),
    ],
)
def test_a_message_at_fault_is_named_by_its_path(message: JsonObject, param: str) -> None:
    assert refused(user("fine"), message) == param


FIELDS = [
    *("role", "content", "type", "text", "refusal", "image_url", "url", "file", "file_data", "filename", "tool_calls"),
    *("tool_call_id", "id", "function", "name", "arguments", "thinking_blocks", "thinking", "data", "cache_control"),
]
WORDS = [
    "system",
    "user",
    "assistant",
    "tool",
    "text",
    "image_url",
    "file",
    "function",
    "thinking",
    "{}",
    PNG,
    PDF,
    "é ",
]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text()
KEYS = st.sampled_from(FIELDS) | st.text(max_size=3)
GARBAGE: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=12
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(WORDS) | GARBAGE}, optional=dict.fromkeys(FIELDS[1:], GARBAGE)
)


def outcome(messages: list[JsonObject]) -> tuple[list[JsonObject], list[JsonObject], set[str]] | InvalidRequest:
    try:
        return read_messages(messages)
    except InvalidRequest as refusal:
        return refusal


@given(st.lists(st.dictionaries(KEYS, GARBAGE, max_size=4) | MESSAGES, min_size=1, max_size=4))
def test_garbage_is_refused_by_its_path_or_makes_turns_that_bedrock_takes(messages: list[JsonObject]) -> None:
    before = copy.deepcopy(messages)
    result = outcome(messages)
    assert repr(messages) == repr(before)
    if isinstance(result, InvalidRequest):
        assert str(result.param).startswith("messages")
        return
    system, said, _ = result
    blocks = [*system, *(block for turn in said for block in turn["content"])]
    assert all(block and block.get("text", "x").strip() for block in blocks)
    assert all(turn["content"] for turn in said)
    assert all(one["role"] != other["role"] for one, other in itertools.pairwise(said))
