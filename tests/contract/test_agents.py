"""Agents over HTTP: shapes, statuses and messages of all but turns."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.apis.agents import MOST_CLIENT_TOOLS
from tests.parts.live_stack import message
from tests.parts.response_stack import MODEL, response_world
from tests.parts.vector_stack import by

ADA, BOB = by("ada"), by("bob")
PATH = "/v1/agents"
CONFIG: dict[str, Any] = {
    "model": MODEL,
    "instructions": "You help.",
    "name": "helper",
    "sampling_params": {"strategy": {"type": "top_p", "temperature": 0.5, "top_p": 0.9}, "max_tokens": 100},
    "input_shields": [],
    "output_shields": [],
    "toolgroups": ["builtin::websearch", {"name": "builtin::rag/knowledge_search", "args": {"vector_db_ids": ["a"]}}],
    "client_tools": [
        {
            "name": "boil",
            "description": "Boils.",
            "parameters": [
                {"name": "what", "parameter_type": "string", "description": "", "required": True, "default": None}
            ],
            "metadata": {},
        }
    ],
    "tool_config": {
        "tool_choice": "auto",
        "tool_prompt_format": "json",
        "system_message_behavior": "replace",
    },
    "max_infer_iters": 3,
    "enable_session_persistence": False,
    "response_format": {"type": "json_schema", "json_schema": {"type": "object"}},
}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with response_world(tmp_path) as world:
        yield await world.client(auth=True)


async def call(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> Any:
    answer = await client.request(method, f"{PATH}{path}", json=body, headers=ADA)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_agents_and_sessions_answer_as_in_llama_stack(client: httpx.AsyncClient) -> None:
    made = await call(client, "POST", "", {"agent_config": CONFIG})
    agent = made.pop("agent_id")
    assert made == {}
    shown = await call(client, "GET", f"/{agent}")
    assert set(shown) == {"agent_id", "agent_config", "created_at"}
    assert shown["agent_config"] == {**CONFIG, "tool_choice": None, "tool_prompt_format": None}
    assert await call(client, "GET", "") == {"data": [shown], "has_more": False, "url": PATH}
    begun = await call(client, "POST", f"/{agent}/session", {"session_name": "s"})
    session = begun.pop("session_id")
    assert begun == {}
    one = await call(client, "GET", f"/{agent}/session/{session}?turn_ids=a")
    assert one == {"session_id": session, "session_name": "s", "turns": [], "started_at": one["started_at"]}
    listed = await call(client, "GET", f"/{agent}/sessions?start_index=0&limit=5")
    assert listed == {"data": [one], "has_more": False, "url": f"{PATH}/{{agent_id}}/sessions"}
    assert await call(client, "DELETE", f"/{agent}/session/{session}") is None
    assert await call(client, "DELETE", f"/{agent}") is None


async def test_what_is_wrong_is_said_with_what_to_do(client: httpx.AsyncClient) -> None:
    agent = (await call(client, "POST", "", {"agent_config": {"model": MODEL, "instructions": ""}}))["agent_id"]
    session = (await call(client, "POST", f"/{agent}/session", {"session_name": "s"}))["session_id"]
    one, at = f"{PATH}/{agent}", f"{PATH}/{agent}/session/{session}"
    user = {"role": "user", "content": "a"}
    asked: list[tuple[str, str, Any, Any, int, str]] = [
        ("GET", one, None, BOB, 404, f"There is no agent `{agent}`."),
        ("GET", f"{PATH}/agent_no", None, ADA, 404, "There is no agent `agent_no`."),
        ("POST", f"{PATH}/no/session", {"session_name": "s"}, ADA, 404, "There is no agent `no`."),
        ("GET", f"{one}/session/no", None, ADA, 404, "There is no session `no`."),
        ("DELETE", f"{one}/session/no", None, ADA, 404, "There is no session `no`."),
        ("POST", f"{one}/session/no/turn", {"messages": [user]}, ADA, 404, "There is no session `no`."),
        ("GET", f"{at}/turn/no", None, ADA, 404, "There is no turn `no` in this session."),
        ("GET", f"{at}/turn/no/step/no", None, ADA, 404, "There is no turn `no` in this session."),
        ("POST", PATH, {}, ADA, 400, "agent_config"),
        ("POST", PATH, {"agent_config": {"model": MODEL}}, ADA, 400, "agent_config.instructions"),
        ("POST", PATH, {"agent_config": {**CONFIG, "max_infer_iters": 0}}, ADA, 400, "max_infer_iters"),
        ("POST", PATH, {"agent_config": {**CONFIG, "tool_choice": "none"}}, ADA, 400, "Leave tool_choice out"),
        (
            "POST",
            PATH,
            {"agent_config": {**CONFIG, "client_tools": [{"name": "f"}] * (MOST_CLIENT_TOOLS + 1)}},
            ADA,
            400,
            "128",
        ),
        ("POST", f"{one}/session", {}, ADA, 400, "session_name"),
        ("GET", f"{one}/sessions?limit=-2", None, ADA, 400, "limit"),
        ("POST", f"{at}/turn", {"messages": []}, ADA, 400, "messages"),
        ("POST", f"{at}/turn", {"messages": [{"role": "system", "content": "a"}]}, ADA, 400, "role"),
        ("POST", f"{at}/turn/no/resume", {"tool_responses": []}, ADA, 400, "tool_responses"),
    ]
    for method, path, body, who, status, says in asked:
        answer = await client.request(method, path, json=body, headers=who)
        assert (answer.status_code, says in message(answer)) == (status, True), (path, answer.text)
