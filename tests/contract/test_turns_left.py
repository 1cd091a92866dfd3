"""Turns that somebody cancels, or leaves, while they are made, or asks for again."""

from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

import pytest

from tests.parts.asgi_stream import listening
from tests.parts.background_runs import until
from tests.parts.model_script import Round
from tests.parts.turn_world import SAMPLE, WEATHER, TurnWorld, call, messages_of, turn_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[TurnWorld]:
    async with turn_world(tmp_path) as made:
        yield made


async def test_a_turn_that_is_cancelled_ends_with_an_error_and_the_session_is_as_before(world: TurnWorld) -> None:
    session, model = await world.session(toolgroups=["mcp::box"]), world.responses.model
    await world.turn(session, "Hi")
    said = messages_of(call("greet", name="Bo"), Round("I never say this", held=True))
    async with listening(world.client, f"{session}/turn", {"messages": said, "stream": True}) as listener:
        response_id = (await listener.first())["event"]["payload"]["metadata"]["response_id"]
        await until(lambda: len(model.chats) == 3)
        cancelled = (await world.client.post(f"/v1/responses/{response_id}/cancel")).json()
        assert (cancelled["status"], cancelled["output"][0]["type"]) == ("cancelled", "mcp_call")
    assert listener.events[-1]["error"]["message"].endswith("The turn was cancelled. Begin another one.")
    model.release.set()
    assert len((await world.client.get(session)).json()["turns"]) == 1
    assert (await world.client.get(f"{session}/turn/{response_id}")).status_code == 404
    assert "never" not in (await world.turn(session, "And?"))["output_message"]["content"]


async def test_a_turn_goes_on_when_its_client_leaves(world: TurnWorld) -> None:
    session, model = await world.session(toolgroups=["mcp::box"]), world.responses.model
    said = messages_of(call("greet", name="Bo"), Round("Hello there", held=True))
    async with listening(world.client, f"{session}/turn", {"messages": said, "stream": True}) as listener:
        turn_id = (await listener.first())["event"]["payload"]["metadata"]["response_id"]
        listener.left.set()
        assert (await world.post(f"{session}/turn", messages=messages_of("Hi"))).status_code == 409
        model.release.set()
    assert listener.events[-1]["event"]["payload"]["event_type"] != "turn_complete"
    turn = (await world.client.get(f"{session}/turn/{turn_id}")).json()
    assert turn["output_message"]["content"] == "Hello there"


async def test_what_is_asked_again_under_its_key_is_made_once(tmp_path: Path) -> None:
    async with turn_world(tmp_path, idempotency=True) as world:
        session, client = await world.session(client_tools=[WEATHER]), world.client
        agent = session.partition("/session/")[0]

        async def twice(path: str, key: str, **body: Any) -> str:
            answers = [await client.post(path, json=body, headers={"idempotency-key": key}) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [200, 200], answers[1].text
            assert ["idempotent-replayed" in answer.headers for answer in answers] == [False, True]
            assert answers[0].text == answers[1].text
            return answers[0].text

        await twice("/v1/agents", "a", agent_config=SAMPLE)
        assert len((await client.get("/v1/agents")).json()["data"]) == 2
        await twice(f"{agent}/session", "s", session_name="t")
        assert len((await client.get(f"{agent}/sessions")).json()["data"]) == 2
        asked = messages_of(call("weather", city="Rome"), Round("{quote}"))
        turn = json.loads(await twice(f"{session}/turn", "t", messages=asked))
        [one] = turn["output_message"]["tool_calls"]
        answers = [{"call_id": one["call_id"], "tool_name": "weather", "content": "sunny"}]
        resume = f"{session}/turn/{turn['turn_id']}/resume"
        assert "sunny" in await twice(resume, "r", tool_responses=answers, stream=True)
        assert "turn_complete" in await twice(f"{session}/turn", "u", messages=messages_of("Hi"), stream=True)
        assert (len(world.responses.model.chats), len((await client.get(session)).json()["turns"])) == (3, 2)
        broken = messages_of(Round("Oh", ends="cut"))
        for _ in range(2):  # what failed leaves its key free
            failed = await client.post(f"{session}/turn", json={"messages": broken}, headers={"idempotency-key": "f"})
            assert failed.status_code == 502, failed.text
