"""A provider of agents from another package runs them: whose they are, ids, conversations and what is kept are the stack's."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.external import CONFIG, entry, loaded, put
from tests.parts import reference
from tests.parts.live_stack import client_of, client_over

PARROT = f"""{CONFIG}
class Parrot:
    def __init__(self): self.gone = []
    async def health(self): return {{"status": "OK"}}
    async def close(self): pass
    async def create_agent(self, config): return "a1"
    async def create_session(self, agent_id, name): return f"{{agent_id}}/{{name}}"
    async def delete_agent(self, agent_id): pass
    async def delete_session(self, agent_id, session_id): pass
    async def stream_turn(self, agent_id, session_id, request):
        text = request["messages"][-1]["content"]
        calls = [{{"call_id": "c", "tool_name": "f", "arguments": {{"a": 1}}}}] if text == "call" else []
        return self._events(f"{{session_id}} {{text}}", calls, 1)
    async def stream_resumed_turn(self, agent_id, session_id, turn_id, answers):
        return self._events(f"{{turn_id}} {{answers[0]['content']}}", [], 2)
    async def _events(self, text, calls, count):
        if text.endswith("fail"):
            raise RuntimeError("the key is k-123456")
        said = {{"role": "assistant", "content": text, "stop_reason": "end_of_turn", "tool_calls": calls}}
        step = {{"turn_id": "t1", "step_id": "s", "step_type": "inference", "model_response": said}}
        yield {{"event": {{"payload": {{"event_type": "step_complete", "step_type": "inference", "step_id": "s", "step_details": step}}}}}}
        metrics = [{{"metric": name, "value": value}} for name, value in (("prompt_tokens", 20), ("completion_tokens", 30), ("other", 1))]
        kind = "turn_awaiting_input" if calls else "turn_complete"
        turn = {{"turn_id": "t1", "session_id": "x", "input_messages": [], "steps": [step] * count, "output_message": said}}
        yield {{"event": {{"payload": {{"event_type": kind, "turn": turn}}}}, "metrics": metrics}}

async def get_adapter_impl(config, deps): return Parrot()
"""
OLD = {
    "provider": """
from llama_stack.providers.datatypes import Api, InlineProviderSpec

def get_provider_spec():
    return InlineProviderSpec(
        api=Api.agents, provider_type="inline::crow", module="PACKAGE", config_class="PACKAGE.Config",
        pip_packages=["llama-stack"], api_dependencies=[Api.inference],
    )
""",
    "__init__": """
from datetime import datetime, timezone
from typing import AsyncGenerator, Optional, Union
from llama_stack.apis.agents import (
    AgentConfig, AgentCreateResponse, Agents, AgentSessionCreateResponse, AgentToolGroup, AgentTurnCreateRequest,
    AgentTurnResponseEvent, AgentTurnResponseStreamChunk, AgentTurnResponseTurnAwaitingInputPayload,
    AgentTurnResponseTurnCompletePayload, Document, InferenceStep, Session, Turn,
)
from llama_stack.apis.inference import CompletionMessage, StopReason, ToolConfig, ToolResponseMessage, UserMessage
from pydantic import BaseModel

class Config(BaseModel):
    pass

class Crow(Agents):
    def __init__(self): self.agents = {}
    async def create_agent(self, agent_config: AgentConfig) -> AgentCreateResponse:
        self.agents["1"] = agent_config
        return AgentCreateResponse(agent_id="1")
    async def create_agent_session(self, agent_id: str, session_name: str) -> AgentSessionCreateResponse:
        return AgentSessionCreateResponse(session_id=session_name)
    async def create_agent_turn(
        self, agent_id: str, session_id: str, messages: list[Union[UserMessage, ToolResponseMessage]],
        stream: Optional[bool] = False, documents: Optional[list[Document]] = None,
        toolgroups: Optional[list[AgentToolGroup]] = None, tool_config: Optional[ToolConfig] = None,
    ) -> AsyncGenerator:
        assert stream
        return self._run(self.agents[agent_id].instructions + messages[0].content, session_id)
    async def resume_agent_turn(self, agent_id, session_id, turn_id, tool_responses, stream=False):
        return self._run(tool_responses[0].content, session_id)
    async def _run(self, text, session_id):
        said = CompletionMessage(content=text, stop_reason=StopReason.end_of_turn, tool_calls=[])
        now = datetime.now(timezone.utc)
        step = InferenceStep(turn_id="t", step_id="s", started_at=now, completed_at=now, model_response=said)
        turn = Turn(
            turn_id="t", session_id=session_id, input_messages=[], steps=[step], output_message=said, started_at=now
        )
        yield AgentTurnResponseStreamChunk(
            event=AgentTurnResponseEvent(payload=AgentTurnResponseTurnCompletePayload(turn=turn))
        )

async def get_provider_impl(config, deps):
    return Crow()
