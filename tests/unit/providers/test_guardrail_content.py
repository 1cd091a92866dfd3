"""Nothing that a caller says gets past a guardrail unseen, and nothing is sent twice or in another order."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest
from core.providers.bedrock.guardrail_content import to_content
from core.providers.http.message_text import source_of

TEXTS = st.text(st.characters(codec="utf-8"))
PARTS = st.lists(st.builds(lambda text: {"type": "text", "text": text}, TEXTS), max_size=3)
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool", "ipython"])
MESSAGES = st.lists(
    st.builds(lambda role, content: {"role": role, "content": content}, ROLES, st.none() | TEXTS | PARTS), max_size=4
)


def texts_of(message: dict[str, Any]) -> list[str]:
    content = message["content"]
    parts = [part["text"] for part in content] if isinstance(content, list) else [content or ""]
    return [text for text in parts if text.strip()]


@given(MESSAGES)
def test_of_what_goes_in_every_text_is_judged_in_order(messages: list[dict[str, Any]]) -> None:
    sent = [block["text"]["text"] for block in to_content(messages, "INPUT")]
    assert sent == ["\n".join(texts) for texts in map(texts_of, messages) if texts]


@given(MESSAGES.filter(bool))
def test_of_what_comes_out_the_last_message_is_judged(messages: list[dict[str, Any]]) -> None:
    assert to_content(messages, "OUTPUT") == to_content(messages[-1:], "INPUT")


@given(MESSAGES.filter(bool))
def test_what_an_assistant_says_comes_out_and_everything_else_goes_in(messages: list[dict[str, Any]]) -> None:
    assert source_of(messages, {}) == ("OUTPUT" if messages[-1]["role"] == "assistant" else "INPUT")
    assert source_of(messages, {"source": "INPUT"}) == "INPUT"


def test_a_callers_qualifiers_do_not_keep_a_text_from_being_judged() -> None:
    part = {"type": "text", "text": "bad", "qualifiers": ["grounding_source"], "cache_control": {"type": "ephemeral"}}
    assert to_content([{"role": "user", "content": [part]}], "INPUT") == [{"text": {"text": "bad"}}]


def test_contents_of_0_2_may_be_one_part() -> None:
    assert to_content([{"role": "user", "content": {"type": "text", "text": "a"}}], "INPUT") == [
        {"text": {"text": "a"}}
    ]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "image": {"data": "iVBORw0KGgo="}},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,YQ=="}},
        {"type": ["text"], "text": "a"},
        {"type": "text", "text": 5},
        {"text": "a"},
        "a",
        None,
    ],
)
def test_a_part_that_no_guardrail_judges_is_refused(part: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        to_content([{"role": "user", "content": "a"}, {"role": "user", "content": [part]}], "INPUT")
    assert str(refused.value.param).startswith("messages[1].content")


def test_an_image_that_no_guardrail_looks_at_is_passed_over_by_a_shield_that_is_not_strict() -> None:
    gif = {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlh"}}
    message = {"role": "user", "content": [{"type": "text", "text": "look"}, gif]}
    assert to_content([message], "INPUT", strict=False) == [{"text": {"text": "look"}}]
    with pytest.raises(InvalidRequest):
        to_content([message], "INPUT")
