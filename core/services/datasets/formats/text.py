"""The bytes of a source on their way to a reader: bounded, decompressed, and looked at first."""

from collections.abc import AsyncIterator
from typing import Final
import zlib

from core.services.datasets.formats.rules import MIB, RATIO, Place, RowBounds
from core.services.datasets.formats.sniffing import MOST_HEAD, PARQUET, is_gzip

PIECE: Final = 64 * 1024
GZIP_BITS: Final = 16 + zlib.MAX_WBITS


async def open_text(
    chunks: AsyncIterator[bytes], place: Place, bounds: RowBounds
) -> tuple[bytes, AsyncIterator[bytes]]:
    """The first bytes, as many as tell the format, and all of them; both decompressed. Raises InvalidRequest."""
    head, whole = await _peek(_gather(_bounded(chunks, place, bounds)))
    if not is_gzip(head):
        return head, whole
    head, whole = await _peek(_gunzip(whole, place))
    if head.startswith(PARQUET):  # which not every reader of gzip can read
        raise place.refusal(
            "is a Parquet file within gzip, which Parquet compresses by itself: give the file as it is."
        )
    return head, whole


async def _peek(chunks: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) >= MOST_HEAD:
            break
    return bytes(head[:MOST_HEAD]), _chain(bytes(head), chunks)


async def _gather(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """In pieces of a size that is worth a reader's while: a server may send single bytes."""
    pieces, size = list[bytes](), 0
    async for chunk in chunks:
        pieces.append(chunk)
        size += len(chunk)
        if size >= PIECE:
            yield b"".join(pieces)
            pieces, size = [], 0
    if pieces:
        yield b"".join(pieces)


async def _chain(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if head:
        yield head
    async for chunk in chunks:
        yield chunk


async def _bounded(chunks: AsyncIterator[bytes], place: Place, bounds: RowBounds) -> AsyncIterator[bytes]:
    room = bounds.total_bytes
    async for chunk in chunks:
        room -= len(chunk)
        if room < 0:
            raise place.refusal(f"has more than {bounds.total_bytes} bytes, which is the limit.")
        if chunk:
            yield chunk


async def _gunzip(chunks: AsyncIterator[bytes], place: Place) -> AsyncIterator[bytes]:
    """Members one after another, as RFC 1952 has them; in pieces of at most a MiB."""
    inflate, is_whole, room = zlib.decompressobj(GZIP_BITS), True, MIB
    async for chunk in chunks:
        room += RATIO * len(chunk)
        rest, piece = chunk, b""
        while rest or len(piece) == MIB:  # zlib may hold output back that did not fit
            piece = _inflate(inflate, rest, place)
            room -= len(piece)
            if room < 0:
                raise place.refusal(f"its content is more than {RATIO} times as large as it is compressed.")
            if piece:
                yield piece
            rest, is_whole = inflate.unconsumed_tail, inflate.eof
            if is_whole:
                rest, piece, inflate = inflate.unused_data, b"", zlib.decompressobj(GZIP_BITS)
    if not is_whole:
        raise place.refusal("its compressed content ends too early.")


def _inflate(inflate: "zlib._Decompress", content: bytes, place: Place) -> bytes:  # pyright: ignore[reportPrivateUsage] - it has no public name
    try:
        return inflate.decompress(content, MIB)
    except zlib.error as broken:
        raise place.refusal("its compression is broken.") from broken
