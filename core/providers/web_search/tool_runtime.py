"""A search engine as a provider of one tool: a row of `rows` each, told apart by its Config. docs/adr/0077-web-search-as-rows.md."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from core.apis.tools import Tool, ToolAccess, ToolGroup, ToolListing, ToolProvider, ToolResult
from core.errors import InvalidRequest, NotFound, UpstreamFailed
from core.frame.callers import PROVIDER_DATA_HEADERS
from core.frame.types import Health, JsonObject
from core.platform import secrets
from core.providers.http.operators_key import call_with_key
from core.providers.http.remote import HEADER_KEY, Credentials
from core.providers.web_search.config import Settings, config_of
from core.providers.web_search.results import OddAnswer, read_pods, read_results, sources_of
from core.providers.web_search.searches import check_args, read_search, to_parameters
from core.providers.web_search.tools import WEB_SEARCH, WOLFRAM_ALPHA

if TYPE_CHECKING:
    from core.providers.web_search.client import SearchClient

__all__ = ["config_of", "connect"]

HEADER: Final = PROVIDER_DATA_HEADERS[0]
LISTED_SECONDS: Final = 3600.0
UNASKED: Final = "It is not asked how it is: every search has its price."
NO_KEY: Final = "It has no key of its own; callers bring theirs."


class SearchEngine:
    """Whoever may use a tool group here searches with the operator's key: a group has no endpoint that could lead it elsewhere."""

    def __init__(
        self,
        provider_id: str,
        settings: Settings,
        credentials: Credentials | None = None,
        client: "SearchClient | None" = None,
    ) -> None:
        """With the operator's key and a client of its own, imported and opened at the first search, unless given."""
        self._provider_id = provider_id
        self._settings = settings
        self._row = settings.row
        self._credentials = credentials or settings.credentials()
        self._client = client

    def warm(self) -> None:
        """Import what the first search would wait for."""
        _ = self._http
        secrets.warm(self._credentials.key)

    def with_provider_data(self, data: Mapping[str, Any]) -> "SearchEngine":
        """This engine with a caller's key, before the operator's as in OGX 1.5.0; itself where `data` has none for it."""
        key, source = data.get(self._row.data), f"`{self._row.data}` in header {HEADER}"
        if key is None:
            return self
        if not isinstance(key, str) or not HEADER_KEY.fullmatch(key):
            raise InvalidRequest(f"The key given as {source} must be a string without spaces.")
        return SearchEngine(self._provider_id, self._settings, Credentials(key, source), self._http)

    @property
    def searches_web(self) -> bool:
        """WolframAlpha computes."""
        return self._tool is WEB_SEARCH

    async def check_tool_group(self, group: ToolGroup) -> None:
        if group.endpoint:
            raise InvalidRequest(
                f"Provider `{self._provider_id}` searches at one place; a tool group of it has no mcp_endpoint.",
                param="mcp_endpoint",
            )
        check_args(group.args)

    def credentials_of(self, group: ToolGroup, access: ToolAccess) -> str:
        del group, access
        return sha256(self._credentials.key.encode()).hexdigest() if self._credentials.source else ""

    async def list_tools(self, group: ToolGroup, access: ToolAccess) -> ToolListing:
        """The one tool: nobody is asked."""
        del group, access
        return ToolListing((self._tool,), LISTED_SECONDS)

    async def invoke_tool(self, group: ToolGroup, tool: str, arguments: JsonObject, access: ToolAccess) -> ToolResult:
        """JSON of the query and its results, with where they are from as metadata.

        Raises:
            InvalidRequest: there is no key, which says who can give one; or what is searched for is no search.
            UpstreamFailed: the vendor refused the key, which says whose; or answered something else.
        """
        del access
        if tool != self._tool.name:
            raise NotFound(f"Provider `{self._provider_id}` has no tool `{tool}`: it has `{self._tool.name}`.")
        search = read_search(arguments, group.args)
        self._check_key()
        count = min(search.count or self._settings.results, self._row.most)
        parameters = to_parameters(self._row, replace(search, count=count), self._settings.choices)
        answer = await call_with_key(self._credentials, lambda key: self._http.search(parameters, key))
        try:
            return self._result(search.query, answer, count)
        except OddAnswer as odd:
            raise UpstreamFailed(f"Provider `{self._provider_id}` did not answer with results of a search.") from odd

    async def health(self) -> Health:
        return Health(status="Not Implemented", message=UNASKED if self._credentials.key else NO_KEY)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    def _result(self, query: str, answer: object, count: int) -> ToolResult:
        if self._tool is WOLFRAM_ALPHA:
            content, sources = read_pods(answer), list[dict[str, str]]()
        else:
            results = read_results(self._row, answer, count)
            content, sources = {"query": query, self._row.listed_as: results}, sources_of(results)
        return ToolResult(to_json(content).decode(), metadata={"query": query, "sources": sources})

    def _check_key(self) -> None:
        if not self._credentials.key:
            vendor = "WolframAlpha" if self._tool is WOLFRAM_ALPHA else "Search provider's"
            raise InvalidRequest(
                f'Pass {vendor} API Key in the header {HEADER} as {{ "{self._row.data}": <your api key> }}, '
                f"or have the operator set `api_key` in the config of provider `{self._provider_id}`."
            )

    @property
    def _tool(self) -> Tool:
        return self._row.tool

    @property
    def _http(self) -> "SearchClient":
        if self._client is None:
            from core.providers.web_search.client import SearchClient

            self._client = SearchClient(self._settings.remote(self._provider_id), self._row)
        return self._client


def connect(provider_id: str, config: Settings, deps: Mapping[str, Any]) -> ToolProvider:
    """A provider over one engine; it depends on no other API."""
    del deps
    return SearchEngine(provider_id, config)
