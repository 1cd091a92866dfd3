"""Tools: the groups that they are of, their lists, their invocation, and connectors."""

from typing import Final

from core.frame.api import Api, Deployment, Surface
from core.frame.operations import Operation
from core.frame.resources import Kind

TYPES: Final = "core.apis.tool_runtime"
ANSWERS: Final = "core.apis.answers.tool_runtime"

TOOL_GROUP: Final = Kind(
    name="tool_group",
    api="tool_runtime",
    path="/v1/toolgroups",
    section="tool_groups",
    id_field="toolgroup_id",
    provider_id_field="provider_toolgroup_id",
    body=f"{TYPES}:RegisterToolGroup",
    fields={"mcp_endpoint": None, "args": None},
    check="check_tool_group",
    checked=f"{TYPES}:callers_group",
    response=f"{ANSWERS}:ToolGroupView",
)

CONNECTOR: Final = Kind(
    name="connector",
    api="tool_runtime",
    path="",
    section="connectors",
    id_field="connector_id",
    provider_id_field="provider_connector_id",
    body=f"{TYPES}:DeclaredConnector",
    fields={"url": "", "connector_type": "mcp", "server_label": None},
)
"""Servers of tools that the run config declares, which a request names by their ids."""

OPERATIONS: Final = (
    Operation(
        "POST",
        ("/v1/tool-runtime/invoke",),
        "invoke",
        "Call a tool.",
        request=f"{TYPES}:InvokeRequest",
        response=f"{ANSWERS}:Invocation",
        tokens="core.apis.inference:no_bound",  # a tool may embed, or ask a model
        idempotent=True,
    ),
    Operation(
        "GET",
        ("/v1/tool-runtime/list-tools",),
        "list_runtime_tools",
        "List what tools a group, or a server, has.",
        query=f"{TYPES}:RuntimeToolsQuery",
        response=f"{ANSWERS}:ToolDefinitionList",
        counted=True,  # it may lead to any server, with any credentials
    ),
    Operation(
        "GET",
        ("/v1/tools", "/v1/admin/tools"),
        "list_tools",
        "List the tools.",
        query=f"{TYPES}:ToolsQuery",
        response=f"{ANSWERS}:ToolList",
    ),
    Operation("GET", ("/v1/tools/{tool_name:path}",), "get_tool", "Show a tool.", response=f"{ANSWERS}:ToolView"),
)

BETA: Final = "/v1beta/connectors"
ALPHA: Final = "/v1alpha/admin/connectors"
CONNECTORS: Final = (
    Operation(
        "GET",
        (f"{BETA}/{{connector_id}}/tools/{{tool_name:path}}", f"{ALPHA}/{{connector_id}}/tools/{{tool_name:path}}"),
        "get_tool",
        "Show a tool of a connector.",
        query=f"{TYPES}:ConnectorQuery",
        counted=True,
        response=f"{ANSWERS}:ToolDefinition",
    ),
    Operation(
        "GET",
        (f"{BETA}/{{connector_id}}/tools", f"{ALPHA}/{{connector_id}}/tools"),
        "list_tools",
        "List the tools of a connector.",
        query=f"{TYPES}:ConnectorQuery",
        counted=True,
        response=f"{ANSWERS}:ToolDefinitionList",
    ),
    Operation(
        "GET",
        (f"{BETA}/{{connector_id}}", f"{ALPHA}/{{connector_id}}"),
        "get",
        "Show a connector, and what its server says of itself.",
        query=f"{TYPES}:ConnectorQuery",
        counted=True,
        response=f"{ANSWERS}:Connector",
    ),
    Operation("GET", (BETA, ALPHA), "index", "List the connectors.", response=f"{ANSWERS}:ConnectorList"),
)

RAG: Final = (
    Operation(
        "POST",
        ("/v1/tool-runtime/rag-tool/insert",),
        "insert",
        "Put documents into a vector store (0.2).",
        request="core.apis.rag:InsertDocuments",
        reply="none",
        tokens="core.apis.inference:no_bound",
        parts="core.apis.rag:count_fetches",
    ),
    Operation(
        "POST",
        ("/v1/tool-runtime/rag-tool/query",),
        "query",
        "Search vector stores for what a model is to be told (0.2).",
        request="core.apis.rag:QueryRag",
        response="core.apis.answers.rag:RagAnswer",
        tokens="core.apis.inference:no_bound",
    ),
)

METADATA: Final = "/.well-known/oauth-protected-resource"
MCP: Final = (
    Operation(
        "POST",
        ("/mcp",),
        "answer_mcp",
        "Speak MCP: list the tools, and call one.",
        request="core.apis.mcp:JsonRpcRequest",
        read="core.apis.mcp:read_message",
        headers=("mcp-", "llambda-hops"),
        response="core.apis.answers.mcp:JsonRpcAnswer",
        reply="answer",
        tokens="core.apis.mcp:no_bound",
        parts="core.apis.mcp:count_requests",
        idempotent=True,
        metadata=f"{METADATA}/mcp",
    ),
    Operation(
        "GET",
        (METADATA, f"{METADATA}/mcp"),
        "protected_resource",
        "Whose tokens does /mcp take?",
        read="core.apis.mcp:address_of",
        response="core.apis.answers.mcp:ResourceMetadata",
        open=True,
    ),
)

API: Final = Api(
    "tool_runtime",
    surfaces=(
        Surface("tool_runtime", f"{TYPES}:ToolRuntime", OPERATIONS),
        Surface("connectors", f"{TYPES}:Connectors", CONNECTORS),
        Surface("tools", "core.apis.tools:Tools", ()),
        Surface("rag_tool", "core.apis.rag:RagTool", RAG),
        Surface("mcp", "core.apis.mcp:Mcp", MCP),
    ),
    assemble="core.services.tools.assemble:assemble",
    kinds=(TOOL_GROUP, CONNECTOR),
    provider="core.apis.tools:ToolProvider",
    depends=("inference", "safety", "vector_io"),  # a search asks models, which shields guard
    optional_stores=("documents",),
    collections=(
        "vector_store",
        "vector_store_file",
        "vector_store_batch",
        "vector_store_owner",
    ),  # of what is searched
    deployment=Deployment(
        rights=(
            "State",
            "CallModels",
            "CallModelsBehindProfiles",
            "Rerank",
            "ApplyGuardrails",
            "Vectors",
            "VectorsOfStack",
            "Databases",
            "SearchKnowledgeBases",
            "InvokeToolFunctions",
            "InvokeMcpGateways",
        ),
        switch="HasTools",
    ),
)
