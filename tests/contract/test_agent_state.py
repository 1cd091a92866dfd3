"""Agents over both databases: sessions that are conversations, turns in parts, and nothing left of what was deleted."""

import asyncio
from typing import Any

import pytest

from core.apis.response_settings import ResponseSettings
from core.errors import Conflict, ConversationLocked, LimitReached, NotFound, PermissionDenied
from core.frame.callers import KeepLimits, Principal
from core.services.agents.records import AGENT
from core.services.erasure import Estate
from core.services.responses.erasing import erase as erase_of
from core.services.responses.state.keeping import DAY
from core.services.responses.state.records import CONVERSATION
from core.stores.documents.port import Document, DocumentStore
from tests.contract.documents import NOW, Clock, Documenting
from tests.contract.test_response_state import rows
from tests.contract.thread_stores import OVER_BOTH
from tests.parts.agent_state import CONFIG, AgentCaller
from tests.parts.thread_state import Kept, policy_of

EVERYBODY = policy_of({"permit": {"actions": ["create", "read", "update", "delete"]}})


@pytest.fixture
def store(thread_store: DocumentStore) -> DocumentStore:
    return thread_store


@pytest.fixture
def ada(store: DocumentStore, clock: Clock) -> AgentCaller:
    return AgentCaller(Kept(store), clock=clock)


def said(session: dict[str, Any]) -> list[str]:
    return [turn["output_message"]["content"] for turn in session["turns"]]


async def test_a_session_is_a_conversation_with_turns(ada: AgentCaller, clock: Clock) -> None:
    agent = await ada.make(name="a", input_shields=["s"])
    shown = await ada.agents.get(agent)
    assert shown["agent_config"] | {"name": "a", "input_shields": ["s"], **CONFIG} == shown["agent_config"]
    assert (shown["agent_config"]["max_infer_iters"], shown["created_at"]) == (10, "2027-01-15T08:00:00Z")
    session = await ada.begin(agent, "first")
    conversation = await ada.conversations.get(session)
    assert conversation["metadata"] == {"agent_id": agent, "session_name": "first"}
    one = await ada.turn(agent, session, "a")
    clock.now += 1
    await ada.add(session, "b")
    two = await ada.turn(agent, session, "c")
    assert await ada.context(conversation=session) == "a A b c C"
    whole = await ada.session(agent, session)
    assert whole == {
        "session_id": session,
        "session_name": "first",
        "turns": [one, two],
        "started_at": "2027-01-15T08:00:00Z",
    }
    assert (await ada.session(agent, session, two["turn_id"]))["turns"] == [two]
    assert await ada.agents.get_turn(agent, session, one["turn_id"]) == one
    [step] = one["steps"]
    assert await ada.agents.get_step(agent, session, one["turn_id"], step["step_id"]) == {"step": step}
    assert (await ada.responses.get(one["turn_id"]))["conversation"] == {"id": session}


async def test_a_turn_that_is_resumed_has_all_of_its_steps(ada: AgentCaller) -> None:
    agent = await ada.make()
    session = await ada.begin(agent)
    turn = await ada.turn(agent, session, "call f")
    assert turn["output_message"]["tool_calls"]
    again = await ada.resume(agent, session, turn["turn_id"], "call f g")
    last = await ada.resume(agent, session, turn["turn_id"], "done")
    assert [len(part["steps"]) for part in (turn, again, last)] == [1, 2, 3]
    assert (last["output_message"]["content"], last["input_messages"]) == ("DONE", turn["input_messages"])
    assert await ada.agents.get_turn(agent, session, turn["turn_id"]) == last
    assert (await ada.session(agent, session))["turns"] == [last]
    assert await ada.context(conversation=session) == "call f CALL F call f g CALL F G done DONE"


@OVER_BOTH
async def test_what_is_deleted_takes_all_with_it(ada: AgentCaller, documenting: Documenting) -> None:
    agent = await ada.make()
    for by in ("session", "conversation", "agent"):
        session = await ada.begin(agent)
        turn_id = (await ada.turn(agent, session, "call f"))["turn_id"]
        await ada.resume(agent, session, turn_id, "x")
        if by == "session":
            await ada.agents.delete_session(agent, session)
        elif by == "conversation":
            await ada.conversations.delete(session)
        else:
            await ada.begin(agent)
            await ada.agents.delete(agent)
        for asked in (
            ada.session(agent, session),
            ada.agents.get_turn(agent, session, turn_id),
            ada.turn(agent, session, "b"),
            ada.resume(agent, session, turn_id, "b"),
            ada.conversations.get(session),
            ada.responses.get(turn_id),
            ada.agents.delete_session(agent, session),
        ):
            with pytest.raises(NotFound):
                await asked
    assert rows(documenting, alive=True) == []
    assert (await ada.listed())["data"] == []


