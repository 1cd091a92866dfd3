"""What a candidate is asked for a row, and what scoring functions see of it, whatever the columns of the dataset are."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest
from core.services.evals.rows import NO_INPUT, ChatInput, CompletionInput, input_of, scored_row, text_of

HI = {"role": "user", "content": "Hi"}
TEXTS = st.text(max_size=20)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "assistant"]), "content": TEXTS}), min_size=1
)


@pytest.mark.parametrize(
    ("row", "asked"),
    [
        ({"question": "Hi"}, ChatInput([HI], "question")),
        ({"input_query": "Hi"}, ChatInput([HI], "input_query")),
        ({"question": 12}, ChatInput([{"role": "user", "content": "12"}], "question")),
        ({"question": ["é"]}, ChatInput([{"role": "user", "content": '["é"]'}], "question")),
        ({"messages": [HI], "question": "no"}, ChatInput([HI], "messages")),
        (
            {"chat_completion_input": json.dumps([HI]), "question": "no"},
            ChatInput([HI], "chat_completion_input", native=True),
        ),
        ({"chat_completion_input": [HI]}, ChatInput([HI], "chat_completion_input", native=True)),
        ({"chat_completion_input": HI}, ChatInput([HI], "chat_completion_input", native=True)),
        ({"chat_completion_input": "Hi"}, ChatInput([HI], "chat_completion_input", native=True)),
        ({"completion_input": json.dumps("Once")}, CompletionInput("Once")),
        ({"completion_input": "Once upon"}, CompletionInput("Once upon")),
        ({"completion_input": json.dumps({"content": "Once"})}, CompletionInput("Once")),
        ({"chat_completion_input": None, "question": "Hi"}, ChatInput([HI], "question")),
    ],
)
def test_the_first_column_that_a_row_has_is_asked(row: dict[str, Any], asked: object) -> None:
    assert input_of(row) == asked


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "Hi"}, NO_INPUT),
        ({"messages": []}, "messages: must be a list"),
        ({"messages": [1, 2]}, "messages: must be a list"),
        ({"messages": [HI, 2]}, "messages: must be a list"),
        ({"chat_completion_input": "[]"}, "chat_completion_input: must be a list"),
    ],
)
def test_a_row_without_an_input_is_refused(row: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message[:30]):
        input_of(row)


def test_scoring_sees_the_columns_of_the_reference_whatever_those_of_the_row_are() -> None:
    generation = {"generated_answer": "4"}
    assert scored_row({"question": "2+2", "answer": "4"}, generation) == {
        "question": "2+2",
        "answer": "4",
        "input_query": "2+2",
        "expected_answer": "4",
        "generated_answer": "4",
    }
    talk = [
        HI,
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": [{"type": "text", "text": "2+2"}]},
    ]
    assert scored_row({"messages": talk, "answer": "4"}, generation)["input_query"] == "2+2"
    assert scored_row({"completion_input": [{"type": "text", "text": "2+2"}]}, generation)["input_query"] == "2+2"


def test_what_a_row_says_itself_goes_before_what_follows_from_it_and_a_new_answer_before_an_old_one() -> None:
    row = {"question": "q", "input_query": "own", "answer": "a", "expected_answer": "own", "generated_answer": "old"}
    seen = scored_row(row, {"generated_answer": "new"})
    assert (seen["input_query"], seen["expected_answer"], seen["generated_answer"]) == ("own", "own", "new")


@given(MESSAGES)
def test_messages_mean_the_same_as_a_list_and_as_its_json(messages: list[dict[str, str]]) -> None:
    as_list = input_of({"chat_completion_input": messages})
    assert as_list == input_of({"chat_completion_input": json.dumps(messages)})
    assert isinstance(as_list, ChatInput)
    assert as_list.messages == messages


@given(st.dictionaries(TEXTS, st.recursive(TEXTS | st.integers() | st.none(), st.lists, max_leaves=5), max_size=5))
def test_no_row_breaks_what_reads_it(row: dict[str, Any]) -> None:
    assert scored_row(row, {"generated_answer": "x"})["generated_answer"] == "x"


def test_the_text_of_a_content_is_what_is_text_in_it() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image", "image": {}}, "b"]
    assert (text_of(parts), text_of(None), text_of({"type": "text", "text": "c"})) == ("ab", "", "c")
