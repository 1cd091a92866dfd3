"""What the contract suite of BlobStore runs over, in this process and in others (it must pickle)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
import os
from pathlib import Path
from typing import override

import pytest

from core.stores.blobs import local, s3
from core.stores.blobs.port import CHUNK, BlobStore
from tests.contract.places import Place

KINDS = ("local", "s3")
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Blobs(Place[BlobStore]):
    """`place` is a directory, or a bucket at `endpoint`."""

    @override
    def connect(self, namespace: str | None = None) -> BlobStore:
        if self.endpoint is None:
            return local.connect(self.place, namespace=namespace)
        return s3.connect(self.place, endpoint_url=self.endpoint, prefix="blobs/", namespace=namespace)


def fresh(request: pytest.FixtureRequest, kind: str, folder: Path) -> Blobs:
    if kind == "local":
        return Blobs(str(folder / "blobs"))
    return Blobs(request.getfixturevalue("bucket"), request.getfixturevalue("moto_endpoint"))


def content_of(size: int, seed: int = 0) -> bytes:
    """Bytes of which no two parts are alike."""
    block = bytes((seed + at * 7 + (at >> 8)) % 256 for at in range(min(size, 65_521)))
    return (block * (size // max(1, len(block)) + 1))[:size]


async def streamed(content: bytes, size: int = CHUNK) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def read(store: BlobStore, key: str, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in store.read(key, start=start, stop=stop)])


def write_and_die(blobs: Blobs, key: str, size: int) -> None:
    """In a process of its own: be killed when so much of the blob was handed over."""
    asyncio.run(_write_and_die(blobs, key, size))


async def _write_and_die(blobs: Blobs, key: str, size: int) -> None:
    async def half() -> AsyncIterator[bytes]:
        async for chunk in streamed(content_of(size)):
            yield chunk
        await asyncio.sleep(0.2)
        os.kill(os.getpid(), 9)

    async with blobs.opened() as store:
        await store.put(key, half())


def carry(blobs: Blobs, size: int) -> int:
    """In a process of its own: put a blob of so many MiB and read it; the most memory that took, in MiB, over a small one."""
    return asyncio.run(_carry(blobs, size))


async def _carry(blobs: Blobs, size: int) -> int:
    async def source(mib: int) -> AsyncIterator[bytes]:
        for number in range(mib * 16):
            yield bytes([number % 251]) * CHUNK

    async with blobs.opened() as store:
        await store.put("warm", source(11))
        async for _ in store.read("warm"):
            pass
        before = _peak()
        await store.put("large", source(size))
        count = 0
        async for chunk in store.read("large"):
            count += len(chunk)
    assert count == size * MIB
    return (_peak() - before) // 1024


def _peak() -> int:
    """Kilobytes, the most that this process ever had."""
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.partition("VmHWM:")[2].split()[0])
