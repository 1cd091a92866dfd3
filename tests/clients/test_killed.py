"""What `kill -9` of `llambda serve` leaves to its callers: turns that waited go on, streams that broke are told as failed, and nothing is locked."""

import asyncio
from collections.abc import AsyncIterator
import json
import os
from pathlib import Path
import subprocess
from typing import Any, Final

import httpx
import pytest

from infra.local import clients
from tests.parts.agent_world import MODEL, TurnWorld, turn_world
from tests.parts.killers import Lives, Process
from tests.parts.model_script import Call, Round, write_script
from tests.parts.stack import ROOT

pytestmark = pytest.mark.exact
RESPONSES: Final = "/v1/responses"
FOR_EVER: Final = Round("Hello there, all of you", ends="hang")
EXPIRED_SECONDS: Final = 3 * 24 * 3600
SLOW: Final = Round("Hello there, all of you who have come from far away " * 2, pause=0.02)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[TurnWorld]:
    async with turn_world(tmp_path) as world:
        document = world.document()
        [entry] = document["providers"]["agents"]
        entry["config"]["retention"] = {"conversation_seconds": 3600}
        (tmp_path / "run.json").write_text(json.dumps(document))
        yield world


def lives_of(world: TurnWorld) -> Lives:
    return Lives(world.folder / "run.json", world.folder / "log.txt")


def kill(process: Process) -> None:
    process.kill()
    process.wait()


async def told_by(phase: str, *arguments: str) -> dict[str, Any]:
    """What a phase of scripts/agents/killed.py prints."""
    command = [str(clients.python_of("llama-stack-client-0.2")), "-m", "tests.clients.scripts.agents.killed"]

    def start() -> str:
        done = subprocess.run(
            [*command, phase, *arguments], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    told: dict[str, Any] = json.loads(await asyncio.to_thread(start))
    return told


def address(client: httpx.AsyncClient) -> str:
    return str(client.base_url).rstrip("/")


async def test_an_agent_that_waits_for_its_clients_tool_is_resumed_in_the_next_life(world: TurnWorld) -> None:
    lives = lives_of(world)
    async with lives.next() as (client, process):
        turn = await told_by("begin", address(client))
        kill(process)
    asked = len(world.model.chats)
    async with lives.next() as (client, _):
        told = await told_by("resume", address(client), json.dumps(turn))
    assert told["text"].startswith("It is knowledge_search tool found")
    assert told["text"].endswith("; -100.")
    assert len(world.model.chats) == asked + 1


async def read(lines: AsyncIterator[str], most: int = 1_000_000) -> list[dict[str, Any]]:
    """Up to so many events of a stream; what comes of one that is cut is no failure."""
    events = list[dict[str, Any]]()
    try:
        async for line in lines:
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))
            if len(events) >= most:
                break
    except httpx.HTTPError:
        pass
    return events


async def begun_and_killed(client: httpx.AsyncClient, process: Process, most: int, **body: Any) -> list[dict[str, Any]]:
    """The events of a stream whose server is killed after so many."""
    async with client.stream("POST", RESPONSES, json={"model": MODEL, "stream": True, **body}) as stream:
        lines = stream.aiter_lines()
        events = await read(lines, most)
        kill(process)
        return events + await read(lines)


async def replayed(client: httpx.AsyncClient, name: str, **query: Any) -> list[dict[str, Any]]:
    async with client.stream("GET", f"{RESPONSES}/{name}", params={"stream": "true", **query}) as stream:
        assert stream.status_code == 200, await stream.aread()
        return await read(stream.aiter_lines())


async def test_a_stream_that_died_is_told_as_failed_and_its_conversation_is_free(world: TurnWorld) -> None:
    lives = lives_of(world)
    async with lives.next() as (client, process):
        conversation = (await client.post("/v1/conversations", json={})).json()["id"]
        asked = {"conversation": conversation, "input": write_script(SLOW)}
        events = await begun_and_killed(client, process, 30, **asked)
        name, said = events[0]["response"]["id"], len(events)
    async with lives.next() as (client, _):
        found = (await client.get(f"{RESPONSES}/{name}")).json()
        assert (found["status"], found["error"]["code"]) == ("failed", "server_error"), found
        [message] = found["output"]
        assert message["status"] == "incomplete"
        assert SLOW.text.startswith(message["content"][0]["text"])
        again = await replayed(client, name)
        assert [event["sequence_number"] for event in again] == list(range(len(again)))
        assert again[-1]["type"] == "response.failed"
        common = min(said, len(again) - 4)  # what had been told in the last moment is in no log
        assert common > 8
        assert again[:common] == events[:common]
        assert (await client.post(f"{RESPONSES}/{name}/cancel")).status_code == 400
        for after in range(len(again) - 1):
            assert await replayed(client, name, starting_after=after) == again[after + 1 :]
        body = {"model": MODEL, "conversation": conversation, "input": "Hi"}
        assert (await client.post(RESPONSES, json=body)).json()["status"] == "completed"
        items = (await client.get(f"/v1/conversations/{conversation}/items", params={"order": "asc"})).json()["data"]
        assert [item["role"] for item in items] == ["user", "assistant"]


