"""Tools of MCP servers through a stack: what a caller brings reaches the server, and where a caller's endpoint may lead."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web
import httpx

from tests.parts.issuer import AUDIENCE, Issuer
from tests.parts.live_stack import client_of
from tests.parts.mcp_double import McpDouble, stateless
from tests.parts.upstream import running

INVOKE = "/v1/tool-runtime/invoke"


def document(url: str, folder: Path, **more: Any) -> dict[str, Any]:
    provider = {"provider_id": "mcp", "provider_type": "remote::model-context-protocol", "config": more}
    return {
        "version": 2,
        "image_name": "tools",
        "apis": ["tool_runtime"],
        "providers": {"tool_runtime": [provider]},
        "tool_groups": [{"toolgroup_id": "mcp::own", "provider_id": "mcp", "mcp_endpoint": {"uri": f"{url}/mcp"}}],
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
    }


def data(value: dict[str, Any]) -> dict[str, str]:
    return {"x-llamastack-provider-data": httpx.Response(200, json=value).text}


async def test_a_tool_is_called_with_what_the_caller_brings(tmp_path: Path) -> None:
    double = stateless()
    async with running() as upstream, client_of(document(upstream.url, tmp_path)) as client:
        upstream.replies["/mcp"] = double.reply
        headers = data({"mcp_headers": {f"{upstream.url}/mcp": {"Authorization": "Bearer mine"}}})
        answer = await client.post(INVOKE, json={"tool_name": "greet", "kwargs": {"name": "Bo"}}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["content"] == [{"type": "text", "text": "hello"}]
    assert double.last("tools/call")[0]["authorization"] == "Bearer mine"


async def test_an_endpoint_that_a_caller_names_gets_nothing_of_the_operators_and_must_be_public(tmp_path: Path) -> None:
    double = McpDouble()
    async with running() as upstream:
        servers = [{"url": upstream.url, "bearer_token": "operators-secret"}]
        async with client_of(document(upstream.url, tmp_path, servers=servers)) as client:
            upstream.replies["/mcp"] = double.reply
            body = {"toolgroup_id": "mcp::theirs", "provider_id": "mcp", "mcp_endpoint": {"uri": f"{upstream.url}/mcp"}}
            refused = await client.post("/v1/toolgroups", json=body)
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "mcp_endpoint.uri")
            body["mcp_endpoint"] = {"uri": "http://169.254.169.254/latest/meta-data"}
            assert (await client.post("/v1/toolgroups", json=body)).status_code == 400
        assert not double.calls


async def test_a_callers_verified_jwt_is_exchanged_and_goes_nowhere_else(tmp_path: Path, issuer: Issuer) -> None:
    double, asked = stateless(), list[dict[str, list[str]]]()

    async def exchange(request: web.Request) -> web.StreamResponse:
        asked.append(parse_qs((await request.read()).decode()))
        return web.json_response({"access_token": "made-for-ada", "token_type": "Bearer", "expires_in": 60})

    async with running() as upstream:
        client_id = {"client_id": "stack", "client_secret": "s", "token_url": f"{upstream.url}/token"}
        servers = [{"url": upstream.url, "token_exchange": client_id}]
        auth = {
            "provider_type": "oauth2_token",
            "config": {"jwks": {"uri": f"{issuer.url}/keys"}, "audience": AUDIENCE},
        }
        own = document(upstream.url, tmp_path, servers=servers) | {"server": {"auth": auth}}
        token = issuer.mint(sub="ada")
        async with client_of(own) as client:
            upstream.replies |= {"/mcp": double.reply, "/token": exchange}
            headers = {"authorization": f"Bearer {token}"}
            answer = await client.post(INVOKE, json={"tool_name": "greet", "kwargs": {}}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert [form["subject_token"] for form in asked] == [[token]]
    assert {headers.get("authorization") for _, headers, _ in double.calls} == {"Bearer made-for-ada"}
