"""A stack with tools, in this process, over a package of somebody else; tokens are their bearers' names."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
import json
from pathlib import Path
import sys
from typing import Any

from aiohttp import web
import httpx

from core.config.load import interpret
from tests.contract.external import put
from tests.parts import upstream as upstreams
from tests.parts.live_stack import client_over
from tests.parts.upstream import FakeUpstream

PACKAGE = '''
from hashlib import sha256
from pydantic import BaseModel
from core.apis.tools import ServerDescription, Tool, ToolListing, ToolResult
from core.errors import InvalidRequest, NotFound, UpstreamFailed
from core.frame.callers import CURRENT_CALL

class Config(BaseModel):
    shelf: str = "{}"

ADD = {
    "type": "object",
    "properties": {
        "a": {"type": "integer", "description": "One number."},
        "b": {"type": "integer", "default": 2},
        "words": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["a"],
    "additionalProperties": False,
}

class Toolbox:
    """What a group of this `name` has is in SHELF; `asked` counts."""

    def __init__(self, config, token=""):
        self.config, self.token = config, token

    def with_provider_data(self, data):
        return Toolbox(self.config, data.get("box_token", ""))

    async def check_tool_group(self, group):
        if group.endpoint.startswith("ftp:"):
            raise InvalidRequest("mcp_endpoint: use https.", param="mcp_endpoint.uri")

    def credentials_of(self, group, access):
        secret = self.token + access.authorization
        return sha256(secret.encode()).hexdigest() if secret else ""

    async def list_tools(self, group, access):
        SEEN.append((group, self.token, CURRENT_CALL.get().principal.id))
        if group.name in DOWN or self.token == "revoked":
            raise UpstreamFailed("The server of tools refused the caller's own key.")
        tools = [Tool(name, f"What {name} does.", ADD) for name in SHELF.get(group.name, ["add"])]
        return ToolListing(tools, SECONDS.get(group.name))

    async def invoke_tool(self, group, tool, arguments, access):
        CALLED.append((group, tool, arguments, access))
        if tool in GONE:
            raise NotFound("no such tool")
        return RESULTS.get(tool) or ToolResult(str(arguments.get("a", 0) + arguments.get("b", 0)))

    async def describe_server(self, group, access):
        return ServerDescription("box", "Box", "1.0", "A box.")

    async def health(self):
        return {"status": "OK"}

    async def close(self):
        pass

SEEN, CALLED, DOWN, GONE, SHELF, SECONDS, RESULTS = [], [], set(), set(), {}, {}, {}
'''
FACTORIES = {
    "remote": "\nasync def get_adapter_impl(config, deps): return Toolbox(config)\n",
    "inline": "\nasync def get_provider_impl(config, deps): return Toolbox(config)\n",
}
GROUPS = "/v1/toolgroups"
TOOLS = "/v1/tools"
INVOKE = "/v1/tool-runtime/invoke"
LIST = "/v1/tool-runtime/list-tools"


def document(folder: Path, flavour: str = "remote", **more: Any) -> dict[str, Any]:
    """A run config whose package is in `folder`."""
    return {
        "version": 2,
        "image_name": "t",
        "apis": ["tool_runtime"],
        "providers": {"tool_runtime": [{"provider_id": "box", "provider_type": f"{flavour}::parrot", "config": {}}]},
        "tool_groups": [{"toolgroup_id": "builtin::sums", "provider_id": "box"}],
        "external_providers_dir": str(folder / "providers.d"),
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
        **more,
    }


async def _vouch(request: web.Request) -> web.StreamResponse:
    name = json.loads(await request.read())["api_key"]
    return web.json_response({"principal": name, "attributes": {"teams": [name]}})


@dataclass
class ToolWorld:
    """`box` is the package's module: what its tools are, and what they were asked."""

    folder: Path
    upstream: FakeUpstream
    module: str
    flavour: str
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def box(self) -> Any:
        return sys.modules[self.module]

    def document(self, *, auth: bool = True, policy: Any = None, **more: Any) -> dict[str, Any]:
        server: dict[str, Any] = {}
        if auth:
            server["auth"] = {"provider_type": "custom", "config": {"endpoint": f"{self.upstream.url}/auth"}}
            if policy is not None:
                server["auth"]["access_policy"] = policy
        if (quota := more.pop("quota", None)) is not None:
            server["quota"] = {"kvstore": {"type": "sqlite", "db_path": str(self.folder / "quota.db")}, **quota}
        if more.pop("idempotency", False):
            server["idempotency"] = {"kvstore": {"type": "sqlite", "db_path": str(self.folder / "answers.db")}}
        return document(self.folder, self.flavour, server=server, **more)

    async def client(self, **how: Any) -> httpx.AsyncClient:
        return await self.opened.enter_async_context(client_over(interpret(self.document(**how), {})))


@asynccontextmanager
async def tool_world(folder: Path, flavour: str = "remote") -> AsyncGenerator[ToolWorld]:
    """`folder` must be where modules are imported from."""
    module = put(folder, PACKAGE + FACTORIES[flavour], "tool_runtime", flavour)
    async with upstreams.running(FakeUpstream(replies={"/auth": _vouch})) as upstream, AsyncExitStack() as opened:
        yield ToolWorld(folder, upstream, module, flavour, opened)
