"""Messages keep their order, words, images and tool calls on the way to OpenAI's shape."""

from base64 import b64encode
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.native import Message
from core.errors import InvalidRequest
from core.services.inference.native.messages import text_of, to_openai_content, to_openai_messages
from core.services.inference.native.reply import from_openai_chat
from tests.unit.routing.fakes import chat_reply

PNG = b64encode(b"\x89PNG\r\n\x1a\nrest").decode()
URL = {"type": "image", "image": {"url": {"uri": "https://example.com/cat.png"}}}
URL_PART = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def image(data: str) -> dict[str, Any]:
    return {"type": "image", "image": {"data": data}}


def translated(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    return to_openai_messages([Message.model_validate_json(json.dumps(m)) for m in messages], "messages")


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("Hi", "Hi"),
        ("", ""),
        (text("Hi"), "Hi"),
        ([], ""),
        ([text("a"), text("b")], [text("a"), text("b")]),
        (["a", URL], [text("a"), URL_PART]),
        (URL, [URL_PART]),
        (
            {"type": "image", "image": {"url": {"uri": "https://example.com/cat.png"}, "data": None}},
            [URL_PART],
        ),
        (image(PNG), [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]),
        (
            image(f"{PNG[:4]}\n{PNG[4:]}\n"),
            [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}],
        ),
    ],
)
def test_a_content_may_be_a_string_an_item_or_a_list(content: object, wanted: object) -> None:
    assert to_openai_content(content, "content") == wanted


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"GIF89a", "gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "webp"),
    ],
)
def test_the_kind_of_an_image_is_read_from_its_first_bytes(head: bytes, media_type: str) -> None:
    data = b64encode(head).decode()
    wanted = [{"type": "image_url", "image_url": {"url": f"data:image/{media_type};base64,{data}"}}]
    assert to_openai_content(image(data), "content") == wanted


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (7, "content"),
        (None, "content"),
        ({"type": "text"}, "content"),
        ({"type": "audio", "audio": "x"}, "content"),
        ([text("a"), 7], "content[1]"),
        ([text("a"), ["b"]], "content[1]"),
        ([{"type": "image", "image": {}}], "content[0].image"),
        ({"type": "image", "image": {"url": "https://example.com"}}, "content.image"),
        ({"type": "image", "image": {"url": {"uri": ""}}}, "content.image"),
        ({"type": "image", "image": {"url": {"uri": "https://example.com"}, "data": PNG}}, "content.image"),
        ([image("not base64!")], "content[0].image.data"),
        (image("é"), "content.image.data"),
        (image(""), "content.image.data"),
        (image(b64encode(b"RIFF0000WAVE").decode()), "content.image.data"),
    ],
)
def test_what_is_no_content_is_refused_by_its_path(content: object, param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        to_openai_content(content, "content")
    assert refusal.value.param == param
    assert refusal.value.message.startswith(f"{param}: ")


def test_a_text_is_its_items_one_after_the_other() -> None:
    assert text_of([text("a"), "b", text(" c")], "content") == "ab c"
    assert text_of("a", "content") == "a"


@pytest.mark.parametrize(("content", "param"), [(URL, "content"), (["a", URL], "content[1]")])
def test_an_image_is_no_text(content: object, param: str) -> None:
    with pytest.raises(InvalidRequest, match="an image cannot be used here") as refusal:
        text_of(content, "content")
    assert refusal.value.param == param


def test_each_role_becomes_openais() -> None:
    call = {"call_id": "c1", "tool_name": "add", "arguments": {"a": 1}}
    assert translated(
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": "", "stop_reason": "end_of_message", "tool_calls": [call]},
        {"role": "tool", "call_id": "c1", "content": [text("2")]},
        {"role": "assistant", "content": "2", "stop_reason": "end_of_turn", "tool_calls": []},
    ) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1+1?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": [text("2")]},
        {"role": "assistant", "content": "2"},
    ]


@pytest.mark.parametrize(
    ("content", "context", "wanted"),
    [
        ("Who?", None, "Who?"),
        ("Who?", "Ann did.", "Who?\n\nAnn did."),
        ("Who?", [text("Ann"), URL], [text("Who?"), text("\n\n"), text("Ann"), URL_PART]),
        ([URL], "Ann", [URL_PART, text("\n\n"), text("Ann")]),
    ],
)
def test_a_users_context_follows_the_content(content: object, context: object, wanted: object) -> None:
    (message,) = translated({"role": "user", "content": content, "context": context})
    assert message == {"role": "user", "content": wanted}


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        ({"arguments": {"a": "é"}}, '{"a": "é"}'),
        ({"arguments": '{"a":1}'}, '{"a":1}'),
        ({"arguments": {"a": 1}, "arguments_json": '{"a": 1.0}'}, '{"a": 1.0}'),
        ({"arguments": "broken"}, "broken"),
        ({"arguments": {}}, "{}"),
    ],
)
def test_a_tool_calls_arguments_become_json(call: dict[str, Any], wanted: str) -> None:
    calls = [{"call_id": "c", "tool_name": "t"} | call]
    (message,) = translated({"role": "assistant", "content": "So:", "tool_calls": calls})
    assert message["content"] == "So:"
    assert message["tool_calls"][0]["function"]["arguments"] == wanted


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user", "content": 1}, "messages[1].content"),
        ({"role": "user", "content": "a", "context": [1]}, "messages[1].context[0]"),
        ({"role": "system", "content": {}}, "messages[1].content"),
        ({"role": "tool", "content": "2"}, "messages[1].call_id"),
        ({"role": "tool", "content": None, "call_id": "c"}, "messages[1].content"),
        ({"role": "assistant", "content": None}, "messages[1].content"),
        (
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"call_id": "c", "tool_name": "t", "arguments": [1]}],
            },
            "messages[1].tool_calls[0].arguments",
        ),
    ],
)
def test_a_message_at_fault_is_named_by_its_path(message: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        translated({"role": "user", "content": "fine"}, message)
    assert refusal.value.param == param


TEXTS = st.text(st.characters(codec="utf-8"))
SIMPLE = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
ARGUMENTS = st.dictionaries(TEXTS, st.recursive(SIMPLE, lambda inner: st.lists(inner, max_size=3), max_leaves=5))
CALLS = st.lists(st.tuples(TEXTS, TEXTS.filter(bool), ARGUMENTS), max_size=3)


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXTS)))
def test_order_roles_and_texts_survive(turns: list[tuple[str, str]]) -> None:
    messages = translated(*({"role": role, "content": content} for role, content in turns))
    assert [(message["role"], message["content"]) for message in messages] == turns


@given(TEXTS, CALLS)
def test_an_assistants_turn_survives_the_way_there_and_back(
    content: str, calls: list[tuple[str, str, dict[str, Any]]]
) -> None:
    native = [{"call_id": i, "tool_name": name, "arguments": arguments} for i, name, arguments in calls]
    (message,) = translated({"role": "assistant", "content": content, "tool_calls": native})
    back = from_openai_chat(chat_reply(message["content"], message.get("tool_calls")))["completion_message"]
    assert back["content"] == content
    assert [{key: call[key] for key in ("call_id", "tool_name", "arguments")} for call in back["tool_calls"]] == native
    assert [json.loads(call["arguments_json"]) for call in back["tool_calls"]] == [a for _, _, a in calls]
