"""A run as whoever has taken it over has it, which others end, cancel or take meanwhile."""

import asyncio
from dataclasses import replace

import pytest

from core.services.responses.background.taking import RunGone, RunHold, adopt_session
from core.services.responses.contract import AnswerEnded, Events, RunEnded, Usage
from core.services.responses.recording.ending import log_of
from core.services.responses.recording.log import RunOver, RunTaken
from core.services.responses.recording.removing import remove_log
from core.services.responses.state.leases import ConversationLease
from tests.contract.test_runs_deleted import ID, begun
from tests.parts.thread_state import Caller, CountedStore, Kept

ENDED = RunEnded("completed", Usage())


async def test_what_is_being_removed_is_not_taken(ada: Caller) -> None:
    run = await begun(ada.state, "queued")
    await remove_log(ada.state.store, ID)
    with pytest.raises(RunOver):
        await RunHold.take(ada.state, run)


async def test_one_whose_log_another_takes_ends_where_it_is(ada: Caller) -> None:
    state = ada.state
    hold = await RunHold.take(state, await begun(state, "queued"))
    is_closed = asyncio.Event()

    async def events() -> Events:
        try:
            yield AnswerEnded(1)
            await asyncio.Event().wait()
        finally:
            is_closed.set()

    source = hold.read(events())
    hold.note(await anext(source))
    await log_of(state, ID).take()
    waiting = asyncio.create_task(anext(source))
    await asyncio.sleep(0)
    with pytest.raises(RunTaken):
        await hold.recorder.flush()
    with pytest.raises(RunTaken):
        await waiting
    assert is_closed.is_set()
    await hold.recorder.stop()
    with pytest.raises(RunTaken):
        await hold.end(await adopt_session(state, hold.record), ENDED)


async def test_a_cancellation_comes_too_late_for_what_ends(ada: Caller) -> None:
    state = ada.state
    hold = await RunHold.take(state, await begun(state, "queued"))
    await log_of(state, ID).cancel()
    await hold.end(await adopt_session(state, hold.record), ENDED)
    assert (await ada.responses.get(ID))["status"] == "completed"


async def test_nothing_is_kept_of_one_whose_conversation_is_gone(ada: Caller) -> None:
    state, conversation = ada.state, await ada.converse("a")
    lease = await ConversationLease.take(state, conversation, None)
    await lease.lend(ID, int(state.clock()) + 60)
    hold = await RunHold.take(state, await begun(state, "queued", conversation={"id": conversation}))
    session = await adopt_session(state, hold.record)
    await state.store.delete(lease.document)
    with pytest.raises(RunGone):
        await hold.end(session, ENDED)


async def test_what_its_caller_was_promised_is_written_at_once(ada: Caller) -> None:
    for status, asked in (("in_progress", "create_soon"), ("queued", "create_all")):
        counted = CountedStore(ada.kept.store)
        run = await begun(replace(ada, kept=Kept(counted)).state, status)
        assert counted.asked == {asked: 1}
        await ada.kept.store.delete(run)
        await remove_log(ada.kept.store, ID)
