"""Server-sent events mean what the standard says, however the network cuts them."""

from collections.abc import AsyncIterator
import itertools
import json
import re

from hypothesis import example, given
from hypothesis import strategies as st
import pytest

from core.config.answer_limits import LEAST_EVENT, AnswerLimits
from core.errors import UpstreamFailed
from core.providers.http.events import read_events

LIMITS = AnswerLimits(max_event_bytes=4096, max_stream_bytes=64 * 1024)
END = st.sampled_from([b"\n", b"\r\n", b"\r"])
DATA = st.binary(min_size=1, max_size=30).map(lambda data: data.replace(b"\n", b"").replace(b"\r", b"") or b"x")


async def parsed(chunks: list[bytes], limits: AnswerLimits = LIMITS) -> list[bytes]:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [event async for event in read_events(stream(), limits, UpstreamFailed)]


@given(
    st.lists(DATA, max_size=6),
    st.lists(st.integers(0, 400), max_size=8),
    END,
    st.sampled_from([b"", b": ping", b"id: 7", b"event: message"]),
)
async def test_events_survive_any_cut(events: list[bytes], cuts: list[int], newline: bytes, other: bytes) -> None:
    lines = [part for event in events for part in ([other] if other else []) + [b"data: " + event, b""]]
    text = b"".join(line + newline for line in lines)
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    chunks = [text[start:end] for start, end in itertools.pairwise(edges)]
    assert await parsed(chunks) == events


FIELD = st.sampled_from(
    [
        b"data",
        b"data:",
        b"data: ",
        b"data:  x",
        b"dat",
        b" data: x",
        b"",
        b": ping",
        b"event: message",
        b"id:7",
        b"retry: 1",
        b"x",
    ]
)
LINE = st.tuples(FIELD, st.sampled_from([b"", b"{}", b":", b" a", b"\xff", b"\xef\xbb\xbf", b"\0"])).map(b"".join)


def standard(text: bytes) -> list[bytes]:
    """The data of each event, by https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation."""
    *lines, _ = re.split(rb"\r\n|\r|\n", text.removeprefix(b"\xef\xbb\xbf"))
    events, buffer = [], b""
    for line in lines:
        field, _, value = line.partition(b":")
        if not line:
            events += [buffer.removesuffix(b"\n")] if buffer.removesuffix(b"\n") else []
            buffer = b""
        elif field == b"data":
            buffer += value.removeprefix(b" ") + b"\n"
    return events


@given(
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.lists(st.tuples(LINE, END), max_size=12),
    st.lists(st.integers(0, 200), max_size=8),
)
async def test_any_text_has_the_events_that_the_standard_says_whatever_the_cut(
    mark: bytes, lines: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    text = mark + b"".join(itertools.chain(*lines)) + b"\n\n"
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    chunks = [text[start:end] for start, end in itertools.pairwise(edges)]
    assert await parsed(chunks) == standard(text)


PIECE = st.sampled_from(
    [
        b"data: 1\n\n",
        b"data: 2\r\n\r\n",
        b"data: 3\r\r",
        b"data: 4\n",
        b"data: \n\n",
        b"da",
        b"ta: 5\n\n",
        b"data: 6",
        b"\r",
        b"\n",
        b": x\n",
    ]
)


@given(st.lists(PIECE, max_size=10))
@example([b"data: 6", b"\r", b"\ndata: 7\n"])
@example([b"data: 6\r", b"\n", b"\n", b"data: 7\n"])
@example([b"data: 6\r", b"data: 7\r", b"", b"\ndata: 8\r"])
@example([b"data: 1\n\nda", b"data: 2\n\n"])
@example([b"data: 1\n\ndata: 2\n", b"data: 3\n\n"])
@example([b"data: 1\n\n: x\r", b"data: 2\n\n", b"data: 3\n\n"])
@example([b"data: 1\n\n", b"data: 2\rdata: 3\n\n", b"data: 4\n\n\n"])
async def test_pieces_that_are_events_mean_the_same_as_those_that_are_none(pieces: list[bytes]) -> None:
    assert await parsed([*pieces, b"\n\n"]) == standard(b"".join(pieces) + b"\n\n")


@pytest.mark.parametrize("name", [b"ping", b"heartbeat", b"keepalive"])
async def test_a_sign_of_life_is_no_event(name: bytes) -> None:
    sign = [b"event: " + name + b"\n", b"data: pong\n\n"]
    assert await parsed([b"".join(sign) + b"data: 1\n\n"]) == [b"1"]
    assert await parsed([b"data: 0\n\n" + sign[0], sign[1], b"data: 1\n\n"]) == [b"0", b"1"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b'event: error\ndata: {"error": {"message": "no"}}\n\n', {"message": "no"}),
        (b'event: error\ndata: {"message": "no"}\n\n', {"message": "no"}),
        (b"event:error\ndata: out of memory\n\n", "out of memory"),
        (b"data: out of memory\nevent: error\n\n", "out of memory"),
        (b'error: {"message": "no"}\n\n', {"message": "no"}),
        (b"error: \xff\n\n", "\ufffd"),
    ],
)
async def test_an_event_of_the_name_error_is_an_error_whatever_its_data(text: bytes, error: object) -> None:
    events = await parsed([text, b"data: 1\n\n"])
    assert json.loads(events[0])["error"] == error


async def test_what_says_nothing_has_an_end() -> None:
    with pytest.raises(UpstreamFailed, match="too long"):
        await parsed([b"data:\n\n: ping\n\nevent: ping\ndata: x\n\n"] * 4096)


async def test_a_last_event_without_its_blank_line_counts() -> None:
    assert await parsed([b'data: {"a":1}\n\ndata: [DONE]']) == [b'{"a":1}', b"[DONE]"]
    assert await parsed([b"data: one\ndata: two\n"]) == [b"one\ntwo"]


@pytest.mark.parametrize("line", [b"data: " + b"x" * 500, b": " + b"x" * 500, b"event: " + b"x" * 500])
@pytest.mark.parametrize("lines", [8, 9])
async def test_an_event_has_its_limit_whatever_it_is_made_of(line: bytes, lines: int) -> None:
    text = [line + b"\n"] * lines + [b"data: 1\n\n"]
    if lines * (len(line) + 1) + len(text[-1]) <= LIMITS.max_event_bytes:
        assert await parsed(text) == await parsed([b"".join(text)])
    for chunks in (text, [b"".join(text)]):
        if lines * (len(line) + 1) + len(text[-1]) > LIMITS.max_event_bytes:
            with pytest.raises(UpstreamFailed, match="an event that is too long"):
                await parsed(chunks)


async def test_a_stream_has_its_limit_and_small_events_count_as_more() -> None:
    most = LIMITS.max_stream_bytes // LEAST_EVENT
    assert len(await parsed([b"data: 1\n\n"] * most)) == most
    for chunks in ([b"data: 1\n\n"] * (most + 1), [b"data: 1\n\n" * (most + 1)]):
        with pytest.raises(UpstreamFailed, match="a stream that is too long"):
            await parsed(chunks)


async def test_an_endless_line_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(UpstreamFailed, match="too long"):
        await parsed([b"data: " + b"x" * 2048] * 3)
