"""A provider of tools written for the reference, as one of this stack's: 0.2 says `parameters`, later versions `input_schema`."""

from collections.abc import Mapping
from contextvars import ContextVar
from hashlib import sha256
from inspect import isawaitable
from types import SimpleNamespace
from typing import Any, Final, cast

from pydantic_core import to_json

from core.apis.tools import Block, Tool, ToolAccess, ToolGroup, ToolListing, ToolResult
from core.errors import InvalidRequest, UpstreamFailed
from core.frame.types import Health, JsonObject
from core.platform.json_values import is_list, is_object, to_object
from core.resolution.external.reference.calls import Translated, own_method, parameters
from core.resolution.external.reference.inference import ReferenceInference, ReferenceModels
from core.resolution.external.reference.records import Record, plain, record

METHODS: Final = ("list_runtime_tools", "invoke_tool")
MOST_REGISTERED: Final = 10_000  # groups; then they are registered again
TYPES: Final = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
}
"""What packages call types in the place of JSON schema's names."""
ASKED: Final = ContextVar[tuple[ToolGroup, str] | None]("ASKED", default=None)
"""The group, and the tool's name, of the call under way."""


class ReferenceToolStore:
    """The `tool_store` of the reference, which packages ask where a tool's server is."""

    async def get_tool(self, tool_name: Any) -> Record:  # noqa: ANN401 - a name
        question = ASKED.get()
        if question is None or tool_name != question[1]:
            raise ValueError(f"Tool '{tool_name}' not found")
        group, endpoint = question[0], question[0].endpoint
        metadata = {"endpoint": endpoint} if endpoint else {}
        tool: Record = record("Tool", identifier=tool_name, toolgroup_id=group.identifier, metadata=metadata)
        return tool

    async def get_tool_group(self, toolgroup_id: Any) -> Record:  # noqa: ANN401 - a name, or a request for one
        question = ASKED.get()
        if question is None or str(getattr(toolgroup_id, "toolgroup_id", toolgroup_id)) != question[0].identifier:
            raise ValueError(f"Tool group '{toolgroup_id}' not found")
        return _group(question[0], "")


class ReferenceTools:
    """`provider` has the reference's `list_runtime_tools` and `invoke_tool`, of 0.2 or later."""

    def __init__(self, provider_id: str, provider: Any, data: SimpleNamespace | None = None) -> None:  # noqa: ANN401 - somebody else's object
        self._provider_id = provider_id
        self._provider = provider
        self._data = data
        self._others = ReferenceInference(provider_id, provider, ReferenceModels(provider_id))
        self._registered: set[bytes] = set()

    def with_provider_data(self, data: Mapping[str, Any]) -> "ReferenceTools":
        """This provider for a caller who brings `data`, which its `get_request_provider_data()` then returns."""
        provider = ReferenceTools(self._provider_id, self._provider, SimpleNamespace(**data))
        provider._registered = self._registered
        return provider

    async def check_tool_group(self, group: ToolGroup) -> None:
        """A package connects to wherever it is told to, which is for the operator to say."""
        if group.endpoint and not group.trusted:
            raise InvalidRequest(
                f"Provider `{self._provider_id}` takes an mcp_endpoint from the run config alone: declare the group there.",
                param="mcp_endpoint",
            )

    def credentials_of(self, group: ToolGroup, access: ToolAccess) -> str:
        """Of all that the caller brings: what of it a package uses, only its author knows."""
        del group
        brought = ({} if self._data is None else vars(self._data), access.authorization)
        return sha256(to_json(brought, fallback=str)).hexdigest() if any(brought) else ""

    async def list_tools(self, group: ToolGroup, access: ToolAccess) -> ToolListing:
        endpoint = {"mcp_endpoint": record("URL", uri=group.endpoint) if group.endpoint else None}
        answer = await self._ask(METHODS[0], group, "", access, tool_group_id=group.identifier, **endpoint)
        rows = _fields(answer).get("data", answer)
        if not is_list(rows):
            raise UpstreamFailed(f"Provider `{self._provider_id}` did not answer with tools.")
        return ToolListing([self._tool(row) for row in rows])

    async def invoke_tool(self, group: ToolGroup, tool: str, arguments: JsonObject, access: ToolAccess) -> ToolResult:
        answer = await self._ask(METHODS[1], group, tool, access, tool_name=tool, kwargs=arguments)
        fields = _fields(answer)
        if not fields.keys() & {"content", "error_message", "error_code"}:
            raise UpstreamFailed(f"Provider `{self._provider_id}` did not answer with a result of the tool.")
        message, metadata = fields.get("error_message"), to_object(fields.get("metadata"))
        content = _content(fields.get("content"))
        has_failed = bool(fields.get("error_code") or message)
        return ToolResult(content or str(message or ""), failed=has_failed, metadata=metadata)

    async def health(self) -> Health:
        return await self._others.health()

    async def close(self) -> None:
        await self._others.close()

    async def _ask(self, name: str, group: ToolGroup, tool: str, access: ToolAccess, **fields: Any) -> Any:  # noqa: ANN401 - a package's answer
        method = getattr(self._provider, name)
        offered = parameters(method)
        if access.authorization and "authorization" in offered:
            fields["authorization"] = access.authorization
        token = ASKED.set((group, tool))
        try:
            with Translated(self._provider_id, self._data):
                await self._register(group)
                answer = method(**fields)
                return plain(await answer if isawaitable(answer) else answer)
        finally:
            ASKED.reset(token)

    async def _register(self, group: ToolGroup) -> None:
        method, key = (
            own_method(self._provider, "register_toolgroup"),
            to_json((group.name, group.endpoint, group.args)),
        )
        if method is None or key in self._registered:
            return
        await method(_group(group, self._provider_id))
        if len(self._registered) >= MOST_REGISTERED:
            self._registered.clear()
        self._registered.add(key)

    def _tool(self, row: object) -> Tool:
        fields = _fields(row)
        name, schema = fields.get("name"), fields.get("input_schema")
        if not isinstance(name, str):
            raise UpstreamFailed(f"Provider `{self._provider_id}` did not answer with tools.")
        output = fields.get("output_schema")
        return Tool(
            name,
            str(fields.get("description") or ""),
            schema if is_object(schema) else _schema(fields.get("parameters")),
            output if is_object(output) else None,
            metadata=to_object(fields.get("metadata")),
        )