async def test_a_session_whose_turn_died_takes_the_next_and_its_waiting_turn_is_resumed_again(world: TurnWorld) -> None:
    lives = lives_of(world)
    tool = {"name": "look", "description": "Looks.", "parameters": []}
    config = {"model": MODEL, "instructions": "Be brief.", "client_tools": [tool]}
    async with lives.next() as (client, process):
        agent = (await client.post("/v1/agents", json={"agent_config": config})).json()["agent_id"]
        made = await client.post(f"/v1/agents/{agent}/session", json={"session_name": "s"})
        turns = f"/v1/agents/{agent}/session/{made.json()['session_id']}/turn"
        script = write_script(Round("", (Call("look"),)), FOR_EVER, Round("{quote}"))
        message = {"role": "user", "content": script}
        turn = (await client.post(turns, json={"messages": [message], "stream": False})).json()
        [call] = turn["output_message"]["tool_calls"]
        answers = [{"call_id": call["call_id"], "tool_name": "look", "content": "seen"}]
        resume = f"{turns}/{turn['turn_id']}/resume"
        async with client.stream("POST", resume, json={"tool_responses": answers, "stream": True}) as stream:
            assert await read(stream.aiter_lines(), 3)
            kill(process)
    async with lives.next() as (client, _):
        world.model.queue.append(Round("It was {quote}."))
        again = await client.post(resume, json={"tool_responses": answers, "stream": False})
        assert again.status_code == 200, again.text
        assert again.json()["output_message"]["content"] == "It was seen."
        world.model.queue.append(Round("Well."))
        then = await client.post(turns, json={"messages": [{"role": "user", "content": "Hi"}], "stream": False})
        assert then.json()["output_message"]["content"] == "Well."


async def test_a_session_that_has_expired_is_not_there(world: TurnWorld) -> None:
    """Its items after an hour, itself a day later."""
    lives = lives_of(world)
    async with lives.next() as (client, _):
        turn = await told_by("begin", address(client))
    lives.ahead += EXPIRED_SECONDS
    agent = f"/v1/agents/{turn['agent_id']}"
    session = f"{agent}/session/{turn['session_id']}"
    answers = {"tool_responses": [{"call_id": "c", "tool_name": "look", "content": "seen"}]}
    message = {"messages": [{"role": "user", "content": "Hi"}]}
    asked = len(world.model.chats)
    async with lives.next() as (client, _):
        for method, path, body in (
            ("GET", session, None),
            ("POST", f"{session}/turn", {**message, "stream": False}),
            ("POST", f"{session}/turn", {**message, "stream": True}),
            ("GET", f"{session}/turn/{turn['turn_id']}", None),
            ("POST", f"{session}/turn/{turn['turn_id']}/resume", answers),
            ("GET", f"/v1/conversations/{turn['session_id']}", None),
        ):
            answer = await client.request(method, path, json=body)
            assert answer.status_code == 404, (method, path, answer.text)
        assert (await client.get(f"{agent}/sessions")).json()["data"] == []
        again = await client.post(f"{agent}/session", json={"session_name": "s"})
        assert again.status_code == 200, again.text
    assert len(world.model.chats) == asked


@pytest.mark.parametrize("after", [1, 9, 30])
async def test_a_background_stream_is_taken_up_in_the_next_life_without_a_loss(world: TurnWorld, after: int) -> None:
    lives = lives_of(world)
    box = {"type": "mcp", "server_label": "box", "server_url": f"{world.model.url}/mcp", "require_approval": "never"}
    rounds = Round("Look. ", (Call("greet", {"name": "Bo"}),), pause=0.02), SLOW
    async with lives.next() as (client, process):
        body = {"background": True, "input": write_script(*rounds), "tools": [box]}
        events = await begun_and_killed(client, process, after, **body)
        name = events[0]["response"]["id"]
    async with lives.next() as (client, _):
        rest = await replayed(client, name, starting_after=events[-1]["sequence_number"])
        whole = [*events, *rest]
        assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
        assert rest[-1]["type"] == "response.completed"
        assert await replayed(client, name) == whole
        found = (await client.get(f"{RESPONSES}/{name}")).json()
    assert found["status"] == "completed"
    assert found["output"][-1]["content"][0]["text"] == SLOW.text
    assert world.server.count("tools/call") == 1
