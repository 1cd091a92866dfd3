"""A file that is being written: moved to its place once it is whole and on the disk, or removed.

Of the descriptor, and by paths that are text: file objects and `Path` take as long as the writing of a kilobyte.
"""

from collections.abc import Sequence
from contextlib import suppress
from itertools import batched
import os
from secrets import token_hex
from typing import Final, Self

from pydantic_core import to_json

from core.frame.content import Blob

CREATE: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY
QUICK: Final = 0.001  # seconds of a write with its syncs
TRIALS: Final = 8  # quick ones in a row, before others wait for one on the event loop
SHORT: Final = 64 * 1024  # bytes
MOST_VECTORS: Final = 1024  # that one call writes, of POSIX's IOV_MAX


class Partial:
    """`with` it: what was not moved to its place by then is closed and removed. All else blocks, and is for threads."""

    def __init__(self, directory: str, media_type: str) -> None:
        self._path = f"{directory}/{token_hex(16)}"
        self._media_type = media_type
        self._etag = token_hex(16)
        self._file: int | None = None
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._close()
            with suppress(OSError):  # whatever it is, it was said already
                os.unlink(self._path)  # noqa: PTH108

    def begin(self) -> None:
        """Raises FileNotFoundError where there is no such directory."""
        self._file = os.open(self._path, CREATE, 0o600)
        _write(self._file, [to_json({"media_type": self._media_type, "etag": self._etag}) + b"\n"])

    def write(self, chunks: Sequence[bytes]) -> None:
        """Append the content of the chunks."""
        self._size += _write(self._descriptor, chunks)

    def sync(self) -> None:
        """The content is on the disk afterwards."""
        os.fsync(self._descriptor)

    def move(self, path: str) -> None:
        """To its place; raises FileNotFoundError where there is no directory for it."""
        os.replace(self._path, path)  # noqa: PTH105
        self._close()

    def blob(self, key: str) -> Blob:
        """What there is now of it."""
        return Blob(key, self._size, self._media_type, self._etag)

    @property
    def _descriptor(self) -> int:
        if self._file is None:
            raise RuntimeError("a partial file is written between its beginning and its move")
        return self._file

    def _close(self) -> None:
        file, self._file = self._descriptor, None
        with suppress(OSError):  # it was synced, or is to go
            os.close(file)


class DiskPace:
    """Whether a short write to a directory is done on the event loop: a disk that is quick takes less than handing the write to a thread does.

    A single slow write puts the next ones into threads: a disk that stalls holds up others once, not again and again.
    """

    def __init__(self) -> None:
        self._quick = 0

    def may_wait(self, size: int) -> bool:
        """Whether the event loop may wait for a write of so many bytes."""
        return size <= SHORT and self._quick >= TRIALS

    def note(self, size: int, seconds: float) -> None:
        """What a write took, wherever it was done; long ones tell nothing."""
        if size <= SHORT:
            self._quick = self._quick + 1 if seconds < QUICK else 0


def _write(file: int, chunks: Sequence[bytes]) -> int:
    """The number of bytes."""
    total = 0
    for batch in batched(chunks, MOST_VECTORS, strict=False):
        size = sum(map(len, batch))
        total += size
        if (missing := size - os.writev(file, batch)) > 0:  # a full disk takes a part, and says why at the next
            rest = memoryview(b"".join(batch))[-missing:]
            while rest:
                rest = rest[os.write(file, rest) :]
    return total
