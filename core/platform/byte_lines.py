"""Lines of a stream of bytes, as files of JSON lines have them."""

from collections.abc import AsyncIterable, AsyncIterator

from core.platform.bounded import AnswerTooLarge


async def read_lines(chunks: AsyncIterable[bytes], most: int) -> AsyncIterator[bytes]:
    """Each line that is not blank, without its break; the last may lack one.

    Raises:
        AnswerTooLarge: a line has more than `most` bytes.
    """
    pieces: list[bytes] = []
    size = 0
    async for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            line = b"".join((*pieces, piece)) if pieces else piece
            if len(line) > most:
                raise AnswerTooLarge
            if line.strip():
                yield line
            pieces, size = [], 0
        if rest:
            pieces.append(rest)
            size += len(rest)
            if size > most:
                raise AnswerTooLarge
    last = b"".join(pieces)
    if last.strip():
        yield last
