"""A stack with responses over the scripted model, an MCP server, a search engine and an embedded vector store, here or as a process of its own.

The MCP server, `box` by a connector too, has `greet`, `add`, `fail` (which says that it failed) and `vanish` (whose connection ends in the middle).
With `auth` tokens are their bearers' names.
"""

from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from aiohttp import web
import httpx

from core.config.load import interpret
from tests.parts.live_stack import client_over
from tests.parts.mcp_double import McpDouble, message_of, result, stateless
from tests.parts.scripted_model import ScriptedModel
from tests.parts.search_engines import SearchEngines, searching
from tests.parts.secrets import plant
from tests.parts.stack import serving
from tests.parts.upstream import running, threaded
from tests.parts.vector_stack import DIMENSION

APIS: Final = ("files", "inference", "responses", "tool_runtime", "vector_io")
SEARCH_KEY: Final = plant("key-for-searches-of-responses")
MODEL: Final = "local/m"
RESPONSES: Final = "/v1/responses"


def _tool(name: str, description: str, /, **properties: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}}
    return {"name": name, "description": description, "inputSchema": schema, "annotations": {"readOnlyHint": True}}


TOOLS: Final = (
    _tool("greet", "Greets somebody.", name="string"),
    _tool("add", "Adds two numbers.", a="integer", b="integer"),
    _tool("fail", "Fails."),
    _tool("vanish", "Ends the connection in the middle."),
)


async def _call(request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
    name, arguments = message["params"]["name"], message["params"].get("arguments") or {}
    if name == "vanish" and request.transport is not None:
        request.transport.abort()
    texts = {"greet": f"Hello, {arguments.get('name')}!", "add": str(arguments.get("a", 0) + arguments.get("b", 0))}
    content = [{"type": "text", "text": texts.get(name, "it failed")}]
    return web.json_response(
        message_of(message, {"content": content, "isError": name not in texts, "resultType": "complete"})
    )


def make_server() -> McpDouble:
    listed = {"tools": list(TOOLS), "resultType": "complete", "ttlMs": 5000}
    return stateless(list=result(listed), call=_call)


async def _vouch(request: web.Request) -> web.StreamResponse:
    name = json.loads(await request.read())["api_key"]
    return web.json_response({"principal": name, "attributes": {"roles": [name], "namespaces": [name]}})


@dataclass(repr=False)
class ResponseWorld:
    """Every client of it has the same stack's state in `folder`."""

    folder: Path
    model: ScriptedModel
    server: McpDouble
    engines: SearchEngines
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)
    storage: dict[str, Any] | None = None
    """Of the run config: else all state is in `folder`."""

    @property
    def mcp_url(self) -> str:
        return f"{self.model.url}/mcp"

    def document(
        self, *, auth: bool = False, policy: Any = None, config: dict[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        """`config` is that of the provider of responses; `quota` and `usage` go to the server's."""
        server: dict[str, Any] = {}
        if self.storage is not None:
            more.setdefault("storage", self.storage)
        if auth:
            server["auth"] = {"provider_type": "custom", "config": {"endpoint": f"{self.model.url}/auth"}}
            if policy is not None:
                server["auth"]["access_policy"] = policy
        if (quota := more.pop("quota", None)) is not None:
            store = {"type": "sqlite", "db_path": str(self.folder / "quota.db")}
            server["quota"] = {"kvstore": store, "authenticated_max_requests": 100_000, **quota}
        if (usage := more.pop("usage", None)) is not None:
            server["usage"] = usage
        if more.pop("idempotency", False):
            server["idempotency"] = {"kvstore": {"type": "sqlite", "db_path": str(self.folder / "answers.db")}}
        return {
            "version": 2,
            "image_name": "responses",
            "apis": list(APIS),
            "providers": self._providers(config or {}),
            "models": [
                {
                    "model_id": "words",
                    "provider_id": "local",
                    "provider_model_id": "words",
                    "model_type": "embedding",
                    "metadata": {"embedding_dimension": DIMENSION},
                }
            ],
            "vector_stores": {"default_embedding_model": {"model_id": "words"}},
            "tool_groups": [{"toolgroup_id": "builtin::websearch", "provider_id": "search"}],
            "connectors": [{"connector_id": "box", "provider_id": "mcp", "url": self.mcp_url, "server_label": "box"}],
            "metadata_store": {"type": "sqlite", "db_path": str(self.folder / "registry.db")},
            "configurations": {"refresh_seconds": 5, "allow_private_urls": True},
            "server": server,
            **more,
        }

    def _providers(self, config: dict[str, Any]) -> dict[str, Any]:
        folder = self.folder
        entries: dict[str, tuple[tuple[str, str, dict[str, Any]], ...]] = {
            "inference": (("local", "remote::vllm", {"url": f"{self.model.url}/v1"}),),
            "files": (("files", "inline::localfs", {"storage_dir": str(folder / "files")}),),
            "vector_io": (("vectors", "inline::sqlite", {"db_path": str(folder / "vectors.db")}),),
            "tool_runtime": (
                ("mcp", "remote::model-context-protocol", {}),
                (
                    "search",
                    "remote::tavily-search",
                    {"api_key": SEARCH_KEY, "url": self.engines.url_of("tavily-search")},
                ),
            ),
            "responses": (("builtin", "inline::builtin", config),),
        }
        return {
            api: [{"provider_id": name, "provider_type": kind, "config": more} for name, kind, more in rows]
            for api, rows in entries.items()
        }

    async def client(self, **how: Any) -> httpx.AsyncClient:
        return await self.opened.enter_async_context(client_over(interpret(self.document(**how), {})))


@asynccontextmanager
async def response_world(folder: Path) -> AsyncGenerator[ResponseWorld]:
    server = make_server()
    model = ScriptedModel(replies={"/mcp": server.reply, "/auth": _vouch})
    async with running(model), searching(SEARCH_KEY) as engines, AsyncExitStack() as opened:
        yield ResponseWorld(folder, model, server, engines, opened)


@contextmanager
def served_responses(**how: Any) -> Generator[tuple[str, ResponseWorld]]:
    """The address of `llambda serve`, without /v1, and the world behind it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        world = stack.enter_context(threaded(response_world(folder)))
        (folder / "run.json").write_text(json.dumps(world.document(**how)))
        yield stack.enter_context(serving(folder / "run.json", folder / "log.txt")), world
