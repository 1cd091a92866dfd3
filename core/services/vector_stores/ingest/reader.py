"""The chunks of a file, batch by batch: its bytes are copied to this machine, and read, cut and counted in a thread."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
import tempfile
from threading import Lock
from typing import IO, Final

from core.apis.files import OpenFile
from core.services.vector_stores.ingest.chunks import Chunking, split
from core.services.vector_stores.ingest.extract import extract_text
from core.services.vector_stores.ingest.limits import MB, Unreadable
from core.services.vector_stores.ingest.tokens import estimate_tokens

IN_MEMORY: Final = 8 * MB
MOST_BYTES: Final = 200 * MB
"""Of a file; with its copy for the PDF reader, that is what a function's disk takes."""

TOO_LONG: Final = (
    "This file has more than {most:,} tokens, and with the chunking strategy `contextual` a model reads all of it for each chunk: use "
    "`static`, or split it."
)


class ChunkReader:
    """One at a time asks it; it may be closed while a thread is at work, which then ends at the next chunk."""

    def __init__(self, filename: str, copy: IO[bytes], chunking: Chunking) -> None:
        """`copy` is the file's bytes, and closed with this."""
        self._copy = copy
        self._chunking = chunking
        self._texts = extract_text(copy, filename)  # type: ignore[arg-type]
        self._chunks = split(self._texts, chunking.size, chunking.overlap)
        self._lock = Lock()
        self._is_closed = False

    @classmethod
    async def open(cls, file: OpenFile, chunking: Chunking) -> "ChunkReader":
        """Raises Unreadable for what is too large, and what reading its bytes raises."""
        size = file.content.size
        if size > MOST_BYTES:
            message = f"This file has {size:,} bytes, and files of at most {MOST_BYTES:,} are read; split it."
            raise Unreadable("invalid_file", message)
        copy = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - the reader closes it
        with ExitStack() as undo:
            undo.callback(copy.close)
            async for block in file.content.read(0, size):
                if size > IN_MEMORY:
                    await asyncio.to_thread(copy.write, block)
                else:
                    copy.write(block)
            undo.pop_all()
        return cls(file.filename, copy, chunking)

    async def read_whole(self, most_tokens: int) -> str:
        """All of the text, before a chunk is taken; raises Unreadable where it has more tokens, by the estimate, than `most_tokens`."""
        return await asyncio.to_thread(self._read_whole, most_tokens)

    async def take(self, most: int) -> list[str]:
        """At most so many further chunks, none at the end; raises Unreadable."""
        return await asyncio.to_thread(self._take, most)

    async def skip(self, count: int) -> int:
        """Leave out so many, and say how many bytes of UTF-8 they have."""
        return await asyncio.to_thread(lambda: sum(len(chunk.encode()) for chunk in self._take(count)))

    def close(self) -> None:
        """Give up what is read, and the copy; what a thread is at, it closes itself."""
        self._is_closed = True
        if self._lock.acquire(blocking=False):
            try:
                self._chunks.close()
                self._texts.close()
                self._copy.close()
            finally:
                self._lock.release()

    def _read_whole(self, most_tokens: int) -> str:
        texts, tokens = list[str](), 0
        try:
            with self._lock:
                for text in self._texts:
                    tokens += estimate_tokens(text)
                    if tokens > most_tokens:
                        raise Unreadable("invalid_file", TOO_LONG.format(most=most_tokens))
                    texts.append(text)
                    if self._is_closed:
                        break
                self._chunks = split(texts, self._chunking.size, self._chunking.overlap)
        finally:
            if self._is_closed:
                self.close()
        return "".join(texts)

    def _take(self, most: int) -> list[str]:
        try:
            with self._lock:
                return list(self._open_chunks(most))
        finally:
            if self._is_closed:
                self.close()

    def _open_chunks(self, most: int) -> Iterator[str]:
        for chunk in islice(self._chunks, most):
            yield chunk
            if self._is_closed:
                return
