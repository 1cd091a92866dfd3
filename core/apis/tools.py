"""Tools: what a provider of them is asked, and what a tool answers.

Sources: ToolRuntime of Llama Stack 0.2.12 and OGX 1.5.0, https://modelcontextprotocol.io/specification/2025-11-25/server/tools.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, NotRequired, Protocol, TypedDict

from core.frame.types import Health, JsonObject


@dataclass(frozen=True, slots=True)
class ToolGroup:
    """A tool group as its provider sees it.

    `name` is its id at the provider, `endpoint` the URL of `mcp_endpoint`, "" where there is none; `args` are its own.
    `trusted` is one that the run config declares: its endpoint and its args are the operator's word, and the operator's credentials are
    for it. Any other's endpoint is a caller's word: only where callers may lead connections, and never with the operator's credentials.
    """

    identifier: str
    name: str
    endpoint: str = ""
    args: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Tool:
    """What a provider lists; `input_schema` is a JSON schema of an object, as the provider has it.

    `description`, schemas and annotations are a stranger's words: data for whoever shows them to a model. `read_only` is what the provider says of it, None where it says nothing.
    """

    name: str
    description: str = ""
    input_schema: JsonObject = field(default_factory=lambda: {"type": "object", "properties": {}})
    output_schema: JsonObject | None = None
    title: str = ""
    read_only: bool | None = None
    metadata: JsonObject = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ToolListing:
    """`seconds` is how long it may be remembered, None for the stack's default, 0 for not at all; names are unique in it."""

    tools: Sequence[Tool]
    seconds: float | None = None


