"""Packages of tools as authors write them for Llama Stack 0.2 and for later versions: this stack is not named in them."""

OLD_TOOLS = {
    "provider": """
from llama_stack.providers.datatypes import AdapterSpec, Api, ProviderSpec, remote_provider_spec

def get_provider_spec() -> ProviderSpec:
    return remote_provider_spec(
        api=Api.tool_runtime,
        adapter=AdapterSpec(
            adapter_type="crow", pip_packages=[], config_class="PACKAGE.config.CrowConfig", module="PACKAGE",
            provider_data_validator="PACKAGE.CrowData",
        ),
    )
""",
    "config": """
from pydantic import BaseModel

class CrowConfig(BaseModel):
    api_key: str | None = None
""",
    "__init__": """
from pydantic import BaseModel
from .config import CrowConfig

class CrowData(BaseModel):
    crow_api_key: str

async def get_adapter_impl(config: CrowConfig, _deps):
    from .crow import CrowToolRuntimeImpl

    impl = CrowToolRuntimeImpl(config)
    await impl.initialize()
    return impl
""",
    "crow": """
from typing import Any
from llama_stack.apis.common.content_types import URL, ImageContentItem, TextContentItem
from llama_stack.apis.tools import (
    ListToolDefsResponse, ToolDef, ToolGroup, ToolInvocationResult, ToolParameter, ToolRuntime,
)
from llama_stack.distribution.request_headers import NeedsRequestProviderData
from llama_stack.providers.datatypes import ToolGroupsProtocolPrivate

class CrowToolRuntimeImpl(ToolGroupsProtocolPrivate, ToolRuntime, NeedsRequestProviderData):
    def __init__(self, config):
        self.config, self.groups = config, []

    async def initialize(self):
        pass

    async def register_toolgroup(self, toolgroup: ToolGroup) -> None:
        self.groups.append(toolgroup.identifier)

    async def unregister_toolgroup(self, toolgroup_id: str) -> None:
        return

    def _key(self) -> str:
        data = self.get_request_provider_data()
        if self.config.api_key or (data is not None and data.crow_api_key):
            return self.config.api_key or data.crow_api_key
        raise ValueError("Pass the key in the header X-LlamaStack-Provider-Data")

    async def list_runtime_tools(
        self, tool_group_id: str | None = None, mcp_endpoint: URL | None = None
    ) -> ListToolDefsResponse:
        return ListToolDefsResponse(data=[
            ToolDef(name="caw", description=f"Caws at {mcp_endpoint.uri if mcp_endpoint else 'nobody'}.", parameters=[
                ToolParameter(name="loud", description="How loud.", parameter_type="int"),
                ToolParameter(name="at", description="Whom.", parameter_type="str", required=False, default="all"),
            ]),
        ])

    async def invoke_tool(self, tool_name: str, kwargs: dict[str, Any]) -> ToolInvocationResult:
        tool = await self.tool_store.get_tool(tool_name)
        if kwargs["loud"] > 9:
            return ToolInvocationResult(error_message="too loud", error_code=1)
        parts = [TextContentItem(text=f"{self._key()} {tool.metadata['endpoint']} {self.groups}"),
                 ImageContentItem(image={"data": "aGk="})]
        return ToolInvocationResult(content=parts, error_code=0, metadata={"caws": kwargs["loud"]})
""",
}

NEW_TOOLS = {
    "provider": """
from ogx_api import Api, InlineProviderSpec, ProviderSpec

def get_provider_spec() -> ProviderSpec:
    return InlineProviderSpec(
        api=Api.tool_runtime, provider_type="inline::crow", module="PACKAGE", config_class="PACKAGE.Config",
        pip_packages=[],
    )
""",
    "__init__": """
from typing import Any
from pydantic import BaseModel
from ogx_api import (
    URL, ListToolDefsResponse, ToolDef, ToolGroup, ToolGroupsProtocolPrivate, ToolInvocationResult, ToolRuntime,
)

class Config(BaseModel):
    pass

class Crow(ToolGroupsProtocolPrivate, ToolRuntime):
    async def initialize(self): pass
    async def shutdown(self): pass
    async def register_toolgroup(self, toolgroup: ToolGroup) -> None: pass
    async def unregister_toolgroup(self, toolgroup_id: str) -> None: pass

    async def list_runtime_tools(self, tool_group_id=None, mcp_endpoint: URL | None = None, authorization=None):
        schema = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
        return ListToolDefsResponse(data=[ToolDef(name="caw", description="Caws.", input_schema=schema)])

    async def invoke_tool(self, tool_name: str, kwargs: dict[str, Any], authorization: str | None = None):
        return ToolInvocationResult(content=f"{kwargs['q']} {authorization}", metadata={"sources": []})

async def get_provider_impl(config: Config, deps: dict[Api, Any], policy=None):
    return Crow()
""".replace("from ogx_api import (\n", "from ogx_api import (\n    Api,"),
}
