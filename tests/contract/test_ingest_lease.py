"""The lease of a file's ingest: one holder at a time, what others write meanwhile, and what becomes of the dead; with a clock that a test moves."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
import time

import pytest

from core.services.vector_stores.file_records import StoreFiles
from core.services.vector_stores.ingest import lease as lease_module
from core.services.vector_stores.ingest.engine import wants_work
from core.services.vector_stores.ingest.lease import LEASE, WAIT, FileLease, LeaseLost, RecordChanged
from core.services.vector_stores.records import FileRecord
from core.services.vector_stores.stores import StoreCollection
from tests.fakes import Clock
from tests.parts.ingest_stack import make_store, stack_of
from tests.parts.job_bench import eventually
from tests.parts.vector_stack import vector_world

FILE = "file-1"


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[StoreFiles]:
    async with vector_world(tmp_path) as world:
        store = await make_store(await world.client())
        clock = Clock()
        clock.now = time.time()
        stores = StoreCollection(await stack_of(world), None, clock=clock)
        files = StoreFiles(stores, await stores.get(store))
        await files.change(FILE, lambda _: FileRecord(claimed=7, next=3))
        yield files


def clock_of(files: StoreFiles) -> Clock:
    assert isinstance(files.stores.clock, Clock)
    return files.stores.clock


def lease_of(files: StoreFiles) -> FileLease:
    return FileLease(files, FILE, files.stores.clock)


async def record_of(files: StoreFiles) -> FileRecord:
    document = await files.get(FILE)
    assert document is not None
    return FileRecord.read(document.body)


async def test_one_has_it_until_it_is_over_and_that_it_lapsed_counts_as_a_try(files: StoreFiles) -> None:
    first, second = lease_of(files), lease_of(files)
    assert await first.acquire(wants_work, 64)
    assert (first.record.claimed, first.inherited, first.record.tries) == (67, 7, 0)
    assert await first.acquire(wants_work, 64)
    assert not await second.acquire(wants_work, 64)
    clock_of(files).now += LEASE - 1
    await first.write(replace(first.record, next=4))
    clock_of(files).now += LEASE - 1
    assert not await second.acquire(wants_work, 64)
    clock_of(files).now += 2
    assert await second.acquire(wants_work, 64)
    assert (second.record.tries, second.record.claimed, second.inherited) == (1, 68, 67)
    for _ in range(2):  # what it has found once it does not forget
        with pytest.raises(LeaseLost):
            await first.write(first.record)
        with pytest.raises(LeaseLost):
            await first.remove()
    await first.release(failed=True)
    assert (await record_of(files)) == second.record


async def test_what_others_write_is_found_at_the_next_write_and_gone_by(files: StoreFiles) -> None:
    lease = lease_of(files)
    assert await lease.acquire(wants_work, 64)
    await files.change(FILE, lambda record: None if record is None else replace(record, attributes={"a": 1}))
    for write in (lease.write(replace(lease.record, next=9)), lease.remove()):
        await files.change(
            FILE, lambda record: None if record is None else replace(record, usage_bytes=record.usage_bytes + 1)
        )
        with pytest.raises(RecordChanged):
            await write
    assert (lease.record.attributes, lease.record.next) == ({"a": 1}, 3)
    await lease.write(replace(lease.record, next=9))
    assert (await record_of(files)).next == 9
    await lease.remove()
    assert await files.get(FILE) is None
    with pytest.raises(LeaseLost):
        await lease.write(lease.record)


async def test_it_is_renewed_where_little_of_it_is_left(files: StoreFiles) -> None:
    lease = lease_of(files)
    assert await lease.acquire(wants_work, 64)
    until = lease.record.until
    await lease.ensure(67, 64)
    assert (lease.record.until, lease.record.claimed) == (until, 67)
    await lease.ensure(68, 64)
    assert (await record_of(files)).claimed == 132
    clock_of(files).now += LEASE - 10
    await lease.ensure(68, 64)
    assert (await record_of(files)).until == lease.record.until == until + LEASE - 10


async def test_it_is_renewed_while_its_holder_works_and_not_after(
    files: StoreFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "LEASE", 0.03)  # by the clock of the machine, a hundredth of a second
    lease = lease_of(files)
    assert await lease.acquire(wants_work, 64)
    keeping = asyncio.ensure_future(lease.keep())
    clock_of(files).now += 5

    async def is_renewed() -> bool:
        return (await record_of(files)).until > clock_of(files).now

    await eventually(is_renewed)
    assert lease.record.until == clock_of(files).now + 0.03
    await lease.write(replace(lease.record, next=9))  # over what it has written itself
    await lease.release()
    until = (await record_of(files)).until
    await asyncio.wait_for(keeping, 10)
    assert (await record_of(files)).until == until


async def test_what_is_given_back_waits_for_its_job(files: StoreFiles) -> None:
    lease = lease_of(files)
    assert await lease.acquire(wants_work, 64)
    await lease.release(failed=True)
    record = await record_of(files)
    assert (record.holder, record.until, record.tries) == ("", clock_of(files).now + WAIT, 1)
    other = lease_of(files)
    assert await other.acquire(wants_work, 0)
    assert (other.record.tries, other.record.claimed) == (1, 67)
    await other.release()
    await files.change(FILE, lambda record: None if record is None else replace(record, status="completed"))
    assert not await lease_of(files).acquire(wants_work, 64)


async def test_of_a_record_that_was_there_before_all_that_it_claims_may_be_in_the_index(files: StoreFiles) -> None:
    def hold(record: FileRecord | None) -> FileRecord:
        return replace(record or FileRecord(), holder="me", until=clock_of(files).now + LEASE, claimed=7)

    lease = FileLease(files, FILE, files.stores.clock, "me")
    await files.change(FILE, hold)
    assert await lease.acquire(wants_work, 64)
    assert lease.inherited == 7
    new = FileLease(files, "file-2", files.stores.clock, "me")
    await files.change("file-2", hold)
    assert await new.acquire(wants_work, 64)
    assert new.inherited == 0
