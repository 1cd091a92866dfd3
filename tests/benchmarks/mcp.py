"""What does a call of an MCP server's tool cost over a bare POST of the same request to the same server, and through the whole stack?"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiohttp
from pydantic_core import from_json, to_json

from core.apis.tools import NO_ACCESS
from tests.benchmarks.pgvector import timed
from tests.benchmarks.processes import started
from tests.benchmarks.table import Row
from tests.parts import mcp_servers
from tests.parts.mcp_double import group, provider

CALLS, WARM, GOAL = 200, 20, "<= 1.5x"
ARGUMENTS: Final = {"name": "greet", "arguments": {"name": "Bo"}}
HEADERS: Final = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
META: Final[dict[str, Any]] = {
    f"io.modelcontextprotocol/{name}": value
    for name, value in (("protocolVersion", "2026-07-28"), ("clientCapabilities", {}))
}
STATELESS: Final = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "greet"}
CONFIG: Final = """
version: 2
image_name: tools
apis: [tool_runtime]
providers:
  tool_runtime:
    - {{provider_id: mcp, provider_type: "remote::model-context-protocol", config: {{}}}}
tool_groups:
  - {{toolgroup_id: "mcp::bench", provider_id: mcp, mcp_endpoint: {{uri: "{url}"}}}}
metadata_store: {{type: sqlite, db_path: "{folder}/registry.db"}}
"""


def mcp() -> list[Row]:
    with mcp_servers.running("2") as new, mcp_servers.running("1") as old:
        return asyncio.run(measure(f"{new}/mcp", f"{old}/mcp"))


async def measure(new: str, old: str) -> list[Row]:
    rows: list[Row] = []
    async with AsyncExitStack() as closing:
        http = await closing.enter_async_context(aiohttp.ClientSession())
        made = provider()
        closing.push_async_callback(made.close)
        session = await begin(http, old)
        for name, url, headers, meta in (
            ("2026", new, STATELESS, {"_meta": META}),
            ("2025, in a session", old, session, {}),
        ):
            tools, body = group(url), to_json(request("tools/call", ARGUMENTS | meta))
            ours, floor = list[float](), list[float]()
            for _ in range(CALLS + WARM):
                await timed(floor, partial(post, http, url, body, headers))
                await timed(ours, partial(made.invoke_tool, tools, "greet", {"name": "Bo"}, NO_ACCESS))
            rows.append(compared(f"tool call, MCP {name}", ours[WARM:], floor[WARM:]))
        rows.append(await measure_opening(old, http, session))
        rows += await measure_stack(new, http)
    return rows


async def measure_opening(url: str, http: aiohttp.ClientSession, session: Mapping[str, str]) -> Row:
    """A session for each call: what is saved by keeping one."""
    floor, ours = list[float](), list[float]()
    body = to_json(request("tools/call", ARGUMENTS))

    async def alone() -> None:
        own = await begin(http, url)
        await post(http, url, body, own)
        async with http.delete(url, headers=own):
            pass

    for _ in range(CALLS // 4):
        await timed(floor, partial(post, http, url, body, session))
        await timed(ours, alone)
    row = compared("bare tool call, MCP 2025, a session for each", ours, floor)
    return Row(row.what, row.measured, row.floor, row.ratio, "")


async def measure_stack(url: str, http: aiohttp.ClientSession) -> list[Row]:
    """As 0.2 invokes a tool, and as an MCP client of the stack's does, with a list of its tools."""
    rows: list[Row] = []
    with TemporaryDirectory() as folder:
        config = Path(folder) / "run.yaml"
        config.write_text(CONFIG.format(url=url, folder=folder), "utf-8")
        with started("-m", "core.cli.main", "serve", str(config), "--port", "0") as (port, _):
            address = f"http://127.0.0.1:{port}"
            invoke = to_json({"tool_name": "greet", "kwargs": {"name": "Bo"}})
            call, tools = (to_json(request(f"tools/{verb}", ARGUMENTS | {"_meta": META})) for verb in ("call", "list"))
            listing = {**STATELESS, "mcp-method": "tools/list"}
            for what, path, body, headers, bare in (
                ("tool call through the stack, MCP 2026", "/v1/tool-runtime/invoke", invoke, {}, call),
                ("tool call through /mcp", "/mcp", call, STATELESS, call),
                ("tools/list through /mcp", "/mcp", tools, listing, tools),
            ):
                ours, floor = list[float](), list[float]()
                for _ in range(CALLS + WARM):
                    await timed(floor, partial(post, http, url, bare, listing if bare is tools else STATELESS))
                    await timed(ours, partial(post, http, f"{address}{path}", body, headers))
                row = compared(what, ours[WARM:], floor[WARM:])
                rows.append(Row(row.what, row.measured, row.floor, row.ratio, ""))
    return rows


def request(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


async def begin(http: aiohttp.ClientSession, url: str) -> dict[str, str]:
    """The headers of a new session."""
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
    async with http.post(url, data=to_json(request("initialize", params)), headers=HEADERS) as answer:
        await answer.read()
        own = {"mcp-session-id": answer.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
    note = to_json({"jsonrpc": "2.0", "method": "notifications/initialized"})
    async with http.post(url, data=note, headers=HEADERS | own) as answer:
        await answer.read()
    return own


async def post(http: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str]) -> Any:
    async with http.post(url, data=body, headers=HEADERS | dict(headers)) as answer:
        content = await answer.read()
        if answer.status != 200:
            raise RuntimeError(content.decode(errors="replace"))
        return from_json(content.partition(b"data: ")[2] if content.startswith(b"event:") else content)


def compared(what: str, ours: list[float], floor: list[float]) -> Row:
    """By their medians."""
    own, bare = sorted(ours)[len(ours) // 2], sorted(floor)[len(floor) // 2]
    return Row(what, f"{own * 1e3:.2f} ms", f"{bare * 1e3:.2f} ms", own / bare, GOAL)
