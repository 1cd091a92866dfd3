"""A stack with the agents of 0.2, in the words of its run configs, over the scripted model: in a process of its own, or in this one.

Its guard finds WORD unsafe. `/note` of the model's server is a text, `/moved` leads to a cloud's metadata, `/large` has 40 MB.
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
from yarl import URL

from core.config.load import interpret
from tests.parts.guarded_stack import WORD, judged_by_llama
from tests.parts.live_stack import client_over
from tests.parts.mcp_double import McpDouble
from tests.parts.response_stack import make_server
from tests.parts.scripted_model import ScriptedModel
from tests.parts.search_engines import SearchEngines, searching
from tests.parts.secrets import plant
from tests.parts.stack import serving
from tests.parts.upstream import CHAT, FakeUpstream, Reply, raw, running, status, threaded
from tests.parts.vector_stack import EMBEDDER

MODEL: Final = "local/m"
AGENTS: Final = "/v1/agents"
SHIELD: Final = "llama-guard"
SEARCH_KEY: Final = plant("key-for-searches-of-agents")
NOTE: Final = "The polyjuice note says: stir it anticlockwise."
METADATA: Final = "http://169.254.169.254/latest/meta-data/"
LARGE: Final = 40 * 1024 * 1024


async def _judge(request: web.Request) -> web.StreamResponse:
    verdict = "unsafe\nS1" if WORD in judged_by_llama(json.loads(await request.read())) else "safe"
    message = {"role": "assistant", "content": verdict}
    return web.json_response({**CHAT, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


async def _vouch(request: web.Request) -> web.StreamResponse:
    name = json.loads(await request.read())["api_key"]
    return web.json_response({"principal": name, "attributes": {"roles": [name]}})


def make_guard() -> FakeUpstream:
    return FakeUpstream(models=[{"id": "guard"}], replies={"/v1/chat/completions": _judge})


@dataclass(repr=False)
class TurnWorld:
    """Every client of it has the same stack's state in `folder`."""

    folder: Path
    model: ScriptedModel
    guard: FakeUpstream
    server: McpDouble
    engines: SearchEngines
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    def document(self, *, auth: bool = False, guarded: bool = False, **more: Any) -> dict[str, Any]:
        """With `auth` tokens are their bearers' names; `guarded` is the fetcher as it is unless a run config says otherwise."""
        server: dict[str, Any] = {}
        if auth:
            server["auth"] = {"provider_type": "custom", "config": {"endpoint": f"{self.model.url}/auth"}}
        fetch = {} if guarded else {"allow_private_addresses": True, "allowed_ports": [URL(self.model.url).port]}
        return {
            "version": 2,
            "image_name": "agents",
            "apis": ["agents", "files", "inference", "safety", "tool_runtime", "vector_io"],
            "providers": self._providers({"fetch": fetch} if fetch else {}),
            "models": [EMBEDDER, {"model_id": "guard", "provider_id": "guards", "provider_model_id": "guard"}],
            "shields": [{"shield_id": SHIELD, "provider_id": SHIELD, "provider_shield_id": "guard"}],
            "tool_groups": [
                {"toolgroup_id": "builtin::rag", "provider_id": "rag"},
                {"toolgroup_id": "builtin::websearch", "provider_id": "search"},
                {
                    "toolgroup_id": "mcp::box",
                    "provider_id": "mcp",
                    "mcp_endpoint": {"uri": f"{self.model.url}/mcp"},
                },
            ],
            "metadata_store": {"type": "sqlite", "db_path": str(self.folder / "registry.db")},
            "configurations": {"refresh_seconds": 5, "allow_private_urls": True},
            "server": server,
            **more,
        }

    def _providers(self, rag: dict[str, Any]) -> dict[str, Any]:
        folder = self.folder
        search = {"api_key": SEARCH_KEY, "url": self.engines.url_of("tavily-search")}
        kept = {"persistence_store": {"type": "sqlite", "namespace": None, "db_path": str(folder / "agents.db")}}
        entries: dict[str, tuple[tuple[str, str, dict[str, Any]], ...]] = {
            "inference": (
                ("local", "remote::vllm", {"url": f"{self.model.url}/v1"}),
                ("guards", "remote::vllm", {"url": f"{self.guard.url}/v1"}),
            ),
            "safety": ((SHIELD, "inline::llama-guard", {}),),
            "files": (("files", "inline::localfs", {"storage_dir": str(folder / "files")}),),
            "vector_io": (("vectors", "inline::sqlite", {"db_path": str(folder / "vectors.db")}),),
            "tool_runtime": (
                ("rag", "inline::rag-runtime", rag),
                ("mcp", "remote::model-context-protocol", {}),
                ("search", "remote::tavily-search", search),
            ),
            "agents": (("meta-reference", "inline::meta-reference", kept),),
        }
        return {
            api: [{"provider_id": name, "provider_type": kind, "config": config} for name, kind, config in rows]
            for api, rows in entries.items()
        }

    async def client(self, **how: Any) -> httpx.AsyncClient:
        return await self.opened.enter_async_context(client_over(interpret(self.document(**how), {})))


@asynccontextmanager
async def turn_world(folder: Path) -> AsyncGenerator[TurnWorld]:
    server, guard = make_server(), make_guard()
    replies: dict[str, Reply] = {
        "/mcp": server.reply,
        "/auth": _vouch,
        "/note": raw(NOTE.encode(), "text/plain"),
        "/large": raw(b"x" * LARGE, "text/plain"),
        "/moved": status(302, headers={"location": METADATA}),
    }
    model = ScriptedModel(replies=replies)
    async with running(model), running(guard), searching(SEARCH_KEY) as engines, AsyncExitStack() as opened:
        yield TurnWorld(folder, model, guard, server, engines, opened)


@contextmanager
def served_turns(**how: Any) -> Generator[tuple[str, TurnWorld]]:
    """The address of `llambda serve`, without /v1, and the world behind it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        world = stack.enter_context(threaded(turn_world(folder)))
        (folder / "run.json").write_text(json.dumps(world.document(**how)))
        yield stack.enter_context(serving(folder / "run.json", folder / "log.txt")), world
