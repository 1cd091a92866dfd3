"""Streams of upstreams that write them otherwise than OpenAI: which are whole, which are not, and what stands in their place."""

import asyncio
import json
from typing import Any

import pytest

from core.apis.inference import CompletionRequest
from core.errors import ApiError, InvalidRequest, UpstreamFailed, UpstreamThrottled
from core.frame.types import JsonObject
from tests.contract.test_vllm import CHAT_PATH, chat, collected, connect
from tests.parts.raw_upstream import EVENTS, Answer, running_raw, written
from tests.parts.upstream import CHAT, CHUNKS, USAGE, FakeUpstream, chunk, raw, running, status, stream

HELLO = [chunk("Hel"), chunk("lo"), chunk(None, "stop")]
PLAIN = b"HTTP/1.1 200 OK\r\n%bconnection: close\r\n\r\n"
TYPED = PLAIN % b"content-type: text/event-stream\r\n"
CUT_CHUNK = b"400\r\ndata: {"


def choice(index: int, finish: str | None = None, **delta: Any) -> JsonObject:
    return {"index": index, "delta": delta, "finish_reason": finish}


def lines(*events: Any, end: bytes = b"\n\n") -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + end for event in events)


def framed(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


async def streamed(answer: Answer) -> list[JsonObject]:
    async with running_raw(answer) as upstream:
        provider = connect(upstream.url)
        try:
            return await collected(provider, chat(stream=True))
        finally:
            await provider.close()


WHOLE: dict[str, tuple[bytes, list[JsonObject]]] = {
    "a finish reason alone": (lines(*HELLO), HELLO),
    "and the usage after it": (lines(*HELLO, USAGE), [*HELLO, USAGE]),
    "a finish reason with a text": (lines(chunk("Hi", "length")), [chunk("Hi", "length")]),
    "no blank line at the end": (lines(*HELLO)[:-1], HELLO),
    "no line end at the end": (lines(*HELLO)[:-2], HELLO),
    "half an event at the end": (lines(*HELLO) + b'data: {"choi', HELLO),
    "blanks around the mark": (lines(*HELLO) + b"data:  [DONE] \n\n", HELLO),
    "the mark without a blank line": (lines(chunk("Hi")) + b"data: [DONE]", [chunk("Hi")]),
    "more after the mark": (lines(chunk("Hi")) + b"data: [DONE]\n\ndata: {\n\n" + lines({"error": "x"}), [chunk("Hi")]),
    "returns": (lines(*HELLO, end=b"\r\r"), HELLO),
    "a mark of its encoding": (b"\xef\xbb\xbf" + lines(*HELLO), HELLO),
    "signs of life": (
        b": ping\n\nevent: ping\ndata: {}\n\ndata:\n\n"
        + lines(*HELLO[:2])
        + b'data: {"type": "ping"}\n\ndata:  \n\n'
        + lines(HELLO[2]),
        HELLO,
    ),
    "both choices": (lines({"choices": [choice(0, "stop"), choice(1)]}, {"choices": [choice(1, "stop")]}), []),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("chunked", [True, False])
async def test_a_stream_is_whole(name: str, *, chunked: bool) -> None:
    body, events = WHOLE[name]
    answer = written(EVENTS, framed(body), b"0\r\n\r\n") if chunked else written(TYPED, body)
    found = await streamed(answer)
    assert found == events or not events


CUT: dict[str, Answer] = {
    "nothing": written(EVENTS, b"0\r\n\r\n"),
    "the mark alone": written(EVENTS, framed(b"data: [DONE]\n\n"), b"0\r\n\r\n"),
    "no finish reason": written(EVENTS, framed(lines(*HELLO[:2])), b"0\r\n\r\n"),
    "one choice of two": written(EVENTS, framed(lines({"choices": [choice(0, "stop"), choice(1)]})), b"0\r\n\r\n"),
    "torn after its finish reason": written(EVENTS, framed(lines(*HELLO))),
    "torn in a chunk": written(EVENTS, framed(lines(*HELLO)), CUT_CHUNK),
    "a length that is not reached": written(
        PLAIN % b"content-type: text/event-stream\r\ncontent-length: 9999\r\n", lines(*HELLO)
    ),
    "half an event before its finish reason": written(
        EVENTS, framed(lines(*HELLO[:2]) + b'data: {"choi'), b"0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("name", CUT)
async def test_a_stream_that_is_not_whole_is_the_upstreams_failure(name: str) -> None:
    with pytest.raises(UpstreamFailed, match=r"before it was complete|broke off|JSON"):
        await streamed(CUT[name])


async def test_a_stream_that_is_reset_after_its_finish_reason_is_the_upstreams_failure() -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(EVENTS + framed(lines(*HELLO)))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

    with pytest.raises(UpstreamFailed):
        await streamed(answer)


async def test_a_stream_of_a_completion_is_whole_with_its_finish_reason_too() -> None:
    texts: list[JsonObject] = [
        {"choices": [{"index": 0, "text": "a", "finish_reason": reason}]} for reason in (None, "stop")
    ]
    upstream = FakeUpstream(replies={"/v1/completions": stream(texts, done=False)})
    async with running(upstream):
        provider = connect(upstream.url)
        request = CompletionRequest.model_validate({"model": "m", "prompt": "x", "stream": True})
        assert [event async for event in await provider.stream_completion(request)] == texts
        upstream.replies["/v1/completions"] = stream(texts[:1], done=False)
        with pytest.raises(UpstreamFailed):
            _ = [event async for event in await provider.stream_completion(request)]
        await provider.close()


@pytest.mark.parametrize(
    "label",
    [
        b"",
        b"text/event-stream;charset=utf-8",
        b"Text/Event-Stream",
        b"text/plain",
        b"application/octet-stream",
        b"application/json",
    ],
)
async def test_a_stream_of_events_is_known_by_what_it_says(label: bytes) -> None:
    head = PLAIN % (b"content-type: %b\r\n" % label if label else b"")
    assert await streamed(written(head, lines(*HELLO))) == HELLO


@pytest.mark.parametrize("label", [b"text/event-stream", b"application/json", b"application/x-ndjson", b""])
@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (json.dumps(CHAT).encode(), UpstreamFailed, "did not answer with a stream of events"),
        (json.dumps(CHUNKS[0]).encode() + b"\n" + json.dumps(CHUNKS[1]).encode(), UpstreamFailed, "stream of events"),
        (b'{"error": {"message": "slow down", "code": 429}}', UpstreamThrottled, "throttling"),
        (b'\n [{"error": {"message": "too hot", "code": 400}}]', InvalidRequest, "too hot"),
        (b'{"detail": [{"loc": ["body", "n"], "msg": "too many"}]}', UpstreamFailed, "in the place of an answer"),
        (b"{" + b" " * 100_000, UpstreamFailed, "stream of events"),
    ],
)
async def test_json_in_the_place_of_a_stream_is_the_error_in_it(
    label: bytes, body: bytes, kind: type[ApiError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        await streamed(written(PLAIN % (b"content-type: %b\r\n" % label if label else b""), body))


@pytest.mark.parametrize("body", [b"<html>", b"Bad Gateway", b""])
async def test_what_is_no_stream_is_the_upstreams_failure(body: bytes) -> None:
    with pytest.raises(UpstreamFailed, match="stream of events"):
        await streamed(written(PLAIN % b"content-type: text/html\r\n", body))


ERRORS: list[tuple[bytes, type[ApiError], str]] = [
    (lines({"error": {"message": "slow down", "code": 429}}), UpstreamThrottled, "upstream_rate_limit_exceeded"),
    (
        lines({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}),
        UpstreamThrottled,
        "rate_limit_exceeded",
    ),
    (
        lines({"object": "error", "message": "too hot", "type": "BadRequestError", "code": 400}),
        InvalidRequest,
        "invalid_request",
    ),
    (lines({"error": "CUDA out of memory", "error_type": "generation"}), UpstreamFailed, "upstream_error"),
    (lines({"detail": "no"}), UpstreamFailed, "upstream_error"),
    (
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n',
        UpstreamFailed,
        "upstream_error",
    ),
    (b"event: error\ndata: prompt is too long\n\n", InvalidRequest, "context_length_exceeded"),
    (
        b'error: {"code": 400, "message": "the request exceeds the available context size"}\n\n',
        InvalidRequest,
        "context_length_exceeded",
    ),
    (
        lines(
            {"choices": [choice(0, "error", content="")], "error": {"code": 502, "message": "Provider disconnected"}}
        ),
        UpstreamFailed,
        "upstream_error",
    ),
    (
        lines({"choices": [{**choice(0, "error"), "error": {"code": 429, "message": "x"}}]}),
        UpstreamThrottled,
        "upstream_rate_limit_exceeded",
    ),
]


@pytest.mark.parametrize(("event", "kind", "code"), ERRORS)
@pytest.mark.parametrize("before", [[], HELLO[:2]], ids=["first", "later"])
async def test_an_error_in_a_stream_is_that_error(
    event: bytes, kind: type[ApiError], code: str, before: list[JsonObject]
) -> None:
    body = lines(*before) + event + b"data: [DONE]\n\n"
    async with running_raw(written(EVENTS, framed(body), b"0\r\n\r\n")) as upstream:
        provider = connect(upstream.url)
        seen: list[JsonObject] = []
        with pytest.raises(kind) as failure:
            seen += [chunk_ async for chunk_ in await provider.stream_chat_completion(chat(stream=True))]
        await provider.close()
    assert (type(failure.value), failure.value.code) == (kind, code)


async def test_an_answer_that_is_an_error_is_that_error() -> None:
    async with running() as upstream:
        provider = connect(upstream.url)
        for body, kind in (
            ({"error": {"message": "slow", "code": 429}}, UpstreamThrottled),
            ({"object": "error", "message": "bad", "code": 400}, InvalidRequest),
            ({"choices": [{"error": {"message": "slow", "code": 429}, "finish_reason": "error"}]}, UpstreamThrottled),
        ):
            upstream.replies[CHAT_PATH] = status(200, body)
            with pytest.raises(kind):
                await provider.chat_completion(chat())
        upstream.replies[CHAT_PATH] = raw(json.dumps({**CHAT, "error": None}).encode())
        assert (await provider.chat_completion(chat()))["choices"] == CHAT["choices"]
        await provider.close()