class Block(TypedDict):
    """A piece of a result, as MCP has it: `text` of a text, `data` (base64) and `mimeType` of an image or of audio.

    A `resource` has `{uri, mimeType?, text}` or `{uri, mimeType?, blob}`, a `resource_link` has `uri` and `name`.
    """

    type: Literal["text", "image", "audio", "resource", "resource_link"]
    text: NotRequired[str]
    data: NotRequired[str]
    mimeType: NotRequired[str]
    resource: NotRequired[JsonObject]
    uri: NotRequired[str]
    name: NotRequired[str]
    description: NotRequired[str]
    title: NotRequired[str]
    annotations: NotRequired[JsonObject]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered: a text, or blocks; `failed` is what the tool itself says of it.

    `structured` is a JSON object beside them; `metadata` is for programs (sources of a web search, chunks of a retrieval), never for a model.
    """

    content: str | Sequence[Block]
    structured: JsonObject | None = None
    failed: bool = False
    metadata: JsonObject = field(default_factory=dict[str, Any])


class Progress(TypedDict):
    """How far a tool is; `total` where it is known."""

    progress: float
    total: NotRequired[float]
    message: NotRequired[str]


type OnProgress = Callable[[Progress], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ToolAccess:
    """What a call brings for a tool beside its arguments, and for no other call.

    `authorization` is a bearer token for the tool's server, without `Bearer `; `headers` are further headers for it, none of which is Authorization.
    `key` is the same when this call is tried again, after a crash, and no other call's: visible ASCII, "" for none. A provider tells it to a tool that it can tell.
    """

    authorization: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    on_progress: OnProgress | None = field(default=None, repr=False, compare=False)
    key: str = field(default="", compare=False)


NO_ACCESS = ToolAccess()


class ToolProvider(Protocol):
    """A place for tools. A call of `core.frame.callers.CURRENT_CALL` is under way in every method but `health`.

    A provider that takes keys of callers has `with_provider_data(data)` too, which returns it for one who brings `data`.
    What a tool's server refuses is never the caller's 401 or 403: it is an UpstreamFailed, whose message says whose credentials it refused.
    """

    async def check_tool_group(self, group: ToolGroup) -> None:
        """Raise InvalidRequest if this group cannot be registered: it lacks an endpoint, or has one that may not be reached. Nothing is connected to."""
        ...

    def credentials_of(self, group: ToolGroup, access: ToolAccess) -> str:
        """A digest of the caller's own credentials that a call would bear, "" where it bears none or the operator's: what is listed with them is remembered for those alone.

        Where the operator's credentials are made of who the caller is (a token exchange), it is a digest of the caller.
        """
        ...

    async def list_tools(self, group: ToolGroup, access: ToolAccess) -> ToolListing:
        """What the group has now, at most 1,000 tools.

        Raises:
            UpstreamFailed: its server refused, or answered something else; ProviderUnavailable: it cannot be reached; UpstreamTimeout.
            InvalidRequest: a place that may not be reached.
        """
        ...

    async def invoke_tool(self, group: ToolGroup, tool: str, arguments: JsonObject, access: ToolAccess) -> ToolResult:
        """Call the tool of this name once; a call is never repeated where the server may have seen it.

        Raises what `list_tools` does; NotFound where the server has no such tool, or, with another `param`, nothing that the arguments name. A tool that fails returns `failed`. Cancelling it cancels the tool.
        """
        ...

    async def health(self) -> Health:
        """Ask the provider; never raises for one that is down."""
        ...


@dataclass(frozen=True, slots=True)
class ServerDescription:
    """What a server of tools says of itself; "" is what it does not say."""

    name: str = ""
    title: str = ""
    version: str = ""
    description: str = ""


class ReachesServers(Protocol):
    """What a provider has too that serves any server by its `endpoint`: connectors, and servers that a request names, are for the only one that has it."""

    async def describe_server(self, group: ToolGroup, access: ToolAccess) -> ServerDescription:
        """Ask the server who it is; raises what `list_tools` does."""
        ...


class SearchesWeb(Protocol):
    """What a provider has too whose tool is a search of the web."""

    @property
    def searches_web(self) -> bool:
        """Whether a query leads to what is found on the web, with where that is from as metadata `sources`."""
        ...


@dataclass(frozen=True, slots=True)
class GroupTool:
    """A tool with the group that it is of."""

    group: str
    tool: Tool

    @property
    def full_name(self) -> str:
        """`group/name`, by which it is found whatever else is called so."""
        return f"{self.group}/{self.tool.name}"


class ServerPlace(NamedTuple):
    """A server that no tool group stands for, and the provider that reaches it: what `Tools.call_unregistered` takes."""

    provider_id: str
    group: ToolGroup


class Tools(Protocol):
    """The tools of a stack for one caller, as its other services use them: the surface `tools`.

    Everything is held to the access policy: a group is used by who may `read` it.
    """

    async def groups(self) -> Sequence[str]:
        """The ids of the groups that the caller may use: declared ones first."""
        ...

    async def list_group(
        self, group: str, access: ToolAccess = NO_ACCESS, *, fresh: bool = False
    ) -> Sequence[GroupTool]:
        """The tools of a group, remembered for their time and for the caller's credentials; `fresh` asks again.

        Raises NotFound for a group that is not there, and what the provider raises.
        """
        ...

    async def list_named(self, name: str) -> Sequence[GroupTool]:
        """The tools of the group of this name, or the one that `group/name` names.

        Raises NotFound for what is not there, and what the provider raises.
        """
        ...

    async def list_all(self) -> Sequence[GroupTool]:
        """Those of all groups that the caller may use; a group whose server cannot be asked is left out, and noted in the log."""
        ...

    async def find(self, name: str) -> GroupTool:
        """The tool of this name, or `group/name`.

        Raises:
            NotFound: there is none that the caller may use.
            InvalidRequest: several groups have one; the message names them.
        """
        ...

    async def find_web_search(self) -> GroupTool:
        """What searches the web: the run config's group `builtin::websearch`, else the first whose provider `SearchesWeb`.

        Raises NotFound where the caller may use none.
        """
        ...

    async def call(self, tool: GroupTool, arguments: JsonObject, access: ToolAccess = NO_ACCESS) -> ToolResult:
        """Call it, once the arguments fit its schema.

        Raises InvalidRequest for arguments that do not fit, or over 1 MB as JSON, and what the provider raises. A tool that has gone since it was listed: NotFound.
        """
        ...

    def place_of(self, url: str, label: str = "") -> ServerPlace:
        """A server that a request names by its URL; raises InvalidRequest where no provider reaches any server, or several do."""
        ...

    async def place_of_connector(self, connector_id: str) -> ServerPlace:
        """That of a connector of the run config; raises NotFound, also for one that the caller may not read."""
        ...

    async def call_unregistered(
        self, provider_id: str, group: ToolGroup, tool: str, arguments: JsonObject, access: ToolAccess = NO_ACCESS
    ) -> ToolResult:
        """Call a tool of a server that a request names (`server_url`), which no group stands for."""
        ...

    async def list_unregistered(
        self, provider_id: str, group: ToolGroup, access: ToolAccess = NO_ACCESS
    ) -> Sequence[GroupTool]:
        """The tools of such a server."""
        ...

    async def check_unregistered(self, provider_id: str, group: ToolGroup) -> None:
        """Raise InvalidRequest for such a server that is where none may be, as `list_unregistered` does; nothing is connected to."""
        ...
