"""The SQLite documents and their file: what is tidied, and what others share."""

from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path
import sqlite3

import pytest

from core.errors import StateUnavailable
from core.stores.answers import sqlite as answers_sqlite
from core.stores.answers.port import Lease
from core.stores.documents.port import GRACE, Document, DocumentStore
from core.stores.documents.sqlite import connect
from tests.contract.documents import NOW, Clock, body_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncGenerator[DocumentStore]:
    store = connect(str(tmp_path / "new" / "documents.db"), patience=60, clock=clock)
    yield store
    await store.close()


def ids(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / "new" / "documents.db")) as connection:
        return {identifier for (identifier,) in connection.execute("SELECT id FROM documents")}


async def test_what_ended_long_ago_goes_with_the_writes_that_come(
    store: DocumentStore, clock: Clock, tmp_path: Path
) -> None:
    for number in range(30):
        await store.create(Document("notes", f"old-{number}", {}, expires=NOW + 10))
    await store.delete(await store.create(Document("notes", "deleted", {})))
    await store.create(Document("notes", "stays", {}))
    later = await store.create(Document("notes", "later", {}, expires=NOW + 3 * GRACE))
    clock.now = NOW + 9 + GRACE
    for number in range(24):
        later = await store.put(later, {"n": number})
    assert ids(tmp_path) == {*(f"old-{number}" for number in range(30)), "stays", "later"}
    clock.now = NOW + 10 + GRACE
    for number in range(24):
        later = await store.put(later, {"n": number})
    assert ids(tmp_path) == {"stays", "later"}


async def test_documents_and_answers_may_share_a_file(store: DocumentStore, tmp_path: Path) -> None:
    answers = answers_sqlite.connect(str(tmp_path / "new" / "documents.db"))
    assert isinstance(await answers.begin("k", "f", now=0, until=9), Lease)
    assert (await store.create(Document("notes", "n", {}))).revision == 1
    await answers.close()


@pytest.mark.parametrize("size", [0, 200_000])
async def test_a_write_waits_for_another_process_only_so_long(store: DocumentStore, tmp_path: Path, size: int) -> None:
    made = await store.create(Document("notes", "n", {}))
    hasty = connect(str(tmp_path / "new" / "documents.db"), patience=0.1, clock=Clock())
    assert await hasty.get("notes", "n") == made
    with closing(sqlite3.connect(tmp_path / "new" / "documents.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateUnavailable, match="database is locked"):
            await hasty.put(made, body_of(1, size))
        assert await hasty.get("notes", "n") == made
    assert (await hasty.put(made, body_of(1, size))).revision == 2
    await hasty.close()
