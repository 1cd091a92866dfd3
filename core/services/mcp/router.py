"""This stack as an MCP server: one request, one answer in JSON, and nothing is kept between them.

Sources: https://modelcontextprotocol.io/specification/2026-07-28, https://modelcontextprotocol.io/specification/2025-11-25.
"""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Any, Final

from core.apis.answers.mcp import ResourceMetadata
from core.apis.mcp import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    Incoming,
    RpcError,
    RpcFault,
    RpcId,
    RpcRequest,
)
from core.apis.tools import GroupTool
from core.errors import ApiError, NotFound, UpstreamFailed, shorten
from core.frame.callers import Call
from core.frame.content import Answer
from core.frame.hops import HEADER, HOPS, MOST, read_hops
from core.frame.types import JsonObject
from core.frame.version import VERSION
from core.platform.json_values import to_object
from core.services.mcp.catalog import Catalog, Silent, Turns
from core.services.mcp.eras import PREFIX, STATELESS, check_arguments, is_stateless, negotiate
from core.services.mcp.printing import show_failure, show_result, show_tool
from core.services.mcp.stores import SCHEMA
from core.services.parts import Parts
from core.services.tools.router import MOST_ANSWER
from core.services.tools.shown import size_of

SERVER: Final[JsonObject] = {"name": "llambda", "title": "llambda", "version": VERSION}
CAPABILITIES: Final[JsonObject] = {"tools": {}}
PAGE: Final = 200  # tools of one answer
MOST_PAGE: Final = 4_000_000  # bytes of them
LONGEST_NAME: Final = 256  # characters of a tool's name, and of a cursor
LIST_MS: Final = 60_000
"""How long a client may remember a list; as long as the stack itself remembers those of its groups."""
PART_MS: Final = 5_000  # of a list in which a group is missing
ACCEPTED: Final = 202
LOOP: Final = RpcFault(
    INTERNAL_ERROR,
    "This request came through other stacks that were asked over MCP themselves: a tool group leads back here, or too many stacks are in a row.",
    status=508,  # Loop Detected
)
STATUSES: Final = {PARSE_ERROR: 400, INVALID_REQUEST: 400, METHOD_NOT_FOUND: 404, INVALID_PARAMS: 400}
"""Of HTTP, by the code of an error; revisions before 2026-07-28 have only those that say a message is none."""

type Method = Callable[["McpRouter", RpcRequest, bool], Awaitable[JsonObject]]
"""The last argument: whether the request speaks the stateless revision."""


