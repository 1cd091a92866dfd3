"""Tokens for nothing: whatever way an answer ends, and however its bound is spelled, what came of it is charged."""

import asyncio
from collections.abc import AsyncGenerator
import json
from pathlib import Path
from typing import Any

from aiohttp import web
import pytest

from tests.attack.charged import CHAT, RESERVED, WORDS, Deadline, Stack, stack_over
from tests.parts.upstream import CHAT as REPLY
from tests.parts.upstream import EMBEDDINGS, Reply, raw, status, stream

COMPLETIONS = "/v1/completions"
NATIVE = "/v1/inference/chat-completion"
BODY: dict[str, Any] = {"model": "p/m", "messages": WORDS}
OLDER: dict[str, Any] = {"model_id": "p/m", "messages": WORDS}
PROMPT: dict[str, Any] = {"model": "p/m", "prompt": "Tell me a story"}
PROMPT_TOKENS = 4
EMBEDDING: dict[str, Any] = {
    "model_id": "e",
    "provider_id": "p",
    "provider_model_id": "m",
    "model_type": "embedding",
    "metadata": {"embedding_dimension": 1},
}
BROKEN: dict[str, Any] = {"error": {"message": "out of memory"}}


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncGenerator[Stack]:
    async with stack_over(tmp_path) as stack:
        yield stack


def piece(delta: dict[str, Any], index: int = 0, **more: Any) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": index, "delta": delta}], **more}


def tool_call(text: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}


DELTAS = {
    "words": {"content": " word"},
    "reasoning": {"reasoning_content": " word"},
    "tool calls": tool_call('{"a"'),
    "an unknown field": {"thinking": [{"text": " word"}]},
}
NO_COUNTS: list[Any] = [
    None,
    {},
    {"total_tokens": None},
    {"total_tokens": "9"},
    {"total_tokens": 1.5},
    {"total_tokens": [7]},
]
NO_USAGES: list[Any] = [[], "x", {"total_tokens": -7}, {"total_tokens": 10**30}]


def answer_with(stack: Stack, reply: Reply) -> None:
    stack.upstream.replies |= dict.fromkeys(("/v1/chat/completions", "/v1/completions", "/v1/embeddings"), reply)


@pytest.mark.parametrize("delta", DELTAS.values(), ids=DELTAS)
@pytest.mark.parametrize("ending", ["left", "cut", "broken"])
async def test_a_stream_that_does_not_end_is_charged_what_came(
    stack: Stack, delta: dict[str, Any], ending: str
) -> None:
    chunks = [piece(delta)] * 300
    answer_with(stack, stream(chunks + [BROKEN] * (ending == "broken"), hang=ending != "broken"))
    deadline = Deadline(2500) if ending == "cut" else None
    await stack.stream(CHAT, BODY, leave_at=300 if ending == "left" else 10**9, deadline=deadline)
    requests, tokens = await stack.used()
    assert requests == 1
    assert 300 + PROMPT_TOKENS <= tokens <= 400


@pytest.mark.parametrize(("path", "body"), [(COMPLETIONS, PROMPT), (NATIVE, OLDER)])
async def test_so_are_the_streams_of_the_other_routes(stack: Stack, path: str, body: dict[str, Any]) -> None:
    chunk = {"choices": [{"index": 0, "text": " word", "delta": {"content": " word"}}]}
    answer_with(stack, stream([chunk] * 119 + [BROKEN]))
    assert b"error" in await stack.stream(path, body)
    assert 119 + PROMPT_TOKENS <= (await stack.used())[1] <= 400


async def test_many_tokens_in_a_chunk_count_by_their_length_and_choices_each(stack: Stack) -> None:
    answer_with(stack, stream([piece({"content": "x" * 4000})] * 3 + [BROKEN]))
    await stack.stream(CHAT, BODY)
    assert (await stack.used())[1] == 3000 + PROMPT_TOKENS
    both = {"choices": [{"index": n, "delta": {"content": "a"}} for n in range(2)]}
    answer_with(stack, stream([both] * 50 + [BROKEN]))
    await stack.stream(CHAT, BODY)
    assert (await stack.used())[1] == 3100 + 2 * PROMPT_TOKENS
    answer_with(stack, stream([piece({"content": "字" * 4})] * 25 + [BROKEN]))  # three bytes each
    await stack.stream(CHAT, BODY)
    assert (await stack.used())[1] == 3175 + 3 * PROMPT_TOKENS


async def test_who_leaves_at_once_pays_the_reservation_and_a_long_prompt_itself(stack: Stack) -> None:
    answer_with(stack, stream([piece({"role": "assistant"})], hang=True))
    await stack.stream(CHAT, BODY, leave_at=1)
    assert await stack.used() == (1, RESERVED)
    await stack.stream(CHAT, {**BODY, "messages": [{"role": "user", "content": "x" * 4000}]}, leave_at=1)
    assert await stack.used() == (2, RESERVED + 1000)


