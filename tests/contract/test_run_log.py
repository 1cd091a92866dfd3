"""The log of a run over both databases: one who writes, streams that are taken up again, runs that are cancelled, deleted, or left by who died."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, override

import pytest

from core.errors import InvalidRequest, NotFound, PermissionDenied, StateUnavailable
from core.services.responses.contract import AnswerEnded, RunEnded, Usage
from core.services.responses.recording.codec import Beginning, Ending
from core.services.responses.recording.ending import end_log, keep_ended, log_of
from core.services.responses.recording.folding import read_state
from core.services.responses.recording.log import LOG, RunCancelled, RunLog, RunOver, RunTaken
from core.services.responses.recording.records import RUN
from core.services.responses.recording.writing import MOST_PENDING
from core.services.responses.state.records import LEASE
from core.stores.documents.port import Document, DocumentStore
from tests.contract.documents import Clock
from tests.parts.response_schema import check_stream
from tests.parts.thread_state import MINE, Caller, CountedStore, Kept, policy_of
from tests.parts.told_runs import get, replay, router_of, streaming

ENDED = Ending(RunEnded("completed", Usage()))
PIECE = AnswerEnded(1)
FLUSHED = 0.4  # seconds


async def statuses(caller: Caller) -> dict[str, str]:
    """Of the responses in the caller's list."""
    return {each["id"]: each["status"] for each in (await router_of(caller).index(query=MINE))["data"]}


@pytest.fixture
def store(thread_store: DocumentStore) -> DocumentStore:
    return thread_store


@pytest.fixture
def counted(store: DocumentStore) -> CountedStore:
    return CountedStore(store)


@pytest.fixture
def ada(counted: CountedStore, clock: Clock) -> Caller:
    return Caller(Kept(counted), clock=clock)


class ForgetfulStore(CountedStore):
    """One whose next write is carried out, and not answered."""

    forgets: bool = True

    @override
    async def create_soon(self, documents: Sequence[Document]) -> list[Document]:
        made = await super().create_soon(documents)
        if self.forgets:
            self.forgets = False
            raise StateUnavailable("no answer")
        return made


def log_over(store: DocumentStore) -> RunLog:
    return RunLog(store, "resp_1", None)


