"""Blobs in memory, of whose port what jobs use is there."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from core.errors import NotFound
from core.frame.content import Blob


@dataclass
class MemoryBlobs:
    contents: dict[str, bytes] = field(default_factory=dict[str, bytes])

    async def put(
        self, key: str, content: bytes | AsyncIterator[bytes], *, media_type: str = "application/octet-stream"
    ) -> Blob:
        whole = content if isinstance(content, bytes) else b"".join([chunk async for chunk in content])
        self.contents[key] = whole
        return Blob(key, len(whole), media_type, "")

    async def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        if key not in self.contents:
            raise NotFound(key)
        yield self.contents[key][start:stop]

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)