@pytest.mark.parametrize("ending", ["left", "broken", "whole"])
async def test_a_usage_with_every_chunk_is_counted_once_and_never_less_than_it_said(stack: Stack, ending: str) -> None:
    chunks = [piece({"content": "a"}, usage={"total_tokens": 7 + n}) for n in range(100)]
    answer_with(stack, stream(chunks + [BROKEN] * (ending == "broken"), hang=ending == "left"))
    await stack.stream(CHAT, BODY, leave_at=100 if ending == "left" else 10**9)
    assert await stack.used() == (1, 106)


async def test_what_came_after_a_usage_is_counted_beside_it(stack: Stack) -> None:
    first = piece({"content": "a"}, usage={"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10})
    answer_with(stack, stream([first, *[piece({"content": "a"})] * 70, BROKEN]))
    await stack.stream(CHAT, BODY)
    assert await stack.used() == (1, 80)
    same = piece({"content": "a"}, usage={"total_tokens": 3})  # a usage that says the same for ever
    answer_with(stack, stream([same] * 70 + [BROKEN]))
    await stack.stream(CHAT, BODY)
    assert await stack.used() == (2, 80 + 72)


@pytest.mark.parametrize("usage", NO_COUNTS, ids=str)
async def test_a_usage_that_is_no_count_is_none(stack: Stack, usage: object) -> None:
    answer_with(stack, stream([piece({"content": "a"}, usage=usage)] * 90))
    await stack.stream(CHAT, BODY)
    assert await stack.used() == (1, 90 + PROMPT_TOKENS)
    answer_with(stack, status(200, {**REPLY, "usage": usage}))
    assert (await stack.ask(CHAT, BODY)).status_code == 200
    assert await stack.used() == (2, 90 + PROMPT_TOKENS + RESERVED)


@pytest.mark.parametrize("usage", NO_USAGES, ids=str)
async def test_a_usage_that_breaks_a_stream_does_not_make_it_free(stack: Stack, usage: object) -> None:
    answer_with(stack, stream([*[piece({"content": "a"})] * 90, piece({}, usage=usage)]))
    assert b"error" in await stack.stream(CHAT, BODY)
    assert await stack.used() == (1, 90 + PROMPT_TOKENS)


async def test_a_usage_of_nothing_does_not_make_an_answer_free_and_one_without_end_breaks_nothing(
    stack: Stack,
) -> None:
    answer_with(stack, status(200, {**REPLY, "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}))
    assert (await stack.ask(CHAT, BODY)).status_code == 200
    assert await stack.used() == (1, PROMPT_TOKENS + 2)
    answer_with(stack, status(200, {**REPLY, "usage": {"total_tokens": 2**53}}))
    assert (await stack.ask(CHAT, BODY)).status_code == 200
    assert (await stack.used())[1] <= 10**12 + 100
    assert (await stack.ask(CHAT, BODY, "ada")).status_code == 200


async def test_an_answer_without_usage_is_charged_its_text_where_that_is_more(stack: Stack) -> None:
    long = {"index": 0, "message": {"role": "assistant", "content": "x" * 4000}, "text": "x" * 4000}
    answer_with(stack, status(200, {**REPLY, "choices": [long], "usage": None}))
    await stack.ask(CHAT, BODY)
    assert (await stack.used())[1] >= 1000 + PROMPT_TOKENS
    answer_with(stack, status(200, {**EMBEDDINGS, "usage": None}))
    before = (await stack.used())[1]
    body = {"input": ["x" * 4000, "y" * 400]}
    assert (await stack.ask("/v1/models", EMBEDDING)).status_code == 200
    assert (await stack.ask("/v1/embeddings", {**body, "model": "e"})).status_code == 200
    assert (await stack.used())[1] == before + 1100


async def test_an_answer_for_which_there_was_no_time_keeps_its_reservation(stack: Stack) -> None:
    async def slow(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        raise AssertionError

    answer_with(stack, slow)
    for times, streams in enumerate((False, True), 1):
        body = {**BODY, "max_tokens": 900, "stream": streams}
        assert b"time was up" in await stack.stream(CHAT, body, deadline=Deadline(1200))
        assert await stack.used() == (times, times * 900)


async def test_a_target_that_fails_before_its_first_byte_costs_nothing(stack: Stack) -> None:
    answer_with(stack, status(500, {}))
    assert (await stack.ask(CHAT, BODY)).status_code == 502
    assert b"error" in await stack.stream(CHAT, BODY)
    answer_with(stack, raw(b"{"))
    assert (await stack.ask(CHAT, BODY)).status_code == 502
    assert await stack.used() == (3, 0)


@pytest.mark.parametrize(
    ("fields", "reserved"),
    [
        ('"max_tokens": 5000.0', 5000),
        ('"max_tokens": "5000"', 5000),
        ('"max_tokens": "5e3"', 5000),
        ('"max_tokens": 5, "max_completion_tokens": "5000.0"', 5000),
        ('"max_tokens": 5, "max_new_tokens": 5000', 5000),
        ('"max_new_tokens": 5000', 5000),
        ('"max_tokens": 2500, "n": 2.0', 5000),
        ('"max_tokens": "1000", "n": 2, "best_of": "5"', 5000),
        ('"min_tokens": 5000, "max_tokens": 5', 5000),
        ('"min_tokens": 1', RESERVED),
        ('"extra_body": {"max_tokens": "5000"}', 5000),
    ],
)
async def test_a_bound_reserves_what_it_lets_the_model_make_however_it_is_spelled(
    stack: Stack, fields: str, reserved: int
) -> None:
    body = {**BODY, **json.loads(f"{{{fields}}}")}
    answer = await stack.ask(CHAT, body)
    assert answer.headers["x-ratelimit-remaining-tokens"] == str(100_000 - reserved)
    sent = stack.upstream.seen[-1].body
    assert all(type(sent[name]) is int for name in json.loads(f"{{{fields}}}") if name != "extra_body")
    refused = await stack.ask(CHAT, {**body, "n": 100_001})
    assert refused.status_code in {400, 429} or reserved == RESERVED


@pytest.mark.parametrize("value", ["x", True, 5000.5, "5000 tokens", [5000]])
async def test_a_bound_that_is_none_is_refused(stack: Stack, value: object) -> None:
    for path, body in ((CHAT, BODY), (COMPLETIONS, PROMPT), (NATIVE, OLDER)):
        answer = await stack.ask(path, {**body, "max_tokens": value})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "max_tokens")
    answer = await stack.ask(NATIVE, {**OLDER, "sampling_params": {"max_tokens": value}})
    assert answer.status_code == 400


async def test_each_part_of_a_batch_is_a_request_all_or_none(tmp_path: Path) -> None:
    async with stack_over(tmp_path, models=[EMBEDDING]) as stack:
        for path, body, parts in (
            ("/v1/embeddings", {"model": "e", "input": ["x"] * 300}, 300),
            ("/v1/embeddings", {"model": "e", "input": [[1, 2], [3]]}, 2),
            ("/v1/embeddings", {"model": "e", "input": [1, 2, 3]}, 1),
            ("/v1/inference/embeddings", {"model_id": "e", "contents": ["x"] * 30}, 30),
            (COMPLETIONS, {**PROMPT, "prompt": ["x"] * 100}, 100),
            ("/v1/inference/batch-chat-completion", {"model_id": "p/m", "messages_batch": [WORDS] * 5}, 5),
            ("/v1/inference/batch-completion", {"model_id": "p/m", "content_batch": ["x"] * 5}, 5),
        ):
            before = (await stack.used())[0]
            await stack.ask(path, body)
            assert (await stack.used())[0] == before + parts, (path, parts)
        left = 1000 - (await stack.used())[0]
        refused = await stack.ask("/v1/embeddings", {"model": "e", "input": ["x"] * (left + 1)})
        assert (refused.status_code, refused.headers["ratelimit-remaining"]) == (429, str(left))
        assert f"{left + 1} requests, and {left} of 1000" in refused.json()["error"]["message"]
        assert (await stack.ask("/v1/embeddings", {"model": "e", "input": ["x"] * left})).status_code == 200
        assert (await stack.ask("/v1/embeddings", {"model": "e", "input": "x"})).status_code == 429


@pytest.mark.parametrize(
    ("path", "body", "most"),
    [
        ("/v1/embeddings", {"model": "p/m", "input": ["x"] * 2049}, 2048),
        ("/v1/inference/embeddings", {"model_id": "p/m", "contents": ["x"] * 2049}, 2048),
        (COMPLETIONS, {**PROMPT, "prompt": ["x"] * 129}, 128),
        (COMPLETIONS, {**PROMPT, "prompt": [[1]] * 129}, 128),
        ("/v1/inference/batch-chat-completion", {"model_id": "p/m", "messages_batch": [WORDS] * 129}, 128),
        ("/v1/inference/batch-completion", {"model_id": "p/m", "content_batch": ["x"] * 129}, 128),
    ],
)
async def test_a_batch_has_a_most_which_the_refusal_names(
    stack: Stack, path: str, body: dict[str, Any], most: int
) -> None:
    answer = await stack.ask(path, body)
    assert answer.status_code == 400
    assert f"at most {most}" in answer.json()["error"]["message"]
    assert (await stack.used())[0] == 1
