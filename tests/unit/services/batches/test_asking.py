"""A line takes of its owner's quota what a live request takes, and is told in the usage of its batch."""

from collections.abc import Mapping
import gc
import json
import tracemalloc
from typing import Any, cast

import pytest

from core.errors import InvalidRequest
from core.frame.callers import ANONYMOUS, Call, UsageRow
from core.services.batches.job.asking import LineAsker
from core.services.batches.job.endpoints import ENDPOINTS
from core.services.batches.job.entries import Entry
from core.services.batches.job.usage import tokens_of, usage_of
from core.services.jobs.kind import Row
from core.services.jobs.spending import spending_of
from core.stores.jobs.port import Counts

CHAT, TEXT, VECTORS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")


@pytest.mark.parametrize(
    ("path", "body", "tokens", "requests"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "a"}]}, 0, 1),
        (CHAT, {"messages": [{"role": "user", "content": "a"}], "max_tokens": 7, "n": 2}, 14, 1),
        (CHAT, {"messages": 3}, None, 1),
        (TEXT, {"prompt": ["a", "b", "c"], "max_tokens": 5}, 15, 3),
        (VECTORS, {"input": ["a", "b"]}, 0, 2),
    ],
)
def test_what_a_line_may_use(path: str, body: dict[str, Any], tokens: int | None, requests: int) -> None:
    endpoint = ENDPOINTS[path]
    row = Row(0, Entry("batch_req_0", endpoint, json.dumps({"body": {"model": "m", **body}}).encode()))
    asker = LineAsker(cast("Any", None), endpoint)
    assert (asker.bound(row), asker.requests(row)) == (tokens, requests)
    order = asker.order(row)
    assert (None if order is None else (order.model, order.body)) == (
        None if tokens is None else ("m", row.value.request)
    )


@pytest.mark.parametrize("piece", ["{},", "1,"])
def test_a_line_that_is_no_request_keeps_nothing_of_what_it_says(piece: str) -> None:
    endpoint = ENDPOINTS[CHAT]
    body = f'{{"model": "m", "messages": [{piece * (10**6 // len(piece) - 100)}1]}}'
    entry = Entry("batch_req_0", endpoint, f'{{"custom_id": "a", "url": "{CHAT}", "body": {body}}}'.encode())
    tracemalloc.start()
    try:
        assert isinstance(entry.request, InvalidRequest)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000
    assert (entry.custom_id, entry.model) == ("a", "m")


@pytest.mark.parametrize("count", [-1, True, "7", 7.5, 2**53 + 1, 10**40])
def test_what_is_no_count_of_tokens_is_none(count: object) -> None:
    usage = {"prompt_tokens": count, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": count}}
    assert usage_of(tokens_of({"usage": usage}, "m", 5)) == {
        "input_tokens": 0,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 5,
        "cost": None,
    }


CHAT_USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
RESPONSE_USAGE = {
    "input_tokens": 10,
    "output_tokens": 5,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens_details": {"reasoning_tokens": 3},
}


@pytest.mark.parametrize("usage", [CHAT_USAGE, RESPONSE_USAGE])
def test_usage_of_either_shape_is_summed_beside_the_tokens_of_models(usage: dict[str, Any]) -> None:
    one = Counts(1, 0, tokens_of({"usage": usage}, "m", 20))  # with those of a shield
    assert (one + one).models == {"m": 40}
    assert usage_of((one + one).tokens) == {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 8},
        "output_tokens": 10,
        "output_tokens_details": {"reasoning_tokens": 6},
        "total_tokens": 30,
        "cost": None,
    }


def test_what_an_answer_does_not_tell_of_its_usage_is_none() -> None:
    tokens = tokens_of({"usage": {"prompt_tokens": 7, "total_tokens": 7}}, "m", None)
    assert tokens == {"m": 7, "usage:input": 7}
    assert usage_of(tokens) == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 7,
        "cost": None,
    }
    assert tokens_of({"usage": CHAT_USAGE}, "m", None)["m"] == 15


@pytest.mark.parametrize("usage", [None, [], {"prompt_tokens": "many", "completion_tokens": True}])
def test_an_answer_that_tells_no_usage_has_none(usage: Any) -> None:
    tokens = tokens_of({"usage": usage}, "m", None)
    assert (tokens, usage_of(tokens)) == ({}, None)


def test_of_an_answer_without_a_usage_it_is_what_its_models_reported() -> None:
    observed = {"prompt": 7, "completion": 2}
    assert tokens_of({}, "m", 12, observed) == {"m": 12, "usage:input": 7, "usage:output": 2}
    assert tokens_of({"usage": CHAT_USAGE}, "m", 15, observed)["usage:input"] == 10


def spent(*picos: int | None) -> dict[str, int]:
    """By answers of one row."""
    call = Call(ANONYMOUS)
    for each in picos:
        call.note_use(UsageRow("m", answers=1, unpriced=int(each is None)), each)
    return spending_of(call)


def test_a_batch_says_what_it_cost_where_every_answer_had_a_price() -> None:
    def cost(*rows: Mapping[str, int]) -> float | None:
        usage = usage_of(Counts.sum(Counts(1, 0, row) for row in rows).tokens)
        assert usage is not None
        return usage["cost"]

    told = tokens_of({"usage": CHAT_USAGE}, "m", 15)
    assert cost(told) is None
    assert cost(told, spent(1_500_000), spent(2_000_000, 1)) == 0.000003501
    assert cost(told, spent(0)) == 0
    assert cost(told, spent(1_500_000), spent(None)) is None
    assert cost(told, spent(1_500_000, None)) is None
    assert usage_of(spent(1)) is None
    assert spent() == {}
