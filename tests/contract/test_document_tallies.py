"""Tallies: what is added in the transaction of a write, once if it was made, and not at all if it was refused."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
import multiprocessing
from pathlib import Path
import random
import tempfile
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.errors import Conflict
from core.stores.documents.port import Document, DocumentStore, StaleDocument, Tally, TallyExceeded
from tests.contract.documents import (
    KINDS,
    LEAST,
    NOW,
    Documenting,
    MemoryDocuments,
    blob_keys,
    body_of,
    change_counted,
    count_for_ever,
    worth,
)

WRITERS = 64
ONE = Document("counted", "a", {"number": 2}, "list", created=NOW)


@pytest.fixture(params=KINDS)
def documenting(request: pytest.FixtureRequest, tmp_path: Path) -> Documenting:
    blobs = str(tmp_path / "blobs")
    return Documenting.fresh(request, request.param, tmp_path, "state_table", blobs=blobs, least=LEAST)


@pytest.fixture
async def store(documenting: Documenting) -> AsyncGenerator[DocumentStore]:
    async with documenting.opened() as store:
        yield store


async def numbers(store: DocumentStore, identifier: str = "list") -> dict[str, int]:
    return {name: value for name, value in (await store.tallies("counted", identifier)).items() if value}


async def test_a_write_adds_what_it_says_to_every_tally_and_a_refused_one_nothing(store: DocumentStore) -> None:
    both = [worth("list", 1, 2), worth("all", 1, 0)]
    made = await store.create(ONE, tally=both)
    for refused in (Conflict, Conflict):
        with pytest.raises(refused):
            await store.create(ONE, tally=both)
    changed = await store.put(made, {"number": 5}, tally=[worth("list", 0, 3)])
    with pytest.raises(StaleDocument):
        await store.put(made, {"number": 9}, tally=[worth("list", 0, 7)])
    with pytest.raises(StaleDocument):
        await store.delete(changed, expect=1, tally=[worth("list", -1, -5)])
    assert (await numbers(store), await numbers(store, "all")) == ({"count": 1, "sum": 5}, {"count": 1})
    assert await store.delete(changed, tally=[worth("list", -1, -5)])
    assert not await store.delete(changed, tally=[worth("list", -1, -5)])
    assert (await numbers(store), await numbers(store, "all")) == ({}, {"count": 1})
    await store.drop_tallies("counted", "all")
    await store.drop_tallies("counted", "none")
    assert await numbers(store, "all") == {}


async def test_what_would_exceed_its_most_is_refused_whole(store: DocumentStore, tmp_path: Path) -> None:
    made = await store.create(ONE, tally=[worth("list", 1, 4, count=1, sum=9)])
    other = replace(ONE, id="b", body=body_of(1, LEAST * 3))
    with pytest.raises(TallyExceeded) as exceeded:
        await store.create(other, tally=[worth("all", 1, 1), worth("list", 1, 1, count=1, sum=9)])
    assert (exceeded.value.name, exceeded.value.value, exceeded.value.tally.id) == ("count", 1, "list")
    with pytest.raises(TallyExceeded) as exceeded:
        await store.put(made, {}, tally=[worth("list", 0, 6, sum=9)])
    assert (exceeded.value.name, exceeded.value.value) == ("sum", 4)
    with pytest.raises(TallyExceeded):  # where nothing is yet
        await store.create(other, tally=[worth("new", 3, 0, count=2)])
    assert await store.get("counted", "b") is None
    assert await store.get("counted", "a") == made
    assert await numbers(store) == {"count": 1, "sum": 4}
    assert await numbers(store, "all") == {}
    assert not blob_keys(tmp_path / "blobs")
    await store.put(made, {}, tally=[worth("list", 0, 5, sum=9)])
    assert await numbers(store) == {"count": 1, "sum": 9}
    lower = await store.get("counted", "a")
    assert lower is not None
    await store.put(lower, {}, tally=[worth("list", 0, -1, sum=3)])  # what takes away is never refused
    assert await numbers(store) == {"count": 1, "sum": 8}


async def test_of_64_writers_each_is_counted_once_and_no_more_than_the_most(store: DocumentStore) -> None:
    async def write(number: int) -> bool:
        try:
            await store.create(replace(ONE, id=f"d-{number}"), tally=[worth("list", 1, 2, count=40)])
        except TallyExceeded:
            return False
        return True

    assert sum(await asyncio.gather(*map(write, range(WRITERS)))) == 40
    assert await numbers(store) == {"count": 40, "sum": 80}
    await asyncio.gather(*(change_counted(store, f"e-{number}", number) for number in range(WRITERS)))
    assert await numbers(store) == {"count": 40 + WRITERS // 2, "sum": 80 + 7 * WRITERS // 2}


async def list_all(store: DocumentStore) -> list[Document]:
    documents: list[Document] = []
    more = True
    while more:
        after = documents[-1].id if documents else None
        page = await store.page("counted", "list", after=after, limit=1000)
        documents, more = documents + page.documents, page.has_more
    return documents


@pytest.mark.exact
async def test_a_writer_that_is_killed_leaves_tallies_and_documents_alike(documenting: Documenting) -> None:
    for seed in range(5):
        process = multiprocessing.get_context("spawn").Process(target=count_for_ever, args=(documenting, seed))
        process.start()
        async with documenting.opened() as store:
            until = time.monotonic() + 30
            while not (await numbers(store)) and time.monotonic() < until:  # noqa: ASYNC110 - another process makes it so
                await asyncio.sleep(0.05)
            await asyncio.sleep(random.uniform(0.2, 0.8))  # noqa: S311
            process.kill()
            process.join()
            await asyncio.sleep(0.5)  # a request under way ends
            documents = await list_all(store)
            expected = {"count": len(documents), "sum": sum(document.body["number"] for document in documents)}
            assert await numbers(store) == expected


STEPS = st.lists(st.tuples(st.sampled_from("cpdt"), st.sampled_from("ab"), st.integers(-3, 5), st.integers(-1, 6)))


@settings(max_examples=25, deadline=None)
@given(STEPS)
async def test_any_history_counts_as_the_model_does(steps: list[tuple[str, str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with Documenting(f"{folder}/store.db").opened() as store:
            model = MemoryDocuments(lambda: NOW)
            for step in steps:
                assert await _take(store, step) == await _take(model, step)
                assert await numbers(store) == await numbers(model)


async def _take(store: DocumentStore, step: tuple[str, str, int, int]) -> Any:
    name, identifier, change, most = step
    tally = [Tally("counted", "list", {"count": change}, {"count": most})] if change else []
    document = await store.get("counted", identifier)
    try:
        if name == "c":
            return (await store.create(replace(ONE, id=identifier), tally=tally)).revision
        if name == "t":
            pair = [replace(ONE, id=f"{identifier}{number}") for number in (len(await list_all(store)) % 3, 7)]
            old = [] if document is None else [document]
            return len(await store.create_all(pair, replacing=old, tally=tally))
        if document is None:
            return None
        if name == "p":
            return (await store.put(document, {"number": 1}, tally=tally)).revision
        return await store.delete(document, tally=tally)
    except (Conflict, TallyExceeded) as refused:
        return str(refused) + type(refused).__name__
