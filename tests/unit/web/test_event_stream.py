"""What must be right when an answer is whole is right before its last bytes leave."""

import asyncio
from typing import Any

from core.errors import UpstreamFailed
from core.frame.types import JsonStream
from core.web.sse import DataFrames, EventStream


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
