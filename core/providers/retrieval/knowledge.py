"""A search of vector stores as a tool: what a model is told of a question, by the surface `retrieval` of this stack."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from core.apis.rag import Fetched, QueryRag
from core.apis.retrieval import Retrieval, Wording
from core.apis.tools import Block, Tool, ToolAccess, ToolGroup, ToolListing, ToolResult
from core.config.fetch import FetchConfig
from core.errors import InvalidRequest, NotFound, shorten
from core.frame.types import Health, JsonObject
from core.providers.http.fetch import GuardedFetcher

HOUR: Final = 3600.0
QUERY: Final[JsonObject] = {
    "type": "string",
    "description": "The query to search for. Can be a natural language sentence or keywords.",
}
STORES: Final = ("vector_db_ids", "vector_store_ids")
IDS: Final[JsonObject] = {
    "type": "array",
    "items": {"type": "string"},
    "description": "The ids of the vector stores to search.",
}


class Config(BaseModel):
    """`fetch` is how documents are fetched that a caller names by their URL."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fetch: FetchConfig = FetchConfig.model_construct()


@dataclass(frozen=True, slots=True)
class KnowledgeTool:
    """One tool, in the words of `wording`, which is its name too. It searches as the caller: what that may not read is not there."""

    wording: Wording
    description: str
    retrieval: Retrieval
    fetcher: GuardedFetcher

    async def check_tool_group(self, group: ToolGroup) -> None:
        if group.endpoint:
            raise InvalidRequest("A search of vector stores has no endpoint: leave it out.", param="mcp_endpoint")
        _store_ids(group.args, "args")

    def credentials_of(self, group: ToolGroup, access: ToolAccess) -> str:
        del group, access
        return ""

    async def list_tools(self, group: ToolGroup, access: ToolAccess) -> ToolListing:
        """A group whose `args` name no vector stores has a parameter for them."""
        del access
        properties: JsonObject = {"query": QUERY}
        if not _store_ids(group.args, "args"):
            properties[STORES[self.wording == "file_search"]] = IDS
        schema: JsonObject = {"type": "object", "properties": properties, "required": ["query"]}
        return ToolListing([Tool(self.wording, self.description, schema, read_only=True)], seconds=HOUR)

    async def invoke_tool(self, group: ToolGroup, tool: str, arguments: JsonObject, access: ToolAccess) -> ToolResult:
        del access
        if tool != self.wording:
            raise NotFound(f"There is no tool `{shorten(tool, 64)}` here.", param="tool_name")
        store_ids = _store_ids(arguments, "arguments") or _store_ids(group.args, "args")
        if not store_ids:
            raise InvalidRequest(
                f"Nothing says which vector stores to search: give `{STORES[self.wording == 'file_search']}`, or register the tool group "
                "with them in its `args`.",
                param="arguments",
            )
        config = arguments.get("query_config") or None
        body = {"content": arguments.get("query"), "vector_db_ids": store_ids, "query_config": config}
        context = await self.retrieval.tell(_read(body), self.wording)
        blocks: list[Block] = [{"type": "text", "text": text} for text in context.texts]
        return ToolResult(blocks, metadata=cast("JsonObject", context.metadata))

    async def fetch_document(self, url: str, *, param: str) -> Fetched:
        """For `core.apis.rag.FetchesDocuments`."""
        fetched = await self.fetcher.fetch(url, param=param)
        return Fetched(fetched.content, fetched.content_type)

    async def health(self) -> Health:
        return {"status": "OK"}

    async def close(self) -> None:
        await self.fetcher.close()


def _read(body: JsonObject) -> QueryRag:
    try:
        query = QueryRag.model_validate(body)
    except ValidationError as invalid:
        error = invalid.errors(include_url=False, include_input=False, include_context=False)[0]
        path = ".".join(["arguments", *map(str, error["loc"])])
        raise InvalidRequest(f"{shorten(path, 200)}: {error['msg']}", param=path) from None
    try:
        query.check_body()
    except InvalidRequest as refused:
        refused.param = f"arguments.{refused.param}"
        raise
    return query


def _store_ids(values: Mapping[str, Any], path: str) -> list[str]:
    """Those of arguments, or of a group's, by either name; raises InvalidRequest for what are no ids."""
    name = next((name for name in STORES if values.get(name)), None)
    if name is None:
        return []
    ids: object = values[name]
    if not isinstance(ids, list) or not all(isinstance(store_id, str) for store_id in cast("list[object]", ids)):
        raise InvalidRequest(f"{name} must be a list of ids of vector stores.", param=f"{path}.{name}")
    return cast("list[str]", ids)
