"""The stack as an MCP server, over HTTP: who may use what, in every revision, and what is no MCP request."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.config.load import interpret
from tests.parts.live_stack import client_over, message
from tests.parts.mcp_requests import by, call, earlier, names, rpc, stateless
from tests.parts.tool_stack import GROUPS, ToolWorld, tool_world
from tests.parts.vector_stack import BLOBS, EMBEDDER, embed

POLICY = [
    {"permit": {"actions": ["read"], "resource": "tool_group::builtin::sums"}, "when": "user with ada in teams"},
    {"permit": {"actions": ["create", "read"], "resource": "tool_group::mcp::*"}, "when": "user with bob in teams"},
    {"permit": {"actions": ["read"], "resource": "tool_group::box/mcp::*"}, "when": "user with bob in teams"},
]


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[ToolWorld]:
    monkeypatch.syspath_prepend(str(tmp_path))
    async with tool_world(tmp_path) as world:
        yield world


async def test_the_tools_of_a_caller_are_listed_and_called_in_every_revision(world: ToolWorld) -> None:
    client = await world.client(auth=False)
    for version in ("2025-03-26", "2025-06-18", "2025-11-25"):
        first = await earlier(client, "initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": {}})
        assert first.json()["result"]["protocolVersion"] == version
        assert "mcp-session-id" not in first.headers
        done = await rpc(client, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert (done.status_code, done.content) == (202, b"")
        listed = (await earlier(client, "tools/list", version=version)).json()["result"]
        assert [tool["name"] for tool in listed["tools"]] == ["add"]
        answer = await earlier(client, "tools/call", {"name": "add", "arguments": {"a": 1}}, version=version)
        assert answer.json()["result"] == {"content": [{"type": "text", "text": "1"}], "isError": False}
    assert (await stateless(client, "server/discover")).json()["result"]["capabilities"] == {"tools": {}}
    assert await names(client) == ["add"]
    result = (await call(client, "add", a=1, b=5)).json()["result"]
    assert (result["resultType"], result["content"][0]["text"]) == ("complete", "6")
    unfit = (await call(client, "add", a="x")).json()["result"]
    assert (unfit["isError"], "`a` of tool `add` must be a whole number" in unfit["content"][0]["text"]) == (True, True)


async def test_there_are_no_streams_and_no_sessions(world: ToolWorld) -> None:
    client = await world.client(auth=False)
    for method in ("GET", "DELETE", "PUT"):
        answer = await client.request(method, "/mcp")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_what_is_no_request_is_told_of_in_json_rpc(world: ToolWorld) -> None:
    client = await world.client(auth=False)
    for content, status, code in ((b"{", 400, -32700), (b"[]", 400, -32600), (b'{"jsonrpc":"2.0"}', 400, -32600)):
        answer = await client.post("/mcp", content=content)
        assert (answer.status_code, answer.json()["error"]["code"], answer.json()["id"]) == (status, code, None)
    form = await client.post("/mcp", content=b"x", headers={"content-type": "text/plain"})
    assert form.status_code == 415
    foreign = await rpc(client, {"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"origin": "https://evil.example"})
    assert foreign.status_code == 403
    gone = await stateless(client, "ping")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, -32601)


async def test_a_caller_sees_its_groups_and_no_others_tools_can_be_called(world: ToolWorld) -> None:
    client = await world.client(policy=POLICY)
    world.box.SHELF["mcp::bobs"] = ["add", "hidden"]
    made = await client.post(GROUPS, json={"toolgroup_id": "mcp::bobs", "provider_id": "box"}, headers=by("bob"))
    assert made.status_code == 200, made.text
    assert await names(client, "ada") == ["add"]
    assert await names(client, "bob") == ["add", "hidden"]
    assert await names(client, "eve") == []
    other = await call(client, "hidden", user="ada", a=1)
    missing = await call(client, "nothing", user="ada", a=1)
    assert (other.status_code, other.json()["error"]["code"]) == (400, -32602)
    assert other.text.replace("hidden", "nothing") == missing.text
    assert (await call(client, "hidden", user="bob", a=1)).json()["result"]["isError"] is False
    (_, name, _, _), *_ = world.box.CALLED
    assert name == "hidden"
    nobody = await stateless(client, "tools/list")
    assert (nobody.status_code, "resource_metadata" in nobody.headers["www-authenticate"]) == (401, False)
    assert (await client.get("/.well-known/oauth-protected-resource")).status_code == 404


async def test_calls_are_counted_and_lists_are_not(world: ToolWorld) -> None:
    quota = {"authenticated_max_requests": 2}
    client = await world.client(quota=quota)
    for _ in range(3):
        assert await names(client, "ada") == ["add"]
    for left in ("1", "0"):
        answer = await call(client, "add", user="ada", a=1)
        assert (answer.status_code, answer.headers["ratelimit-remaining"]) == (200, left)
    refused = await call(client, "add", user="ada", a=1)
    assert (refused.status_code, message(refused)) == (429, "Quota exceeded")
    assert await names(client, "ada") == ["add"]


async def test_a_call_that_is_made_again_under_its_key_is_made_once_unless_it_failed(world: ToolWorld) -> None:
    client = await world.client(auth=False, idempotency=True)

    async def add(key: str, a: int = 1) -> tuple[str, bool]:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "add", "arguments": {"a": a}}}
        answer = await rpc(client, body, {"idempotency-key": key})
        assert answer.status_code in {200, 422}, answer.text
        return answer.text, "idempotent-replayed" in answer.headers

    (first, _), again = await add("k"), await add("k")
    assert again == (first, True)
    assert len(world.box.CALLED) == 1
    assert "another request" in (await add("k", a=2))[0]
    world.box.GONE.add("add")
    assert "has no tool" in (await add("f"))[0]
    world.box.GONE.clear()
    assert await add("f") == (first, False)


async def test_a_tool_that_is_too_large_or_gone_or_broken_is_a_sentence(world: ToolWorld) -> None:
    from core.apis.tools import ToolResult

    client = await world.client(auth=False)
    world.box.RESULTS["add"] = ToolResult("x" * 6_000_000)
    large = (await call(client, "add", a=1)).json()["result"]
    assert (large["isError"], "an answer may have" in large["content"][0]["text"]) == (True, True)
    world.box.GONE.add("add")
    gone = (await call(client, "add", a=1)).json()["result"]
    assert (gone["isError"], "has no tool `add` any more" in gone["content"][0]["text"]) == (True, True)


async def oauth(world: ToolWorld, **config: Any) -> httpx.AsyncClient:
    """A client of a stack whose callers have tokens of an issuer."""
    provider = {"type": "oauth2_token", "jwks": {"uri": f"{world.upstream.url}/keys"}, **config}
    document = world.document(auth=False) | {"server": {"auth": {"providers": [provider]}}}
    return await world.opened.enter_async_context(client_over(interpret(document, {})))


async def test_a_401_leads_to_the_issuer(world: ToolWorld) -> None:
    client = await oauth(world, issuer="https://issuer.example")
    refused = await stateless(client, "tools/list")
    assert refused.status_code == 401
    challenge = refused.headers["www-authenticate"]
    place = "http://t/.well-known/oauth-protected-resource/mcp"
    assert challenge.endswith(f', resource_metadata="{place}"')
    metadata = (await client.get(place)).json()
    assert metadata["resource"] == "http://t/mcp"
    assert metadata["authorization_servers"] == ["https://issuer.example"]


async def test_an_issuer_that_nobody_named_is_not_told(world: ToolWorld) -> None:
    client = await oauth(world)
    assert "resource_metadata" not in (await stateless(client, "tools/list")).headers["www-authenticate"]


async def test_each_vector_store_of_a_caller_is_a_tool(world: ToolWorld) -> None:
    world.upstream.replies["/v1/embeddings"] = embed
    local = {"provider_id": "local", "provider_type": "remote::vllm", "config": {"url": f"{world.upstream.url}/v1"}}
    vectors = {"provider_id": "v", "provider_type": "inline::sqlite", "config": {"db_path": str(world.folder / "v.db")}}
    document = world.document()
    providers = document["providers"] | {"inference": [local], "files": [BLOBS], "vector_io": [vectors]}
    apis = ["files", "inference", "tool_runtime", "vector_io"]
    client = await world.client(apis=apis, providers=providers, models=[EMBEDDER])
    made = await client.post("/v1/vector_stores", json={"name": "Guide"}, headers=by("ada"))
    store = made.json()["id"]
    chunks = [{"content": "the sun is a star", "metadata": {"document_id": "d1"}}, {"content": "tea is a drink"}]
    body = {"vector_store_id": store, "chunks": chunks}
    assert (await client.post("/v1/vector-io/insert", json=body, headers=by("ada"))).status_code == 204
    name = f"search_{store}"
    assert await names(client, "ada") == ["add", name]
    assert await names(client, "bob") == ["add"]
    result = (await call(client, name, user="ada", query="what is the sun?", max_num_results=1)).json()["result"]
    assert result["content"][0]["text"].endswith("the sun is a star")
    (passage,) = result["structuredContent"]["results"]
    assert (passage["file_id"], passage["text"]) == ("d1", "the sun is a star")
    hidden = await call(client, name, user="bob", query="sun")
    assert (hidden.status_code, hidden.json()["error"]["code"]) == (400, -32602)
