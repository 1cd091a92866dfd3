"""What DocumentStore promises, over both adapters, in one process."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
import uuid

from aiohttp.test_utils import unused_port
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic_core import to_json
import pytest

from core.errors import Conflict, DocumentTooLarge, InvalidRequest, NotFound, StateUnavailable
from core.stores.documents.port import GRACE, MOST_BODY, Document, DocumentStore, Order, StaleDocument
from core.stores.documents.walking import MOST_BYTES, walk_pages
from tests.contract.documents import (
    KINDS,
    LARGE,
    NOW,
    Clock,
    Documenting,
    blob_keys,
    body_of,
    check_whole,
)

OWNER = {"principal": "ada", "attributes": {"roles": ["admin"], "teams": []}}
NOTE = Document("notes", "n-1", {"text": "ä", "n": 1.5}, "book", OWNER, NOW, expires=NOW + 100)
STRANGE = ["#", "%", "%23", "a#b", "a%b", "a/b", "a b", " ", "~" * 512, "document", "#document#", "..", "'\"\\"]
ORDERS: tuple[Order, ...] = ("asc", "desc")

type Connect = Callable[..., DocumentStore]


@pytest.fixture(params=KINDS)
def documenting(request: pytest.FixtureRequest, tmp_path: Path) -> Documenting:
    return Documenting.fresh(request, request.param, tmp_path, "state_table", blobs=str(tmp_path / "blobs"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(documenting: Documenting, clock: Clock) -> AsyncGenerator[DocumentStore]:
    async with documenting.opened(clock=clock) as store:
        yield store


def note(identifier: str, **more: Any) -> Document:
    return Document("notes", identifier, {"id": identifier}, **({"created": NOW} | more))


async def ids(store: DocumentStore, parent: str = "", order: Order = "asc", after: str | None = None) -> list[str]:
    page = await store.page("notes", parent, order=order, after=after, limit=1000)
    assert not page.has_more
    return [document.id for document in page.documents]


async def test_a_document_is_read_as_it_was_made(store: DocumentStore) -> None:
    made = await store.create(replace(NOTE, revision=7))
    assert made == NOTE
    assert await store.get("notes", "n-1") == NOTE
    assert (await store.page("notes", "book", limit=1)).documents == [NOTE]
    bare = await store.create(Document("other_notes", "n-1", {}))
    assert await store.get("other_notes", "n-1") == bare == Document("other_notes", "n-1", {})
    assert await store.get("notes", "n-2") is None


async def test_an_id_is_taken_once_in_its_collection_whatever_its_list(store: DocumentStore) -> None:
    made = await store.create(NOTE)
    with pytest.raises(Conflict, match="`n-1`"):
        await store.create(NOTE)
    with pytest.raises(Conflict):
        await store.create(replace(NOTE, parent="other", created=NOW + 1, body={}))
    assert await store.get("notes", "n-1") == made
    assert await ids(store, "other") == []
    assert (await store.create(replace(NOTE, collection="songs"))).collection == "songs"


async def test_a_write_needs_the_newest_revision_and_a_stale_one_learns_it(store: DocumentStore) -> None:
    first = await store.create(NOTE)
    second = await store.put(first, {"n": 2})
    assert second == replace(NOTE, body={"n": 2}, revision=2)
    assert await store.get("notes", "n-1") == second
    with pytest.raises(StaleDocument) as stale:
        await store.put(first, {"n": 3})
    assert stale.value.document == second
    assert stale.value.current == {"id": "n-1", "revision": 2, "body": {"n": 2}}
    assert stale.value.status == 409
    third = await store.put(stale.value.document, {"n": 3})
    assert third.revision == 3
    assert await store.get("notes", "n-1") == third


async def test_a_write_to_what_is_gone_is_stale_and_makes_nothing(store: DocumentStore) -> None:
    first = await store.create(NOTE)
    assert await store.delete(first)
    for expires in (NOW + 100, NOW + 200):
        with pytest.raises(StaleDocument, match="is gone") as stale:
            await store.put(first, {}, expires=expires)
        assert stale.value.document is None
    with pytest.raises(StaleDocument):
        await store.put(note("never"), {})
    assert await store.get("notes", "n-1") is await store.get("notes", "never") is None
    assert await ids(store, "book") == []


async def test_a_document_of_the_same_id_is_another(store: DocumentStore) -> None:
    old = await store.create(NOTE)
    assert await store.delete(old)
    new = await store.create(replace(NOTE, body={"new": True}))
    with pytest.raises(StaleDocument) as stale:
        await store.put(old, {"old": True})
    assert stale.value.document == new
    assert not await store.delete(old)
    assert await store.get("notes", "n-1") == new
    assert await ids(store, "book") == ["n-1"]


async def test_a_document_is_removed_once_and_its_id_is_free(store: DocumentStore) -> None:
    first = await store.create(NOTE)
    assert await store.delete(first)
    assert not await store.delete(first)
    assert await store.get("notes", "n-1") is None
    assert await ids(store, "book") == []
    again = await store.create(replace(NOTE, parent="other", created=NOW + 5))
    assert await store.get("notes", "n-1") == again
    assert (await ids(store, "book"), await ids(store, "other")) == ([], ["n-1"])


async def test_removal_is_of_the_revision_that_was_named_or_of_any(store: DocumentStore) -> None:
    first = await store.create(NOTE)
    second = await store.put(first, {"n": 2})
    for document in (first, second):
        with pytest.raises(StaleDocument) as stale:
            await store.delete(document, expect=1)
        assert stale.value.document == second
    with pytest.raises(StaleDocument):
        await store.delete(second, expect=3)
    assert await store.get("notes", "n-1") == second
    assert await store.delete(first, expect=2)
    assert not await store.delete(first, expect=2)
    first = await store.create(NOTE)
    await store.put(first, {"n": 2})
    assert await store.delete(first)
    assert await store.get("notes", "n-1") is None


async def test_what_has_expired_is_gone_for_every_call_at_once(
    store: DocumentStore, clock: Clock, documenting: Documenting
) -> None:
    made = await store.create(NOTE)
    await store.create(note("n-2", parent="book"))
    clock.now = NOW + 99.9
    async with documenting.opened(clock=clock) as other:
        for one in (store, other):
            assert await one.get("notes", "n-1") == made
            assert await ids(one, "book") == ["n-1", "n-2"]
            with pytest.raises(Conflict):
                await one.create(NOTE)
        clock.now = NOW + 100
        for one in (store, other):
            assert await one.get("notes", "n-1") is None
            assert await ids(one, "book") == ["n-2"]
            assert not (await one.page("notes", "book", limit=1)).has_more
            assert not await one.delete(made)
            with pytest.raises(StaleDocument, match="is gone"):
                await one.put(made, {})
            with pytest.raises(StaleDocument, match="is gone"):
                await one.put(made, {}, expires=NOW + 1000)
    again = await store.create(replace(NOTE, created=NOW + 50, expires=None))
    assert await store.get("notes", "n-1") == again
    assert await ids(store, "book") == ["n-2", "n-1"]


async def test_an_expiry_stays_unless_a_write_says_so(store: DocumentStore, clock: Clock) -> None:
    document = await store.create(NOTE)
    document = await store.put(document, {"n": 2})
    assert document.expires == NOW + 100
    document = await store.put(document, {"n": 3}, expires=NOW + 200)
    clock.now = NOW + 150
    assert await store.get("notes", "n-1") == document == replace(NOTE, body={"n": 3}, revision=3, expires=NOW + 200)
    assert await ids(store, "book") == ["n-1"]
    document = await store.put(document, {"n": 4}, expires=None)
    clock.now = NOW + 10**8
    assert await store.get("notes", "n-1") == document
    assert await ids(store, "book") == ["n-1"]
    document = await store.put(document, {"n": 5}, expires=NOW)
    assert await store.get("notes", "n-1") is None
    assert await ids(store, "book") == []


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 1000])
async def test_pages_have_each_document_once_in_order(store: DocumentStore, order: Order, limit: int) -> None:
    places = [(NOW, "b"), (NOW, "a"), (NOW, "B"), (NOW + 1, "a#"), (NOW - 1, "z"), (5, "old"), (NOW + 1, "a0")]
    for created, identifier in places:
        await store.create(note(identifier, created=created, parent="list"))
    await store.create(note("elsewhere", parent="lis"))
    expected = [identifier for _, identifier in sorted(places, reverse=order == "desc")]
    seen: list[str] = []
    more, after = True, None
    while more:
        page = await store.page("notes", "list", order=order, after=after, limit=limit)
        more, after = page.has_more, page.documents[-1].id
        seen += [document.id for document in page.documents]
        assert len(page.documents) == min(limit, len(expected) - len(seen) + len(page.documents))
    assert seen == expected
    assert (await store.page("notes", "list", order=order, after=after, limit=limit)).documents == []


async def test_a_page_is_full_and_says_what_follows_whatever_has_gone(store: DocumentStore, clock: Clock) -> None:
    lives = (3, 120, 121, 249)
    documents = [
        note(f"{number:03}", created=NOW + number, expires=None if number in lives else NOW + 10)
        for number in range(250)
    ]
    await asyncio.gather(*map(store.create, documents))
    clock.now = NOW + 10
    page = await store.page("notes", limit=3)
    assert [document.id for document in page.documents] == ["003", "120", "121"]
    assert page.has_more
    page = await store.page("notes", after="121", limit=1)
    assert ([document.id for document in page.documents], page.has_more) == (["249"], False)
    page = await store.page("notes", limit=4)
    assert (len(page.documents), page.has_more) == (4, False)


async def test_more_documents_than_one_request_gives_are_one_page(store: DocumentStore) -> None:
    await asyncio.gather(*(store.create(note(f"{number:03}")) for number in range(230)))
    page = await store.page("notes", limit=229)
    assert [document.id for document in page.documents] == [f"{number:03}" for number in range(229)]
    assert page.has_more
    assert all(document.body == {"id": document.id} for document in page.documents)


async def test_a_page_ends_before_what_would_be_too_many_bytes_and_a_walk_does_not(store: DocumentStore) -> None:
    for number, (identifier, size) in enumerate({"a": 40, "b": LARGE, "c": 40, "d": LARGE}.items()):
        await store.create(Document("notes", identifier, body_of(number, size)))
    await store.create(Document("notes", "e", {"text": "x" * MOST_BYTES}))
    least = len(to_json(body_of(0, 40))) + len(to_json(body_of(1, LARGE)))
    found = [await store.page("notes", limit=9, most_bytes=most) for most in (least - 1, least, least + LARGE // 4)]
    assert [[document.id for document in page.documents] for page in found] == [["a"], ["a", "b"], ["a", "b", "c"]]
    assert {(page.has_more, page.is_cut) for page in found} == {(True, True)}
    assert found[1].size == least
    full = await store.page("notes", limit=2, most_bytes=least)
    assert (full.has_more, full.is_cut) == (True, False)
    none = await store.page("notes", order="desc", after=(1, ""), limit=9, most_bytes=LARGE)
    assert (none.documents, none.has_more, none.size) == ([], True, 0)
    walked = [document async for page in walk_pages(store, "notes") for document in page]
    assert [document.id for document in walked] == [*"abcde"]


async def test_a_page_may_begin_after_what_was_deleted_or_has_expired_for_a_while(
    store: DocumentStore, clock: Clock
) -> None:
    for identifier in "abcd":
        await store.create(note(identifier, expires=NOW + 10 if identifier == "c" else None))
    b = await store.get("notes", "b")
    assert b is not None
    assert await store.delete(b)
    assert await ids(store, after="b") == ["c", "d"]
    assert await ids(store, after="b", order="desc") == ["a"]
    clock.now = NOW + 10
    assert await ids(store, after="c") == ["d"]
    clock.now = NOW + GRACE - 1
    assert await ids(store, after="b") == ["d"]
    clock.now = NOW + GRACE
    with pytest.raises(NotFound, match="`b`"):
        await ids(store, after="b")
    assert await ids(store, after="c") == ["d"]
    clock.now = NOW + GRACE + 10
    with pytest.raises(NotFound):
        await ids(store, after="c")


async def test_a_page_after_what_was_never_in_the_list_is_not_found(store: DocumentStore) -> None:
    await store.create(note("a", parent="one"))
    await store.create(replace(note("b", parent="one"), collection="songs"))
    for after in ("missing", "b", "", "ä", "x" * 600):
        with pytest.raises(NotFound) as raised:
            await store.page("notes", "one", after=after, limit=1)
        assert raised.value.param == "after"
    with pytest.raises(NotFound):
        await store.page("notes", after="a", limit=1)


async def test_a_reader_that_deletes_what_it_pages_through_sees_all(store: DocumentStore) -> None:
    for number in range(25):
        await store.create(note(f"{number:02}", created=NOW + number // 3))
    seen: list[str] = []
    more, after = True, None
    while more:
        page = await store.page("notes", after=after, limit=4)
        for document in page.documents:
            assert await store.delete(document)
        seen += [document.id for document in page.documents]
        more, after = page.has_more, page.documents[-1].id
    assert seen == [f"{number:02}" for number in range(25)]
    assert await ids(store) == []


@pytest.mark.parametrize("identifier", STRANGE)
async def test_any_printable_id_and_list_is_itself_and_no_other(store: DocumentStore, identifier: str) -> None:
    others = [other for other in STRANGE if other != identifier]
    made = await store.create(note(identifier, parent=identifier))
    assert await store.get("notes", identifier) == made
    assert await ids(store, identifier) == [identifier]
    assert await ids(store, identifier, after=identifier) == []
    for other in others:
        assert await store.get("notes", other) is None
        assert await ids(store, other) == []
    assert (await store.put(made, {"n": 2})).id == identifier
    assert await store.delete(made)
    assert await ids(store, identifier) == []


@pytest.mark.parametrize("wrong", ["", "ä", "a\x00", "a\n", "x" * 513, "\ud800"])
async def test_a_name_that_no_document_can_have_is_refused_and_not_there(store: DocumentStore, wrong: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be stored"):
        await store.create(note(wrong))
    if wrong:
        with pytest.raises(InvalidRequest):
            await store.create(note("a", parent=wrong))
    assert await store.get("notes", wrong) is None


@pytest.mark.parametrize("change", [{"collection": "Notes"}, {"collection": ""}, {"created": -1}, {"created": 10**12}])
async def test_a_collection_or_a_time_that_no_store_has_is_refused(
    store: DocumentStore, change: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest):
        await store.create(replace(NOTE, **change))


@pytest.mark.parametrize("body", [{"a": "\ud800"}, {"a": object()}])
async def test_a_body_that_is_not_json_is_refused_and_nothing_changes(
    store: DocumentStore, body: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest, match="as JSON"):
        await store.create(replace(NOTE, body=body))
    made = await store.create(NOTE)
    with pytest.raises(InvalidRequest):
        await store.put(made, body)
    assert await store.get("notes", "n-1") == made


def nested(levels: int) -> dict[str, Any]:
    return {"a": nested(levels - 1)} if levels else {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=20,
)  # fmt: skip
BODIES = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), JSON, max_size=10)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES, padding=st.integers(0, 2000))
@example(body=nested(240), padding=0)
@example(body={"a": float("inf")}, padding=0)
def test_any_body_comes_back_as_it_was(documenting: Documenting, body: dict[str, Any], padding: int) -> None:
    async def compare() -> None:
        async with documenting.opened(uuid.uuid4().hex) as store:
            whole = body | {"padding": "x" * padding}
            made = await store.create(replace(NOTE, body=whole))
            assert await store.get("notes", "n-1") == made
            assert made.body == whole

    asyncio.run(compare())


@pytest.mark.parametrize("size", [60_000, 340_000, 349_000, 351_000, 400_000, 2_000_000])
async def test_bodies_of_any_size_are_read_as_they_were_written(store: DocumentStore, size: int) -> None:
    large = {"text": body_of(1, 2 * size)["text"]}  # which deflates to half
    made = await store.create(replace(NOTE, body=large))
    assert await store.get("notes", "n-1") == made
    small = await store.put(made, {"n": 2})
    assert await store.get("notes", "n-1") == small
    again = await store.put(small, large | {"n": 3}, expires=None)
    assert await store.get("notes", "n-1") == again
    with pytest.raises(StaleDocument) as stale:
        await store.put(made, large)
    assert stale.value.document == again
    assert (await store.page("notes", "book", limit=1)).documents == [again]
    assert await store.delete(again)


async def test_no_blob_is_left_by_what_was_replaced_refused_or_removed(
    documenting: Documenting, store: DocumentStore
) -> None:
    blobs = partial(blob_keys, documenting.blobs)
    count = 0 if documenting.endpoint is None else 1
    made = await store.create(replace(NOTE, body=body_of(1, LARGE)))
    assert len(blobs()) == count
    with pytest.raises(Conflict):
        await store.create(replace(NOTE, body=body_of(2, LARGE)))
    second = await store.put(made, body_of(3, LARGE))
    assert len(blobs()) == count
    for expires in (NOW + 100, NOW + 10**6):
        with pytest.raises(StaleDocument):
            await store.put(made, body_of(4, LARGE), expires=expires)
    assert len(blobs()) == count
    third = await store.put(second, {})
    assert not blobs()
    await store.put(third, body_of(5, LARGE))
    assert len(blobs()) == count
    assert await store.delete(made)  # which was read two revisions ago
    assert not blobs()


async def test_over_50_mb_is_too_large_before_anything_is_written(
    documenting: Documenting, store: DocumentStore
) -> None:
    most = {"text": "x" * (MOST_BODY - len('{"text":""}'))}
    made = await store.create(replace(NOTE, body={}))
    made = await store.put(made, most)
    assert await store.get("notes", "n-1") == made
    for work in (
        store.create(replace(NOTE, id="n-2", body={"text": most["text"] + "x"})),
        store.put(made, {"text": most["text"] + "x"}),
    ):
        with pytest.raises(DocumentTooLarge, match=str(MOST_BODY)):
            await work
    assert await store.get("notes", "n-1") == made
    assert await store.get("notes", "n-2") is None
    assert not blob_keys(documenting.blobs)  # 50 MB of x are 0.2 of zlib's


async def test_what_one_store_keeps_another_finds_but_for_another_namespace(documenting: Documenting) -> None:
    async with documenting.opened() as one, documenting.opened() as two:
        made = await one.create(NOTE)
        assert await two.get("notes", "n-1") == made
        assert (await two.put(made, {"n": 2})).revision == 2
        for namespace in ("other #/ä", "doc", "docs"):
            async with documenting.opened(namespace) as other:
                assert await other.get("notes", "n-1") is None
                assert await ids(other, "book") == []
                assert await other.delete(made) is False
                assert await other.create(NOTE) == NOTE
        assert (await one.page("notes", "book", limit=2)).documents == [replace(NOTE, body={"n": 2}, revision=2)]


async def test_a_namespace_and_a_collection_of_the_same_words_do_not_meet(documenting: Documenting) -> None:
    async with documenting.opened() as bare, documenting.opened("doc") as other:
        await bare.create(Document("doc", "notes#n", {"bare": True}))
        assert await other.get("notes", "n") is None
        await other.create(Document("notes", "n", {"other": True}))
        assert await bare.get("doc", "notes#n") == Document("doc", "notes#n", {"bare": True})


async def test_a_closed_store_opens_again(store: DocumentStore) -> None:
    made = await store.create(NOTE)
    await store.close()
    await store.close()
    store.warm()
    assert await store.get("notes", "n-1") == made


async def test_of_many_that_make_one_document_one_does(store: DocumentStore) -> None:
    outcomes = await asyncio.gather(
        *(store.create(replace(NOTE, parent=f"list-{number}")) for number in range(20)), return_exceptions=True
    )
    winners = [outcome for outcome in outcomes if isinstance(outcome, Document)]
    assert len(winners) == 1
    assert {type(outcome) for outcome in outcomes} == {Document, Conflict}
    lists = [f"list-{number}" for number in range(20) if await ids(store, f"list-{number}")]
    assert lists == [winners[0].parent]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("aws_credentials")
async def test_a_store_that_cannot_be_reached_is_unavailable_for_every_call(kind: str, tmp_path: Path) -> None:
    if kind == "sqlite":
        (tmp_path / "documents.db").mkdir()
        documenting = Documenting(str(tmp_path / "documents.db"))
    else:
        documenting = Documenting("state", f"http://127.0.0.1:{unused_port()}", str(tmp_path / "blobs"))
    async with documenting.opened() as store:
        calls = (
            store.create(NOTE),
            store.get("notes", "n"),
            store.put(NOTE, {}),
            store.put(NOTE, {}, expires=None),
            store.delete(NOTE),
            store.delete(NOTE, expect=5),
            store.page("notes", limit=1),
            store.page("notes", after="a", limit=1),
        )
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(outcome, StateUnavailable)
            assert outcome.headers == {"retry-after": "5"}


async def test_pages_stay_in_order_while_documents_come_and_go(store: DocumentStore) -> None:
    stay = [note(f"stay-{number}", created=NOW + number) for number in range(0, 40, 2)]
    for document in stay:
        await store.create(document)
    done = asyncio.Event()

    async def churn(number: int) -> None:
        while not done.is_set():
            document = await store.create(note(f"go-{number}", created=NOW + number))
            await store.delete(document)

    async def read_all() -> list[Document]:
        documents: list[Document] = []
        more, after = True, None
        while more:
            page = await store.page("notes", after=after, limit=3)
            documents += page.documents
            more = page.has_more and bool(page.documents)
            after = page.documents[-1].id if page.documents else after
        return documents

    churning = [asyncio.ensure_future(churn(number)) for number in range(1, 40, 8)]
    try:
        for _ in range(5):
            documents = await read_all()
            places = [(document.created, document.id) for document in documents]
            assert places == sorted(set(places))
            assert [document for document in documents if document.id.startswith("stay")] == stay
    finally:
        done.set()
        await asyncio.gather(*churning)


async def test_a_large_body_is_whole_in_one_process_too(store: DocumentStore) -> None:
    document = await store.create(replace(NOTE, body=body_of(0, LARGE)))
    for number in range(1, 4):
        document = await store.put(document, body_of(number, LARGE))
        assert check_whole(document) == number
