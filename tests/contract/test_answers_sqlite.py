"""The SQLite answers and their file: how it is made, shared, waited for and tidied."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path
import sqlite3

import pytest

from core.stores.answers.port import Answer, AnswerStore, Earlier, Lease
from core.stores.answers.sqlite import GRACE, connect
from core.stores.counters import sqlite as counters_sqlite
from tests.contract.counters import taken, taking

ANSWER = Answer(200, "a/b", b"yes")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncGenerator[AnswerStore]:
    store = connect(str(tmp_path / "new" / "answers.db"), patience=60)
    yield store
    await store.close()


def keys(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / "new" / "answers.db")) as connection:
        return {key for (key,) in connection.execute("SELECT key FROM answers")}


async def test_what_expired_long_ago_goes_with_the_calls_that_come(store: AnswerStore, tmp_path: Path) -> None:
    for number in range(45):
        await store.begin(f"old-{number}", "f", now=0, until=100)
    lease = await store.begin("kept", "f", now=0, until=100)
    assert isinstance(lease, Lease)
    assert await store.finish(lease, ANSWER, expires=101)
    for number in range(3):
        await store.begin(f"new-{number}", "f", now=100 + GRACE, until=9000)
    assert keys(tmp_path) == {"kept", "new-0", "new-1", "new-2"}


async def test_a_key_that_is_freed_between_refusal_and_reading_is_tried_again(
    store: AnswerStore, tmp_path: Path
) -> None:
    """Many take and free one key at once: each call gets it or hears of another, none fails."""
    other = connect(str(tmp_path / "new" / "answers.db"), patience=60)

    async def often(each: AnswerStore) -> int:
        got = 0
        for _ in range(100):
            begun = await each.begin("k", "f", now=0, until=9)
            if isinstance(begun, Lease):
                got += 1
                await each.release(begun)
            else:
                assert begun == Earlier("f", None)
        return got

    assert sum(await asyncio.gather(*(often(each) for each in (store, other) * 2))) > 0
    await other.close()


async def test_answers_and_counters_may_share_a_file(store: AnswerStore, tmp_path: Path) -> None:
    counters = counters_sqlite.connect(str(tmp_path / "new" / "answers.db"))
    assert isinstance(await store.begin("k", "f", now=0, until=9), Lease)
    assert (await taken(counters, "k", taking(1)))[0]
    await counters.close()