async def test_lists_are_given_from_an_index_on(ada: AgentCaller, clock: Clock) -> None:
    agents = list[str]()
    for name in "abc":
        agents.append(await ada.make(name=name))
        clock.now += 1
    page = await ada.listed(start_index=1, limit=1)
    assert [row["agent_id"] for row in page["data"]] == agents[1:2]
    assert (page["has_more"], page["url"]) == (True, "/v1/agents")
    for query in ({"start_index": 1}, {"start_index": 1, "limit": -1}, {"start_index": 1, "limit": 2}):
        page = await ada.listed(**query)
        assert ([row["agent_id"] for row in page["data"]], page["has_more"]) == (agents[1:], False)
    for name in "xyz":
        await ada.begin(agents[0], name)
        clock.now += 1
    page = await ada.sessions(agents[0], limit=2)
    assert [(row["session_name"], row["turns"]) for row in page["data"]] == [("x", []), ("y", [])]
    assert (page["has_more"], page["url"]) == (True, "/v1/agents/{agent_id}/sessions")


async def test_of_two_turns_at_once_one_is_locked_out(ada: AgentCaller) -> None:
    agent = await ada.make()
    session = await ada.begin(agent)
    waiting = await ada.open(conversation=session)
    with pytest.raises(ConversationLocked):
        await ada.turn(agent, session, "a")
    await waiting.close()
    turn = await ada.turn(agent, session, "call f")
    ended = await asyncio.gather(
        *(ada.resume(agent, session, turn["turn_id"], "x") for _ in range(2)), return_exceptions=True
    )
    assert any(isinstance(end, dict) for end in ended)
    assert (await ada.session(agent, session))["turns"][0]["output_message"]["content"] == "X"


async def test_an_agent_that_is_deleted_during_a_turn_ends_it(ada: AgentCaller) -> None:
    agent = await ada.make()
    session = await ada.begin(agent)
    running = await ada.open(conversation=session)
    await ada.agents.delete(agent)
    with pytest.raises(Conflict, match="was deleted"):
        await ada.end(running, "a")
    await running.close()


async def test_what_is_others_is_not_there_and_what_policy_permits_is(ada: AgentCaller) -> None:
    bob = AgentCaller(ada.kept, "bob", ada.clock)
    agent = await ada.make()
    session = await ada.begin(agent)
    turn = await ada.turn(agent, session, "a")
    other = await bob.make()
    for asked in (
        bob.agents.get(agent),
        bob.agents.delete(agent),
        bob.begin(agent),
        bob.sessions(agent),
        bob.session(agent, session),
        bob.session(other, session),
        ada.session(other, session),
        bob.turn(other, session, "b"),
        bob.agents.get_turn(other, session, turn["turn_id"]),
        bob.agents.delete_session(other, session),
    ):
        with pytest.raises(NotFound):
            await asked
    assert (await bob.listed())["data"] != (await ada.listed())["data"]


async def test_the_policy_is_asked_for_agents_and_for_sessions(store: DocumentStore) -> None:
    reads = {"permit": {"actions": ["create", "read", "update"]}}
    kept = Kept(store, enforcement=policy_of({"forbid": {"actions": "update", "resource": "session::*"}}, reads))
    ada = AgentCaller(kept)
    agent = await ada.make()
    session = await ada.begin(agent)
    for asked in (
        ada.turn(agent, session, "a"),
        ada.agents.delete(agent),
        ada.agents.delete_session(agent, session),
        ada.conversations.delete(session),
    ):
        with pytest.raises(PermissionDenied):
            await asked
    for kind in ("agent", "session", "conversation"):
        rule = {"forbid": {"actions": "create", "resource": f"{kind}::*"}}
        eve = AgentCaller(Kept(store, enforcement=policy_of(rule, reads)), "eve")
        with pytest.raises(PermissionDenied):
            await (eve.make() if kind == "agent" else eve.begin(agent))


