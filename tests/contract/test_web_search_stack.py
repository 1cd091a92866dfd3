"""Web search in a stack, with run configs as the reference has them: whose key, whose group, and what the wire shows."""

from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.config.load import interpret
from core.resolution.check import check, notices
from tests.parts.live_stack import client_of, message
from tests.parts.search_engines import SearchEngines, searching
from tests.parts.secrets import plant
from tests.parts.tool_stack import GROUPS, INVOKE, TOOLS

KEY = plant("key-for-searches-of-a-stack")
OWN = plant("own-key-for-searches-of-a-caller")
PROVIDERS: dict[str, dict[str, Any]] = {
    "brave-search": {"api_key": "${env.BRAVE_SEARCH_API_KEY:=}", "max_results": 3},
    "tavily-search": {"api_key": "${env.TAVILY_SEARCH_API_KEY:=}", "max_results": 3},
    "bing-search": {"api_key": "${env.BING_API_KEY:=}"},
    "wolfram-alpha": {"api_key": "${env.WOLFRAM_ALPHA_API_KEY:=}"},
}
GROUPS_OF_CONFIG = [
    {"toolgroup_id": "builtin::websearch", "provider_id": "tavily-search"},
    {"toolgroup_id": "builtin::wolfram_alpha", "provider_id": "wolfram-alpha"},
]
SEARCH = {"tool_name": "web_search", "kwargs": {"query": "What is new?", "user_location": {"country": None}}}


def document(folder: Path, engines: SearchEngines | None = None) -> dict[str, Any]:
    entries = [
        {
            "provider_id": name,
            "provider_type": f"remote::{name}",
            "config": {**config, **({"url": engines.url_of(name)} if engines else {})},
        }
        for name, config in PROVIDERS.items()
    ]
    return {
        "version": 2,
        "image_name": "t",
        "apis": ["tool_runtime"],
        "providers": {"tool_runtime": entries},
        "tool_groups": GROUPS_OF_CONFIG,
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
    }


@pytest.fixture
async def engines() -> AsyncIterator[SearchEngines]:
    async with searching(KEY, OWN) as engines:
        yield engines


def by(data: dict[str, str]) -> dict[str, str]:
    return {"x-llamastack-provider-data": json.dumps(data)}


async def test_a_search_on_the_wire_with_the_operators_key_and_a_callers(
    tmp_path: Path, engines: SearchEngines
) -> None:
    async with client_of(document(tmp_path, engines), TAVILY_SEARCH_API_KEY=KEY) as client:
        answer = await client.post(INVOKE, json=SEARCH)
        assert answer.status_code == 200
        body = answer.json()
        assert (body["error_code"], body["error_message"], len(json.loads(body["content"])["top_k"])) == (0, None, 3)
        assert body["metadata"]["query"] == "What is new?"
        assert len(body["metadata"]["sources"]) == 3
        await client.post(INVOKE, json=SEARCH, headers=by({"tavily_search_api_key": OWN}))
        refused = await client.post(INVOKE, json=SEARCH, headers=by({"tavily_search_api_key": "none-of-these"}))
        assert (refused.status_code, "refused the key given as `tavily_search_api_key`" in message(refused)) == (
            502,
            True,
        )
        bearers = [asked.headers["Authorization"] for asked in engines.asked]
        assert bearers == [f"Bearer {key}" for key in (KEY, OWN, "none-of-these")]
        tools = (await client.get(TOOLS)).json()["data"]
        assert [(tool["identifier"], tool["toolgroup_id"]) for tool in tools] == [
            ("web_search", "builtin::websearch"),
            ("wolfram_alpha", "builtin::wolfram_alpha"),
        ]
        first = tools[0]["parameters"][0]
        assert (first["name"], first["parameter_type"], first["required"]) == ("query", "string", True)


async def test_a_config_without_keys_loads_and_the_tool_says_what_is_missing(
    tmp_path: Path, engines: SearchEngines
) -> None:
    async with client_of(document(tmp_path, engines)) as client:
        lacking = await client.post(INVOKE, json=SEARCH)
        assert lacking.status_code == 400
        assert (
            'Pass Search provider\'s API Key in the header X-LlamaStack-Provider-Data as { "tavily_search_api_key"'
            in (message(lacking))
        )
        question = {"tool_name": "wolfram_alpha", "kwargs": {"query": "2 + 2"}}
        assert "Pass WolframAlpha API Key" in message(await client.post(INVOKE, json=question))
        assert not engines.asked


async def test_a_group_that_a_caller_registers_searches_with_the_operators_key_at_the_operators_place(
    tmp_path: Path, engines: SearchEngines
) -> None:
    args = {"allowed_domains": ["example.com"], "search_context_size": "low"}
    group = {"toolgroup_id": "mine", "provider_id": "brave-search", "args": args}
    async with client_of(document(tmp_path, engines), BRAVE_SEARCH_API_KEY=KEY) as client:
        led = await client.post(GROUPS, json={**group, "mcp_endpoint": {"uri": "https://evil.example/"}})
        assert (led.status_code, "has no mcp_endpoint" in message(led)) == (400, True)
        odd = await client.post(GROUPS, json={**group, "args": {"allowed_domains": "example.com"}})
        assert odd.status_code == 400
        assert (await client.post(GROUPS, json=group)).status_code == 200
        found = await client.post(INVOKE, json={**SEARCH, "tool_name": "mine/web_search"})
        assert found.status_code == 200, found.text
        both = await client.post(INVOKE, json=SEARCH)
        assert (both.status_code, "`mine/web_search`" in message(both)) == (400, True)
    (asked,) = engines.asked
    assert (asked.headers["X-Subscription-Token"], asked.told["q"]) == (KEY, "What is new? (site:example.com)")


def test_configs_of_the_reference_are_valid_unchanged_and_bing_is_said_to_be_closed(tmp_path: Path) -> None:
    loaded = interpret(document(tmp_path), {})
    assert loaded.problems + check(loaded) == []
    (note,) = notices(loaded)
    assert note.path == "providers.tool_runtime[2].provider_type"
    assert "Microsoft closed on 11 August 2025" in note.message


def test_a_mistake_in_a_config_says_what_would_do(tmp_path: Path) -> None:
    wrong = document(tmp_path)
    wrong["providers"]["tool_runtime"][0]["config"] = {"api_key": "k", "max_results": 0, "top_k": 3}
    faults = {fault.path: fault.message for fault in check(interpret(wrong, {}))}
    assert sorted(faults) == [
        "providers.tool_runtime[0].config.max_results",
        "providers.tool_runtime[0].config.top_k",
    ]


async def test_who_is_asked_by_a_provider_of_an_engine_is_nobody(tmp_path: Path, engines: SearchEngines) -> None:
    async with client_of(document(tmp_path, engines), BING_API_KEY=KEY) as client:
        listed: httpx.Response = await client.get("/v1/providers")
        health = {row["provider_id"]: row["health"] for row in listed.json()["data"]}
        assert health["bing-search"]["status"] == "Not Implemented"
        assert KEY not in listed.text
        assert not engines.asked
