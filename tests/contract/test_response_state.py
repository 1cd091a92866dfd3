"""What is kept of responses, over both databases: chains and forks, what is deleted or has expired, and whose it is."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
import sqlite3
from typing import Any

import boto3
import pytest

from core.apis.response_settings import MONTH, ResponseSettings
from core.apis.responses import ResponseRequest
from core.errors import InvalidRequest, LimitReached, NotFound, PermissionDenied
from core.frame.callers import KeepLimits
from core.services.responses.printing.objects import begin_response
from core.services.responses.state.keeping import DAY
from core.services.responses.state.records import RESPONSE, TURN, Place
from core.services.responses.state.threads import MOST_THREADS
from core.stores.documents.items import blob_of
from core.stores.documents.port import DocumentStore
from tests.contract.documents import BEYOND, LEAST, NOW, Clock, Documenting, blob_keys, body_of
from tests.contract.thread_stores import OVER_BOTH
from tests.parts.thread_state import MINE, NEWEST, Caller, CountedStore, Kept, policy_of, texts

GONE = "There is no response"


def outputs(response: dict[str, Any]) -> list[str]:
    return texts(response["output"])


async def chain(caller: Caller, *words: str, after: str | None = None) -> list[str]:
    """Responses that follow each other; their ids."""
    ids = list[str]()
    for text in words:
        response = await caller.respond(text, previous_response_id=ids[-1] if ids else after)
        ids.append(response["id"])
    return ids


async def test_a_response_is_got_listed_and_deleted_with_what_it_was_made_of(ada: Caller) -> None:
    one, two, three = await chain(ada, "a", "b", "c" * LEAST)
    assert await ada.context(previous_response_id=two) == "a A b B"
    whole = await ada.responses.get(two)
    assert (whole["id"], whole["status"], outputs(whole)) == (two, "completed", ["B"])
    items = await ada.responses.input_items(two, NEWEST)
    assert texts(items["data"]) == ["b", "A", "a"]
    assert (items["first_id"], items["last_id"], items["has_more"]) == (
        items["data"][0]["id"],
        items["data"][-1]["id"],
        False,
    )
    page = await ada.responses.input_items(
        two, NEWEST.model_copy(update={"after": items["first_id"], "limit": 1, "order": "desc"})
    )
    assert (texts(page["data"]), page["has_more"]) == (["A"], True)
    with pytest.raises(InvalidRequest, match="no item `msg_no`"):
        await ada.responses.input_items(two, NEWEST.model_copy(update={"before": "msg_no"}))
    listed = await ada.responses.index(MINE.model_copy(update={"limit": 2, "model": "m"}))
    assert {row["id"] for row in listed["data"]} < {one, two, three}
    assert listed["has_more"]
    assert all(texts(row["input"])[0].upper() == outputs(row)[0] for row in listed["data"])
    assert (await ada.responses.index(MINE.model_copy(update={"model": "other"})))["data"] == []
    assert await ada.responses.delete(two) == {"id": two, "object": "response", "deleted": True}
    for asked in (ada.responses.get(two), ada.responses.delete(two), ada.responses.input_items(two, NEWEST)):
        with pytest.raises(NotFound, match=GONE):
            await asked
    with pytest.raises(NotFound, match=GONE) as raised:
        await ada.open(previous_response_id=two)
    assert (raised.value.code, raised.value.param) == ("previous_response_not_found", "previous_response_id")
    assert await ada.context(previous_response_id=three) == f"a A {'c' * LEAST} {'C' * LEAST}"
    await chain(ada, "d", after=one)  # its place is not that of what was deleted
    assert await ada.context(previous_response_id=three) == f"a A {'c' * LEAST} {'C' * LEAST}"


@OVER_BOTH
async def test_each_fork_has_its_own_past_whatever_its_shape(ada: Caller) -> None:
    root, left = await chain(ada, "a", "b")
    (right,) = await chain(ada, "c", after=root)
    (deeper,) = await chain(ada, "d", after=right)
    assert await ada.context(previous_response_id=left) == "a A b B"
    assert await ada.context(previous_response_id=deeper) == "a A c C d D"
    both = [await ada.open(previous_response_id=deeper) for _ in range(2)]
    made = [await ada.end(session, text) for session, text in zip(both, "ef", strict=True)]
    assert [await ada.context(previous_response_id=one["id"]) for one in made] == [
        "a A c C d D e E",
        "a A c C d D f F",
    ]


async def test_a_comb_of_forks_is_read_in_a_bounded_number_of_queries(
    thread_store: DocumentStore, clock: Clock
) -> None:
    ada = Caller(Kept(counted := CountedStore(thread_store)), clock=clock)
    spoken, last = list[str](), None
    for number in range(MOST_THREADS + 3):
        fork = await ada.open(previous_response_id=last)
        if last is not None:
            await chain(ada, "other", after=last)  # takes the place behind it
        last = (await ada.end(fork, f"t{number}"))["id"]
        spoken += [f"t{number}", f"T{number}"]
        counted.asked.clear()
        assert await ada.context(previous_response_id=last) == " ".join(spoken)
        assert counted.asked["page"] <= MOST_THREADS
        assert counted.asked["get"] == 1


async def test_a_chain_of_60_is_read_and_continued_as_one_of_1(thread_store: DocumentStore, clock: Clock) -> None:
    ada = Caller(Kept(counted := CountedStore(thread_store)), clock=clock)
    last, costs = None, list[dict[str, int]]()
    for number in range(60):
        counted.asked.clear()
        last = (await ada.respond(f"t{number}", previous_response_id=last))["id"]
        costs.append(dict(counted.asked))
    assert costs[0] == {"create_all": 1}
    assert set(map(str, costs[1:])) == {str({"get": 1, "page": 1, "create_all": 1})}
    assert len((await ada.context(previous_response_id=last)).split()) == 120


@OVER_BOTH
async def test_a_context_is_bounded_in_bytes_and_what_is_beyond_them_is_not_read(
    ada: Caller, documenting: Documenting, tmp_path: Path
) -> None:
    words = [body_of(number, BEYOND)["text"] for number in range(4)]
    ids = await chain(ada, *words[:3])
    (fork,) = await chain(ada, words[3], after=ids[1])
    conversation = await ada.converse(words[0])
    await ada.add(conversation, words[1])
    for place in (Place(ids[0], 0), Place(conversation, 0)) if documenting.endpoint is not None else ():
        document = await ada.kept.store.get(TURN, place.id)
        assert document is not None
        (tmp_path / "blobs" / f"{blob_of(document)}~").unlink()  # who reads it waits until it is there, and fails
    for most, how, told in (
        (4, {"previous_response_id": fork}, [words[1], words[1].upper(), words[3], words[3].upper()]),
        (3, {"previous_response_id": fork}, [words[3], words[3].upper()]),
        (1, {"previous_response_id": fork}, []),
        (1, {"conversation": conversation}, [words[1]]),
    ):
        small = replace(ada, settings=ResponseSettings(most_context=most * (BEYOND + 1000)))
        with pytest.raises(InvalidRequest, match='`truncation: "auto"`') as raised:
            await small.open(**how)
        assert (raised.value.code, raised.value.param) == ("context_length_exceeded", next(iter(how)))
        assert (await small.context(truncation="auto", **how)).split() == told
    after = await small.respond("last", conversation=conversation, truncation="auto")
    turn = await ada.kept.store.get(TURN, Place(conversation, 2).id)
    assert turn is not None
    assert turn.body["response"] == after["id"]


async def test_a_summary_of_all_before_it_takes_the_place_of_what_is_too_long(ada: Caller) -> None:
    (first,) = await chain(ada, "x" * BEYOND)
    session = await ada.open(previous_response_id=first)
    response = begin_response(ResponseRequest(model="m"), None) | {"status": "completed"}
    summary = {"type": "compaction", "id": "cmp_1", "encrypted_content": ""}
    await session.finish({**response, "output": None}, [], [summary])
    small = replace(ada, settings=ResponseSettings(most_context=BEYOND))
    assert [*(await small.open(previous_response_id=response["id"])).context] == [summary]


async def test_what_others_made_is_as_if_it_were_not_there(ada: Caller) -> None:
    (mine,) = await chain(ada, "a")
    conversation = await ada.converse("hi")
    bob = replace(ada, name="bob")
    for asked in (
        bob.responses.get(mine),
        bob.responses.delete(mine),
        bob.responses.input_items(mine, NEWEST),
        bob.open(previous_response_id=mine),
        bob.open(conversation=conversation),
        bob.conversations.get(conversation),
        bob.conversations.delete(conversation),
        bob.add(conversation, "x"),
        bob.items(conversation),
    ):
        with pytest.raises(NotFound) as raised:
            await asked
        assert raised.value.message in {
            f"There is no response `{mine}`.",
            f"There is no conversation `{conversation}`.",
        }
    with pytest.raises(NotFound) as raised:
        await bob.open(conversation=conversation)
    assert raised.value.param == "conversation"
    assert (await bob.responses.index(MINE))["data"] == []
    assert len((await ada.responses.index(MINE))["data"]) == 1


async def test_a_policy_decides_who_makes_and_adds(ada: Caller) -> None:
    (mine,) = await chain(ada, "a")
    conversation = await ada.converse("hi")
    rules = policy_of({"permit": {"actions": ["read"]}}, {"permit": {"actions": ["create"], "resource": "response::*"}})
    bob = replace(ada, name="bob", kept=replace(ada.kept, enforcement=rules))
    follower = await chain(bob, "b", after=mine)
    assert await bob.context(previous_response_id=follower[0]) == "a A b B"
    await chain(ada, "c", after=mine)  # beside it: a thread is one owner's
    for denied in (
        bob.responses.delete(mine),
        bob.open(conversation=conversation),
        bob.add(conversation, "x"),
        bob.converse(),
        bob.conversations.delete(conversation),
    ):
        with pytest.raises(PermissionDenied):
            await denied
    assert await bob.context(conversation=conversation) == "hi"


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("failed", "has failed"),
        ("cancelled", "was cancelled"),
        ("in_progress", "not ended yet"),
        ("queued", "not ended yet"),
    ],
)
async def test_only_what_has_an_end_is_continued(ada: Caller, status: str, says: str) -> None:
    response = await ada.respond("a", status=status)
    assert outputs(await ada.responses.get(response["id"])) == ["A"]
    with pytest.raises(InvalidRequest, match=says) as raised:
        await ada.open(previous_response_id=response["id"])
    assert raised.value.param == "previous_response_id"
    incomplete = await ada.respond("b", status="incomplete")
    assert await ada.context(previous_response_id=incomplete["id"]) == "b B"


@OVER_BOTH
async def test_what_is_not_stored_leaves_nothing_anywhere(
    ada: Caller, documenting: Documenting, tmp_path: Path
) -> None:
    (one,) = await chain(ada, "x" * 2 * LEAST)
    conversation = await ada.converse("hi")
    before = rows(documenting), blob_keys(tmp_path / "blobs")
    for how in (
        {},
        {"previous_response_id": one},
        {"conversation": conversation},
        {"conversation": {"id": conversation}},
    ):
        response = await ada.respond("secret" * LEAST, store=False, **how)
        with pytest.raises(NotFound):
            await ada.responses.get(response["id"])
    assert (rows(documenting), blob_keys(tmp_path / "blobs")) == before


def rows(documenting: Documenting, *, alive: bool = False) -> list[str]:
    """All that the database has, as it has it; of what is `alive`, without the places of what was deleted."""
    if documenting.endpoint is not None:
        table = boto3.resource("dynamodb", endpoint_url=documenting.endpoint).Table(documenting.place)
        return sorted(str(item) for item in table.scan()["Items"] if not alive or item.get("until") != 0)
    with closing(sqlite3.connect(documenting.place)) as connection:
        only = "WHERE until IS NULL OR until > 0" if alive else ""
        found = connection.execute(f"SELECT * FROM documents {only} ORDER BY id").fetchall()  # noqa: S608
        return [*map(str, found), *map(str, connection.execute("SELECT * FROM tallies ORDER BY id").fetchall())]


async def test_a_chain_goes_on_from_what_has_not_expired(ada: Caller, clock: Clock) -> None:
    one, two = await chain(ada, "a", "b")
    clock.now = NOW + 10 * DAY
    (three,) = await chain(ada, "c", after=two)
    clock.now = NOW + MONTH
    for gone in (one, two):
        with pytest.raises(NotFound):
            await ada.responses.get(gone)
    assert await ada.context(previous_response_id=three) == "c C"
    for_ever = replace(ada, settings=ResponseSettings(response_seconds=None))
    (kept,) = await chain(for_ever, "d")
    (after,) = await chain(ada, "e", after=kept)
    clock.now = NOW + 1000 * DAY
    assert await ada.context(previous_response_id=after) == "d D e E"


@OVER_BOTH
async def test_one_more_than_may_be_kept_is_refused_and_an_expiry_makes_room(ada: Caller, clock: Clock) -> None:
    ada = replace(ada, kept=replace(ada.kept, limits=KeepLimits(responses=2, conversations=1)))
    under_way = await ada.open()
    one, two = await chain(ada, "a", "b")
    with pytest.raises(LimitReached, match="You may keep 2 responses, and have as many") as raised:
        await ada.open()
    assert (raised.value.status, raised.value.code) == (429, "max_responses_reached")
    with pytest.raises(LimitReached):
        await ada.end(under_way, "c")
    await ada.responses.delete(one)
    (three,) = await chain(ada, "c", after=two)
    conversation = await ada.converse()
    with pytest.raises(LimitReached, match="1 conversations"):
        await ada.converse()
    await ada.conversations.delete(conversation)
    await ada.converse()
    clock.now = NOW + MONTH + 2 * DAY
    assert len(await chain(ada, "d", "e")) == 2
    with pytest.raises(LimitReached):
        await chain(ada, "f")
    with pytest.raises(NotFound):
        await ada.responses.get(three)


async def test_what_a_later_version_adds_is_no_mistake(ada: Caller, thread_store: DocumentStore) -> None:
    (one,) = await chain(ada, "a")
    for collection, identifier in ((RESPONSE, one), (TURN, Place(one, 0).id)):
        document = await thread_store.get(collection, identifier)
        assert document is not None
        await thread_store.put(document, {**document.body, "rounds": 3})
    assert outputs(await ada.responses.get(one)) == ["A"]
    assert await ada.context(previous_response_id=one) == "a A"


async def test_both_ways_to_say_what_was_said_before_are_one_too_many(ada: Caller) -> None:
    with pytest.raises(InvalidRequest, match="either"):
        await ada.open(previous_response_id="resp_1", conversation="conv_1")
