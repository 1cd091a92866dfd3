"""`functions.inference` as it is built, in the streaming runtime: tokens leave as they come, and time never runs out."""

import asyncio
from collections.abc import Iterator
import json
from pathlib import Path
import threading
import time
from typing import Any

from aiohttp import web
import pytest

from tests.lambda_.events import event, post
from tests.lambda_.runtime_api import Outcome
from tests.lambda_.streaming import PATIENCE_SECONDS, Streamed, streaming
from tests.parts.upstream import CHUNKS, FakeUpstream, Reply, hang, stream

CHAT = {"model": "vllm/m", "messages": [{"role": "user", "content": "hi"}]}
PATH = "/v1/chat/completions"
SHORT = 2.0  # seconds that a function has here


@pytest.fixture(scope="module")
def inference(packages: dict[str, Path], run_config: Path) -> Iterator[Streamed]:
    config = {"LLAMBDA_CONFIG": str(run_config)}
    with streaming(packages["inference"], "functions.inference.handler", config, run_config.parent / "own.log") as up:
        yield up


@pytest.fixture
def reply(upstream: FakeUpstream) -> Iterator[dict[str, Reply]]:
    """The upstream's answers, for this test."""
    upstream.cancelled.clear()
    yield upstream.replies
    upstream.replies.pop(PATH, None)


def chat(*, streamed: bool) -> dict[str, Any]:
    return event("rest", post(PATH, CHAT | {"stream": streamed}))


def data(outcome: Outcome) -> list[Any]:
    """The events' content, but the last, which is [DONE]."""
    events = outcome.body.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    return [json.loads(each.removeprefix("data: ")) for each in events[:-2]]


def wait_for(done: threading.Event | asyncio.Event) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not done.is_set():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_each_token_leaves_before_the_provider_makes_the_next(inference: Streamed, reply: dict[str, Reply]) -> None:
    """The provider goes on only when the token is with the Runtime API; the times of arrival are printed."""
    turn = threading.Semaphore(0)

    async def one_by_one(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for each in CHUNKS:
            await asyncio.to_thread(turn.acquire)
            await response.write(f"data: {json.dumps(each)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    reply[PATH] = one_by_one
    outcome = inference.begun(chat(streamed=True))
    for count in range(1, len(CHUNKS)):  # the last is the usage, which nobody asked for
        turn.release()
        chunks = inference.in_loop(outcome.until(count))
        assert (len(chunks), outcome.over) == (count, False)
    turn.release()
    inference.in_loop(outcome.whole())
    first = outcome.chunks[0][0]
    for arrived, content in outcome.chunks:
        print(f"{1000 * (arrived - first):8.2f} ms  {content[:60]!r}")
    assert outcome.prelude["headers"]["content-type"].startswith("text/event-stream")
    assert "".join(each["choices"][0]["delta"].get("content", "") for each in data(outcome)) == "Hello"


def test_deadline_before_the_first_byte_is_504_and_the_provider_is_left(
    inference: Streamed, upstream: FakeUpstream, reply: dict[str, Reply]
) -> None:
    reply[PATH] = hang
    for streamed in (False, True):
        upstream.cancelled.clear()
        outcome = inference.answered(chat(streamed=streamed), seconds=SHORT)
        assert outcome.prelude["statusCode"] == 504
        assert json.loads(outcome.body)["error"]["code"] == "upstream_timeout"
        wait_for(upstream.cancelled)


def test_deadline_in_a_stream_is_the_error_event_and_a_clean_end_and_the_provider_is_left(
    inference: Streamed, upstream: FakeUpstream, reply: dict[str, Reply]
) -> None:
    reply[PATH] = stream(CHUNKS[:2], hang=True)
    outcome = inference.answered(chat(streamed=True), seconds=SHORT)
    assert outcome.prelude["statusCode"] == 200
    *tokens, last = data(outcome)
    assert len(tokens) == 2
    assert last["error"]["code"] == "upstream_timeout"
    assert (outcome.cut, outcome.trailers) == (False, {})
    wait_for(upstream.cancelled)
    del reply[PATH]
    assert inference.invoke(chat(streamed=False))["statusCode"] == 200


def test_runtime_api_that_hangs_up_leaves_the_provider_and_the_function_lives_on(
    inference: Streamed, upstream: FakeUpstream, reply: dict[str, Reply]
) -> None:
    reply[PATH] = stream(CHUNKS[:2], hang=True)
    inference.double.hang_up = 1
    try:
        assert inference.answered(chat(streamed=True)).cut
        wait_for(upstream.cancelled)
    finally:
        inference.double.hang_up = None
    del reply[PATH]
    assert inference.invoke(chat(streamed=False))["statusCode"] == 200


def test_many_requests_go_over_one_environment_and_one_connection(inference: Streamed) -> None:
    connections = inference.double.connections
    for _ in range(50):
        assert inference.invoke(chat(streamed=True))["statusCode"] == 200
    assert inference.double.connections <= connections + 1
