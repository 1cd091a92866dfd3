"""UTF-8 in pieces, with the line at which it is none."""

from codecs import getincrementaldecoder
from collections.abc import AsyncIterator

from core.services.datasets.formats.rules import Place


async def decode(chunks: AsyncIterator[bytes], name: str) -> AsyncIterator[str]:
    """The text, without a byte order mark. Raises InvalidRequest."""
    decoder = getincrementaldecoder("utf-8-sig")()
    line = 1
    async for chunk in chunks:
        try:
            text = decoder.decode(chunk)
        except UnicodeDecodeError as invalid:
            raise _no_text(name, line, invalid) from invalid
        line += text.count("\n")
        yield text
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as invalid:
        raise _no_text(name, line, invalid) from invalid


def _no_text(name: str, line: int, invalid: UnicodeDecodeError) -> Exception:
    before = bytes(invalid.object[: invalid.start]).count(b"\n")
    return Place(name, line + before).refusal("is no UTF-8 text.")
