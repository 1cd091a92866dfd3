"""Rows in blobs: written as segments of JSON lines with an index, and read by one range."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Final

from core.services.datasets.records import STEP, Segment, folder_of
from core.stores.blobs.port import BlobStore

SEGMENT: Final = 16 * 1024 * 1024
"""Bytes at which a segment is full; it is in memory until then."""
MEDIA_TYPE: Final = "application/jsonl"


@dataclass(slots=True)
class SegmentDraft:
    """Lines, without their breaks, that become a segment."""

    lines: list[bytes] = field(default_factory=list[bytes], repr=False)
    size: int = 0
    offsets: list[int] = field(default_factory=list[int])

    @property
    def is_full(self) -> bool:
        return self.size >= SEGMENT

    def add(self, lines: Sequence[bytes]) -> None:
        had, begin = len(self.lines), 0
        for row in range(max(STEP, -(-had // STEP) * STEP), had + len(lines), STEP):
            self._weigh(lines[begin : row - had])
            self.offsets.append(self.size)
            begin = row - had
        self._weigh(lines[begin:])
        self.lines += lines

    def _weigh(self, lines: Sequence[bytes]) -> None:
        self.size += sum(map(len, lines)) + len(lines)

    async def write(self, blobs: BlobStore, folder: str) -> Segment:
        """Under a name that nobody else has; raises StateUnavailable."""
        key = f"{folder_of(folder)}{token_hex(12)}.jsonl"
        await blobs.put(key, b"\n".join((*self.lines, b"")), media_type=MEDIA_TYPE)
        return Segment(key, len(self.lines), self.size, self.offsets)


async def write_segments(blobs: BlobStore, folder: str, groups: AsyncIterator[Sequence[bytes]]) -> list[Segment]:
    """All of the lines; raises what `groups` raises, and then what was written is still there."""
    segments, draft = list[Segment](), SegmentDraft()
    async for group in groups:
        draft.add(group)
        if draft.is_full:
            segments.append(await draft.write(blobs, folder))
            draft = SegmentDraft()
    if draft.lines:
        segments.append(await draft.write(blobs, folder))
    return segments


def bytes_of(line: bytes) -> int:
    """In a segment, with its break."""
    return len(line) + 1


async def read_lines(
    blobs: BlobStore,
    segments: Sequence[Segment],
    start: int,
    count: int,
    most_bytes: int,
    *,
    weigh: Callable[[bytes], int] = bytes_of,
) -> list[bytes]:
    """At most `count` lines from `start`, fewer where they would `weigh` more than `most_bytes`; at least one, if there is one.

    None weighs less than `bytes_of` it: what is read of a segment that is cut short would be followed by the next one's.

    Raises NotFound where a segment is gone: others were put in its place, or the dataset was removed.
    """
    lines, place, size = list[bytes](), 0, 0
    for segment in segments:
        first, last = max(0, start - place), min(segment.rows, start + count - place)
        place += segment.rows
        if first >= last:
            continue
        part = await _read_segment(blobs, segment, first, last, most_bytes - size)
        for line in part:
            size += weigh(line)
            if size > most_bytes and lines:
                return lines
            lines.append(line)
    return lines


async def _read_segment(blobs: BlobStore, segment: Segment, first: int, last: int, most: int) -> list[bytes]:
    start, stop, number = segment.range_of(first, last, most)
    content = b"".join([chunk async for chunk in blobs.read(segment.key, start=start, stop=stop)])
    return content.split(b"\n")[:-1][first - number : last - number]
