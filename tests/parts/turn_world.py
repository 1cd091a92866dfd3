"""The stack of `.response_stack` with agents: tool groups of an MCP server and of retrieval, and a shield that knows one word.

`mcp::box` has the tools of `response_stack`; `builtin::rag` searches vector stores; the shield `guard` finds WORD.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any, Final

from aiohttp import web
import httpx
from yarl import URL

from core.config.load import interpret
from tests.parts.live_stack import client_over
from tests.parts.model_script import Call, Round, write_script
from tests.parts.response_stack import APIS, MODEL, ResponseWorld, response_world

AGENTS: Final = "/v1/agents"
WORD: Final = "zyzzogeton"
WEATHER: Final = {
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": [{"name": "city", "parameter_type": "str", "description": "Which.", "required": True}],
}
SAMPLE: Final = {"model": MODEL, "instructions": "Be brief."}


async def judge(request: web.Request) -> web.StreamResponse:
    """NeMo's rails, on what comes last."""
    said = str(json.loads(await request.read())["messages"][-1]["content"])
    status = "blocked" if WORD in said else "success"
    return web.json_response({"status": status, "rails_status": {"word": {"status": status}}})


def turn_document(world: ResponseWorld, **more: Any) -> dict[str, Any]:
    """The run config; `more` as `ResponseWorld.document` takes it."""
    document = world.document(**more)
    fetch = {"allow_private_addresses": True, "allowed_ports": [URL(world.model.url).port]}
    document["apis"] = sorted({*APIS, "safety"})
    providers = document["providers"]
    providers["tool_runtime"] += [
        {"provider_id": "rag", "provider_type": "inline::rag-runtime", "config": {"fetch": fetch}}
    ]
    providers["safety"] = [
        {
            "provider_id": "rails",
            "provider_type": "remote::nvidia",
            "config": {"guardrails_service_url": world.model.url},
        }
    ]
    document["shields"] = [{"shield_id": "guard", "provider_id": "rails", "provider_shield_id": "guard"}]
    document["tool_groups"] += [
        {"toolgroup_id": "builtin::rag", "provider_id": "rag"},
        {"toolgroup_id": "mcp::box", "provider_id": "mcp", "mcp_endpoint": {"uri": world.mcp_url}},
    ]
    return document


@dataclass(repr=False)
class TurnWorld:
    """One caller's agents over HTTP."""

    responses: ResponseWorld
    client: httpx.AsyncClient

    async def agent(self, **config: Any) -> str:
        answer = await self.client.post(AGENTS, json={"agent_config": SAMPLE | config})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["agent_id"])

    async def session(self, agent: str | None = None, **config: Any) -> str:
        """The path of a new session, of a new agent if of none."""
        agent = agent or await self.agent(**config)
        answer = await self.client.post(f"{AGENTS}/{agent}/session", json={"session_name": "s"})
        assert answer.status_code == 200, answer.text
        return f"{AGENTS}/{agent}/session/{answer.json()['session_id']}"

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.client.post(path, json=body)

    async def turn(self, session: str, *said: Any, **more: Any) -> dict[str, Any]:
        """The turn whole; what is said is texts, or the rounds of a script."""
        answer = await self.post(f"{session}/turn", messages=messages_of(*said), **more)
        assert answer.status_code == 200, answer.text
        turn: dict[str, Any] = answer.json()
        return turn

    async def stream(self, session: str, *said: Any, **more: Any) -> list[dict[str, Any]]:
        """The payloads of its events; a failure is an element `error`."""
        return payloads(await self.post(f"{session}/turn", messages=messages_of(*said), stream=True, **more))

    async def resume(self, session: str, turn: dict[str, Any], *answers: str, **more: Any) -> httpx.Response:
        """With an answer to each call that awaits one."""
        calls = turn["output_message"]["tool_calls"]
        responses = [
            {"call_id": call["call_id"], "tool_name": call["tool_name"], "content": content}
            for call, content in zip(calls, answers, strict=True)
        ]
        return await self.post(f"{session}/turn/{turn['turn_id']}/resume", tool_responses=responses, **more)


def messages_of(*said: Any) -> list[dict[str, Any]]:
    rounds = [part for part in said if isinstance(part, Round)]
    texts = [part for part in said if isinstance(part, str)]
    return [{"role": "user", "content": text} for text in ([*texts, write_script(*rounds)] if rounds else texts)]


def payloads(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    return [event["event"]["payload"] if "event" in event else event for event in map(json.loads, lines)]


def told(events: Sequence[dict[str, Any]]) -> list[str]:
    """Events in a word each: of deltas of one kind that follow each other, one."""
    words: list[str] = []
    for event in events:
        word = event.get("event_type", "error")
        if word.startswith("step"):
            word = f"{event['step_type']} {word[5:]}"
        if word.endswith("progress"):
            delta = event["delta"]
            word = f"{event['step_type']} {delta.get('parse_status', delta['type'])}"
        if not words or words[-1] != word or not word.endswith((" text", "in_progress")):
            words.append(word)
    return words


def call(name: str, /, **arguments: Any) -> Round:
    return Round(calls=(Call(name, arguments),))


@asynccontextmanager
async def turn_world(folder: Path, **how: Any) -> AsyncGenerator[TurnWorld]:
    async with response_world(folder) as world:
        world.model.replies["/v1/guardrail/checks"] = judge
        async with client_over(interpret(turn_document(world, **how), {})) as client:
            yield TurnWorld(world, client)
