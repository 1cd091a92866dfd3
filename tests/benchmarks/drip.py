"""An upstream that streams, as vLLM and as Bedrock: `python -m tests.benchmarks.drip`; prints its port.

A model's name says what it streams: `drip-COUNT-PAUSE-SIZE` is COUNT tokens of SIZE letters, PAUSE milliseconds before
each, and each in an HTTP chunk of its own. Without a stream there is one short answer.
"""

import asyncio
from functools import cache
import json
import re
from typing import Any

from tests.benchmarks.upstream import ANSWER, MODELS, http
from tests.parts.bedrock import HELLO, KEYS, REGION, event

VLLM, BEDROCK = "remote::vllm", "remote::bedrock"
LETTER = "~"
STREAM = re.compile(rb"drip-(\d+)-(\d+)-(\d+)")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ"  # in Bedrock's events, so that their lengths tell nothing

type Pieces = tuple[bytes, bytes, bytes, bytes]
"""The response's head, its first event, a token, and what follows the last token."""


def provider(provider_type: str, port: int) -> dict[str, Any]:
    """The upstream at `port`, as a run config names it."""
    url = f"http://127.0.0.1:{port}"
    config = {VLLM: {"url": url}, BEDROCK: {"endpoint_url": url, "region_name": REGION, **KEYS}}[provider_type]
    return {"provider_id": "up", "provider_type": provider_type, "config": config}


def named(count: int, pause: int, size: int) -> str:
    """`pause` in milliseconds, `size` in letters."""
    return f"drip-{count}-{pause}-{size}"


def _chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def _sse(**more: object) -> bytes:
    body = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": "bench"} | more
    return b"data: %b\n\n" % json.dumps(body).encode()


def _delta(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    return _sse(choices=[{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}])


@cache
def _as_vllm(size: int) -> Pieces:
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    last = _delta({}, "stop"), _sse(choices=[], usage=usage), b"data: [DONE]\n\n"
    return (
        HEAD % b"text/event-stream",
        _chunked(_delta({"role": "assistant", "content": ""})),
        _chunked(_delta({"content": LETTER * size})),
        _chunked(*last) + END,
    )


@cache
def _as_bedrock(size: int) -> Pieces:
    last = (
        event("contentBlockStop", {"contentBlockIndex": 0, "p": PADDING}),
        event("messageStop", {"stopReason": "end_turn", "p": PADDING}),
        event("metadata", {"usage": HELLO["usage"], "metrics": HELLO["metrics"], "p": PADDING}),
    )
    return (
        HEAD % b"application/vnd.amazon.eventstream",
        _chunked(event("messageStart", {"role": "assistant", "p": PADDING})),
        _chunked(event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": LETTER * size}, "p": PADDING})),
        _chunked(*last) + END,
    )


def _whole(head: bytes) -> bytes:
    if head.startswith(b"GET "):
        return MODELS
    return json.dumps(HELLO).encode() if b"/converse " in head else ANSWER


async def _drip(writer: asyncio.StreamWriter, request: bytes, found: re.Match[bytes]) -> None:
    """The response's head and first event at once; then it waits for whoever reads slowly, as a server does."""
    count, pause, size = map(int, found.groups())
    as_bedrock = b"/converse-stream " in request.partition(b"\r\n")[0]
    head, first, token, last = (_as_bedrock if as_bedrock else _as_vllm)(size)
    writer.write(head + first)
    for _ in range(count):
        await asyncio.sleep(pause / 1000)
        writer.write(token)
        await writer.drain()
    writer.write(last)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head.lower())
            request = head + (await reader.readexactly(int(length[1])) if length else b"")
            found = STREAM.search(request)
            if found:
                await _drip(writer, request, found)
            else:
                writer.write(http(_whole(head)))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