class McpRouter:
    """Answers `core.apis.mcp.Mcp` for one caller."""

    def __init__(self, parts: Parts, call: Call | None, turns: Turns, silent: Silent) -> None:
        self._parts = parts
        self._call = call
        self._catalog = Catalog(parts, call, turns, silent)

    async def answer_mcp(self, request: Incoming) -> Answer:
        if isinstance(request, RpcFault):
            return _refuse(request.id, request, stateless=True)
        if request.id is None:
            return Answer(status=ACCEPTED)
        hops = read_hops(request.headers.get(HEADER, ()))
        if hops > MOST:
            return _refuse(request.id, LOOP, stateless=True)
        token = HOPS.set(hops)
        try:
            return await self._answer(request, request.id)
        finally:
            HOPS.reset(token)

    async def _answer(self, request: RpcRequest, request_id: RpcId) -> Answer:
        stateless = True
        try:
            stateless = is_stateless(request)
            result = await _method_of(request, stateless=stateless)(self, request, stateless)
        except RpcError as error:
            return _refuse(request_id, error.fault, stateless=stateless)
        except ApiError as failure:
            internal = RpcFault(INTERNAL_ERROR, failure.message, status=failure.status)
            return _refuse(request_id, internal, stateless=stateless, code=failure.code)
        if stateless:
            result = {"resultType": "complete", **result, "_meta": {f"{PREFIX}serverInfo": SERVER}}
        return Answer({"jsonrpc": "2.0", "id": request_id, "result": result})

    async def protected_resource(self, request: str) -> ResourceMetadata:
        if not self._parts.issuers or not request:
            raise NotFound(
                "This stack takes no tokens of an issuer that its run config names; send an API key, if it wants one."
            )
        return {
            "resource": f"{request}/mcp",
            "authorization_servers": list(self._parts.issuers),
            "bearer_methods_supported": ["header"],
            "resource_name": "llambda",
        }

    async def initialize(self, request: RpcRequest, _: bool) -> JsonObject:  # noqa: FBT001 - a Method
        return {"protocolVersion": negotiate(request.params), "capabilities": CAPABILITIES, "serverInfo": SERVER}

    async def ping(self, _: RpcRequest, __: bool) -> JsonObject:  # noqa: FBT001 - a Method
        return {}

    async def discover(self, _: RpcRequest, __: bool) -> JsonObject:  # noqa: FBT001 - a Method
        fields = {"supportedVersions": [STATELESS], "capabilities": CAPABILITIES}
        return fields | {"ttlMs": LIST_MS, "cacheScope": "private"}

    async def list_tools(self, request: RpcRequest, stateless: bool) -> JsonObject:  # noqa: FBT001 - a Method
        after = _read_cursor(request.params.get("cursor"))
        listing = await self._catalog.list()
        names = [name for name in listing.tools if name > after]
        rows = _page_of(show_tool(name, listing.tools[name]) for name in names)
        page: JsonObject = {"tools": rows}
        if len(rows) < len(names):
            page["nextCursor"] = urlsafe_b64encode(names[len(rows) - 1].encode()).decode()
        if stateless:
            page |= {"ttlMs": LIST_MS if listing.whole else PART_MS, "cacheScope": "private"}
        return page

    async def call_tool(self, request: RpcRequest, stateless: bool) -> JsonObject:  # noqa: FBT001 - a Method
        name, arguments = request.params.get("name"), to_object(request.params.get("arguments"))
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
            raise RpcError(
                INVALID_PARAMS, f"`params.name` must be the name of a tool, of at most {LONGEST_NAME} characters."
            )
        if not isinstance(request.params.get("arguments"), dict | None):
            raise RpcError(INVALID_PARAMS, "`params.arguments` must be an object.")
        try:
            target = await self._catalog.find(name)
            schema: JsonObject = target.tool.input_schema if isinstance(target, GroupTool) else SCHEMA
            if stateless:
                check_arguments(request, schema, arguments)
            return _of_a_size(name, show_result(await self._catalog.invoke(target, arguments)))
        except ApiError as failure:
            self._note(failure)
            return show_failure(failure.message)
        finally:
            if self._call is not None:
                self._call.add_tokens(0)  # what was reserved and not used is given back

    def _note(self, failure: ApiError) -> None:
        """For the request's line: the status of the answer does not tell of it."""
        if self._call is not None:
            self._call.observed.note_failure(failure.code, failure.reason, failure.provider_id)


METHODS: Final[dict[str, Method]] = {"tools/list": McpRouter.list_tools, "tools/call": McpRouter.call_tool}
OF_STATELESS: Final[dict[str, Method]] = {"server/discover": McpRouter.discover}
OF_EARLIER: Final[dict[str, Method]] = {"initialize": McpRouter.initialize, "ping": McpRouter.ping}


def _page_of(rows: Iterable[JsonObject]) -> list[JsonObject]:
    """The first ones, as far as one answer has them: one at least."""
    page: list[JsonObject] = []
    size = 0
    for row in islice(rows, PAGE):
        size += size_of(row)
        if page and size > MOST_PAGE:
            break
        page.append(row)
    return page


def _of_a_size(name: str, result: JsonObject) -> JsonObject:
    """Raises UpstreamFailed for more than an answer may have."""
    if (size := size_of(result)) > MOST_ANSWER:
        raise UpstreamFailed(
            f"Tool `{name}` answered {size:,} bytes, and an answer may have {MOST_ANSWER:,}. "
            "Ask it for less, if it takes a limit or a page."
        )
    return result


def _method_of(request: RpcRequest, *, stateless: bool) -> Method:
    method = (METHODS | (OF_STATELESS if stateless else OF_EARLIER)).get(request.method)
    if method is None:
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {shorten(request.method, LONGEST_NAME)}")
    return method


def _refuse(request_id: RpcId | None, fault: RpcFault, *, stateless: bool, code: str = "") -> Answer:
    body: JsonObject = {"code": fault.code, "message": fault.message}
    if fault.data is not None:
        body["data"] = fault.data
    status = fault.status or (STATUSES.get(fault.code, 500) if stateless else 200)
    return Answer({"jsonrpc": "2.0", "id": request_id, "error": body}, status, code or f"json_rpc_{-fault.code}")


def _read_cursor(cursor: Any) -> str:  # noqa: ANN401 - any JSON
    """The name after which a page begins; the names are in their order."""
    if cursor is None:
        return ""
    try:
        if isinstance(cursor, str) and len(cursor) <= LONGEST_NAME:
            return b64decode(cursor, altchars="-_", validate=True).decode()
    except ValueError:
        pass
    raise RpcError(INVALID_PARAMS, "`params.cursor` must be the `nextCursor` of a page before.")
