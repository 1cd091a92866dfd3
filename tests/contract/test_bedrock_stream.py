"""Bedrock's event stream under the real SDK: frames cut anywhere, broken, late, and callers that leave."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from core.errors import UpstreamFailed, UpstreamTimeout
from tests.parts.bedrock import EVENTS, FakeBedrock, chat, collected, event, events, frame, frames, serving, text_of
from tests.parts.upstream import hang, raw

WHOLE = b"".join(events(EVENTS))
SHORT = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}}) + event(
    "messageStop", {"stopReason": "end_turn"}
)
STREAM_OF = "converse-stream"


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - what the server's sockets do sets no event
            await asyncio.sleep(0.005)


def open_connections(fake: FakeBedrock) -> int:
    return sum(not transport.is_closing() for transport in fake.connections if transport is not None)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at:][1:]


async def test_frames_may_be_cut_at_every_byte() -> None:
    async with serving() as (fake, bedrock):
        for cut in range(1, len(SHORT)):
            fake.replies[STREAM_OF] = frames([SHORT[:cut], SHORT[cut:]])
            assert text_of(await collected(bedrock)) == "Hi", cut


@pytest.mark.parametrize("size", [1, 7, 100, len(WHOLE)])
async def test_frames_may_come_in_drips_and_together(size: int) -> None:
    async with serving() as (fake, bedrock):
        fake.replies[STREAM_OF] = frames(WHOLE[at : at + size] for at in range(0, len(WHOLE), size))
        chunks = await collected(bedrock)
    assert text_of(chunks) == "Hello"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_each_event_leaves_as_soon_as_its_frame_is_there() -> None:
    async with serving() as (fake, bedrock):
        third = events(EVENTS)[2]
        fake.replies[STREAM_OF] = frames([*events(EVENTS[:2]), third[:-1]], hang=True)
        async with aclosing(await bedrock.stream_chat_completion(chat(stream=True))) as chunks:
            seen = [await anext(chunks), await anext(chunks)]
            assert text_of(seen) == "Hel"


async def test_an_event_that_is_not_known_here_is_passed_over() -> None:
    async with serving() as (fake, bedrock):
        fake.replies[STREAM_OF] = frames([event("weather", {"rain": True}), *events(EVENTS)])
        assert text_of(await collected(bedrock)) == "Hello"


@pytest.mark.parametrize("at", [0, 5, 8, 11, 20, -20, -4, -1], ids=lambda at: f"byte{at}")
async def test_a_broken_frame_is_the_upstreams_failure_before_and_after_the_first(at: int) -> None:
    parts = events(EVENTS)
    async with serving() as (fake, bedrock):
        fake.replies[STREAM_OF] = frames([flipped(parts[0], at % len(parts[0])), *parts[1:]])
        with pytest.raises(UpstreamFailed, match=r"broke off|failed to answer|before it was complete"):
            await bedrock.stream_chat_completion(chat(stream=True))
        fake.replies[STREAM_OF] = frames([parts[0], flipped(parts[1], at % len(parts[1])), *parts[2:]])
        chunks = await bedrock.stream_chat_completion(chat(stream=True))
        assert await anext(chunks)
        with pytest.raises(UpstreamFailed):
            await anext(chunks)


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>" * 9, frame({}, b"{}"), event("messageStart", {})[:-5]])
async def test_what_is_no_event_stream_fails_before_the_stream_opens(body: bytes) -> None:
    async with serving() as (fake, bedrock):
        fake.replies[STREAM_OF] = raw(body, "application/vnd.amazon.eventstream")
        with pytest.raises(UpstreamFailed):
            await bedrock.stream_chat_completion(chat(stream=True))


@pytest.mark.parametrize("kept", range(1, 4))
async def test_a_stream_that_ends_before_its_message_is_a_failure_after_its_chunks(kept: int) -> None:
    async with serving() as (fake, bedrock):
        fake.replies[STREAM_OF] = frames(events(EVENTS[:kept]))
        chunks = await bedrock.stream_chat_completion(chat(stream=True))
        for _ in range(kept):
            await anext(chunks)
        with pytest.raises(UpstreamFailed, match="before it was complete"):
            await anext(chunks)


async def test_a_connection_that_is_reset_is_a_failure_after_its_chunks() -> None:
    async with serving() as (fake, bedrock):
        fake.replies[STREAM_OF] = frames(events(EVENTS[:2]), reset=True)
        chunks = await bedrock.stream_chat_completion(chat(stream=True))
        assert text_of([await anext(chunks), await anext(chunks)]) == "Hel"
        with pytest.raises(UpstreamFailed, match="broke off its answer"):
            await anext(chunks)


async def test_a_model_that_hangs_is_a_timeout_before_the_first_event_and_after() -> None:
    async with serving(read_timeout=0.2) as (fake, bedrock):
        fake.replies["converse"] = fake.replies[STREAM_OF] = hang
        with pytest.raises(UpstreamTimeout):
            await bedrock.chat_completion(chat())
        with pytest.raises(UpstreamTimeout):
            await bedrock.stream_chat_completion(chat(stream=True))
        fake.replies[STREAM_OF] = frames([], hang=True)
        with pytest.raises(UpstreamTimeout):
            await bedrock.stream_chat_completion(chat(stream=True))
        fake.replies[STREAM_OF] = frames(events(EVENTS[:2]), hang=True)
        chunks = await bedrock.stream_chat_completion(chat(stream=True))
        assert text_of([await anext(chunks), await anext(chunks)]) == "Hel"
        with pytest.raises(UpstreamTimeout):
            await anext(chunks)
        await until(lambda: open_connections(fake) == 0)


async def test_closing_a_stream_cancels_the_call() -> None:
    async with serving() as (fake, bedrock):
        fake.replies[STREAM_OF] = frames(events(EVENTS[:2]), hang=True)
        async with aclosing(await bedrock.stream_chat_completion(chat(stream=True))) as chunks:
            await anext(chunks)
        await asyncio.wait_for(fake.cancelled.wait(), 10)
        await until(lambda: open_connections(fake) == 0)


async def test_closing_a_stream_that_was_not_read_cancels_the_call() -> None:
    async with serving() as (fake, bedrock):
        fake.replies[STREAM_OF] = frames(events(EVENTS[:1]), hang=True)
        chunks = await bedrock.stream_chat_completion(chat(stream=True))
        async with aclosing(chunks):
            pass
        await asyncio.wait_for(fake.cancelled.wait(), 10)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_caller_that_leaves_before_the_first_byte_cancels_the_call(*, streamed: bool) -> None:
    async with serving() as (fake, bedrock):
        fake.replies["converse"] = fake.replies[STREAM_OF] = hang
        call = bedrock.stream_chat_completion(chat()) if streamed else bedrock.chat_completion(chat())
        task = asyncio.ensure_future(call)
        await until(lambda: bool(fake.seen))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(fake.cancelled.wait(), 10)
        await until(lambda: open_connections(fake) == 0)


async def test_a_caller_that_leaves_while_it_waits_for_a_chunk_cancels_the_call() -> None:
    async with serving() as (fake, bedrock):
        fake.replies[STREAM_OF] = frames(events(EVENTS[:1]), hang=True)
        task = asyncio.ensure_future(collected(bedrock))
        await until(lambda: bool(fake.seen))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(fake.cancelled.wait(), 10)


async def test_hundreds_of_abandoned_calls_leave_room_for_the_next() -> None:
    async with serving() as (fake, bedrock):
        fake.replies[STREAM_OF] = frames(events(EVENTS[:2]), hang=True)
        for _ in range(30):
            opened = await asyncio.gather(*(bedrock.stream_chat_completion(chat(stream=True)) for _ in range(10)))
            for chunks in opened:
                async with aclosing(chunks):
                    await anext(chunks)
        assert len(fake.seen) == 300
        assert (await bedrock.chat_completion(chat()))["choices"]
        await until(lambda: open_connections(fake) <= 1)