""",
}
LOCAL = {"provider_id": "local", "provider_type": "remote::vllm", "config": {"url": "http://127.0.0.1:9/v1"}}
AGENTS = "/v1/agents"


@pytest.fixture
async def parrot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.syspath_prepend(str(tmp_path))
    put(tmp_path, PARROT, "agents")
    async with client_over(loaded(tmp_path, inference=[LOCAL], agents=[entry()])) as client:
        yield client


async def begin(client: httpx.AsyncClient) -> str:
    config = {"model": "local/m", "instructions": "Say: "}
    agent = (await client.post(AGENTS, json={"agent_config": config})).json()["agent_id"]
    path = f"{AGENTS}/{agent}/session"
    return f"{path}/{(await client.post(path, json={'session_name': 's'})).json()['session_id']}"


async def turn_of(client: httpx.AsyncClient, session: str, text: str, **more: Any) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": text}], **more}
    return await client.post(f"{session}/turn", json=body)


async def test_a_package_runs_turns_of_sessions_that_are_the_stacks(parrot: httpx.AsyncClient) -> None:
    session = await begin(parrot)
    turn = (await turn_of(parrot, session, "hi")).json()
    ids = {"turn_id": turn["turn_id"], "session_id": session.rpartition("/")[2]}
    assert turn == turn | ids
    assert [(step["turn_id"], step["step_id"]) for step in turn["steps"]] == [(turn["turn_id"], "s")]
    assert turn["output_message"]["content"] == "a1/s hi"
    asked = (await turn_of(parrot, session, "call")).json()
    body = {"tool_responses": [{"call_id": "d", "tool_name": "f", "content": "9"}]}
    wrong = await parrot.post(f"{session}/turn/{asked['turn_id']}/resume", json=body)
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "tool_responses[0].call_id")
    body["tool_responses"][0]["call_id"] = "c"
    ended = (await parrot.post(f"{session}/turn/{asked['turn_id']}/resume", json=body)).json()
    assert (len(ended["steps"]), ended["output_message"]["content"]) == (2, "t1 9")
    assert (await parrot.get(f"{session}/turn/{asked['turn_id']}")).json() == ended
    assert (await parrot.get(session)).json()["turns"] == [turn, ended]
    items = (await parrot.get(f"/v1/conversations/{ids['session_id']}/items?order=asc")).json()["data"]
    assert [(item["type"], item.get("output")) for item in items] == [
        ("message", None),
        ("message", None),
        ("message", None),
        ("message", None),
        ("function_call", None),
        ("function_call_output", "9"),
        ("message", None),
    ]
    streamed = await turn_of(parrot, session, "so", stream=True)
    assert [line.startswith("data: ") for line in streamed.text.split("\n\n") if line] == [True] * 3
    assert (await parrot.delete(session)).json() is None
    assert (await parrot.get(session)).status_code == 404


async def test_what_a_package_used_is_charged_to_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    put(tmp_path, PARROT, "agents")
    quota = {
        "kvstore": {"type": "sqlite", "db_path": str(tmp_path / "quota.db")},
        "anonymous_max_tokens": 100,
        "default_max_tokens": 10,
    }
    stack = loaded(tmp_path, {"server": {"quota": quota}}, inference=[LOCAL], agents=[entry()])
    async with client_over(stack) as client:
        session = await begin(client)
        for left in (50, 0):
            made = await turn_of(client, session, "hi")
            assert made.status_code == 200, made.text
            turn = made.json()
            used = (await client.get(f"/v1/responses/{turn['turn_id']}")).json()["usage"]
            assert (used["input_tokens"], used["output_tokens"], used["total_tokens"]) == (20, 30, 50)
            assert (await client.get("/v1/quota")).json()["tokens"]["remaining"] == left
        assert (await turn_of(client, session, "hi")).status_code == 429


async def test_a_package_that_fails_tells_nothing_and_leaves_nothing(parrot: httpx.AsyncClient) -> None:
    session = await begin(parrot)
    failed = await turn_of(parrot, session, "fail")
    assert (failed.status_code, "k-123456" in failed.text) == (500, False)
    assert (await parrot.get(session)).json()["turns"] == []
    assert (await turn_of(parrot, session, "hi")).status_code == 200


async def test_a_package_for_llama_stack_is_served_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    reference.install(tmp_path, "old_agents", OLD)
    crow = {"provider_id": "x", "provider_type": "inline::crow", "module": "old_agents", "config": {}}
    document = {
        "version": 2,
        "image_name": "t",
        "apis": ["inference", "agents"],
        "providers": {"inference": [LOCAL], "agents": [crow]},
        "metadata_store": {"type": "sqlite", "db_path": str(tmp_path / "registry.db")},
    }
    async with client_of(document) as client:
        session = await begin(client)
        turn = (await turn_of(client, session, "hi")).json()
        assert turn["output_message"]["content"] == "Say: hi"
        assert turn["steps"][0]["model_response"]["stop_reason"] == "end_of_turn"
        assert (await client.get(session)).json()["turns"] == [turn]
        assert (await client.delete(session.partition("/session/")[0])).json() is None
