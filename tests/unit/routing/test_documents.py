"""A document that a caller may not read does not exist for it; one that it may not change is a 403."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.config.policy import AccessRule
from core.errors import ApiError, Conflict, NotFound, PermissionDenied, StaleRevision
from core.frame.callers import ANONYMOUS, Principal
from core.frame.types import JsonObject
from core.routing.documents import GuardedDocuments
from core.routing.guard import Enforcement, Guard
from core.routing.policy import DEFAULT_POLICY, Policy
from core.stores.documents.port import (
    UNCHANGED,
    Document,
    DocumentPage,
    DocumentStore,
    Order,
    Place,
    StaleDocument,
    Tally,
    Unchanged,
)
from tests.fakes import Clock
from tests.unit.routing.test_guard import rule

ADA = Principal("ada", {"teams": ("red",)})
BOB = Principal("bob", {"teams": ("blue",)})
FLOOR = 0.025


@dataclass
class MemoryDocuments:
    """A DocumentStore of one process; `pages` counts what a real store would be asked for, `tally` is what was last added."""

    rows: dict[tuple[str, str], Document] = field(default_factory=dict[tuple[str, str], Document])
    pages: int = 0
    tally: Sequence[Tally] = ()  # of the last write

    async def create(self, document: Document, *, tally: Sequence[Tally] = ()) -> Document:
        self.tally = tally
        if (document.collection, document.id) in self.rows:
            raise Conflict(f"{document.id} is taken, by {document}")
        return self.rows.setdefault((document.collection, document.id), document)

    async def create_all(
        self, documents: Sequence[Document], *, replacing: Sequence[Document] = (), tally: Sequence[Tally] = ()
    ) -> list[Document]:
        for document in replacing:
            await self.delete(document)
        return [await self.create(document, tally=tally) for document in documents]

    async def create_soon(self, documents: Sequence[Document]) -> list[Document]:
        return await self.create_all(documents)

    async def get(self, collection: str, id: str) -> Document | None:  # noqa: A002 - as the port has it
        return self.rows.get((collection, id))

    async def put(
        self,
        document: Document,
        body: JsonObject,
        *,
        expires: int | Unchanged | None = UNCHANGED,
        tally: Sequence[Tally] = (),
    ) -> Document:
        self.tally = tally
        self._check(document, document.revision)
        until = document.expires if isinstance(expires, Unchanged) else expires
        written = replace(document, body=body, revision=document.revision + 1, expires=until)
        self.rows[document.collection, document.id] = written
        return written

    async def delete(self, document: Document, *, expect: int | None = None, tally: Sequence[Tally] = ()) -> bool:
        self.tally = tally
        if expect is not None:
            self._check(document, expect)
        return self.rows.pop((document.collection, document.id), None) is not None

    def _check(self, document: Document, revision: int) -> None:
        newest = self.rows.get((document.collection, document.id))
        if newest is None or newest.revision != revision:
            raise StaleDocument(document, newest)

    async def page(
        self,
        collection: str,
        parent: str = "",
        *,
        order: Order = "asc",
        after: str | Place | None = None,
        limit: int,
        most_bytes: int | None = None,
    ) -> DocumentPage:
        assert (1 <= limit <= 1000, most_bytes) == (True, None)
        self.pages += 1
        rows = [row for row in self.rows.values() if (row.collection, row.parent) == (collection, parent)]
        rows.sort(key=lambda row: (row.created, row.id), reverse=order == "desc")
        ids = [row.id for row in rows]
        if after is not None and after not in ids:
            raise NotFound(f"no document {after} in the list")
        assert after is None or isinstance(after, str)
        rest = rows if after is None else rows[ids.index(after) + 1 :]
        return DocumentPage(rest[:limit], len(rest) > limit)

    async def tallies(self, collection: str, id: str) -> dict[str, int]:  # noqa: A002
        return {
            name: change
            for one in self.tally
            if (one.collection, one.id) == (collection, id)
            for name, change in one.changes.items()
        }

    async def drop_tallies(self, collection: str, id: str) -> None:  # noqa: A002
        self.tally = [one for one in self.tally if (one.collection, one.id) != (collection, id)]

    def warm(self) -> None:
        return None

    async def close(self) -> None:
        return None


class World:
    def __init__(self, *rules: AccessRule) -> None:
        self.clock, self.store, self.slept = Clock(), MemoryDocuments(), list[float]()
        self.enforcement = Enforcement(Policy(rules or DEFAULT_POLICY), FLOOR, self.clock, self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def of(self, principal: Principal | None) -> GuardedDocuments:
        store: DocumentStore = self.store
        guard = Guard(self.enforcement, principal)
        return GuardedDocuments(
            store, guard, "notes", "note", lambda document: {"text": document.body["text"]}, lambda: 7.9
        )


async def refusal(work: Any) -> tuple[type[ApiError], str, str | None]:
    with pytest.raises(ApiError) as raised:
        await work
    return type(raised.value), raised.value.message, raised.value.param


async def test_a_guarded_write_carries_its_tallies() -> None:
    ada = (world := World()).of(ADA)
    tally = (Tally("counted", "all", {"notes": 1}),)
    note = await ada.create("n", {"text": "x"}, tally=tally)
    assert world.store.tally == tally
    note = await ada.put(note, {"text": "y"})
    assert not world.store.tally
    await ada.delete(note, tally=tally)
    assert await world.store.tallies("counted", "all") == {"notes": 1}


async def test_a_document_is_its_makers_and_another_cannot_tell_it_from_a_missing_one() -> None:
    world = World()
    ada, bob = world.of(ADA), world.of(BOB)
    note = await ada.create("n", {"text": "x"}, parent="list", expires=99)
    assert note == Document(
        "notes", "n", {"text": "x"}, "list", {"principal": "ada", "attributes": {"teams": ["red"]}}, 7, 1, 99
    )
    assert await ada.get("n") == note
    assert (await ada.page("list", limit=9)).documents == [note]
    assert (await bob.page("list", limit=9)) == DocumentPage([], has_more=False)
    attempts = [bob.get("n"), bob.put(note, {}), bob.delete(note), bob.page("list", after="n", limit=1)]
    hidden = [await refusal(attempt) for attempt in attempts]
    missing = [await refusal(bob.get("none")), await refusal(bob.page("list", after="none", limit=1))]
    assert [(kind, text.replace("`n`", "`none`"), param) for kind, text, param in hidden] == [
        *[missing[0]] * 3,
        missing[1],
    ]
    assert missing[0] == (NotFound, "There is no note `none`.", "note_id")
    assert missing[1] == (NotFound, "There is no note `none`.", "after")
    assert world.slept == [FLOOR] * 6
    assert await ada.put(note, {"text": "y"}) == replace(note, body={"text": "y"}, revision=2)
    assert await ada.delete(note)
    assert not world.store.rows


@pytest.mark.parametrize("principal", [None, ANONYMOUS])
async def test_what_nobody_in_particular_makes_is_nobodys(principal: Principal | None) -> None:
    world = World()
    assert (await world.of(principal).create("n", {})).owner is None
    assert (await world.of(BOB).get("n")).id == "n"


async def test_what_may_be_read_and_not_changed_is_a_403_and_an_id_that_is_taken_says_nothing_of_what_is_there() -> (
    None
):
    world = World(rule("permit", ["create"], resource="note::n"), rule("permit", ["read"]))
    ada, bob = world.of(ADA), world.of(BOB)
    note = await ada.create("n", {"text": "x"})
    denied = [await refusal(bob.put(note, {})), await refusal(bob.delete(note)), await refusal(bob.create("m", {}))]
    assert [kind for kind, _, _ in denied] == [PermissionDenied] * 3
    assert denied[0][1] == "The access policy does not let you update the note `n`."
    taken = await refusal(bob.create("n", {"text": "y"}))
    assert taken == (Conflict, "`n` is taken. Choose another identifier.", None)
    assert not world.slept


async def test_a_stale_write_says_what_is_there_as_its_api_shows_it_and_nothing_that_was_hidden_since() -> None:
    world = World()
    ada = world.of(ADA)
    note = await ada.create("n", {"text": "old", "secret": 1})
    newest = await ada.put(note, {"text": "new", "secret": 2})
    for work in (ada.put(note, {}), ada.delete(note, expect=1)):
        with pytest.raises(StaleDocument) as stale:
            await work
        assert (stale.value.document, stale.value.current) == (newest, {"text": "new"})
        assert stale.value.body()["error"]["current"] == {"text": "new"}
    world.store.rows["notes", "n"] = replace(newest, owner={"principal": "bob", "attributes": {"teams": ["blue"]}})
    with pytest.raises(StaleRevision) as hidden:
        await ada.put(note, {})
    assert (hidden.value.current, hidden.value.message) == (None, "`n` is gone.")
    world.store.rows.clear()
    with pytest.raises(StaleRevision) as gone:
        await ada.put(note, {})
    assert gone.value.body() == hidden.value.body()
    assert await ada.delete(note) is False


@given(
    owners=st.lists(st.sampled_from(["ada", "bob"]), max_size=40),
    limit=st.integers(1, 12),
    order=st.sampled_from(["asc", "desc"]),
)
def test_pages_have_all_that_may_be_read_once_in_order_and_never_more(
    owners: list[str], limit: int, order: Any
) -> None:
    async def read() -> None:
        world = World()
        people = {"ada": ADA, "bob": BOB}
        for number, owner in enumerate(owners):
            await world.of(people[owner]).create(f"n{number:02}", {})
        own = [f"n{number:02}" for number, owner in enumerate(owners) if owner == "ada"]
        ids: list[str] = []
        more, after = True, None
        while more:
            page = await world.of(ADA).page(order=order, after=after, limit=limit)
            assert len(page.documents) <= limit
            ids += [document.id for document in page.documents]
            more, after = page.has_more, ids[-1] if ids else None
            assert more == (len(ids) < len(own))
        assert ids == (own if order == "asc" else own[::-1])

    asyncio.run(read())


async def test_a_page_of_the_most_reads_no_more_at_once_than_a_store_gives() -> None:
    world = World()
    for number in range(1001):
        await world.of(ADA).create(f"n{number:04}", {})
    page = await world.of(ADA).page(limit=1000)
    assert (len(page.documents), page.has_more, world.store.pages) == (1000, True, 2)


async def test_what_is_hidden_is_read_past_in_large_pages() -> None:
    world = World()
    for number in range(500):
        await world.of(BOB).create(f"n{number:03}", {})
    assert await world.of(ADA).page(limit=1) == DocumentPage([], has_more=False)
    assert world.store.pages == 6
