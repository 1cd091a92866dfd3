"""What is special to blobs in a directory: what is on the disk, who may read it, and what a crash leaves."""

import asyncio
from collections.abc import AsyncIterator
import os
from pathlib import Path
import resource
import stat
import time

import pytest

from core.config.state import LocalBlobs as Record
from core.errors import StateUnavailable
from core.stores.blobs import local
from core.stores.blobs.local import BUFFER, DAY, PARTIAL, LocalBlobs
from tests.contract.blobs import read, streamed


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


async def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "blobs"
    await local.connect(str(folder), namespace="ns").put("b/c", b"x")
    paths = [folder, *folder.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}


async def test_keys_that_differ_in_case_alone_have_names_that_differ_more(tmp_path: Path) -> None:
    store = LocalBlobs(tmp_path)
    for key in ("a/K", "a/k", "A/k", "x" * 201 + "/y", "x" * 201):
        await store.put(key, b"")
    names = ["+a/k~", "a/+k~", "a/k~", "x" * 200 + "%/%x/y~", "x" * 200 + "%/%x~"]
    assert files(tmp_path) == names
    await store.delete_below("x" * 201 + "/")
    await store.delete("a/K", "A/k")
    assert files(tmp_path) == ["a/k~", "x" * 200 + "%/%x~"]
    assert not (tmp_path / "+a").exists()  # what is empty goes too


async def test_what_a_crash_left_is_swept_after_a_day(tmp_path: Path) -> None:
    partial = tmp_path / PARTIAL
    partial.mkdir()
    for name, age in (("old", DAY + 60), ("new", DAY - 60)):
        (partial / name).touch()
        os.utime(partial / name, (time.time() - age,) * 2)
    store = LocalBlobs(tmp_path)
    await store.put("a", b"x")
    assert files(tmp_path) == ["a~", f"{PARTIAL}/new"]
    os.utime(partial / "new", (time.time() - DAY - 60,) * 2)
    await store.put("a", b"x")
    assert files(tmp_path) == ["a~", f"{PARTIAL}/new"]  # it looks once an hour
    await LocalBlobs(tmp_path).put("a", b"x")
    assert files(tmp_path) == ["a~"]


async def test_a_sweep_takes_nothing_that_another_is_writing(tmp_path: Path) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield bytes(BUFFER)  # less would wait in memory
        begun.set()
        await go.wait()
        yield b"two"

    writing = asyncio.create_task(LocalBlobs(tmp_path).put("a", slow()))
    await begun.wait()
    while not await asyncio.to_thread(files, tmp_path):  # it is begun in a thread
        pass
    await LocalBlobs(tmp_path).put("b", streamed(b"x"))
    go.set()
    await writing
    assert await read(LocalBlobs(tmp_path), "a") == bytes(BUFFER) + b"two"
    assert files(tmp_path) == ["a~", "b~"]


async def test_a_blob_of_a_newer_version_is_not_read_as_one_of_this(tmp_path: Path) -> None:
    (tmp_path / "a~").write_bytes(b'{"media_type": "a/b", "etag": "e", "v": 2}\nx')
    store = LocalBlobs(tmp_path)
    for call in (store.head("a"), read(store, "a")):
        with pytest.raises(StateUnavailable, match="`a` was written by a newer llambda; this one knows version 1"):
            await call


async def test_a_blob_that_version_1_has_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "a~").write_bytes(b'{"media_type": "a/b", "etag": "e"}\ncontent')
    store = LocalBlobs(tmp_path)
    blob = await store.head("a")
    assert blob is not None
    assert (blob.size, blob.media_type, blob.etag) == (7, "a/b", "e")
    assert await read(store, "a", 3) == b"tent"


async def test_it_has_no_urls_for_others(tmp_path: Path) -> None:
    store = LocalBlobs(tmp_path)
    assert await store.download_url("a", seconds=60) is None
    assert await store.upload_url("a", seconds=60, size=1, media_type="a/b") is None


async def test_a_directory_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / PARTIAL).touch()  # even root cannot make a directory of that name
    with pytest.raises(StateUnavailable, match="cannot be used: Not a directory"):
        await LocalBlobs(tmp_path).put("a", streamed(b"x"))
    assert files(tmp_path) == [PARTIAL]


def test_it_is_connected_by_the_fields_of_its_record(tmp_path: Path) -> None:
    record = Record(path=str(tmp_path), namespace="ns")
    assert isinstance(local.connect(**record.model_dump(exclude={"type"})), LocalBlobs)


async def test_a_disk_that_takes_a_part_of_a_write_keeps_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # the write after the one that was cut fails
    try:
        with pytest.raises(StateUnavailable, match="cannot be used: File too large"):
            await LocalBlobs(tmp_path).put("a", streamed(bytes(200_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(tmp_path) == []
