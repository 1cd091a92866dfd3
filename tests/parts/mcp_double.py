"""MCP servers that a test can have misbehave: they speak the real wire, of 2026 or of 2025, through FakeUpstream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
import json
from typing import Any

from aiohttp import web

from core.apis.tools import ToolGroup
from core.frame.callers import ActingFor, Call, Principal
from core.providers.mcp.config import Config
from core.providers.mcp.servers import Servers
from core.providers.mcp.tool_runtime import ModelContextProtocol, Shared
from tests.contract.fetching import Names
from tests.parts.upstream import FakeUpstream, running

TOOL: dict[str, Any] = {
    "name": "greet",
    "description": "Greets",
    "inputSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
}
RESULT: dict[str, Any] = {"content": [{"type": "text", "text": "hello"}]}

type Answer = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


def message_of(request: dict[str, Any], result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request["id"], "result": result}


def result(value: Any, status: int = 200) -> Answer:
    async def answer(_: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        return web.json_response(message_of(message, value), status=status)

    return answer


def error(code: int, text: str = "no", status: int = 400, **data: Any) -> Answer:
    async def answer(_: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        body = {"jsonrpc": "2.0", "id": message.get("id"), "error": {"code": code, "message": text, "data": data}}
        return web.json_response(body, status=status)

    return answer


def status(code: int, **headers: str) -> Answer:
    async def answer(_: web.Request, __: dict[str, Any]) -> web.StreamResponse:
        return web.Response(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


def body(content: bytes, kind: str = "application/json", **headers: str) -> Answer:
    async def answer(_: web.Request, __: dict[str, Any]) -> web.StreamResponse:
        return web.Response(body=content, content_type=kind, headers=headers)

    return answer


def events(*texts: str, then: Callable[[], Awaitable[None]] | None = None) -> Answer:
    """A stream of events, in each of which `ID` stands for the request's id."""

    async def answer(request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for text in texts:
            await response.write(text.replace("ID", json.dumps(message.get("id"))).encode())
        if then is not None:
            await then()
        return response

    return answer


def event(value: Any, **fields: str) -> str:
    head = "".join(f"{name}: {text}\n" for name, text in fields.items())
    return f"{head}data: {json.dumps(value).replace('"ID"', 'ID')}\n\n"


def reply(value: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": "ID", "result": value}


def in_turn(*answers: Answer) -> Answer:
    left = list(answers)

    async def answer(request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(request, message)

    return answer


@dataclass
class McpDouble:
    """`answers` by method; `calls` are the messages that came, by method, with their headers."""

    answers: dict[str, Answer] = field(default_factory=dict[str, Answer])
    calls: list[tuple[str, Mapping[str, str], dict[str, Any]]] = field(default_factory=list[Any])

    async def reply(self, request: web.Request) -> web.StreamResponse:
        message: dict[str, Any] = await request.json() if request.method == "POST" else {}
        method = message.get("method") or ("reply" if message else request.method)
        self.calls.append((method, request.headers, message))
        answer = self.answers.get(method)
        if answer is not None:
            return await answer(request, message)
        return web.Response(status=202) if "id" not in message else await error(-32601, status=404)(request, message)

    def count(self, method: str) -> int:
        return sum(name == method for name, _, _ in self.calls)

    def last(self, method: str) -> tuple[Mapping[str, str], dict[str, Any]]:
        return next((headers, message) for name, headers, message in reversed(self.calls) if name == method)


def stateless(**answers: Answer) -> McpDouble:
    """Of 2026; `list` and `call` may be given."""
    listed = result({"tools": [TOOL], "resultType": "complete", "ttlMs": 5000})
    return McpDouble(
        {
            "server/discover": result({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}),
            "tools/list": answers.get("list", listed),
            "tools/call": answers.get("call", result(RESULT)),
        }
    )


def with_sessions(session: str = "s1", version: str = "2025-11-25", **answers: Answer) -> McpDouble:
    """Of 2025."""

    async def initialize(_: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        value = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "d", "version": "1"}}
        return web.json_response(message_of(message, value), headers={"mcp-session-id": session} if session else {})

    return McpDouble(
        {
            "server/discover": error(-32600, "Bad Request: Missing session ID"),
            "initialize": initialize,
            "tools/list": answers.get("list", result({"tools": [TOOL]})),
            "tools/call": answers.get("call", result(RESULT)),
        }
    )


def provider(
    config: Mapping[str, Any] | None = None, *, reach: Any = "private", names: Names | None = None
) -> ModelContextProtocol:
    made = Config.model_validate(config or {}).placed("operator", reach)
    shared = Shared("mcp", made)
    shared._servers = Servers("mcp", made, resolver=names)
    return ModelContextProtocol(shared)


def group(url: str, *, trusted: bool = True) -> ToolGroup:
    return ToolGroup("tools", "tools", url, trusted=trusted)


@asynccontextmanager
async def serving(
    double: McpDouble, config: Mapping[str, Any] | None = None, **more: Any
) -> AsyncIterator[tuple[ModelContextProtocol, ToolGroup, FakeUpstream]]:
    """The double at /mcp, a provider, and a group of the run config for it."""
    async with running() as upstream:
        upstream.replies["/mcp"] = double.reply
        made = provider(_at(config or {}, upstream.url), **more)
        try:
            yield made, group(f"{upstream.url}/mcp"), upstream
        finally:
            await made.close()


def _at(config: Mapping[str, Any], url: str) -> Any:
    return json.loads(json.dumps(config).replace("http://server", url))


def acting(name: str = "ada", **more: Any) -> ActingFor:
    return ActingFor(Call(Principal(name, {}, "test issuer"), **more))


async def forever() -> None:
    await asyncio.sleep(3600)
