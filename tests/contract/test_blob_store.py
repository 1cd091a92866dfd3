"""The contract of every BlobStore: a blob is there whole or not at all, and read from any byte to any other."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
import multiprocessing
from pathlib import Path
import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest, NotFound, StateUnavailable
from core.frame.content import Blob
from core.stores.blobs import local, s3
from core.stores.blobs.port import CHUNK, BlobStore
from infra.local.ports import free_port
from tests.contract.blobs import KINDS, MIB, Blobs, carry, content_of, fresh, read, streamed, write_and_die

PART = 5 * MIB
SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, PART - 1, PART, PART + 1, 2 * PART, 20 * MIB)
LONGEST = "/".join(["k" * 299, "K" * 300, "x" * 299])
KEYS = (
    "a",
    "a/b",
    "A/b",
    "a/B",
    "a.b/c-d_e#f=g",
    ".hidden",
    "...",
    "blobs/partial",
    LONGEST,
    "k" * 900,
    "." * 201,
    "." * 202 + "/y",
    "y",
)
BAD_KEYS = (
    "",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/./b",
    "a b",
    "a~",
    "a%2f",
    "a\\b",
    "ä",
    "a\n",
    "k" * 901,
)


@pytest.fixture(params=KINDS)
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return fresh(request, request.param, tmp_path)


@pytest.fixture
async def store(blobs: Blobs) -> AsyncGenerator[BlobStore]:
    async with blobs.opened() as store:
        yield store


@pytest.mark.parametrize("size", SIZES)
async def test_a_stream_of_any_size_comes_back_byte_for_byte(store: BlobStore, size: int) -> None:
    content = content_of(size)
    blob = await store.put("a/b", streamed(content), media_type="text/plain; charset=utf-8")
    assert blob == Blob("a/b", size, "text/plain; charset=utf-8", blob.etag)
    assert await store.head("a/b") == blob
    assert await read(store, "a/b") == content


@pytest.mark.parametrize("size", [0, 1, CHUNK, PART + 1])
async def test_bytes_come_back_byte_for_byte(store: BlobStore, size: int) -> None:
    content = content_of(size)
    blob = await store.put("a", content)
    assert blob == Blob("a", size, "application/octet-stream", blob.etag)
    assert (await store.head("a"), await read(store, "a")) == (blob, content)


@pytest.mark.parametrize("sizes", [(1, 0, 3, 0), (CHUNK * 3,), (7 * MIB, 1), (PART, PART)])
async def test_chunks_of_the_writer_may_have_any_size(store: BlobStore, sizes: tuple[int, ...]) -> None:
    parts = [content_of(size, seed) for seed, size in enumerate(sizes)]

    async def source() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    await store.put("a", source())
    assert await read(store, "a") == b"".join(parts)


async def test_no_chunk_is_much_longer_than_the_port_says(store: BlobStore) -> None:
    await store.put("a", content_of(3 * CHUNK + 1))
    chunks = [chunk async for chunk in store.read("a")]
    assert all(0 < len(chunk) <= CHUNK for chunk in chunks)


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, None),
        (0, 10),
        (9, 10),
        (10, 10),
        (9, None),
        (10, None),
        (11, None),
        (0, 11),
        (3, 99),
        (5, 3),
        (0, 0),
        (99, 100),
    ],
)
async def test_a_range_has_the_bytes_from_its_start_to_before_its_end(
    store: BlobStore, start: int, stop: int | None
) -> None:
    await store.put("a", b"0123456789")
    assert await read(store, "a", start, stop) == b"0123456789"[start:stop]


async def test_any_range_of_a_blob_of_many_chunks_is_that_slice(store: BlobStore) -> None:
    content = content_of(3 * CHUNK + 17)
    await store.put("a", content)
    edge = st.one_of(
        st.integers(0, len(content) + 9),
        st.sampled_from([at + off for at in (0, CHUNK, 2 * CHUNK, len(content)) for off in (0, 1)]),
    )
    ranges: list[tuple[int, int | None]] = []

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
    @given(edge, st.one_of(st.none(), edge))
    def draw(start: int, stop: int | None) -> None:
        ranges.append((start, stop))

    draw()
    for start, stop in ranges:
        assert await read(store, "a", start, stop) == content[start:stop], (start, stop)


@pytest.mark.parametrize(("start", "stop"), [(-1, None), (0, -1)])
async def test_a_negative_end_of_a_range_is_a_mistake_of_ours(store: BlobStore, start: int, stop: int | None) -> None:
    with pytest.raises(ValueError, match="no range of bytes"):
        await read(store, "a", start, stop)


async def test_what_is_not_there_is_said_at_the_first_chunk(store: BlobStore) -> None:
    assert await store.head("a/b") is None
    for start, stop in [(0, None), (3, 5), (0, 0)]:
        with pytest.raises(NotFound, match="There is no blob `a/b`"):
            await read(store, "a/b", start, stop)
    await store.delete("a/b", "c")
    assert await store.delete_below("a/") == 0


async def test_each_key_is_a_blob_of_its_own(store: BlobStore) -> None:
    for number, key in enumerate(KEYS):
        await store.put(key, b"%d" % number, media_type=f"a/{number}")
    for number, key in enumerate(KEYS):
        assert await read(store, key) == b"%d" % number
        blob = await store.head(key)
        assert blob is not None
        assert (blob.key, blob.media_type) == (key, f"a/{number}")
    for key in KEYS:
        await store.delete(key)
        assert await store.head(key) is None


@pytest.mark.parametrize("key", BAD_KEYS)
async def test_a_bad_key_is_refused_by_every_method(store: BlobStore, key: str) -> None:
    calls = (
        store.put(key, b""),
        store.put(key, streamed(b"")),
        store.head(key),
        read(store, key),
        store.delete("a", key),
        store.delete_below(key + "/"),
        store.download_url(key, seconds=60),
        store.upload_url(key, seconds=60, size=1, media_type="a/b"),
    )
    for call in calls:
        with pytest.raises(InvalidRequest):
            await call


@pytest.mark.parametrize("prefix", ["", "a", "a/b"])
async def test_a_prefix_without_its_slash_is_refused(store: BlobStore, prefix: str) -> None:
    with pytest.raises(InvalidRequest):
        await store.delete_below(prefix)


@pytest.mark.parametrize("media_type", ["", "a\r\nx-evil: 1", "ä/b", "a" * 256])
async def test_a_media_type_that_is_no_headers_value_is_refused(store: BlobStore, media_type: str) -> None:
    with pytest.raises(InvalidRequest, match="media type"):
        await store.put("a", b"", media_type=media_type)
    assert await store.head("a") is None


async def test_another_content_has_another_etag_and_takes_the_place_of_the_first(store: BlobStore) -> None:
    first = await store.put("a", b"one", media_type="a/b")
    second = await store.put("a", streamed(b"three"))
    assert first.etag != second.etag
    assert await store.head("a") == second
    assert await read(store, "a") == b"three"


async def test_deleting_below_a_prefix_leaves_its_neighbours(store: BlobStore) -> None:
    below = [f"a/b/{number}" for number in range(5)] + ["a/b/c/d/e", "a/b/C"]
    beside = ["a/b", "a/bc", "a/c", "A/b/1", "b/a/b/1"]
    for key in below + beside:
        await store.put(key, b"x")
    assert sorted(await store.old_keys("a/b/", before=time.time() + 60)) == sorted(below)
    assert await store.old_keys("a/b/", before=time.time() - 3600) == []
    assert await store.delete_below("a/b/") == len(below)
    assert [await store.head(key) for key in below] == [None] * len(below)
    assert all([await store.head(key) for key in beside])
    assert await store.delete_below("a/b/") == 0


async def test_several_are_deleted_at_once(store: BlobStore) -> None:
    keys = [f"a/{number}" for number in range(12)]
    await asyncio.gather(*(store.put(key, b"x") for key in keys))
    await store.delete(*keys[1:], "not/there")
    assert [key for key in keys if await store.head(key)] == keys[:1]
    await store.delete()


async def test_namespaces_do_not_see_each_other(blobs: Blobs) -> None:
    async with blobs.opened() as plain, blobs.opened("team/a") as one, blobs.opened("team") as other:
        for store in (plain, one, other):
            assert await store.head("k/a") is None
            await store.put("k/a", b"x")
        assert await other.delete_below("k/") == 1
        assert await one.head("k/a")
        assert await plain.head("k/a")


class Interrupted(Exception):
    pass


async def failing(content: bytes) -> AsyncIterator[bytes]:
    async for chunk in streamed(content):
        yield chunk
    raise Interrupted


async def hanging(content: bytes, handed_over: asyncio.Event) -> AsyncIterator[bytes]:
    async for chunk in streamed(content):
        yield chunk
    handed_over.set()
    await asyncio.Event().wait()


@pytest.mark.parametrize("size", [0, CHUNK, PART, 3 * PART + 1])
async def test_what_the_content_raises_is_raised_and_the_earlier_blob_stays(store: BlobStore, size: int) -> None:
    earlier = await store.put("a/b", b"earlier")
    with pytest.raises(Interrupted):
        await store.put("a/b", failing(content_of(size)))
    with pytest.raises(Interrupted):
        await store.put("a/c", failing(content_of(size)))
    assert (await store.head("a/b"), await store.head("a/c")) == (earlier, None)
    assert await read(store, "a/b") == b"earlier"
    assert await store.delete_below("a/") == 1


@pytest.mark.parametrize("size", [0, CHUNK, 3 * PART + 1])
async def test_a_cancelled_upload_leaves_nothing(store: BlobStore, size: int) -> None:
    handed_over = asyncio.Event()
    task = asyncio.create_task(store.put("a/b", hanging(content_of(size), handed_over)))
    await handed_over.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.head("a/b") is None
    assert await store.delete_below("a/") == 0


@pytest.mark.parametrize("size", [CHUNK, 3 * PART + 1])
async def test_a_killed_upload_leaves_nothing_that_is_seen(blobs: Blobs, store: BlobStore, size: int) -> None:
    await store.put("a/c", b"x")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool, pytest.raises(BrokenProcessPool):
        await asyncio.get_running_loop().run_in_executor(pool, write_and_die, blobs, "a/b", size)
    assert await store.head("a/b") is None
    with pytest.raises(NotFound):
        await read(store, "a/b")
    assert await store.delete_below("a/") == 1


async def test_readers_see_the_old_or_the_new_while_it_is_overwritten(blobs: Blobs) -> None:
    size, rounds = 2 * MIB, 8
    contents = {content_of(size + seed, seed) for seed in range(rounds)}
    async with blobs.opened() as writer, blobs.opened() as reader:
        await writer.put("a", content_of(size, 0))

        async def overwrite() -> None:
            for seed in range(rounds):
                await writer.put("a", streamed(content_of(size + seed, seed)))

        writing = asyncio.create_task(overwrite())
        seen = 0
        while not writing.done() or not seen:
            assert await read(reader, "a") in contents
            seen += 1
        await writing


async def test_blobs_are_written_and_removed_below_one_directory_by_many(blobs: Blobs) -> None:
    rounds = 100 if blobs.endpoint is None else 5
    async with blobs.opened() as one, blobs.opened() as other:

        async def come_and_go(store: BlobStore, number: int) -> None:
            for _ in range(rounds):
                await store.put(f"a/b/c/{number}", b"x")
                await store.delete(f"a/b/c/{number}")

        await asyncio.gather(
            *(come_and_go(store, at * 2 + of) for at in range(4) for of, store in enumerate((one, other)))
        )
        assert await one.delete_below("a/") == 0


@pytest.mark.parametrize("size", [80, pytest.param(200, marks=pytest.mark.exact)])
async def test_a_large_blob_takes_a_few_parts_of_memory(blobs: Blobs, size: int) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        mib = await asyncio.get_running_loop().run_in_executor(pool, carry, blobs, size)
    assert mib < 40


async def test_a_read_that_is_given_up_lets_go(store: BlobStore) -> None:
    await store.put("a", content_of(4 * MIB))
    chunks = store.read("a")
    assert len(await anext(chunks)) > 0
    assert isinstance(chunks, AsyncGenerator)
    await chunks.aclose()
    assert len(await read(store, "a", 0, 1)) == 1


async def test_a_store_that_is_down_says_so_and_when_to_try_again(tmp_path: Path, aws_credentials: None) -> None:
    del aws_credentials
    (tmp_path / "file").touch()
    down: tuple[tuple[BlobStore, str], ...] = (
        (local.connect(str(tmp_path / "file")), "The directory of blobs `file` cannot be used: Not a directory."),
        (
            s3.S3Blobs("bucket", endpoint_url=f"http://127.0.0.1:{free_port()}", limits=s3.Limits(seconds=1)),
            "The S3 bucket `bucket` cannot be reached.",
        ),
    )
    for store, message in down:
        calls: tuple[Awaitable[object], ...] = (
            store.put("a", b"x"),
            store.put("a", streamed(content_of(6 * MIB))),
            store.head("a"),
            read(store, "a"),
            store.delete("a"),
            store.delete("a", "b"),
            store.delete_below("a/"),
        )
        for failure in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(failure, StateUnavailable)
            assert (failure.message, failure.headers) == (message, {"retry-after": "5"})
        await store.close()
