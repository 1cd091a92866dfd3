"""A conversation is cut for its providers without a loss, and read as a model would read it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest
from core.services.safety.conversation import MOST_CHARACTERS, MOST_PIECES, OVERLAP, read_conversation
from core.services.safety.readings import further_readings


def users(*texts: str) -> list[dict[str, Any]]:
    return [{"role": "user" if number % 2 else "system", "content": text} for number, text in enumerate(texts)]


def texts_of(messages: list[dict[str, Any]]) -> list[str]:
    contents = [message["content"] for message in messages]
    return [
        text
        for content in contents
        for text in ([content] if isinstance(content, str) else [part["text"] for part in content])
    ]


@given(st.lists(st.integers(0, 3 * MOST_CHARACTERS), min_size=1, max_size=4))
def test_every_character_is_judged_and_no_judgement_has_too_many(sizes: list[int]) -> None:
    marks = "abcd"[: len(sizes)]
    conversation = read_conversation(users(*(mark * size for mark, size in zip(marks, sizes, strict=True))), "INPUT")
    pieces = [texts_of(judgement.messages) for judgement in conversation.judgements]
    assert all(sum(map(len, piece)) <= MOST_CHARACTERS for piece in pieces)
    for mark, size in zip(marks, sizes, strict=True):
        lengths = [len(text) for piece in pieces for text in piece if mark in text]
        assert sum(lengths) - OVERLAP * (len(lengths) - 1) >= size or sum(lengths) >= size


@given(st.text("ab", min_size=1, max_size=OVERLAP), st.integers(0, 2 * MOST_CHARACTERS))
def test_what_is_shorter_than_the_overlap_is_whole_in_one_judgement(word: str, at: int) -> None:
    text = "-" * at + word + "-" * MOST_CHARACTERS
    judgements = read_conversation(users(text), "INPUT").judgements
    assert any(word in text for judgement in judgements for text in texts_of(judgement.messages))


def test_more_text_than_is_judged_is_refused_and_never_cut() -> None:
    with pytest.raises(InvalidRequest, match="more text than a shield judges"):
        read_conversation(users("a" * MOST_CHARACTERS * MOST_PIECES), None)


def test_an_answer_at_the_end_is_judged_by_itself_in_the_newest_of_what_was_said() -> None:
    messages = [*users("old" * MOST_CHARACTERS, "new"), {"role": "assistant", "content": "answer"}]
    *before, last = read_conversation(messages, None).judgements
    assert {judgement.source for judgement in before} == {"INPUT"}
    assert (last.source, last.messages[-1]) == ("OUTPUT", {"role": "assistant", "content": "answer"})
    assert texts_of(last.messages)[-2:] == ["new", "answer"]
    assert sum(map(len, texts_of(last.messages))) <= MOST_CHARACTERS + len("answer")
    assert [judgement.source for judgement in read_conversation(messages, "OUTPUT").judgements] == ["OUTPUT"]


def test_of_the_context_of_an_answer_nothing_is_refused() -> None:
    audio: dict[str, Any] = {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA"}}]}
    messages = [audio, {"role": "assistant", "content": "answer"}]
    assert not read_conversation(messages, "OUTPUT").obstacles
    assert [obstacle.path for obstacle in read_conversation(messages, None).obstacles] == ["messages[0].content[0]"]


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("plain", []),
        ("C:\\users\\n", []),
        ("a \\u0062omb", ["a bomb"]),
        ("\\\\\\\\u0062omb", ["bomb"]),
        ("\\ud83d\\udca3", ["\U0001f4a3"]),
        ("a bo\u200bmb here", ["bomb"]),
        ("\\u200bbomb", ["\u200bbomb", "bomb"]),
        ("\ufeff", []),
        ("\ud800", ["\ufffd"]),
        ("a b\x1cm\x85b", ["bmb"]),
        ("b\ufff9m", ["bm"]),
        ("b\U000e0061m", ["bm", "bam"]),
        ("b\\bm", ["b\x08m", "bm"]),
        ("http:\\/\\/e", ["http://e"]),
        ("\\u{62}\\u{00062}\\U00000062", ["bbb"]),
        ("\\u005cu0062\\x5C\\x62", ["bb"]),
        ("\\U00110000", []),
    ],
)
def test_what_hides_in_a_text_is_read(text: str, readings: list[str]) -> None:
    assert further_readings(text) == readings


@given(
    st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0x7E, min_codepoint=0x20)).filter(
        lambda text: "\\" not in text
    )
)
def test_an_ordinary_text_has_no_other_reading(text: str) -> None:
    assert further_readings(text) == []
