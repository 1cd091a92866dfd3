"""What must be right when an answer is whole is right before its last bytes leave."""

import asyncio
from typing import Any

import pytest

from core.errors import UpstreamFailed
from core.frame.types import EventSource, JsonStream, NamedEvent
from core.web.failures import STOPPING
from core.web.sse import DataFrames, EventFrames, EventStream


async def chunks(*given: dict[str, Any] | Exception) -> JsonStream:
    for each in given:
        if isinstance(each, Exception):
            raise each
        yield each


async def sent(stream: EventStream) -> list[Any]:
    """What was sent, with `closed` where the stream was closed."""
    order = list[Any]()

    async def closing() -> None:
        if "closed" not in order:
            order.append("closed")

    async def send(message: Any) -> None:
        order.append(message)

    async def receive() -> Any:
        await asyncio.sleep(3600)

    stream.closing = closing
    await stream({}, receive, send)
    return order


async def test_it_is_closed_before_the_last_bytes_and_after_the_last_event() -> None:
    order = await sent(EventStream(chunks({"a": 1}), DataFrames(done=True)))
    assert [each if each == "closed" else each.get("body") for each in order] == [
        None,
        b'data: {"a":1}\n\n',
        "closed",
        b"data: [DONE]\n\n",
    ]


async def test_a_failure_is_known_when_it_is_closed() -> None:
    stream = EventStream(chunks({"a": 1}, UpstreamFailed("no")), DataFrames(done=True))
    order = await sent(stream)
    assert stream.failed
    assert order.index("closed") == 3
    whole = EventStream(chunks({"a": 1}), DataFrames(done=True))
    await sent(whole)
    assert not whole.failed


async def steps() -> EventSource:
    yield NamedEvent("step", {"n": 0}, "0")
    await asyncio.sleep(3600)


@pytest.mark.parametrize("is_read_slowly", [False, True])
@pytest.mark.parametrize(
    ("frames", "last"),
    [
        (EventFrames(), b"event: error\n"),
        (EventFrames(lambda failure, _: NamedEvent("gone", failure.code)), b"event: gone\n"),
    ],
)
async def test_a_server_that_stops_ends_it_with_an_error_in_its_frames(
    frames: EventFrames, last: bytes, *, is_read_slowly: bool
) -> None:
    messages = list[Any]()
    begun = asyncio.Event()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and not begun.is_set():
            begun.set()
            if is_read_slowly:
                await asyncio.sleep(3600)
        messages.append(message)

    async def receive() -> Any:
        await asyncio.sleep(3600)

    stream = EventStream(steps(), frames)
    answering = asyncio.create_task(stream({}, receive, send))
    await begun.wait()
    await asyncio.sleep(0)
    answering.cancel(STOPPING)
    await answering
    bodies = [message["body"] for message in messages[1:]]
    assert bodies[-2].startswith(last)
    assert b"server_stopping" in bodies[-2]
    assert (bodies[-1], messages[-1]["more_body"], stream.failed) == (b"", False, True)


async def test_any_other_cancellation_cuts_it() -> None:
    stream = EventStream(steps(), EventFrames())
    answering = asyncio.create_task(sent(stream))
    await asyncio.sleep(0.05)
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
