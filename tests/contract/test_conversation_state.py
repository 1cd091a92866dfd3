"""Conversations over both databases: items in whole turns, one run at a time, and nothing half-kept."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from core.apis.conversations import ChangedConversation, IncludeQuery, NewConversation
from core.apis.response_settings import ResponseSettings
from core.errors import Conflict, ConversationLocked, InvalidRequest, LimitReached, NotFound
from core.frame.callers import KeepLimits
from core.services.responses.background.lapsing import free_conversation
from core.services.responses.state import leases
from core.services.responses.state.keeping import DAY
from core.services.responses.state.leases import LEASE_SECONDS, ConversationLease
from core.services.responses.state.records import COLLECTIONS, GUEST, LEASE, Place
from core.stores.documents.port import Document, DocumentStore
from tests.contract.documents import NOW, Clock, Documenting
from tests.contract.thread_stores import OVER_BOTH
from tests.parts.thread_state import MINE, Caller, CountedStore, Kept, policy_of, texts, user

PLAIN = IncludeQuery()
EVERYBODY = policy_of({"permit": {"actions": ["create", "read", "update", "delete"]}})


async def said(caller: Caller, conversation: str, **query: Any) -> str:
    return " ".join(texts((await caller.items(conversation, **({"order": "asc"} | query)))["data"]))


async def test_a_conversation_is_made_shown_changed_and_deleted(ada: Caller) -> None:
    made = await ada.conversations.create(NewConversation(metadata={"a": "b"}, items=[user("hi")]))
    assert made == {"id": made["id"], "object": "conversation", "created_at": NOW, "metadata": {"a": "b"}}
    assert len(made["id"]) == len("conv_") + 48
    assert await ada.conversations.get(made["id"]) == made
    changed = await ada.conversations.update(ChangedConversation(metadata={"c": "d"}), made["id"])
    assert changed == made | {"metadata": {"c": "d"}} == await ada.conversations.get(made["id"])
    response = await ada.respond("x", conversation=made["id"])
    gone = {"id": made["id"], "object": "conversation.deleted", "deleted": True}
    assert await ada.conversations.delete(made["id"]) == gone
    for asked in (
        ada.conversations.get(made["id"]),
        ada.conversations.delete(made["id"]),
        ada.items(made["id"]),
        ada.add(made["id"], "x"),
        ada.open(conversation=made["id"]),
        ada.responses.get(response["id"]),
    ):
        with pytest.raises(NotFound):
            await asked
    for collection in COLLECTIONS:
        for parent in ("", made["id"], response["id"], ada.state.owner):
            assert (await ada.kept.store.page(collection, parent, limit=1)).documents == []


@OVER_BOTH
async def test_items_are_found_by_their_ids_and_paged_in_both_orders(ada: Caller) -> None:
    conversation = await ada.converse("a", "b")
    response = await ada.respond("c", conversation=conversation)
    added = await ada.add(conversation, "d", "e", "f")
    assert texts(added["data"]) == ["d", "e", "f"]
    everything = await ada.items(conversation, order="asc")
    assert texts(everything["data"]) == ["a", "b", "c", "C", "d", "e", "f"]
    assert texts((await ada.items(conversation))["data"]) == ["f", "e", "d", "C", "c", "b", "a"]
    for item in everything["data"]:
        assert await ada.conversations.get_item(conversation, item["id"], query=PLAIN) == item
    for order in ("asc", "desc"):
        seen, after, more = list[str](), None, True
        while more:
            page = await ada.items(conversation, order=order, after=after, limit=2)
            seen += [item["id"] for item in page["data"]]
            after, more = page["last_id"], page["has_more"]
        ids = [item["id"] for item in everything["data"]]
        assert seen == (ids if order == "asc" else ids[::-1])
    assert texts((await ada.responses.get(response["id"]))["output"]) == ["C"]
    other = await ada.converse("a")
    for unknown in (ids[0][:-8] + "0000ffff", "msg_1", "ä", (await ada.items(other))["first_id"]):
        with pytest.raises(NotFound, match="no item"):
            await ada.conversations.get_item(conversation, unknown, query=PLAIN)
        with pytest.raises(NotFound) as raised:
            await ada.items(conversation, after=unknown)
        assert raised.value.param == "after"


async def test_a_deleted_item_is_gone_and_pages_go_on_after_it(ada: Caller) -> None:
    conversation = await ada.converse("a", "b", "c")
    ids = [item["id"] for item in (await ada.items(conversation, order="asc"))["data"]]
    shown = await ada.conversations.delete_item(conversation, ids[1])
    assert shown["id"] == conversation
    assert await said(ada, conversation) == await ada.context(conversation=conversation) == "a c"
    assert await said(ada, conversation, after=ids[1]) == "c"
    for again in (
        ada.conversations.delete_item(conversation, ids[1]),
        ada.conversations.get_item(conversation, ids[1], query=PLAIN),
    ):
        with pytest.raises(NotFound):
            await again
    for item in (ids[0], ids[2]):
        await ada.conversations.delete_item(conversation, item)
    assert await said(ada, conversation) == ""
    await ada.add(conversation, "d")
    assert await said(ada, conversation) == "d"


async def test_one_run_at_a_time_and_the_second_is_told_to_wait(ada: Caller) -> None:
    conversation = await ada.converse("a")
    run = await ada.open(conversation=conversation)
    for second in (ada.open(conversation=conversation), ada.add(conversation, "x")):
        with pytest.raises(ConversationLocked) as raised:
            await second
        assert (raised.value.status, raised.value.code) == (409, "conversation_locked")
        assert raised.value.headers["retry-after"] == "2"
    assert await ada.context(conversation=conversation) == "a"  # who adds nothing waits for nobody
    await ada.end(run, "b")
    await run.close()
    assert await said(ada, conversation) == "a b B"
    left = await ada.open(conversation=conversation)
    await left.close()
    await ada.add(conversation, "c")
    assert await said(ada, conversation) == "a b B c"


@OVER_BOTH
async def test_who_has_lost_its_lease_keeps_nothing(ada: Caller, clock: Clock) -> None:
    conversation = await ada.converse("a")
    slow = await ada.open(conversation=conversation)
    clock.now += LEASE_SECONDS
    quick = await ada.open(conversation=conversation)
    with pytest.raises(Conflict, match="taken over"):
        await ada.end(slow, "slow")
    await slow.close()
    with pytest.raises(ConversationLocked):
        await ada.open(conversation=conversation)
    await ada.end(quick, "b")
    await quick.close()
    assert await said(ada, conversation) == "a b B"
    assert len((await ada.responses.index(MINE))["data"]) == 1


@OVER_BOTH
async def test_a_conversation_that_is_deleted_during_a_run_keeps_nothing_of_it(ada: Caller) -> None:
    conversation = await ada.converse("a")
    run = await ada.open(conversation=conversation)
    assert (await ada.conversations.delete(conversation))["deleted"]
    with pytest.raises(Conflict, match="was deleted"):
        await ada.end(run, "b")
    await run.close()
    for collection in COLLECTIONS:
        for parent in ("", conversation, ada.state.owner):
            assert (await ada.kept.store.page(collection, parent, limit=1)).documents == []


async def test_a_run_that_failed_is_kept_beside_its_conversation(ada: Caller) -> None:
    conversation = await ada.converse("a")
    response = await ada.respond("b", conversation=conversation, status="failed")
    assert await said(ada, conversation) == "a"
    assert texts((await ada.responses.get(response["id"]))["output"]) == ["B"]
    await ada.respond("c", conversation=conversation, status="incomplete")
    assert await said(ada, conversation) == "a c C"
    await ada.conversations.delete(conversation)
    with pytest.raises(NotFound):
        await ada.responses.get(response["id"])
    assert await ada.state.threads.get(Place(response["id"], 0)) is None


async def test_a_chain_that_leaves_a_conversation_does_not_come_back_into_it(ada: Caller) -> None:
    conversation = await ada.converse("a")
    one = await ada.respond("b", conversation=conversation)
    await ada.add(conversation, "c")
    two = await ada.respond("d", previous_response_id=one["id"])
    assert await ada.context(previous_response_id=two["id"]) == "a b B d D"
    assert await said(ada, conversation) == "a b B c"
    await ada.responses.delete(one["id"])  # its items stay
    assert await said(ada, conversation) == "a b B c"


async def test_a_lease_is_renewed_while_its_run_goes_on(ada: Caller, clock: Clock) -> None:
    state = ada.state
    lease = await ConversationLease.take(state, "conv_1", None, renew_seconds=0.02)
    for _ in range(3):
        clock.now += LEASE_SECONDS - 1
        expected = clock.now + LEASE_SECONDS
        async with asyncio.timeout(10):
            while (await state.store.get(LEASE, "conv_1") or lease.document).body != {"until": expected}:  # noqa: ASYNC110 - a task makes it so
                await asyncio.sleep(0.01)
    await lease.release()
    assert await state.store.get(LEASE, "conv_1") is None
    loop = asyncio.get_running_loop()
    short = await ConversationLease.take(state, "conv_1", loop.time() + 10)
    assert short.document.body == {"until": clock.now + 10 + leases.LATE_SECONDS}
    clock.now += LEASE_SECONDS
    heir = await ConversationLease.inherit(state, "conv_1")
    assert heir is not None
    await heir.release()
    await heir.lend("resp_1", int(clock.now) + 10)
    await short.release()
    assert await state.store.get(LEASE, "conv_1") == heir.document


async def test_a_renewal_under_way_ends_before_its_lease_is_released(
    ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, is_written = ada.state.store, asyncio.Event()
    put = store.put

    async def put_slowly(*arguments: Any, **options: Any) -> Document:
        document = await put(*arguments, **options)
        is_written.set()
        await asyncio.sleep(0.1)  # the answer is on its way
        return document

    monkeypatch.setattr(store, "put", put_slowly)
    lease = await ConversationLease.take(ada.state, "conv_1", None, renew_seconds=0.02)
    await is_written.wait()
    await lease.release()
    assert await store.get(LEASE, "conv_1") is None


async def test_who_comes_too_late_to_renew_its_lease_leaves_it_to_whom_it_is_lent(ada: Caller, clock: Clock) -> None:
    lease = await ConversationLease.take(ada.state, "conv_1", None, renew_seconds=0.02)
    lent = await ada.state.store.put(lease.document, {"response": "resp_1"}, expires=int(clock.now) + 10)
    await asyncio.sleep(0.1)
    assert await ada.state.store.get(LEASE, "conv_1") == lent
    await lease.release()
    assert await ada.state.store.get(LEASE, "conv_1") == lent


@OVER_BOTH
async def test_it_is_one_runs_to_the_end_of_its_call_also_where_a_clock_is_ahead(documenting: Documenting) -> None:
    behind, ahead = Clock(NOW + 0.9), Clock(NOW + 0.9 + leases.APART_SECONDS)
    async with documenting.opened(clock=behind) as one, documenting.opened(clock=ahead) as other:
        here, there = Caller(Kept(one), clock=behind).state, Caller(Kept(other), clock=ahead).state
        lease = await ConversationLease.take(here, "conv_1", asyncio.get_running_loop().time() + 29)
        for seconds in (0, 28.9):
            ahead.now += seconds
            with pytest.raises(ConversationLocked):
                await ConversationLease.take(there, "conv_1", None)
            assert await ConversationLease.inherit(there, "conv_1") is None
        ahead.now += 2 * leases.LATE_SECONDS
        assert await free_conversation(there, "conv_1")
        taken = await ConversationLease.take(there, "conv_1", None)
        await lease.release()
        assert await there.store.get(LEASE, "conv_1") == taken.document
        await taken.release()


async def test_what_is_added_to_it_lets_it_stay(ada: Caller, clock: Clock) -> None:
    settings = ResponseSettings(conversation_seconds=10 * DAY)
    ada = replace(ada, settings=settings, kept=replace(ada.kept, limits=KeepLimits(conversations=1)))
    conversation = await ada.converse("a")
    clock.now = NOW + 8 * DAY
    await ada.respond("b", conversation=conversation)
    clock.now = NOW + 12 * DAY
    assert await said(ada, conversation) == "b B"
    await ada.add(conversation, "c")
    clock.now = NOW + 21 * DAY
    assert await said(ada, conversation) == "c"
    clock.now = NOW + 26 * DAY
    with pytest.raises(NotFound):
        await ada.items(conversation)
    await ada.converse("another")


async def test_it_does_not_go_while_a_run_is_under_way_in_it(ada: Caller, clock: Clock) -> None:
    ada = replace(ada, settings=ResponseSettings(conversation_seconds=10 * DAY))
    conversation = await ada.converse("a")
    clock.now = NOW + 11 * DAY - 10
    run = await ada.open(conversation=conversation)
    clock.now += 50
    await ada.end(run, "b", conversation=conversation)
    await run.close()
    assert await said(ada, conversation) == "b B"


async def test_it_counts_for_its_owner_whoever_adds_to_it(ada: Caller, clock: Clock) -> None:
    kept = replace(ada.kept, enforcement=EVERYBODY, limits=KeepLimits(conversations=1))
    ada = replace(ada, settings=ResponseSettings(conversation_seconds=10 * DAY), kept=kept)
    bob = replace(ada, name="bob")
    conversation = await ada.converse("a")
    clock.now = NOW + 8 * DAY
    await bob.add(conversation, "b")
    with pytest.raises(LimitReached):
        await ada.converse("another")
    await bob.converse("his own")
    await ada.conversations.delete(conversation)
    await ada.converse("another")
    with pytest.raises(LimitReached):
        await bob.converse("another")


async def test_who_adds_to_a_conversation_of_anothers_leaves_with_what_it_added(ada: Caller) -> None:
    ada = replace(ada, kept=replace(ada.kept, enforcement=EVERYBODY))
    bob = replace(ada, name="bob")
    conversation = await ada.converse("a")
    for _ in range(2):
        await bob.add(conversation, "b")
    await bob.respond("c", conversation=conversation)
    assert await said(ada, conversation) == "a b b c C"
    assert len((await ada.kept.store.page(GUEST, bob.state.owner, limit=9)).documents) == 1
    assert (await ada.kept.store.page(GUEST, ada.state.owner, limit=9)).documents == []


async def test_a_page_costs_the_same_at_any_length(thread_store: DocumentStore, clock: Clock) -> None:
    ada = Caller(Kept(counted := CountedStore(thread_store)), clock=clock)
    conversation = await ada.converse("a")
    costs = list[dict[str, int]]()
    for length in (3, 30):
        for _ in range(length):
            await ada.add(conversation, *[str(length)] * 20)
        counted.asked.clear()
        middle = (await ada.items(conversation, limit=20))["last_id"]
        await ada.items(conversation, limit=20, after=middle)
        await ada.conversations.get_item(conversation, middle, query=PLAIN)
        costs.append(dict(counted.asked))
    assert costs[0] == costs[1] == {"get": 5, "page": 2}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"items": [{"role": "nobody", "content": "x"}]}, "items[0].role"),
        ({"items": [{"role": "user"}]}, "items[0].content"),
        ({"items": [{"type": 7}]}, "items[0].type"),
        ({"items": [{"type": "item_reference", "id": "msg_1"}]}, "items[0]"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: ""}}, f"metadata.{'k' * 65}"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k"),
        ({"metadata": {"k": 1}}, "metadata.k"),
    ],
)
def test_what_can_be_no_item_and_no_metadata_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        NewConversation.model_validate(body).check_body()
    assert raised.value.param == param
