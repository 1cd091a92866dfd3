"""Server-sent events as an upstream sends them, as far as the OpenAI wire uses them: `data:` fields, ended by a blank line.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable

from core.config.answer_limits import LEAST_EVENT, AnswerLimits
from core.errors import UpstreamFailed

type Failure = Callable[[str], UpstreamFailed]


async def read_events(chunks: AsyncIterator[bytes], limits: AnswerLimits, failure: Failure) -> AsyncGenerator[bytes]:
    """The data of each event. Lines end with LF or CRLF; comments and other fields are skipped, but counted.

    Raises what `failure` makes, where there is more of an event, or of the stream, than is taken.
    """
    data: list[bytes] = []
    size = total = 0  # bytes since the last event, and of all
    async for lines in _read_lines(chunks, limits.max_event_bytes, failure):
        for line in lines:
            size += len(line) + 1
            if size > limits.max_event_bytes:
                raise _too_long(failure)
            text = line.removesuffix(b"\r")
            if text.startswith(b"data:"):
                data.append(text[5:].removeprefix(b" "))
            elif not text and data:
                total += max(size, LEAST_EVENT)
                if total > limits.max_stream_bytes:
                    raise failure("sent a stream that is too long")
                yield b"\n".join(data)
                data, size = [], 0
    if data:
        yield b"\n".join(data)


async def _read_lines(chunks: AsyncIterator[bytes], most: int, failure: Failure) -> AsyncGenerator[list[bytes]]:
    """Those that each chunk ends, without their ends; in the end what is left. Pieces of a long one are joined once."""
    pieces: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        pieces.append(chunk)
        if b"\n" in chunk:
            *lines, rest = b"".join(pieces).split(b"\n")
            yield lines
            pieces, size = [rest], len(rest)
        if size > most:
            raise _too_long(failure)
    yield [b"".join(pieces)]


def _too_long(failure: Failure) -> UpstreamFailed:
    return failure("sent an event that is too long")
