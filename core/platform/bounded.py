"""The bytes of an HTTP answer, read up to a limit. They are counted decompressed: aiohttp inflates 256 KiB at a time."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import ClientResponse, StreamReader


class AnswerTooLarge(Exception):
    """It has, or says that it has, more bytes than are taken."""


async def read_up_to(response: "ClientResponse", most: int) -> bytes:
    """The whole body; raises AnswerTooLarge."""
    declared = response.content_length
    if declared is not None and declared > most:
        raise AnswerTooLarge
    if declared is not None and "content-encoding" not in response.headers:  # HTTP itself holds it to what it says
        return await response.read()
    chunks: list[bytes] = []
    remaining = most
    async for chunk in response.content.iter_any():
        remaining -= len(chunk)
        if remaining < 0:
            raise AnswerTooLarge
        chunks.append(chunk)
    return b"".join(chunks)


async def read_rest(head: bytes, content: "StreamReader", most: int) -> bytes:
    """`head`, and what comes after it until there are more than `most` bytes."""
    pieces, size = [head], len(head)
    async for chunk in content.iter_any():
        pieces.append(chunk)
        size += len(chunk)
        if size > most:
            break
    return b"".join(pieces)
