"""What an answer is charged, by how it ends and what it says of itself."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest
from core.apis.usage import Ending, Meter
from core.frame.callers import ANONYMOUS, Call, Charge

CHAT = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x" * 38}]})
PROMPT = 10  # tokens of it: 38 bytes
ENDINGS: tuple[Ending, ...] = ("whole", "left", "broken")


def piece(delta: Any = None, usage: Any = None, **choice: Any) -> dict[str, Any]:
    return {"choices": [{"delta": delta or {}, **choice}], "usage": usage}


def charge(chunks: list[dict[str, Any]], ending: Ending, request: Any = CHAT) -> Charge:
    call, meter = Call(ANONYMOUS), Meter(request)
    for chunk in chunks:
        meter.feed(chunk)
    meter.charge(call, ending)
    return call.end(failed=ending == "broken")


SAID = {"total_tokens": 100}


@pytest.mark.parametrize(
    ("chunks", "whole", "left", "broken"),
    [
        ([], Charge(None, 0, PROMPT), Charge(None, 0, PROMPT), Charge(0)),
        ([piece()], Charge(None, 0, PROMPT), Charge(None, 0, PROMPT), Charge(PROMPT)),
        ([piece({"content": "a"})] * 7, Charge(None, 0, 17), Charge(None, 0, 17), Charge(17)),
        ([piece({"content": "x" * 41})], Charge(None, 0, 21), Charge(None, 0, 21), Charge(21)),
        ([piece({"content": "a"}), piece(None, SAID)], Charge(100), Charge(100), Charge(100)),
        ([piece({"content": "a"}, SAID)] * 3, Charge(102), Charge(None, 0, 102), Charge(102)),
        ([piece(None, SAID), piece({"content": "a"}, {"total_tokens": 9})], Charge(101), Charge(None, 0, 101), Charge(101)),
        ([piece({"content": "a"}, {"total_tokens": 0})], Charge(11), Charge(None, 0, 11), Charge(11)),
    ],
)  # fmt: skip
def test_a_report_counts_for_what_came_before_it_and_the_rest_is_estimated(
    chunks: list[dict[str, Any]], whole: Charge, left: Charge, broken: Charge
) -> None:
    assert [charge(chunks, ending) for ending in ENDINGS] == [whole, left, broken]


@pytest.mark.parametrize(
    ("choice", "tokens"),
    [
        ({"delta": {"role": "assistant"}}, 0),
        ({"delta": {}, "finish_reason": "stop", "index": 7, "logprobs": {"content": [{"token": "a"}]}}, 0),
        ({"delta": {"content": None}}, 0),
        ({"delta": {"content": ""}}, 0),
        ({"delta": {"content": "é"}}, 1),
        ({"delta": {"content": "字" * 4}}, 3),
        ({"delta": {"content": "\ud800" * 4}}, 3),
        ({"delta": {"reasoning": "x" * 8}}, 2),
        ({"delta": {"content": "x" * 8, "reasoning_content": "x" * 8}}, 4),
        ({"delta": {"tool_calls": [{"id": "c" * 80, "type": "function", "function": {"name": "f", "arguments": "abc"}}]}}, 1),
        ({"delta": {"audio": {"data": "x" * 80, "transcript": "x"}}}, 0),
        ({"text": "x" * 8}, 2),
        ({"message": {"role": "assistant", "refusal": "x" * 8}}, 2),
        ("x" * 80, 0),
        (None, 0),
    ],
)  # fmt: skip
def test_all_text_counts_and_nothing_else(choice: Any, tokens: int) -> None:
    assert charge([{"choices": [choice]}], "broken") == Charge(PROMPT + tokens)


@pytest.mark.parametrize("answer", [{}, {"choices": None}, {"choices": "x"}, {"choices": {}}, {"usage": 7}])
def test_an_answer_of_any_shape_is_measured(answer: dict[str, Any]) -> None:
    assert charge([answer], "broken") == Charge(PROMPT)


@pytest.mark.parametrize(
    ("usage", "total"),
    [
        ({"total_tokens": 7}, 7),
        ({"total_tokens": 7.0}, 7),
        ({"prompt_tokens": 3, "completion_tokens": 4}, 7),
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 5}, 7),
        ({"prompt_tokens": -3, "completion_tokens": 4}, 4),
        ({"total_tokens": "7"}, None),
        ({"total_tokens": True}, None),
        ({"total_tokens": -7}, None),
        ({"total_tokens": 7.5}, None),
        ({"total_tokens": float("nan")}, None),
        ({"total_tokens": [7]}, None),
    ],
)
def test_a_report_is_a_whole_number_that_is_not_negative(usage: Any, total: int | None) -> None:
    assert charge([piece(None, usage)], "whole") == (Charge(None, 0, PROMPT) if total is None else Charge(total))


@pytest.mark.parametrize(
    ("asked", "tokens"),
    [
        (ChatRequest.model_validate({"model": "m", "messages": [{"content": "x"}], "tools": [{"name": "x" * 7}]}), 2),
        (ChatRequest.model_validate({"model": "m", "messages": [{"content": [{"url": "x" * 99}, {"text": "x"}]}]}), 1),
        (CompletionRequest(model="m", prompt=["x" * 8, "y" * 4]), 3),
        (CompletionRequest(model="m", prompt=[1, 2, 3]), 3),
        (CompletionRequest(model="m", prompt=[[1, 2], [3, 4]]), 4),
        (EmbeddingsRequest(model="m", input="x" * 8), 2),
    ],
)
def test_the_prompt_counts_by_its_texts_and_its_tokens(asked: Any, tokens: int) -> None:
    assert charge([], "left", asked) == Charge(None, 0, tokens)


@given(
    sizes=st.lists(st.integers(0, 50)),
    reports=st.lists(st.none() | st.integers(0, 2000)),
    ending=st.sampled_from(ENDINGS),
)
def test_nothing_is_charged_less_than_was_said_or_twice(
    sizes: list[int], reports: list[int | None], ending: Ending
) -> None:
    pairs = zip(sizes, [*reports, *[None] * len(sizes)], strict=False)
    chunks = [piece({"content": "x" * size}, total and {"total_tokens": total}) for size, total in pairs]
    found = charge(chunks, ending)
    charged = found.least if found.tokens is None else found.tokens
    greatest = max([0, *(total or 0 for total in reports[: len(sizes)])])
    assert greatest <= charged <= greatest + PROMPT + sum(size // 4 + 1 for size in sizes)
