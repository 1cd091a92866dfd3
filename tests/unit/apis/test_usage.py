"""What an answer is charged, by how it ends and what it says of itself."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest
from core.apis.prices import Price
from core.apis.usage import Ending, Meter, note_report
from core.frame.callers import ANONYMOUS, Call, Charge, UsageRow

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
    return replace(call.end(failed=ending == "broken"), rows=(), target=None)  # these are looked at further down


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


def rows_of(chunks: list[dict[str, Any]], ending: Ending = "whole", request: Any = CHAT) -> list[UsageRow]:
    call, meter = Call(ANONYMOUS), Meter(request, "p")
    for chunk in chunks:
        meter.feed(chunk)
    meter.charge(call, ending)
    return call.ledger.list_rows()


def row(prompt: int, completion: int, **parts: Any) -> UsageRow:
    return UsageRow("m", "p", answers=1, prompt_tokens=prompt, completion_tokens=completion, unpriced=1, **parts)


EMBED, TEN = EmbeddingsRequest(model="m", input="x"), {"prompt_tokens": 10, "completion_tokens": 4}


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        (TEN, row(10, 4)),
        (TEN | {"total_tokens": 20}, row(10, 10)),
        ({"prompt_tokens": 10, "total_tokens": 14}, row(10, 4)),
        ({"completion_tokens": 4, "total_tokens": 14}, row(10, 4)),
        ({"total_tokens": 14}, row(0, 14)),
        (TEN | {"prompt_tokens_details": {"cached_tokens": 3}}, row(10, 4, cached_tokens=3)),
        (TEN | {"prompt_tokens_details": {"cached_tokens": 99, "cache_write_tokens": 9}}, row(10, 4, cached_tokens=10)),
        (
            TEN | {"prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 9}},
            row(10, 4, cached_tokens=8, cache_write_tokens=2),
        ),
        (
            TEN | {"cache_read_input_tokens": 1, "cache_creation_input_tokens": 2},
            row(10, 4, cached_tokens=1, cache_write_tokens=2),
        ),
        (TEN | {"prompt_cache_hit_tokens": 5, "prompt_tokens_details": None}, row(10, 4, cached_tokens=5)),
        (TEN | {"cached_tokens": 6, "prompt_tokens_details": {"cached_tokens": -1}}, row(10, 4, cached_tokens=6)),
        (TEN | {"completion_tokens_details": {"reasoning_tokens": 3}}, row(10, 4, reasoning_tokens=3)),
        (TEN | {"completion_tokens_details": {"reasoning_tokens": 300}}, row(10, 4, reasoning_tokens=4)),
        (TEN | {"reasoning_tokens": 2, "completion_tokens_details": []}, row(10, 4, reasoning_tokens=2)),
    ],
)
def test_the_row_of_an_answer_has_all_its_tokens_and_no_part_is_more_than_the_whole(
    usage: dict[str, Any], wanted: UsageRow
) -> None:
    assert rows_of([piece(None, usage)]) == [wanted]
    call = Call(ANONYMOUS)
    note_report(call, "m", "p", usage)
    assert call.ledger.list_rows() == [wanted]


@pytest.mark.parametrize("usage", [{"prompt_tokens": 7}, {"total_tokens": 7}, {"prompt_tokens": 5, "total_tokens": 7}])
def test_what_makes_no_text_uses_prompt_tokens_alone(usage: dict[str, Any]) -> None:
    assert rows_of([{"usage": usage}], "whole", EMBED) == [row(7, 0)]


@pytest.mark.parametrize(
    ("usage", "micros"),
    [
        ({"cache_creation_input_tokens": 6, "cache_creation": {"ephemeral_1h_input_tokens": 4}}, 4 + 2 * 5 + 4 * 8),
        ({"cache_creation_input_tokens": 6, "cache_creation": {"ephemeral_1h_input_tokens": 99}}, 4 + 6 * 8),
        ({"cache_creation_input_tokens": 6, "cache_creation": {"ephemeral_5m_input_tokens": 6}}, 4 + 6 * 5),
        ({"cache_creation_input_tokens": 6, "cache_creation": [4]}, 4 + 6 * 5),
        ({"cache_creation": {"ephemeral_1h_input_tokens": 4}}, 10),
    ],
)
def test_what_is_cached_for_an_hour_costs_what_its_price_says(usage: dict[str, Any], micros: int) -> None:
    call, meter = Call(ANONYMOUS), Meter(CHAT)
    meter.price = lambda: Price(1000, cache_write=5000, cache_write_1h=8000, output=0)
    meter.feed(piece(None, TEN | usage))
    meter.charge(call, "whole")
    assert sum(row.nanos for row in call.end().rows) == micros


def test_what_no_provider_said_is_flagged_and_of_what_never_began_there_is_no_row() -> None:
    assert rows_of([piece({"content": "x" * 8})], "left") == [row(10, 2, estimated_tokens=12)]
    assert rows_of([piece(None, TEN), piece({"content": "x"})], "left") == [row(10, 5, estimated_tokens=1)]
    assert rows_of([], "left") == [row(10, 0, estimated_tokens=10)]
    assert rows_of([], "broken") == []


COUNT = st.none() | st.integers(0, 2000)
REPORT = st.fixed_dictionaries(
    {"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT},
    optional={
        "prompt_tokens_details": st.none()
        | st.dictionaries(st.sampled_from(["cached_tokens", "cache_write_tokens"]), COUNT),
        "completion_tokens_details": st.none() | st.dictionaries(st.just("reasoning_tokens"), COUNT),
    },
)
STREAM = st.lists(st.tuples(st.integers(0, 50), st.none() | REPORT), max_size=6)


@given(
    answers=st.lists(
        st.tuples(
            STREAM, st.sampled_from(ENDINGS), st.sampled_from("ab"), st.booleans(), st.sampled_from([CHAT, EMBED])
        )
    )
)
def test_the_rows_of_a_call_are_its_ledger_to_the_token(
    answers: list[tuple[list[tuple[int, dict[str, Any] | None]], Ending, str, bool, Any]],
) -> None:
    call = Call(ANONYMOUS)
    for chunks, ending, provider, is_caused, request in answers:
        meter = Meter(request, provider)
        for size, usage in chunks:
            meter.feed(piece({"content": "x" * size}, usage))
        meter.charge(call.cause() if is_caused else call, ending)
    ledger, rows = call.ledger, call.ledger.list_rows()
    assert sum(row.tokens for row in rows) == (ledger.own or 0) + ledger.further + (ledger.unsaid)
    assert len({row.key for row in rows}) == len(rows)
    for one in rows:
        assert one.cached_tokens + one.cache_write_tokens <= one.prompt_tokens
        assert one.reasoning_tokens <= one.completion_tokens
        assert one.estimated_tokens <= one.tokens
        assert one.answers == one.unpriced


@given(
    report=REPORT.filter(
        lambda report: any(report[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
    ),
    sizes=st.lists(st.integers(0, 9)),
)
def test_the_row_of_a_whole_stream_is_its_providers_report(report: dict[str, Any], sizes: list[int]) -> None:
    (found,) = rows_of([*(piece({"content": "x" * size}) for size in sizes), piece(None, report)])
    prompt, completion, total = (report[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
    assert found.estimated_tokens == 0
    assert found.tokens == max(total or 0, (prompt or 0) + (completion or 0))
    assert prompt is None or found.prompt_tokens == prompt
    assert completion is None or found.completion_tokens >= completion
