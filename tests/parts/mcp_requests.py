"""Requests as MCP clients send them: of the stateless revision, and of those before."""

from typing import Any, Final

import httpx

from core.frame.types import JsonObject

STATELESS: Final = "2026-07-28"
PREFIX: Final = "io.modelcontextprotocol/"
META: Final[JsonObject] = {f"{PREFIX}protocolVersion": STATELESS, f"{PREFIX}clientCapabilities": {}}
HEADERS: Final = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


def by(user: str) -> dict[str, str]:
    return {"authorization": f"Bearer {user}"} if user else {}


async def rpc(client: httpx.AsyncClient, body: JsonObject, headers: dict[str, str] | None = None) -> httpx.Response:
    return await client.post("/mcp", json=body, headers=HEADERS | (headers or {}))


async def earlier(
    client: httpx.AsyncClient, method: str, params: JsonObject | None = None, *, version: str = ""
) -> httpx.Response:
    """A request of 2025."""
    headers = {"mcp-protocol-version": version} if version else {}
    return await rpc(client, {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}, headers)


async def stateless(client: httpx.AsyncClient, method: str, user: str = "", **params: Any) -> httpx.Response:
    headers = {"mcp-protocol-version": STATELESS, "mcp-method": method, **by(user)}
    if "name" in params:
        headers["mcp-name"] = params["name"]
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": META, **params}}
    return await rpc(client, body, headers)


async def names(client: httpx.AsyncClient, user: str = "") -> list[str]:
    """The tools that are listed for a caller."""
    answer = await stateless(client, "tools/list", user)
    assert answer.status_code == 200, answer.text
    return [tool["name"] for tool in answer.json()["result"]["tools"]]


async def call(client: httpx.AsyncClient, tool: str, *, user: str = "", **arguments: Any) -> httpx.Response:
    return await stateless(client, "tools/call", user, name=tool, arguments=arguments)
