"""Bodies that are too large for an item, as blobs: `documents/LIFE/COLLECTION/NAME`, a new name for each revision.

A blob is written before the item names it, and removed after the item names another, so that whoever finds it gone reads the
item again. LIFE is the longest that it may be needed (`7d`, or `kept`): what a killed writer, or DynamoDB's TTL, leaves behind
goes by a lifecycle rule of the bucket for each. Nothing reads a blob that no item names.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from core.errors import InvalidRequest, NotFound, StateUnavailable

if TYPE_CHECKING:
    from core.stores.blobs.port import BlobStore

LIVES: Final = (1, 7, 30, 365)  # days
DAY: Final = 86400
SETTING: Final = "set `storage.stores.blobs` in the run config"

type FindBlobs = Callable[[], BlobStore | None]
"""None where the run config names no place for blobs."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """What an item says of its blob; `size` is in bytes."""

    key: str
    size: int
    digest: bytes


class LargeBodies:
    """Those of `least` bytes and more, in the store that `find_blobs` gives: few documents need one. It is closed by whoever opened it."""

    def __init__(self, find_blobs: "FindBlobs", *, least: int) -> None:
        self._find_blobs = find_blobs
        self.least = least

    async def put(self, collection: str, content: bytes, *, seconds: int | None) -> Pointer:
        """Keep `content`, for as many seconds at least, under a name of its own.

        Raises:
            InvalidRequest: there are no blobs.
        """
        blobs = self._find_blobs()
        if blobs is None:
            raise InvalidRequest(
                f"It has {len(content)} bytes when deflated, more than a table keeps. For larger ones {SETTING}."
            )
        pointer = Pointer(
            f"documents/{_life(seconds)}/{collection}/{uuid4().hex}", len(content), await _digest(content)
        )
        await blobs.put(pointer.key, content)
        return pointer

    async def read(self, pointer: Pointer) -> bytes | None:
        """The content; None where it is gone, or not whole."""
        blobs = self._find_blobs()
        if blobs is None:
            raise StateUnavailable(f"A document is kept as a blob, and there are none: {SETTING}.")
        try:
            content = b"".join([chunk async for chunk in blobs.read(pointer.key)])
        except NotFound:
            return None
        return content if await _digest(content) == pointer.digest else None

    async def remove(self, key: str) -> None:
        """Remove a blob that nothing names any more, if that can be done; "" is none."""
        blobs = self._find_blobs() if key else None
        if blobs is not None:
            with suppress(StateUnavailable):
                await blobs.delete(key)


def _life(seconds: int | None) -> str:
    if seconds is None:
        return "kept"
    return next((f"{days}d" for days in LIVES if seconds <= days * DAY), "kept")


async def _digest(content: bytes) -> bytes:
    return (await asyncio.to_thread(sha256, content)).digest()
