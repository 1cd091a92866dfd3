"""Turns of agents that go wrong, on the wire: what is answered, that nothing is asked or kept of it, and that the session goes on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from core.services.agents.records import SESSION
from core.services.responses.state.records import CONVERSATION
from tests.parts.agent_world import AGENTS, METADATA, MODEL, TurnWorld, turn_world
from tests.parts.expiring import expire
from tests.parts.model_script import Call, Round, write_script
from tests.parts.response_calls import ADA, BOB, refusal

TOOL: Final[dict[str, Any]] = {"name": "look", "description": "Looks.", "parameters": []}
TWO_CALLS: Final = Round("", (Call("look"), Call("look")))
BYTES: Final = 10 * 1024 * 1024


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[TurnWorld]:
    async with turn_world(tmp_path) as world:
        yield world


async def made(client: httpx.AsyncClient, path: str, body: dict[str, Any], name: str) -> str:
    answer = await client.post(path, json=body, headers=ADA)
    assert answer.status_code == 200, answer.text
    return str(answer.json()[name])


async def begin(client: httpx.AsyncClient, **config: Any) -> str:
    """The path of a new session."""
    agent = {"model": MODEL, "instructions": "Be brief.", "client_tools": [TOOL], **config}
    agent_id = await made(client, AGENTS, {"agent_config": agent}, "agent_id")
    session = await made(client, f"{AGENTS}/{agent_id}/session", {"session_name": "s"}, "session_id")
    return f"{AGENTS}/{agent_id}/session/{session}"


async def ask(client: httpx.AsyncClient, session: str, *asked: Round | str, **more: Any) -> httpx.Response:
    text = asked[0] if isinstance(asked[0], str) else write_script(*[each for each in asked if isinstance(each, Round)])
    body = {"messages": [{"role": "user", "content": text}], "stream": False, **more}
    return await client.post(f"{session}/turn", json=body, headers=ADA)


async def turn_of(client: httpx.AsyncClient, session: str, *asked: Round | str, **more: Any) -> dict[str, Any]:
    answer = await ask(client, session, *asked, **more)
    assert answer.status_code == 200, answer.text
    turn: dict[str, Any] = answer.json()
    return turn


def answers_to(turn: dict[str, Any], content: Any = "seen") -> list[dict[str, Any]]:
    calls = turn["output_message"]["tool_calls"]
    return [{"call_id": call["call_id"], "tool_name": call["tool_name"], "content": content} for call in calls]


async def resume(
    client: httpx.AsyncClient, session: str, turn: dict[str, Any], answers: list[dict[str, Any]], **more: Any
) -> httpx.Response:
    body = {"tool_responses": answers, "stream": False, **more}
    return await client.post(f"{session}/turn/{turn['turn_id']}/resume", json=body, headers=ADA)


async def is_well(client: httpx.AsyncClient, session: str) -> None:
    assert (await turn_of(client, session, Round("Well.")))["output_message"]["content"] == "Well."


async def test_calls_are_answered_each_once_and_no_others(world: TurnWorld) -> None:
    client = await world.client(auth=True)
    session = await begin(client)
    turn = await turn_of(client, session, TWO_CALLS, Round("{quote}"))
    assert turn["output_message"]["stop_reason"] == "end_of_message"
    first, second = answers_to(turn)
    strange = {**first, "call_id": "call_of_nobody"}
    asked = len(world.model.chats)
    for wrong, named in (
        ([], ""),
        ([first], second["call_id"]),
        ([first, first], first["call_id"]),
        ([first, second, second], second["call_id"]),
        ([first, strange], "call_of_nobody"),
        ([first, second, strange], "call_of_nobody"),
    ):
        for stream in (False, True):
            status, message = refusal(await resume(client, session, turn, wrong, stream=stream))
            assert (status, named in message) == (400, True), (wrong, message)
    assert len(world.model.chats) == asked
    ended = await resume(client, session, turn, [second, first])
    assert (ended.status_code, ended.json()["output_message"]["content"]) == (200, "seen; seen"), ended.text
    unknown = await client.post(f"{session}/turn/turn_0/resume", json={"tool_responses": [first]}, headers=ADA)
    assert unknown.status_code == 404


async def test_what_a_client_tool_answers_is_bounded(world: TurnWorld) -> None:
    client = await world.client(auth=True)
    session = await begin(client)
    turn = await turn_of(client, session, Round("", (Call("look"),)), Round("I see."))
    large = await resume(client, session, turn, answers_to(turn, "x" * BYTES))
    status, message = refusal(large)
    assert status in {400, 413}, large.text[:300]
    assert "bytes" in message or "characters" in message, message
    assert len(world.model.chats) == 1
    for content in ({"type": "text", "text": "seen"}, [{"type": "text", "text": "seen"}], ""):
        other = await turn_of(client, session, Round("", (Call("look"),)), Round("I see."))
        assert (await resume(client, session, other, answers_to(other, content))).status_code == 200


async def test_a_session_that_has_expired_is_not_there(world: TurnWorld) -> None:
    client = await world.client(auth=True)
    session = await begin(client)
    turn = await turn_of(client, session, Round("", (Call("look"),)), Round("{quote}"))
    agent, _, identifier = session.rpartition("/session/")
    await expire(world.document(auth=True), (CONVERSATION, identifier), (SESSION, identifier))
    say = {"messages": [{"role": "user", "content": "Hi"}]}
    asked = len(world.model.chats)
    for method, path, body in (
        ("GET", session, None),
        ("DELETE", session, None),
        ("GET", f"{session}/turn/{turn['turn_id']}", None),
        ("POST", f"{session}/turn", {**say, "stream": True}),
        ("POST", f"{session}/turn", {**say, "stream": False}),
        ("POST", f"{session}/turn/{turn['turn_id']}/resume", {"tool_responses": answers_to(turn), "stream": True}),
        ("GET", f"/v1/conversations/{identifier}", None),
    ):
        found = await client.request(method, path, json=body, headers=ADA)
        absent = await client.request(method, path.replace(identifier, f"conv_{'0' * 48}"), json=body, headers=ADA)
        assert found.status_code == absent.status_code == 404, (method, path, found.text)
        assert refusal(found)[1].replace(identifier, f"conv_{'0' * 48}") == refusal(absent)[1]
    assert len(world.model.chats) == asked
    assert (await client.get(f"{agent}/sessions", headers=ADA)).json()["data"] == []


async def test_one_turn_runs_in_a_session(world: TurnWorld) -> None:
    client = await world.client(auth=True)
    session = await begin(client)
    first = asyncio.create_task(ask(client, session, Round("Hello there", held=True)))
    await world.model.asked.wait()
    for stream in (False, True):
        second = await ask(client, session, "Hi", stream=stream)
        assert (second.status_code, second.json()["error"]["code"]) == (409, "conversation_locked")
    world.model.release.set()
    assert (await first).json()["output_message"]["content"] == "Hello there"
    kept = (await client.get(session, headers=ADA)).json()
    assert len(kept["turns"]) == 1
    await is_well(client, session)


@pytest.mark.parametrize("what", ["agent", "session", "conversation"])
async def test_what_is_deleted_during_a_turn_keeps_nothing_of_it(world: TurnWorld, what: str) -> None:
    client = await world.client(auth=True)
    session = await begin(client)
    agent, conversation = session.rpartition("/session/")[0], session.rpartition("/")[2]
    paths = {"agent": agent, "session": session, "conversation": f"/v1/conversations/{conversation}"}
    run = asyncio.create_task(ask(client, session, Round("Hello there", held=True)))
    await world.model.asked.wait()
    assert (await client.delete(paths[what], headers=ADA)).status_code == 200
    world.model.release.set()
    found = await run
    assert found.status_code in {404, 409}, found.text
    for path in (session, f"{session}/turn/x", paths["conversation"], *([agent] if what == "agent" else [])):
        assert (await client.get(path, headers=ADA)).status_code == 404, path
    assert (await client.get("/v1/responses", headers=ADA)).json()["data"] == []
    assert (await ask(client, session, "Hi")).status_code == 404


async def test_tools_without_end_are_ended(world: TurnWorld) -> None:
    client = await world.client(auth=True)
    session = await begin(client, toolgroups=["mcp::box"])
    endless = Round("", (Call("greet", {"name": "Bo"}),))
    turn = await turn_of(client, session, endless)
    assert [step["step_type"] for step in turn["steps"]].count("inference") == len(world.model.chats) == 10
    assert turn["output_message"]["stop_reason"] != "end_of_message"
    await is_well(client, session)


async def test_documents_are_fetched_by_the_guarded_fetcher(world: TurnWorld) -> None:
    client = await world.client(auth=True, guarded=True)
    session = await begin(client)
    for content in (
        {"uri": METADATA},
        {"uri": "http://[::ffff:169.254.169.254]/"},
        {"uri": f"{world.model.url}/note"},
        {"uri": "file:///etc/passwd"},
        {"uri": "https://user:secret@example.com/"},
        {"uri": METADATA, "type": "image"},
        [{"type": "unheard_of"}],
        7,
    ):
        for stream in (False, True):
            documents = [{"content": content, "mime_type": "text/plain"}]
            refused = await ask(client, session, "Read.", documents=documents, stream=stream)
            status, message = refusal(refused)
            assert (status, "documents[0]" in refused.text) == (400, True), (content, message)
            assert "secret" not in message
    assert {seen.path for seen in world.model.seen} <= {"/auth", "/v1/models"}
    await is_well(client, session)


async def test_redirects_of_documents_are_judged_and_their_size_is(world: TurnWorld) -> None:
    client = await world.client(auth=True)
    session = await begin(client)
    for path in ("/moved", "/large", "/nothing"):
        document = {"content": {"uri": f"{world.model.url}{path}"}, "mime_type": "text/plain"}
        status, message = refusal(await ask(client, session, "Read.", documents=[document]))
        assert status == 400, message
        assert "169.254" not in message
    assert not world.model.chats


async def test_what_is_anothers_is_not_there(world: TurnWorld) -> None:
    client = await world.client(auth=True)
    session = await begin(client)
    agent = session.rpartition("/session/")[0]
    turn = await turn_of(client, session, Round("", (Call("look"),)), Round("{quote}"))
    one, step = f"{session}/turn/{turn['turn_id']}", turn["steps"][0]["step_id"]
    say = {"messages": [{"role": "user", "content": "Hi"}], "stream": False}
    absent = {agent.rpartition("/")[2]: f"agent_{'0' * 48}", session.rpartition("/")[2]: f"conv_{'0' * 48}"}
    asked = len(world.model.chats)
    for method, path, body in (
        ("GET", agent, None),
        ("DELETE", agent, None),
        ("GET", f"{agent}/sessions", None),
        ("POST", f"{agent}/session", {"session_name": "s"}),
        ("GET", session, None),
        ("DELETE", session, None),
        ("POST", f"{session}/turn", say),
        ("GET", one, None),
        ("POST", f"{one}/resume", {"tool_responses": answers_to(turn)}),
        ("GET", f"{one}/step/{step}", None),
        ("GET", f"/v1/conversations/{session.rpartition('/')[2]}", None),
        ("GET", f"/v1/responses/{turn['turn_id']}", None),
        ("POST", f"/v1/responses/{turn['turn_id']}/cancel", None),
    ):
        nobodys = path
        for name, other in absent.items():
            nobodys = nobodys.replace(name, other)
        theirs = await client.request(method, path, json=body, headers=BOB)
        nobody = await client.request(method, nobodys, json=body, headers=BOB)
        assert theirs.status_code == nobody.status_code == 404, (method, path, theirs.text)
    assert len(world.model.chats) == asked
    assert (await client.get("/v1/agents", headers=BOB)).json()["data"] == []
    assert (await resume(client, session, turn, answers_to(turn))).status_code == 200


async def test_what_cannot_be_a_turn_asks_nobody(world: TurnWorld) -> None:
    client = await world.client(auth=True)
    session = await begin(client)
    hello = {"role": "user", "content": "Hi"}
    rows: list[dict[str, Any]] = [
        {"messages": []},
        {"messages": [{"role": "assistant", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": [{"type": "unheard_of"}]}]},
        {"messages": [hello], "toolgroups": ["builtin::nothing"]},
        {"messages": [hello], "toolgroups": ["mcp::box/nothing"]},
        {"messages": [hello], "toolgroups": [{"name": "mcp::box"}]},
        {"messages": [hello], "tool_config": {"tool_choice": "no_such_tool"}},
        {"messages": [hello], "documents": "all"},
        {"messages": [hello], "stream": "yes"},
    ]
    for body in rows:
        found = await client.post(f"{session}/turn", json=body, headers=ADA)
        assert found.status_code in {400, 404}, (body, found.text)
        assert refusal(found)[1]
    assert not world.model.chats
    await is_well(client, session)
