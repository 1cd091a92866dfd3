"""Several documents in one write: all are made and all that they replace is gone, or nothing has changed."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
import sqlite3
from typing import Any, override

import pytest

from core.errors import Conflict, InvalidRequest, StateUnavailable
from core.platform.sqlite_inline import InlineConnection
from core.platform.sqlite_schema import Schema
from core.platform.sqlite_shared import SharedTransactions
from core.stores.documents.port import Document, DocumentStore, StaleDocument, TallyExceeded
from tests.contract.documents import BEYOND, KINDS, LEAST, NOW, Documenting, blob_keys, body_of, worth
from tests.contract.dynamodb_script import Answer, Scripted, cancelled
from tests.contract.test_documents_dynamodb import opened

ONE, TWO = (Document("counted", name, {"number": place}, "list", created=NOW) for place, name in enumerate("ab"))
LARGE = replace(TWO, body=body_of(1, BEYOND))
LEASE = Document("leases", "l", {}, "l", created=NOW, expires=NOW + 10)


@pytest.fixture(params=KINDS)
def documenting(request: pytest.FixtureRequest, tmp_path: Path) -> Documenting:
    blobs = str(tmp_path / "blobs")
    return Documenting.fresh(request, request.param, tmp_path, "state_table", blobs=blobs, least=LEAST)


@pytest.fixture
async def store(documenting: Documenting) -> AsyncGenerator[DocumentStore]:
    async with documenting.opened() as store:
        yield store


async def names(store: DocumentStore) -> list[str]:
    return [document.id for document in (await store.page("counted", "list", limit=9)).documents]


async def test_all_are_made_and_what_they_replace_is_gone_whatever_its_revision(store: DocumentStore) -> None:
    lease = await store.create(LEASE)
    await store.put(lease, {"renewed": True}, expires=NOW + 20)
    made = await store.create_all([ONE, LARGE], replacing=[lease], tally=[worth("list", 2, 3)])
    assert made == [ONE, LARGE]
    assert [await store.get("counted", document.id) for document in made] == made
    assert await names(store) == ["a", "b"]
    assert await store.get("leases", "l") is None
    assert (await store.page("leases", "l", limit=1)).documents == []
    assert await store.tallies("counted", "list") == {"count": 2, "sum": 3}
    assert (await store.put(made[1], {"number": 9})).revision == 2
    assert await store.create(LEASE) == LEASE


async def test_nothing_has_changed_where_one_is_refused(store: DocumentStore, tmp_path: Path) -> None:
    lease = await store.create(LEASE)
    assert await store.delete(lease)
    newer = await store.create(LEASE)
    taken = await store.create(ONE)
    other = replace(ONE, id="c")
    with pytest.raises(Conflict, match="`a`"):
        await store.create_all([LARGE, ONE], replacing=[newer], tally=[worth("list", 1, 1)])
    for old in (lease, replace(LEASE, id="never", tag="b")):
        with pytest.raises(StaleDocument, match="is gone"):
            await store.create_all([LARGE, other], replacing=[old], tally=[worth("list", 1, 1)])
    with pytest.raises(TallyExceeded):
        await store.create_all([LARGE, other], replacing=[newer], tally=[worth("list", 2, 1, count=1)])
    with pytest.raises(InvalidRequest):
        await store.create_all([LARGE, replace(ONE, id="")])
    assert await names(store) == ["a"]
    assert await store.get("counted", "a") == taken
    assert await store.get("leases", "l") == newer
    assert await store.tallies("counted", "list") == {}
    assert not blob_keys(tmp_path / "blobs")


async def test_of_16_who_replace_one_lease_one_does(store: DocumentStore) -> None:
    lease = await store.create(LEASE)

    async def write(number: int) -> int:
        documents = [replace(ONE, id=f"{number}-{name}", body={"number": number}) for name in "xy"]
        try:
            await store.create_all(documents, replacing=[lease])
        except StaleDocument:
            return 0
        return 1

    assert sum(await asyncio.gather(*map(write, range(16)))) == 1
    assert len({document.body["number"] for document in (await store.page("counted", "list", limit=9)).documents}) == 1
    assert len(await names(store)) == 2


async def test_of_those_that_are_made_soon_each_has_its_own_outcome(store: DocumentStore) -> None:
    async def write(number: int) -> str:
        pair = [replace(ONE, id=f"place-{number // 2}"), replace(LARGE if number == 2 else ONE, id=f"own-{number}")]
        try:
            made = await store.create_soon([replace(ONE, id="")] if number == 6 else pair)
        except (Conflict, InvalidRequest):
            return ""
        assert made == pair
        return made[1].id

    outcomes = await asyncio.gather(*map(write, range(7)))
    made = [name for name in outcomes if name]
    assert [len([name for name in outcomes[at : at + 2] if name]) for at in (0, 2, 4)] == [1, 1, 1]
    assert await names(store) == sorted([*made, "place-0", "place-1", "place-2"])


class CountedConnection(InlineConnection):
    count: int = 0

    @override
    async def run[Outcome](self, work: Callable[[sqlite3.Connection], Outcome]) -> Outcome:
        self.count += 1
        return await super().run(work)


async def test_what_is_asked_for_at_once_of_a_file_is_one_transaction_and_its_failure_is_everybodys(
    tmp_path: Path,
) -> None:
    schema = Schema("numbers", (("CREATE TABLE numbers (number INTEGER PRIMARY KEY)",),))
    connection = CountedConnection(tmp_path / "numbers.db", schema, owner="The", unavailable=StateUnavailable)
    shared, insert = SharedTransactions(connection), "INSERT INTO numbers VALUES (?) ON CONFLICT DO NOTHING RETURNING 1"

    async def add(*numbers: int) -> int:
        return await shared.write([(insert, (number,)) for number in numbers])

    assert [*await asyncio.gather(add(1), add(2, 3), add(4, 1), add(1), add(5))] == [1, 2, 1, 0, 1]
    assert connection.count == 1
    broken = shared.write([("INSERT INTO nothing VALUES (?)", (1,))])
    outcomes = await asyncio.gather(add(6), broken, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StateUnavailable, StateUnavailable]
    assert await asyncio.gather(*(add(number) for number in range(40))) == [
        int(n not in {1, 2, 3, 5}) for n in range(40)
    ]
    assert connection.count == 2 + 3
    connection.close()


@pytest.mark.usefixtures("aws_credentials")
async def test_what_was_carried_out_without_an_answer_is_no_conflict_with_itself(
    script_url: str, script: Scripted
) -> None:
    store = opened(script_url, answer_seconds=0.1)
    gone = {"until": {"N": "0"}, "parent": {"S": "l"}, "created": {"N": "1"}}

    def repeat(asked: dict[str, Any]) -> Answer:
        items = [asked["TransactItems"][place]["Put"]["Item"] for place in (0, 2)]
        failed = {"Code": "ConditionalCheckFailed"}
        status, body = cancelled("ConditionalCheckFailed", "None")
        reasons = [failed | {"Item": items[0]}, {"Code": "None"}, failed | {"Item": items[1]}, {"Code": "None"}]
        return status, body | {"CancellationReasons": [*reasons, failed | {"Item": gone}, {"Code": "None"}]}

    script.answers = [None, repeat]
    assert await store.create_all([ONE, TWO], replacing=[replace(LEASE, tag="b")]) == [ONE, TWO]
    assert [operation for operation, _ in script.asked] == ["TransactWriteItems"] * 2
    await store.close()
