"""The ingest of one file by itself: how often it may fail, who may put and when, what is put again; with a clock that a test moves."""

import asyncio
from contextlib import closing
from dataclasses import dataclass
import sqlite3
import time
from typing import Any

from aiohttp import web
import pytest

from core.apis.vector_stores import NewStoreFile
from core.errors import ApiError
from core.frame.callers import Call
from core.resolution.stack import Stack
from core.services.vector_stores.adding import FileAdding, changed_attributes
from core.services.vector_stores.file_records import StoreFiles
from core.services.vector_stores.ingest import engine
from core.services.vector_stores.ingest.chunks import split
from core.services.vector_stores.ingest.engine import BATCH, Ingest
from core.services.vector_stores.ingest.failures import MOST_TRIES, Busy
from core.services.vector_stores.ingest.lease import LEASE
from core.services.vector_stores.records import FileRecord, chunk_key
from core.services.vector_stores.stores import StoreCollection
from tests.fakes import Clock
from tests.parts.ingest_stack import PRINCIPAL, check_exact, make_store, stack_of, text_of, upload
from tests.parts.job_bench import eventually
from tests.parts.upstream import status
from tests.parts.vector_stack import VectorWorld, embed

SMALL = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
TEXT = text_of(700)  # some 190 small chunks
EMBEDDINGS = "/v1/embeddings"


@dataclass
class Bench:
    """A file that is in a store, by its record, and of which nothing is in the index yet."""

    world: VectorWorld
    stack: Stack
    files: StoreFiles
    file_id: str
    clock: Clock

    async def place(self, **fields: Any) -> None:
        adding = FileAdding(self.files)
        await adding.place(adding.check(NewStoreFile(file_id=self.file_id, **fields)))

    async def run(self) -> FileRecord:
        record = await Ingest(self.files, self.file_id).run()
        assert record is not None
        return record

    async def record(self) -> FileRecord:
        document = await self.files.get(self.file_id)
        assert document is not None
        return FileRecord.read(document.body)

    async def texts(self, count: int) -> list[str]:
        """Of the first chunks, as they are in the index."""
        provider = self.files.stores.provider(self.files.store)
        keys = [chunk_key(self.file_id, number) for number in range(count)]
        return [chunk.text for chunk in await provider.fetch(self.files.store.index, keys)]

    def count_puts(self) -> int:
        """How many chunks were put, those that were put again included."""
        with closing(sqlite3.connect(self.world.folder / "vectors.db")) as connection:
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'vector_chunks'").fetchone()
        return int(row[0])


@pytest.fixture
async def bench(world: VectorWorld) -> Bench:
    client = await world.client()
    store, clock = await make_store(client, chunking_strategy=SMALL), Clock()
    clock.now = time.time()
    stack = await stack_of(world)
    stores = StoreCollection(stack, Call(PRINCIPAL), clock=clock)
    bench = Bench(world, stack, StoreFiles(stores, await stores.get(store)), await upload(client, TEXT), clock)
    await bench.place()
    return bench


async def test_only_tries_count_that_got_nowhere(bench: Bench) -> None:
    left = 0

    async def embed_some(request: web.Request) -> web.StreamResponse:
        nonlocal left
        left -= 1
        return await (embed(request) if left >= 0 else status(503, {})(request))

    bench.world.upstream.replies[EMBEDDINGS] = embed_some
    for number in range(MOST_TRIES + 2):
        left = 1
        with pytest.raises(ApiError):
            await bench.run()
        record = await bench.record()
        assert (record.status, record.next, record.tries) == ("in_progress", 8 * (number + 1), 1)
    for number in range(MOST_TRIES - 2):
        with pytest.raises(ApiError):
            await bench.run()
        assert (await bench.record()).tries == number + 2
    record = await bench.run()
    assert (record.status, record.claimed, bench.world.count_vectors()) == ("failed", 0, 0)
    assert record.last_error is not None
    assert record.last_error["message"].startswith(f"After {MOST_TRIES} tries it is given up: ")


async def test_who_leaves_while_chunks_are_on_their_way_gives_nothing_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PUT_SECONDS", 0.1)
    with closing(sqlite3.connect(bench.world.folder / "vectors.db", autocommit=True)) as other:
        other.execute("BEGIN IMMEDIATE")  # so that nothing is put
        seen, running = len(bench.world.upstream.seen), asyncio.ensure_future(bench.run())

        async def is_embedded() -> bool:
            return len(bench.world.upstream.seen) > seen

        await eventually(is_embedded)
        await asyncio.sleep(0.2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (await bench.record()).is_held(bench.clock.now)
        with pytest.raises(Busy):
            await bench.run()
        other.execute("ROLLBACK")

    async def is_put() -> bool:
        return bench.world.count_vectors() > 0

    await eventually(is_put)  # what was on its way
    bench.clock.now += LEASE + 1
    assert (await bench.run()).status == "completed"
    await check_exact(bench.stack, bench.files.store.id)


async def test_who_was_away_for_longer_than_its_lease_puts_nothing_over_what_others_put(bench: Bench) -> None:
    held, opened = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request) -> web.StreamResponse:
        held.set()
        await opened.wait()
        return await embed(request)

    bench.world.upstream.replies[EMBEDDINGS] = hold
    away = asyncio.ensure_future(bench.run())
    await held.wait()
    bench.clock.now += LEASE + 1
    bench.world.upstream.replies[EMBEDDINGS] = embed
    larger = {"type": "static", "static": {"max_chunk_size_tokens": 400, "chunk_overlap_tokens": 0}}
    await bench.place(chunking_strategy=larger)
    record = await bench.run()
    assert record.status == "completed"
    opened.set()
    await away
    assert await bench.texts(record.claimed) == list(split([TEXT], 400, 0))
    assert await bench.record() == record
    await check_exact(bench.stack, bench.files.store.id)


async def test_other_attributes_are_put_from_where_an_earlier_try_ended(bench: Bench) -> None:
    record = await bench.run()
    assert (record.status, record.usage_bytes > len(TEXT)) == ("completed", True)
    await bench.files.change(
        bench.file_id, lambda before: None if before is None else changed_attributes(before, {"a": 1})
    )
    before, key = bench.count_puts(), chunk_key(bench.file_id, BATCH)
    with closing(sqlite3.connect(bench.world.folder / "vectors.db", autocommit=True)) as other:
        other.execute(
            f"CREATE TRIGGER t BEFORE INSERT ON vector_chunks WHEN NEW.key = '{key}' BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        with pytest.raises(ApiError):
            await bench.run()
        other.execute("DROP TRIGGER t")
    assert ((await bench.record()).next, bench.count_puts() - before) == (BATCH, BATCH)
    again = await bench.run()
    assert bench.count_puts() - before == record.claimed  # each once
    assert (again.status, again.attributes, again.usage_bytes, again.claimed) == (
        "completed",
        {"a": 1},
        record.usage_bytes,
        record.claimed,
    )
    await check_exact(bench.stack, bench.files.store.id)