def _group(group: ToolGroup, provider_id: str) -> Record:
    endpoint = record("URL", uri=group.endpoint) if group.endpoint else None
    row: Record = record(
        "ToolGroup",
        identifier=group.identifier,
        provider_resource_id=group.name,
        provider_id=provider_id,
        mcp_endpoint=endpoint,
        args=dict(group.args),
    )
    return row


def _fields(answer: Any) -> JsonObject:  # noqa: ANN401 - a package's answer
    return to_object(answer) or to_object(getattr(answer, "__dict__", {}))


def _schema(listed_rows: object) -> JsonObject:
    """0.2's list of parameters as a JSON schema of an object; each is required unless it says otherwise."""
    every = [_fields(row) for row in cast("list[object]", listed_rows)] if is_list(listed_rows) else []
    rows = [row for row in every if isinstance(row.get("name"), str)]
    return {
        "type": "object",
        "properties": {row["name"]: _property(row) for row in rows},
        "required": [row["name"] for row in rows if row.get("required", True)],
    }


def _property(row: JsonObject) -> JsonObject:
    kind = str(row.get("parameter_type") or "string")
    shape: JsonObject = {"type": TYPES.get(kind, kind), "description": row.get("description") or ""}
    items, default = row.get("items"), row.get("default")
    return shape | ({"items": items} if is_object(items) else {}) | ({} if default is None else {"default": default})


def _content(content: object) -> str | list[Block]:
    """The reference's interleaved content as blocks: a text is a text."""
    if content is None or isinstance(content, str):
        return content or ""
    items = cast("list[object]", content) if is_list(content) else [content]
    return [_block(_fields(item) if not isinstance(item, str) else {"type": "text", "text": item}) for item in items]


def _block(item: JsonObject) -> Block:
    if item.get("type") != "image":
        return Block(type="text", text=str(item.get("text") or ""))
    image = to_object(item.get("image"))
    url = image.get("url")
    uri = url.get("uri") if is_object(url) else url
    if isinstance(uri, str):
        return Block(type="resource_link", uri=uri, name="image")
    return Block(type="image", data=str(image.get("data") or ""), mimeType="image/png")
