"""An upstream has our memory and our time within bounds, is asked once, and what it says wrongly is its failure."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import gzip
import json
from pathlib import Path
import tracemalloc
from typing import Any
import zlib

import httpx
import pytest

from core.errors import ApiError
from tests.contract.test_vllm import chat, connect
from tests.parts.live_stack import client_of, run_config
from tests.parts.raw_upstream import EVENTS, OK, Answer, endless, json_answer, running_raw, written
from tests.parts.upstream import CHAT, FakeUpstream, Reply, chunk, in_turn, raw, running

MIB = 1024 * 1024
LIMITS = {"max_bytes": MIB, "max_event_bytes": 16 * 1024, "max_stream_bytes": MIB, "max_seconds": 20}
CALL = {"model": "declared", "messages": [{"role": "user", "content": "hi"}]}
HELLO = json.dumps(CHAT).encode()
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
ERROR = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"


def squeezed(level: int = 9) -> bytes:
    """256 MiB of zeros within a string, as gzip has them."""
    squeezer = zlib.compressobj(level, zlib.DEFLATED, 31)
    zeros = b"0" * MIB
    return b"".join([squeezer.compress(b'{"a":"'), *(squeezer.compress(zeros) for _ in range(256)), squeezer.flush()])


@asynccontextmanager
async def stack_over(url: str, folder: Path, **config: Any) -> AsyncIterator[httpx.AsyncClient]:
    document = run_config(url, {"type": "sqlite", "db_path": str(folder / "r.db")})
    document["providers"]["inference"][0]["config"] |= {"limits": LIMITS, "timeout": 5, **config}
    document["models"] = [{"model_id": "declared", "provider_id": "local", "provider_model_id": "d"}]
    async with client_of(document) as client:
        yield client


def failure_in(answer: httpx.Response) -> dict[str, Any]:
    """The error of an answer, or of the last event of a stream."""
    text = answer.text
    if "event-stream" in answer.headers["content-type"]:
        text = [line for line in text.splitlines() if line.startswith("data: {")][-1].removeprefix("data: ")
    error: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)["error"]
    return error


GZIPPED = squeezed()
TOO_MUCH: dict[str, Answer] = {
    "a bomb of gzip": json_answer(GZIPPED, b"content-encoding: gzip"),
    "a bomb of deflate": json_answer(zlib.compress(b"0" * (64 * MIB)), b"content-encoding: deflate"),
    "a bomb in many members": json_answer(gzip.compress(b"0" * 2 * MIB) * 100, b"content-encoding: gzip"),
    "a bomb of an error": json_answer(GZIPPED, b"content-encoding: gzip", status=b"500 No"),
    "an encoding that nobody knows": json_answer(GZIPPED, b"content-encoding: sausage"),
    "more than it may say": written(OK + b"content-length: 999999999999\r\n\r\n{"),
    "a body without an end": endless(CHUNKED, b"x" * 65536),
    "an error without an end": endless(ERROR, b"x" * 65536),
    "a header without an end": endless(b"HTTP/1.1 200 OK\r\nx-a: ", b"x" * 65536, chunked=False),
    "headers without an end": endless(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 1000, chunked=False),
    "a status line without an end": endless(b"HTTP/1.1 200 ", b"x" * 65536, chunked=False),
    "lists in lists": json_answer(b'{"a":[' + b"[]," * 340_000 + b"0]}"),
    "brackets": json_answer(b"[" * 500_000 + b"]" * 500_000),
}
STREAMS: dict[str, Answer] = {
    "a line without an end": endless(EVENTS, b"data: " + b"x" * 65536),
    "lines without an end": endless(EVENTS, b"data: x\n" * 8192),
    "comments": endless(EVENTS, b": ping\n\n" * 8192),
    "blank lines": endless(EVENTS, b"\n" * 65536),
    "other fields": endless(EVENTS, b"id: 1\nevent: x\nretry: 1\n\n" * 2000),
    "empty events": endless(EVENTS, b"data:\n\n" * 8192),
    "events of one letter": endless(EVENTS, b"data: 1\n\n" * 8192),
    "events": endless(EVENTS, b"data: " + json.dumps(chunk("x")).encode() + b"\n\n"),
    "small events": endless(EVENTS, b'data: {"choices":[]}\n\n' * 100),
    "bytes": endless(EVENTS, b"x"),
    "a bomb": written(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n\r\n"
        + gzip.compress(b"\n" * 64 * MIB)
    ),
}


@pytest.mark.parametrize("name", TOO_MUCH)
async def test_an_answer_that_is_too_much_is_the_upstreams_failure(tmp_path: Path, name: str) -> None:
    async with running_raw(TOO_MUCH[name]) as upstream, stack_over(upstream.url, tmp_path) as client:
        tracemalloc.start()
        try:
            answer = await client.post("/v1/chat/completions", json=CALL)
            assert tracemalloc.get_traced_memory()[1] < 48 * MIB
        finally:
            tracemalloc.stop()
        assert answer.status_code == (400 if name == "an error without an end" else 502), answer.text
        assert len(answer.content) < 2048
        assert failure_in(answer)["code"] in {"upstream_error", "invalid_request"}
        assert len(upstream.asked) == 1


@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_that_is_too_much_ends_with_an_error(tmp_path: Path, name: str) -> None:
    async with running_raw(STREAMS[name]) as upstream, stack_over(upstream.url, tmp_path) as client:
        answer = await client.post("/v1/chat/completions", json={**CALL, "stream": True})
        assert answer.status_code in {200, 502, 504}
        assert failure_in(answer)["code"] in {"upstream_error", "upstream_timeout"}
        assert len(answer.content) < 4 * MIB
        assert len(upstream.asked) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("head", "piece"), [(CHUNKED, b" "), (EVENTS, b": x\n"), (OK, b"x-a: b\r\n"), (b"", b"H")], ids=repr
)
async def test_an_answer_that_drips_has_an_end(tmp_path: Path, head: bytes, piece: bytes, *, stream: bool) -> None:
    drip = endless(head, piece, pause=0.05, chunked=head in {CHUNKED, EVENTS})
    async with (
        running_raw(drip) as upstream,
        stack_over(upstream.url, tmp_path, timeout=0.3, limits={"max_seconds": 0.5}) as client,
    ):
        answer = await asyncio.wait_for(client.post("/v1/chat/completions", json={**CALL, "stream": stream}), 20)
        assert answer.status_code in {502, 504}
        assert len(upstream.asked) == 1


WRONG = [
    b'{"choices":5}',
    b'{"choices":[5]}',
    b'{"choices":[{"message":5,"delta":5,"text":5}]}',
    b'{"choices":[{"message":{"content":5},"delta":{"content":5},"text":5}]}',
    b'{"choices":[{"message":{"tool_calls":[5]},"delta":{"tool_calls":5},"text":[]}]}',
    b'{"choices":[{"message":{},"index":"a"}]}',
    b'{"choices":[{"message":{}}],"usage":5}',
    b'{"choices":[{"message":{}}],"usage":{"total_tokens":%s}}' % (b"9" * 4000),
    b'{"choices":[{"message":{}}],"usage":{"total_tokens":%s}}' % (b"9" * 100_000),
    b"[" * 100_000 + b"]" * 100_000,
    b"[]",
    b"null",
    b"",
    b"<html>",
]
OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", CALL),
    ("/v1/chat/completions", {**CALL, "stream": True}),
    ("/v1/completions", {"model": "declared", "prompt": "x"}),
    ("/v1/completions", {"model": "declared", "prompt": "x", "stream": True}),
    ("/v1/inference/chat-completion", {"model_id": "declared", "messages": CALL["messages"]}),
    ("/v1/inference/chat-completion", {"model_id": "declared", "messages": CALL["messages"], "stream": True}),
    ("/v1/inference/completion", {"model_id": "declared", "content": "x"}),
]


@pytest.mark.parametrize("body", WRONG, ids=lambda body: f"{len(body)} {body[:50].decode('latin-1')}")
async def test_a_wrong_answer_is_never_our_fault(tmp_path: Path, body: bytes) -> None:
    streamed = b"data: " + body + b"\n\ndata: [DONE]\n\n"

    async def answer(request: Any) -> Any:
        wants_events = json.loads(await request.read()).get("stream")
        return await (raw(streamed, "text/event-stream") if wants_events else raw(body))(request)

    replies: dict[str, Reply] = dict.fromkeys(("/v1/chat/completions", "/v1/completions"), answer)
    async with running(FakeUpstream(replies=replies)) as upstream, stack_over(upstream.url, tmp_path) as client:
        for path, call in OPERATIONS:
            reply = await client.post(path, json=call)
            if reply.status_code == 502 or "event-stream" in reply.headers["content-type"]:
                assert failure_in(reply)["code"] == "upstream_error", (path, call)
            else:  # what has no text is no fault of a completion
                assert reply.status_code == 200, (path, reply.text)


@pytest.mark.parametrize("half", [b"\xff", b"\\ud83d", b"\\uDE00 \\ud83d\\ude00"])
async def test_half_a_character_is_a_mark_and_what_is_around_it_stays(tmp_path: Path, half: bytes) -> None:
    whole = (
        b'{"choices":[{"index":0,"message":{"role":"assistant","content":"a %b \\\\ud83d"},"finish_reason":"stop"}],"n":NaN}'
        % half
    )
    piece = whole.replace(b"message", b"delta")
    answers = in_turn(raw(whole), raw(b"data: %b\n\n" % piece, "text/event-stream"))
    content = "a \ufffd " + ("\U0001f600 " if b"ude00" in half else "") + "\\ud83d"
    async with (
        running(FakeUpstream(replies={"/v1/chat/completions": answers})) as upstream,
        stack_over(upstream.url, tmp_path) as client,
    ):
        answer = json.loads((await client.post("/v1/chat/completions", json=CALL)).content, parse_constant=pytest.fail)
        events = (await client.post("/v1/chat/completions", json={**CALL, "stream": True})).text.split("\n\n")
    chunk_ = json.loads(events[0].removeprefix("data: "), parse_constant=pytest.fail)
    assert answer["choices"][0]["message"]["content"] == chunk_["choices"][0]["delta"]["content"] == content
    assert (answer["n"], chunk_["n"], events[1:]) == (None, None, ["data: [DONE]", ""])


@pytest.mark.parametrize("body", [b'{"data":5}', b'{"data":[5]}', b'{"data":[{"embedding":["a"]}]}', b"{}"])
@pytest.mark.parametrize("number", [b"NaN", b"null"])
async def test_embeddings_are_numbers(tmp_path: Path, body: bytes, number: bytes) -> None:
    nan = b'{"data":[{"embedding":[%b]}]}' % number
    replies = {"/v1/embeddings": in_turn(raw(body), raw(nan))}
    async with (
        running(FakeUpstream(replies=replies)) as upstream,
        stack_over(upstream.url, tmp_path, model_type="embedding", embedding_dimension=1) as client,
    ):
        for _ in range(2):
            answer = await client.post("/v1/embeddings", json={"model": "local/m", "input": "x"})
            assert (answer.status_code, failure_in(answer)["code"]) == (502, "upstream_error")


async def test_what_is_no_json_does_not_leave(tmp_path: Path) -> None:
    body = {**CHAT, "more": [float("nan"), float("inf"), float("-inf")]}
    upstream = FakeUpstream(replies={"/v1/chat/completions": raw(json.dumps(body).encode())})
    async with running(upstream), stack_over(upstream.url, tmp_path) as client:
        answer = await client.post("/v1/chat/completions", json=CALL)
    assert json.loads(answer.content, parse_constant=pytest.fail)["more"] == [None, None, None]


@pytest.mark.parametrize("retry_after", ["\N{PILE OF POO}", "1\x0b2", "9" * 100, "soon, x\x7f"])
async def test_what_an_upstream_says_is_cleaned_and_no_header_of_ours(retry_after: str) -> None:
    message = json.dumps({"error": {"message": "no\x1b[31m\x00 \u202e" + "x" * 10_000}}).encode()
    refuses = json_answer(message, status=b"400 No")
    throttles = json_answer(b"{}", b"retry-after: " + retry_after.encode(), status=b"429 Slow")
    async with running_raw(refuses, throttles) as upstream:
        provider = connect(upstream.url)
        with pytest.raises(ApiError) as refused:
            await provider.chat_completion(chat())
        assert refused.value.message.startswith("no\\x1b[31m\\x00 \\u202e")
        assert len(refused.value.message) < 600
        with pytest.raises(ApiError) as throttled:
            await provider.chat_completion(chat())
        assert throttled.value.headers == {}
        await provider.close()


async def test_a_listing_has_an_end(tmp_path: Path) -> None:
    models = [{"id": f"m{n}"} for n in range(20_000)]
    async with running(FakeUpstream(models=models)) as upstream, stack_over(upstream.url, tmp_path) as client:
        answer = await client.get("/v1/models")
        assert (answer.status_code, [model["id"] for model in answer.json()["data"]]) == (200, ["declared"])
        upstream.models[:] = [{"id": "x" * 600}, {"id": "m"}]
    async with running(upstream), stack_over(upstream.url, tmp_path) as client:
        assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == ["declared", "local/m"]