async def test_of_two_writers_one_has_the_log(store: DocumentStore) -> None:
    logs = [log_over(store) for _ in range(4)]
    outcomes = await asyncio.gather(*(log.append([PIECE]) for log in logs), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", *["RunTaken"] * 3]
    first = logs[outcomes.index(None)]
    second, third = log_over(store), log_over(store)
    await asyncio.gather(second.take(), third.take())
    state = await read_state(second)
    assert (state.holder, state.next) in {(second.holder, 3), (third.holder, 3)}
    with pytest.raises(RunTaken):
        await first.append([PIECE])
    holder, loser = (second, third) if state.holder == second.holder else (third, second)
    with pytest.raises(RunTaken):
        await loser.append([PIECE])
    await holder.append([PIECE, ENDED])
    for log in (first, loser):
        with pytest.raises((RunTaken, RunOver)):
            await log.append([])
    with pytest.raises(RunOver):
        await log_over(store).take()
    with pytest.raises(RunOver):
        await log_over(store).cancel()


async def test_a_cancellation_is_told_once_to_who_writes(store: DocumentStore) -> None:
    log = log_over(store)
    await log.append([PIECE])
    assert [await log_over(store).cancel(), await log_over(store).cancel()] == [True, False]
    with pytest.raises(RunCancelled):
        await log.append([PIECE])
    await log.append([PIECE, ENDED])
    state = await read_state(log)
    assert (state.is_cancelled, state.ending, state.next) == (True, ENDED, 3)


async def test_a_write_of_which_no_answer_came_is_not_doubled(store: DocumentStore) -> None:
    log = log_over(ForgetfulStore(store))
    with pytest.raises(StateUnavailable):
        await log.append([Beginning({"id": "resp_1"})])
    await log.append([Beginning({"id": "resp_1"}), Ending(RunEnded("failed", Usage()))])
    batches = await log.read()
    assert [[value[0] for value in batch.values] for batch in batches] == [["begin"], ["end"]]


async def test_a_first_batch_of_which_no_answer_came_is_not_doubled(store: DocumentStore, clock: Clock) -> None:
    forgetful = ForgetfulStore(store)
    ada = Caller(Kept(forgetful), clock=clock)
    async with streaming(ada) as told:
        told.engine.say(*"abc")
        async with asyncio.timeout(20):
            while forgetful.forgets:  # noqa: ASYNC110 - it tells nobody, nor does the log
                await asyncio.sleep(0.02)
            told.engine.say(*"def")
            while len((await store.page(LOG, told.id, limit=9)).documents) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        told.engine.end()
        whole = await told.whole()
    assert await replay(ada, told.id) == whole


async def test_a_short_stream_is_kept_in_one_transaction_and_a_long_one_is_too(
    ada: Caller, counted: CountedStore
) -> None:
    async with streaming(ada) as told:
        told.engine.say("a", "b")
        told.engine.end()
        live = await told.whole()
    assert counted.asked == {"create_all": 1}
    assert await replay(ada, told.id) == live
    check_stream(live)
    counted.asked.clear()
    async with streaming(ada, previous_response_id=told.id) as told:
        await asyncio.sleep(FLUSHED)
        told.engine.say(*"c" * (MOST_PENDING + 1))
        await told.until(MOST_PENDING)
        told.engine.end()
        live = await told.whole()
    writes = {name: count for name, count in counted.asked.items() if name not in {"get", "page"}}
    assert writes == {"create_all": 1, "create_soon": 2}
    assert await replay(ada, told.id) == live
    assert await counted.get(RUN, told.id) is None


async def test_a_stream_is_followed_from_any_place_while_it_runs_and_after(ada: Caller) -> None:
    async with streaming(ada) as told:
        told.engine.say("a")
        await told.until(5)
        followers = [asyncio.create_task(replay(ada, told.id, after)) for after in (None, 0, 3, 6)]
        await asyncio.sleep(FLUSHED)
        now = await get(ada, told.id)
        assert (now["status"], now["output"]) == ("in_progress", [])
        told.engine.say("b", "c")
        told.engine.end()
        live = await told.whole()
        for after, follower in zip((-1, 0, 3, 6), followers, strict=True):
            assert await follower == live[after + 1 :]
    for after in range(len(live)):
        assert await replay(ada, told.id, after) == live[after + 1 :]
    with pytest.raises(InvalidRequest, match=f"ended with the event {len(live) - 1}"):
        await replay(ada, told.id, len(live))
    assert await get(ada, told.id) == live[-1]["response"]


async def test_a_run_is_cancelled_by_who_may_and_what_was_whole_of_it_is_kept(ada: Caller, clock: Clock) -> None:
    bob = Caller(ada.kept, "bob", clock)
    rules = {"permit": {"actions": ["create", "read"]}}, {"permit": {"actions": ["update"]}, "when": "user is owner"}
    reader = Caller(replace(ada.kept, enforcement=policy_of(*rules)), "carl", clock)
    async with streaming(ada, conversation=(conversation := await ada.converse("a"))) as told:
        told.engine.say("whole")
        told.engine.end_message()
        told.engine.begin()
        told.engine.say("half")
        await asyncio.sleep(FLUSHED)
        with pytest.raises(NotFound):
            await router_of(bob).cancel(told.id)
        for refused in (router_of(reader).cancel(told.id), router_of(reader).delete(told.id)):
            with pytest.raises(PermissionDenied):
                await refused
        cancelled = await router_of(ada).cancel(told.id)
        live = await told.whole()
        assert told.engine.closed.is_set()
    assert (cancelled["status"], [item["status"] for item in cancelled["output"]]) == (
        "cancelled",
        ["completed", "incomplete"],
    )
    assert live[-1]["response"] == await get(ada, told.id) == await router_of(ada).cancel(told.id) == cancelled
    assert await replay(ada, told.id) == live
    assert await ada.context(conversation=conversation) == "a"
    with pytest.raises(InvalidRequest, match="is `completed`"):
        await router_of(ada).cancel((await ada.respond("b"))["id"])


async def rows(store: DocumentStore, response_id: str) -> list[str]:
    """What is left of a run."""
    run = await store.get(RUN, response_id)
    batches = await RunLog(store, response_id, None).read()
    return [*(["run"] if run else []), *(value[0] for batch in batches for value in batch.values)]


KINDS = pytest.mark.parametrize("kind", ["chain", "conversation"])


@KINDS
async def test_what_is_deleted_while_it_runs_leaves_nothing(ada: Caller, store: DocumentStore, kind: str) -> None:
    conversation = await ada.converse("a")
    async with streaming(ada, **({"conversation": conversation} if kind == "conversation" else {})) as told:
        await asyncio.sleep(FLUSHED)
        if kind == "conversation":
            await ada.conversations.delete(conversation)
        else:
            await router_of(ada).delete(told.id)
        told.engine.say("b")
        live = await told.whole()
    assert live[-1]["type"] in {"response.failed", "response.incomplete"}
    with pytest.raises(NotFound):
        await get(ada, told.id)
    assert await rows(store, told.id) in ([], ["end"])


async def test_a_log_goes_with_its_response_and_with_its_conversation(ada: Caller, store: DocumentStore) -> None:
    conversation = await ada.converse("a")
    for more in ({}, {"conversation": conversation}):
        async with streaming(ada, **more) as told:
            told.engine.end()
            await told.whole()
        assert await rows(store, told.id) != []
        if more:
            await ada.conversations.delete(conversation)
        else:
            await router_of(ada).delete(told.id)
        assert await rows(store, told.id) == []


@KINDS
async def test_a_run_whose_server_died_has_failed_for_whoever_looks(
    ada: Caller, clock: Clock, store: DocumentStore, kind: str
) -> None:
    conversation = await ada.converse("a")
    more: dict[str, Any] = {"conversation": conversation} if kind == "conversation" else {}
    async with streaming(ada, **more) as told:
        told.engine.say("half")
        await asyncio.sleep(FLUSHED)
        clock.now += 61
        found = await get(ada, told.id)
        assert (found["status"], found["error"]["code"]) == ("failed", "server_error")
        assert [item["status"] for item in found["output"]] == ["incomplete"]
        replayed = await replay(ada, told.id)
        told.engine.say("late")
        live = await told.whole()
    assert live[-1]["response"]["status"] == "failed"
    check_stream(replayed)
    assert await rows(store, told.id) == [value for value in await rows(store, told.id) if value != "run"]
    if kind == "conversation":
        assert await ada.context(conversation=conversation) == "a"
        await ada.conversations.delete(conversation)
        with pytest.raises(NotFound):
            await get(ada, told.id)


async def test_a_run_that_died_in_a_conversation_is_in_the_list_at_all_times(
    ada: Caller, clock: Clock, store: DocumentStore
) -> None:
    """Its lease is over before its log is silent; whoever wants the conversation between the two ends it."""
    conversations = [await ada.converse("a"), await ada.converse("b")]
    unbegun = await ada.open(conversation=await ada.converse())
    async with (
        streaming(ada, conversation=conversations[0]) as died,
        streaming(ada, conversation=conversations[1]) as left,
    ):
        clock.now += 30
        for told in (died, left):
            told.engine.say("half")
        await asyncio.sleep(FLUSHED)
        clock.now += 31
        assert await statuses(ada) == {died.id: "in_progress", left.id: "in_progress"}
        async with streaming(ada, conversation=conversations[0]) as next_one:
            assert await statuses(ada) == {died.id: "failed", left.id: "in_progress"}
            next_one.engine.say("Hello")
            next_one.engine.end()
            await next_one.whole()
        clock.now += 30
        assert len((await store.page(LEASE, ada.state.owner, limit=9)).documents) == 1
        assert await statuses(ada) == {died.id: "failed", left.id: "failed", next_one.id: "completed"}
        assert [(await store.page(RUN, each, limit=1)).documents for each in conversations] == [[], []]
        assert (await store.page(LEASE, ada.state.owner, limit=9)).documents == []
        await ada.add(conversations[1], "c")
        for told in (died, left):
            told.engine.say("late")
            assert (await told.whole())[-1]["type"] == "response.failed"
    await unbegun.close()
    assert [await ada.context(conversation=each) for each in conversations] == ["a hi Hello", "b c"]


async def test_who_ends_a_run_that_is_gone_by_then_leaves_its_conversation_free(
    ada: Caller, clock: Clock, store: DocumentStore
) -> None:
    conversation = await ada.converse("a")
    async with streaming(ada, conversation=conversation) as told:
        told.engine.say("half")
        await asyncio.sleep(FLUSHED)
        run = await store.get(RUN, told.id)
        assert run is not None
        clock.now += 61
        now = await end_log(log_of(ada.state, told.id), await read_state(log_of(ada.state, told.id)))
        await store.delete(run)
        await keep_ended(ada.state, run, now)
        await ada.add(conversation, "b")
        assert await ada.context(conversation=conversation) == "a b"


async def test_nothing_is_written_of_what_is_not_to_be_stored(ada: Caller, counted: CountedStore) -> None:
    async with streaming(ada, store=False) as told:
        await asyncio.sleep(FLUSHED)
        told.engine.end()
        await told.whole()
    assert counted.asked == {}


async def test_a_stream_that_is_stopped_is_kept_as_far_as_it_came(ada: Caller) -> None:
    async with streaming(ada) as told:
        told.engine.say("half")
        await told.until(5)
    found = await get(ada, told.id)
    assert (found["status"], found["output"]) == ("failed", [])
    replayed = await replay(ada, told.id)
    assert replayed[:5] == told.events
    assert replayed[-1]["type"] == "response.failed"


async def test_documents_of_a_log_end_with_their_response(ada: Caller, store: DocumentStore, clock: Clock) -> None:
    async with streaming(ada) as told:
        told.engine.end()
        await told.whole()
    clock.now += ada.settings.response_seconds or 0
    with pytest.raises(NotFound):
        await get(ada, told.id)
    clock.now += 100_000
    assert (await store.page(LOG, told.id, limit=1)).documents == []
