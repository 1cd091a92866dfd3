"""Server-sent events mean the same however the network cuts them."""

from collections.abc import AsyncIterator
import itertools

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.config.answer_limits import AnswerLimits
from core.errors import UpstreamFailed
from core.providers.http.events import read_events

LIMITS = AnswerLimits(max_event_bytes=4096, max_stream_bytes=64 * 1024)
DATA = st.binary(min_size=1, max_size=30).map(lambda data: data.replace(b"\n", b"").replace(b"\r", b"") or b"x")


async def parsed(chunks: list[bytes], limits: AnswerLimits = LIMITS) -> list[bytes]:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [event async for event in read_events(stream(), limits, UpstreamFailed)]


@given(
    st.lists(DATA, max_size=6),
    st.lists(st.integers(0, 400), max_size=8),
    st.sampled_from([b"\n", b"\r\n"]),
    st.sampled_from([b"", b": ping", b"id: 7", b"event: message"]),
)
async def test_events_survive_any_cut(events: list[bytes], cuts: list[int], newline: bytes, other: bytes) -> None:
    lines = [part for event in events for part in ([other] if other else []) + [b"data: " + event, b""]]
    text = b"".join(line + newline for line in lines)
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    chunks = [text[start:end] for start, end in itertools.pairwise(edges)]
    assert await parsed(chunks) == events


async def test_a_last_event_without_its_blank_line_counts() -> None:
    assert await parsed([b'data: {"a":1}\n\ndata: [DONE]']) == [b'{"a":1}', b"[DONE]"]
    assert await parsed([b"data: one\ndata: two\n"]) == [b"one\ntwo"]


async def test_an_endless_line_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(UpstreamFailed, match="too long"):
        await parsed([b"data: " + b"x" * 2048] * 3)
