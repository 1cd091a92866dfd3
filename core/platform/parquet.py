"""Rows of Parquet files, read by a process of their own, with Rust's arrow, which the worker's function alone has (docs/adr/0105).

Of a broken file arrow panics, or aborts the process that it is in. This one has no environment, so no secret
either, and limits on its time and memory; when it dies, the file is broken, and no more.
Sources: https://kylebarron.dev/arro3/latest/api/io/parquet/, https://parquet.apache.org/docs/file-format/.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import contextmanager
import os
from os import SEEK_END
import selectors
import subprocess
import sys
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Final

from core.platform import parquet_reader

if TYPE_CHECKING:
    from collections.abc import Generator

BATCH: Final = 256  # rows that the process has in memory at a time
BLOCK: Final = 256 * 1024
PATIENCE: Final = 60.0  # seconds, for each block
SECONDS: Final = 900  # of a processor
MEMORY: Final = 768 * 1024 * 1024  # bytes of addresses
MAGIC: Final = b"PAR1"
FOOTER: Final = 8  # bytes of a length and of the magic
CUT: Final = "it is no Parquet file, or it is cut off"
BROKEN: Final = "it is broken, or has columns that cannot be read, or takes too much memory"
FULL: Final = "there is no room for it on the disk of whoever reads it"
LATE: Final = "to read it takes too long"


class ParquetInvalid(ValueError):
    """It cannot be read; the message says why."""


async def read_parquet(chunks: AsyncIterator[bytes], memory: int = MEMORY) -> AsyncIterator[list[bytes]]:
    """The rows of a file, some at a time, each as a JSON object; dates are text, binary values hexadecimal.

    It is all fetched first, onto the disk, since it has its directory at its end.

    Raises:
        ParquetInvalid: it cannot be read.
    """
    with TemporaryFile() as file:
        await _copy(chunks, file)
        await asyncio.to_thread(_check_ends, file)
        with _reading(file, memory) as process:
            rest = b""
            while block := await asyncio.to_thread(_read_block, process):
                *lines, rest = (rest + block).split(b"\n")
                if lines:
                    yield lines
            if await asyncio.to_thread(process.wait):
                raise ParquetInvalid(BROKEN)


async def _copy(chunks: AsyncIterator[bytes], file: IO[bytes]) -> None:
    async for chunk in chunks:
        try:
            await asyncio.to_thread(file.write, chunk)
        except OSError as failure:
            raise ParquetInvalid(FULL) from failure


def _check_ends(file: IO[bytes]) -> None:
    """What is no Parquet file needs no process to be told."""
    size = file.seek(0, SEEK_END)
    file.seek(0)
    begin = file.read(len(MAGIC))
    file.seek(max(0, size - FOOTER))
    footer = file.read(FOOTER)
    file.seek(0)
    length = int.from_bytes(footer[: -len(MAGIC)], "little")
    if begin != MAGIC or not footer.endswith(MAGIC) or length > size - len(MAGIC) - FOOTER:
        raise ParquetInvalid(CUT)


@contextmanager
def _reading(file: IO[bytes], memory: int) -> "Generator[subprocess.Popen[bytes]]":
    """The process, which is gone in the end, whether a thread waits for it or not."""
    process = subprocess.Popen(  # noqa: S603 - this interpreter, and a module of ours
        [sys.executable, "-S", "-m", parquet_reader.__name__, str(BATCH), str(SECONDS), str(memory)],
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _read_block(process: subprocess.Popen[bytes]) -> bytes:
    if process.stdout is None:  # it is a pipe
        return b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(PATIENCE):
            raise ParquetInvalid(LATE)
    return os.read(process.stdout.fileno(), BLOCK)