@OVER_BOTH
async def test_agents_and_sessions_are_limited_exactly(store: DocumentStore, clock: Clock) -> None:
    ada = AgentCaller(Kept(store, KeepLimits(agents=2, conversations=2)), clock=clock)
    ended = await asyncio.gather(*(ada.make() for _ in range(5)), return_exceptions=True)
    agents = [end for end in ended if isinstance(end, str)]
    assert len(agents) == 2
    assert {str(end) for end in ended if isinstance(end, LimitReached)} == {
        "You may keep 2 agents, and have as many. Delete some."
    }
    session = await ada.begin(agents[0])
    await ada.begin(agents[1])
    with pytest.raises(LimitReached, match="2 conversations"):
        await ada.begin(agents[0])
    await ada.agents.delete_session(agents[0], session)
    await ada.begin(agents[0])
    await ada.agents.delete(agents[0])
    await ada.begin(await ada.make())


async def test_a_session_stays_as_long_as_its_conversation(store: DocumentStore, clock: Clock) -> None:
    settings = ResponseSettings(conversation_seconds=10 * DAY, response_seconds=90 * DAY)
    ada = AgentCaller(Kept(store), clock=clock, settings=settings)
    agent = await ada.make()
    session = await ada.begin(agent)
    clock.now += 8 * DAY
    await ada.add(session, "a")
    clock.now += 8 * DAY
    turn = await ada.turn(agent, session, "b")
    assert said(await ada.session(agent, session)) == ["B"]
    clock.now += 12 * DAY
    for asked in (ada.session(agent, session), ada.turn(agent, session, "c"), ada.conversations.get(session)):
        with pytest.raises(NotFound):
            await asked
    assert (await ada.sessions(agent))["data"] == []
    assert (await ada.responses.get(turn["turn_id"]))["output"] == []
    assert (await ada.agents.get(agent))["agent_id"] == agent


@OVER_BOTH
async def test_all_that_one_keeps_is_erased_with_its_turns_in_sessions_of_others(
    store: DocumentStore, documenting: Documenting
) -> None:
    ada = AgentCaller(Kept(store, enforcement=EVERYBODY))
    bob = AgentCaller(ada.kept, "bob")
    agent, own = await ada.make(), await bob.make()
    shared, session = await ada.begin(agent), await bob.begin(agent)
    await ada.turn(agent, shared, "a")
    await bob.turn(agent, shared, "bob says b")
    await bob.turn(agent, session, "c")
    await ada.turn(own, await ada.begin(own), "d")
    assert await erase(bob) == {"conversations": 1, "responses": 1, "agents": 1}
    assert said(await ada.session(agent, shared)) == ["A"]
    assert not [row for row in rows(documenting, alive=True) if "bob" in row.lower()]
    assert await erase(bob) == {}
    assert await erase(ada) == {"conversations": 1, "agents": 1}
    assert rows(documenting, alive=True) == []


async def test_what_a_later_release_wrote_is_read(ada: AgentCaller) -> None:
    body = {"config": {**CONFIG, "mood": "good"}, "later": True}
    await ada.kept.store.create(Document(AGENT, "agent_1", body, ada.state.owner, ada.state.guard.owner, NOW))
    assert (await ada.agents.get("agent_1"))["agent_config"]["mood"] == "good"
    session = await ada.begin("agent_1")
    await ada.turn("agent_1", session, "a")


async def test_a_conversation_of_before_there_were_sessions_is_none(ada: AgentCaller) -> None:
    body = {"metadata": {}, "deleting": False, "counted": []}
    older = Document(CONVERSATION, "conv_1", body, ada.state.owner, ada.state.guard.owner, NOW)
    await ada.kept.store.create(older)
    await ada.add("conv_1", "a")
    assert (await ada.conversations.delete("conv_1"))["deleted"] is True


async def erase(caller: AgentCaller) -> dict[str, int]:
    """All of what the caller keeps; how many of which name."""
    pieces, removed = erase_of(caller.state.parts), dict[str, int]()
    assert pieces is not None
    async for some in pieces(Estate(Principal(caller.name, {}, "test"), lambda _: False)):
        for piece in some:
            assert await piece.remove()
            removed[piece.name] = removed.get(piece.name, 0) + piece.count
    return {name: count for name, count in removed.items() if name}
