"""The port of blobs: bytes by key, streamed both ways."""

from collections.abc import AsyncIterator
from typing import Final, Protocol

from core.frame.content import Blob, PresignedRequest

CHUNK: Final = 64 * 1024
"""About as many bytes as a chunk of a stream has."""


class BlobStore(Protocol):
    """Bytes by key, shared by every process that names the same folder or bucket.

    Keys are 1 to 900 bytes of ASCII letters, digits and `-_./#=`, without empty, `.` or `..` segments. Every method raises
    StateUnavailable when the store cannot be reached; a stream that fails on the way raises it from `read`.
    """

    async def put(
        self, key: str, content: bytes | AsyncIterator[bytes], *, media_type: str = "application/octet-stream"
    ) -> Blob:
        """Keep the content under the key, in the place of what was there; it is there whole, or not at all.

        What `content` raises is raised, and nothing is kept. No more than a few parts of it are in memory at once.
        """
        ...

    async def head(self, key: str) -> Blob | None:
        """What is known of the blob; None where there is none."""
        ...

    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` to before `stop`, in chunks; raises NotFound at the first one where there is none."""
        ...

    async def delete(self, *keys: str) -> None:
        """Remove the blobs; those that are not there do not matter."""
        ...

    async def old_keys(self, prefix: str, *, before: float) -> list[str]:
        """The keys that begin with `prefix`, which ends with `/`, of blobs written before then (Unix seconds, by the store's clock)."""
        ...

    async def delete_below(self, prefix: str) -> int:
        """Remove every blob whose key begins with `prefix`, which ends with `/`; the number of them."""
        ...

    async def download_url(
        self, key: str, *, seconds: int, filename: str = "", media_type: str = ""
    ) -> PresignedRequest | None:
        """A GET of the blob for whoever has the URL; None where the store has no such thing."""
        ...

    async def upload_url(self, key: str, *, seconds: int, size: int, media_type: str) -> PresignedRequest | None:
        """A PUT of exactly `size` bytes for whoever has the URL; None where the store has no such thing."""
        ...

    def warm(self) -> None:
        """Import and read what the first call would wait for; opens no connection."""
        ...

    async def close(self) -> None:
        """Close the connections; a later call opens others."""
        ...
