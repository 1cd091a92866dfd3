"""Documents between processes: no write is lost, no body is mixed, and what kills a writer breaks nothing."""

import asyncio
from collections.abc import Generator
from contextlib import closing, contextmanager
import multiprocessing
from pathlib import Path
import random
import sqlite3
import time
from typing import Any, Final

import pytest

from core.stores.documents.dynamodb import DynamoDocuments
from core.stores.documents.port import Document, DocumentStore
from tests.contract.crew import Crew
from tests.contract.documents import (
    BEYOND,
    KINDS,
    LEAST,
    Documenting,
    body_of,
    check_whole,
    share_document,
    write_for_ever,
)

WRITERS: Final = 64


@pytest.fixture(params=KINDS)
def documenting(request: pytest.FixtureRequest, tmp_path: Path) -> Documenting:
    return Documenting.fresh(
        request, request.param, tmp_path, "state_table", blobs=str(tmp_path / "blobs"), least=LEAST
    )


async def test_of_64_writers_on_one_document_none_loses_a_write(documenting: Documenting, crew: Crew) -> None:
    times = 1 if crew.size == 2 else 5
    async with documenting.opened() as store:
        await store.create(Document("notes", "n", body_of(0)))
        writers = [len(range(number, WRITERS, crew.size)) for number in range(crew.size)]
        stale = await crew.work(share_document, *((documenting, count, 0, times, 0) for count in writers))
        document = await store.get("notes", "n")
    assert document is not None
    assert (check_whole(document), document.revision) == (WRITERS * times, 1 + WRITERS * times)
    print(f"{WRITERS * times} writes, {sum(stale)} more tries were stale")


async def test_a_large_document_is_the_old_or_the_new_one_whole(documenting: Documenting, crew: Crew) -> None:
    times = 5 if crew.size == 2 else 25
    async with documenting.opened() as store:
        await store.create(Document("notes", "n", body_of(0, BEYOND)))
        await store.create(Document("notes", "last", {"number": 4 * times}))
        shares = [(2, 4), (2, 4)] if crew.size == 2 else [(2, 0), (2, 0), (0, 3), (0, 3), (0, 2)]
        await crew.work(share_document, *((documenting, *share, times, BEYOND) for share in shares))
        document = await store.get("notes", "n")
    assert document is not None
    assert check_whole(document) == 4 * times


@contextmanager
def writing(documenting: Documenting, seed: int) -> Generator[None]:
    """A process that writes large documents, and is killed at the end."""
    process = multiprocessing.get_context("spawn").Process(target=write_for_ever, args=(documenting, seed, BEYOND))
    process.start()
    try:
        yield
    finally:
        assert process.exitcode is None
        process.kill()
        process.join()
        process.close()


async def list_all(store: DocumentStore) -> list[Document]:
    documents: list[Document] = []
    more, after = True, None
    while more:
        page = await store.page("notes", "list", after=after, limit=5)
        documents += page.documents
        more, after = page.has_more, page.documents[-1].id if page.documents else after
    return documents


async def rows(documenting: Documenting) -> tuple[set[Any], set[Any]]:
    """The documents that there are, and the entries of lists, as they are in the database."""
    if documenting.endpoint is None:
        with closing(sqlite3.connect(documenting.place)) as connection:
            alive = set(connection.execute("SELECT created, id FROM documents WHERE until IS NULL OR until > 0"))
        return alive, alive
    documents, entries = set[Any](), set[Any]()
    async with documenting.opened() as store:
        assert isinstance(store, DynamoDocuments)
        async with store._table.client() as client:
            async for page in client.get_paginator("scan").paginate(TableName=documenting.place, ConsistentRead=True):
                for item in page["Items"]:
                    created, _, identifier = item["sk"]["S"].partition("#")
                    if created != "document":
                        entries.add((int(created), identifier))
                    elif item.get("until") != {"N": "0"}:
                        documents.add((int(item["created"]["N"]), item["pk"]["S"].rpartition("#")[2]))
    return documents, entries


async def kill_writers(documenting: Documenting, kills: int, dice: random.Random) -> int:
    """Kill one after another while they write, and read all the time; how many documents were read."""
    reads = 0
    async with documenting.opened() as store:
        for seed in range(1, kills + 1):
            before = {document.id for document in await list_all(store)}
            with writing(documenting, seed):
                until = time.monotonic() + 60
                while {document.id for document in await list_all(store)} <= before:
                    assert time.monotonic() < until
                until = time.monotonic() + dice.uniform(0, 0.4)
                while time.monotonic() < until:
                    for document in await list_all(store):
                        check_whole(document)
                        reads += 1
            await asyncio.sleep(0.5)  # what the database was doing for it then
            for document in await list_all(store):
                check_whole(document)
                assert await store.get("notes", document.id) == document
                assert (await store.put(document, document.body)).revision == document.revision + 1
                reads += 1
    documents, entries = await rows(documenting)
    assert documents == entries
    return reads


async def test_a_killed_writer_leaves_each_document_whole_and_each_list_complete(documenting: Documenting) -> None:
    assert await kill_writers(documenting, 2, random.Random(1))  # noqa: S311 - not a secret


@pytest.mark.exact
async def test_of_20_killed_writers_none_leaves_a_broken_document_or_list(documenting: Documenting) -> None:
    print(f"20 writers killed, {await kill_writers(documenting, 20, random.Random(2))} reads, all whole")  # noqa: S311
