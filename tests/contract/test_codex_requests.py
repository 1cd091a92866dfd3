"""Requests as Codex makes them: everything is sent again each time, nothing is kept, and it has tools of kinds that others have not.

Source: the crates `codex-api` and `tools` of https://github.com/openai/codex, by their types of requests, tools and events.
"""

from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.parts.model_script import Call, Round, write_script
from tests.parts.response_stack import MODEL, RESPONSES, ResponseWorld, response_world

PATCH: Final = "*** Begin Patch\n*** Add File: a.txt\n+hello\n*** End Patch"
TOOLS: Final[list[dict[str, Any]]] = [
    {
        "type": "function",
        "name": "shell_command",
        "description": "Runs a command.",
        "strict": False,
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string"}, "workdir": {"type": "string"}},
            "required": ["command"],
            "additionalProperties": False,
        },
    },
    {
        "type": "custom",
        "name": "apply_patch",
        "description": "Edits files.",
        "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "*** Begin Patch" LF'},
    },
    {"type": "web_search", "external_web_access": False, "search_content_types": ["text"]},
    {"type": "local_shell"},
    {"type": "image_generation", "output_format": "png"},
    {"type": "tool_search", "execution": "client", "description": "Finds tools.", "parameters": {"type": "object"}},
    {"type": "namespace", "name": "mcp__docs", "description": "Docs.", "tools": []},
]
USAGE: Final = ("input_tokens", "output_tokens", "total_tokens")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ResponseWorld]:
    async with response_world(tmp_path) as world:
        yield world


def message(role: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def request(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "model": MODEL,
        "instructions": "You are a coding agent.",
        "input": items,
        "tools": TOOLS,
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "service_tier": "priority",
        "prompt_cache_key": "019a0b6c-thread",
        "text": {"verbosity": "low"},
        "client_metadata": {"session_id": "s"},
    }


async def turn(client: httpx.AsyncClient, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items that are done, as Codex keeps them."""
    headers = {"accept": "text/event-stream", "originator": "codex_cli_rs", "session_id": "s"}
    answer = await client.post(RESPONSES, json=request(items), headers=headers)
    assert answer.status_code == 200, answer.text
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line[:6] == "data: "]
    last = events[-1]
    assert last["type"] == "response.completed", last
    usage = last["response"]["usage"]
    assert all(isinstance(usage[name], int) for name in USAGE)
    assert isinstance(usage["input_tokens_details"]["cached_tokens"], int)
    return [event["item"] for event in events if event["type"] == "response.output_item.done"]


def sent_back(item: dict[str, Any]) -> dict[str, Any]:
    """Without ids, as where nothing is kept."""
    return {name: value for name, value in item.items() if name != "id"}


async def test_a_session_of_codex(world: ResponseWorld) -> None:
    client = await world.client()
    command = Call("shell_command", {"command": "ls"})
    rounds = (
        Round("I look.", (command,), reasoning="Where is it?", summaries=("It looks.",)),
        Round(calls=(Call("apply_patch", {"input": PATCH}),)),
        Round("Done: {quote}"),
    )
    items = [message("developer", "Sandbox: read-only."), message("user", write_script(*rounds))]
    first = await turn(client, items)
    assert [item["type"] for item in first] == ["reasoning", "message", "function_call"]
    assert json.loads(first[-1]["arguments"]) == {"command": "ls"}
    told = [tool["function"]["name"] for tool in world.model.chats[-1]["tools"]]
    assert told[:2] == ["shell_command", "apply_patch"]
    assert [each["role"] for each in world.model.chats[-1]["messages"]][-1] == "user"
    items += [sent_back(item) for item in first]
    output: dict[str, Any] = {"type": "function_call_output", "call_id": first[-1]["call_id"], "output": "a.txt"}
    [patch] = await turn(client, [*items, output])
    assert (patch["type"], patch["name"], patch["input"]) == ("custom_tool_call", "apply_patch", PATCH)
    items += [output, sent_back(patch)]
    applied = {"type": "custom_tool_call_output", "call_id": patch["call_id"], "output": "ok"}
    [said] = await turn(client, [*items, applied])
    assert said["content"][0]["text"] == "Done: a.txt; ok"


async def test_outputs_with_images_and_calls_that_were_cut_off(world: ResponseWorld) -> None:
    """A shell call of the older kind, a call that was never answered, and parts as an output."""
    client = await world.client()
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    items: list[dict[str, Any]] = [
        message("user", "Hi"),
        {
            "type": "local_shell_call",
            "call_id": "c0",
            "status": "completed",
            "action": {"type": "exec", "command": ["ls"]},
        },
        {"type": "function_call", "name": "shell_command", "arguments": '{"command": "x"}', "call_id": "c1"},
        {
            "type": "function_call_output",
            "call_id": "c1",
            "output": [{"type": "input_text", "text": "seen"}, image],
        },
        {"type": "function_call", "name": "shell_command", "arguments": '{"command": "y"}', "call_id": "c2"},
        {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "gAAAA-of-another-server"},
        message("user", "Go on, please."),
    ]
    [said] = await turn(client, items)
    assert said["type"] == "message"
    assert "Go on, please." in said["content"][0]["text"]
