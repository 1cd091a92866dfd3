"""Parts: what rows came to, in blobs that a checkpoint names, and all of them put together in the order of the rows.

A part is lines of `position TAB line`, where `position` is the row's in its shard.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from itertools import islice
import tempfile
from typing import IO, Final

from core.stores.blobs.port import BlobStore
from core.stores.jobs.port import Shard

IN_MEMORY: Final = 16 * 1024 * 1024
"""Bytes of a shard's parts; more of them are put together on disk."""
READ_AHEAD: Final = 8
"""Parts that are read at once."""
HEAD: Final = 1024 * 1024
"""Bytes of a part that are read ahead."""


def folder(job_id: str) -> str:
    """Below it is everything of a job; it ends with a slash."""
    return f"jobs/{job_id}/"


def parts_folder(job_id: str) -> str:
    """Below it are the parts of a job; it ends with a slash."""
    return f"{folder(job_id)}parts/"


def part_key(shard: Shard, number: int) -> str:
    """Of a part of a shard that its holder writes: no two write the same blob, and what one lost is never read."""
    return f"{parts_folder(shard.job)}{shard.plan}/{shard.number:05d}.{shard.holder}.{number:04d}"


def encode(lines: Mapping[int, bytes]) -> bytes:
    """By position; the lines have no line break."""
    return b"".join(b"%d\t%b\n" % (position, lines[position]) for position in sorted(lines))


async def ordered_lines(blobs: BlobStore, shards: Iterable[Shard]) -> AsyncIterator[tuple[int, int, bytes]]:
    """Shard number, position and line of every row that has ended, in input order, each once.

    Raises:
        NotFound: a part that a shard names is gone.
        StateUnavailable: the blobs cannot be read.
    """
    for shard in shards:
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
            places = await _put_together(blobs, shard, file)
            for position in sorted(places):
                start, size = places[position]
                file.seek(start)
                yield shard.number, position, file.read(size)


async def _put_together(blobs: BlobStore, shard: Shard, file: IO[bytes]) -> dict[int, tuple[int, int]]:
    """Where in `file` the line of each row is, and its bytes."""
    places: dict[int, tuple[int, int]] = {}
    async with aclosing(_read_heads(blobs, shard.parts)) as heads:
        async for key, head in heads:
            await _add(_read_on(blobs, key, head), file, places)
    return places


async def _read_heads(blobs: BlobStore, keys: Iterable[str]) -> AsyncGenerator[tuple[str, bytes]]:
    """The first bytes of each part, in order. Those of the next are on their way: a job has hundreds, and each costs a round trip."""
    rest, under_way = iter(keys), deque[tuple[str, asyncio.Task[bytes]]]()
    try:
        while True:
            keys_ahead = islice(rest, READ_AHEAD - len(under_way))
            under_way += [(key, asyncio.create_task(_read_head(blobs, key))) for key in keys_ahead]
            if not under_way:
                return
            key, head = under_way.popleft()
            yield key, await head
    finally:
        for _, task in under_way:
            task.cancel()
        await asyncio.gather(*(task for _, task in under_way), return_exceptions=True)


async def _read_head(blobs: BlobStore, key: str) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(key, start=0, stop=HEAD)])


async def _read_on(blobs: BlobStore, key: str, head: bytes) -> AsyncIterator[bytes]:
    yield head
    if len(head) == HEAD:
        async for chunk in blobs.read(key, start=HEAD):
            yield chunk


async def _add(chunks: AsyncIterator[bytes], file: IO[bytes], places: dict[int, tuple[int, int]]) -> None:
    """Append a part to `file`, and note where the line of each row is that no earlier part has."""
    rest, start = b"", file.tell()
    async for chunk in chunks:
        file.write(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            position, _, content = line.partition(b"\t")
            places.setdefault(int(position), (start + len(position) + 1, len(content)))
            start += len(line) + 1
