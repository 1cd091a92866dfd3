"""What one caller's tool groups, names and schemas do to others, and to the stack."""

import asyncio
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, override

from aiohttp import web
import pytest

from core.apis.manifests.tool_runtime import TOOL_GROUP
from core.apis.tools import NO_ACCESS, GroupTool, Tool, ToolAccess, ToolGroup, ToolListing, ToolResult
from core.config.policy import AccessRule
from core.errors import InvalidRequest, UpstreamFailed
from core.frame.callers import ANONYMOUS, Call, Principal
from core.frame.resources import Resource
from core.providers.mcp.config import Config
from core.routing.catalog import Catalog
from core.routing.guard import Enforcement, GuardedRegistry
from core.routing.policy import Policy
from core.routing.registry import Registry
from core.services.mcp.naming import full_name, names_of
from core.services.tools.arguments import check_arguments
from core.services.tools.groups import Groups
from core.services.tools.listings import Listings, Source
from core.services.tools.service import ToolService
from tests.fakes import MemoryStore
from tests.parts.mcp_double import result, serving, stateless
from tests.parts.mcp_requests import by, rpc
from tests.parts.tool_stack import GROUPS, TOOLS, tool_world

REQUIRED: dict[str, Any] = {"properties": {"x": {"items": {"required": ["a"] * 100_000}}}}
NUMBERS = list(range(20_000))
SAME: dict[str, Any] = {
    "$defs": {"x": {"const": NUMBERS}},
    "properties": {"x": {"allOf": [{"$ref": "#/$defs/x"}] * 20_000}},
}


@pytest.mark.parametrize(("schema", "value"), [(REQUIRED, [{"a": 1}] * 20_000), (SAME, NUMBERS)])
def test_a_schema_cannot_make_its_check_last(schema: dict[str, Any], value: Any) -> None:
    """Minutes, where what is compared is not counted."""
    check_arguments("t", schema, {"x": value})


def test_a_schema_cannot_make_a_message_long() -> None:
    forms: list[Any] = [{"enum": [f"{place}-{number}-{'x' * 80}" for number in range(20)]} for place in range(20)]
    with pytest.raises(InvalidRequest) as refused:
        check_arguments("t", {"properties": {"x": {"anyOf": forms}}}, {"x": 1})
    assert len(refused.value.message) < 2200


def test_a_group_whose_name_has_the_same_digest_takes_no_tool_away() -> None:
    """32 bits of a digest are found in minutes."""
    theirs, forged = "op:;.:;:,?web", "op:,!;,??,web"
    assert full_name(theirs, "find") == full_name(forged, "find")
    tools = [GroupTool(theirs, Tool("find")), GroupTool(forged, Tool("find"))]
    assert names_of(tools, {theirs}, whole=True)["find"].group == theirs


def test_a_hidden_group_of_the_run_config_is_not_told_by_a_wait() -> None:
    """A 404 of a resource waits, so that its time tells nothing: here it would, of one group among names that stand for none."""
    hidden = Resource("tool_group", "hr::payroll", "box", "hr::payroll", {"mcp_endpoint": None, "args": None})
    registry = Registry(TOOL_GROUP, MemoryStore(), Catalog({}, seconds=1), provider_ids=["box"], declared=[hidden])
    rule = AccessRule.model_validate({"permit": {"actions": ["read"]}, "when": "user with ada in teams"})
    enforcement = Enforcement(Policy([rule]), 3600.0)

    def seen_by(call: Call | None) -> GuardedRegistry:
        return GuardedRegistry(registry, enforcement, call.principal if call else None)

    registries = {"tool_group": seen_by, "connector": seen_by}
    parts: Any = SimpleNamespace(registries=registries, enforcement=enforcement)
    found = [
        Groups(parts, Call(Principal(name, {"teams": (name,)}))).declared_in("hr::payroll/pay")
        for name in ("ada", "bob")
    ]
    assert found == [[hidden], []]


class Broken:
    """A server that answers nothing; its failure names the group, as a provider's do."""

    def credentials_of(self, group: ToolGroup, access: ToolAccess) -> str:
        del group, access
        return ""

    async def list_tools(self, group: ToolGroup, access: ToolAccess) -> ToolListing:
        del access
        await asyncio.sleep(0.01)
        raise UpstreamFailed(f"The MCP server of tool group `{group.identifier}` is broken.")


async def test_who_waits_for_the_same_server_is_not_told_of_anothers_group() -> None:
    listings, broken = Listings(), cast("Any", Broken())

    async def failure(name: str) -> str:
        with pytest.raises(UpstreamFailed) as raised:
            await listings.get(Source("mcp", broken, ToolGroup(name, "same", "https://e.example"), NO_ACCESS))
        return raised.value.message

    first, second = await asyncio.gather(failure("hr::payroll"), failure("mine"))
    await listings.close()
    assert ("payroll" in first, "payroll" in second) == (True, False)


async def test_a_stack_that_is_asked_by_itself_does_not_ask_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Lambda each round of two such groups would have twice as many environments as the one before."""
    async with serving(stateless()) as (made, tools, upstream):
        await made.list_tools(tools, NO_ACCESS)
    assert {seen.headers["llambda-hops"] for seen in upstream.seen} == {"1"}
    monkeypatch.syspath_prepend(str(tmp_path))
    async with tool_world(tmp_path) as world:
        client = await world.client(auth=False)
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        statuses = {
            hops: (await rpc(client, body, {"llambda-hops": hops})).status_code for hops in ("1", "2", "x", "-1")
        }
    assert statuses == {"1": 200, "2": 508, "x": 508, "-1": 508}


async def test_pages_of_tools_are_bounded_together() -> None:
    """A hundred of them could each be as long as an answer."""
    turns = count(1)

    async def page(request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        place = next(turns)
        tool = {"name": f"t{place}", "description": "x" * 6_000_000, "inputSchema": {"type": "object"}}
        return await result({"tools": [tool], "nextCursor": str(place)})(request, message)

    async with serving(stateless(list=page)) as (made, tools, _):
        with pytest.raises(UpstreamFailed, match="lists more of its tools than is read"):
            await made.list_tools(tools, NO_ACCESS)
    assert next(turns) == 4


async def test_what_is_remembered_of_tools_is_bounded_together() -> None:
    class Wordy(Broken):
        asked = 0

        @override
        async def list_tools(self, group: ToolGroup, access: ToolAccess) -> ToolListing:
            del access
            self.asked += 1
            return ToolListing([Tool(group.identifier, "x" * 16_000_000)])

    listings, wordy = Listings(), Wordy()

    async def ask(place: int) -> None:
        await listings.get(Source("mcp", cast("Any", wordy), ToolGroup(f"g{place}", "same"), NO_ACCESS))

    for place in (0, 1, 2, 3, 4, 4, 0):
        await ask(place)
    await listings.close()
    assert wordy.asked == 6  # the last one is remembered, the first no longer


def test_an_mcp_server_does_not_say_where_callers_own_tokens_go() -> None:
    exchange = {"client_id": "c", "client_secret": "s"}
    place = {"url": "https://mcp.example", "token_exchange": exchange}
    with pytest.raises(ValueError, match="where callers' own tokens go"):
        Config.model_validate({"servers": [place]})
    for name in ("token_url", "issuer"):
        Config.model_validate({"servers": [{**place, "token_exchange": {**exchange, name: "https://as.example"}}]})


class Revoking(Broken):
    """A server that no longer takes the caller's token."""

    asked = 0

    @override
    def credentials_of(self, group: ToolGroup, access: ToolAccess) -> str:
        del group
        return access.authorization

    @override
    async def list_tools(self, group: ToolGroup, access: ToolAccess) -> ToolListing:
        del group, access
        self.asked += 1
        return ToolListing([Tool("pay")], seconds=3600)

    async def invoke_tool(self, *_: Any) -> ToolResult:
        raise UpstreamFailed("It refused the credentials.", unauthorized=True)


async def test_what_refused_credentials_were_told_is_forgotten() -> None:
    revoking, listings = Revoking(), Listings()
    groups: Any = SimpleNamespace(provider=lambda *_: revoking, acting=nullcontext, call=Call(ANONYMOUS))
    service, place = ToolService(groups, listings), ToolGroup("hr", "hr", "https://mcp.example")
    access = ToolAccess("revoked")
    for _ in range(2):
        await service.list_unregistered("mcp", place, access)
    assert revoking.asked == 1
    with pytest.raises(UpstreamFailed):
        await service.call_unregistered("mcp", place, "pay", {}, access)
    await service.list_unregistered("mcp", place, access)
    await listings.close()
    assert revoking.asked == 2


async def test_others_groups_take_no_name_by_beginning_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of tools may have slashes: `a/b/c` is one of `a`, and of `a/b`; `b/c` is a bare one, and one of `b`."""
    policy = [{"permit": {"actions": ["create", "read"]}}]
    monkeypatch.syspath_prepend(str(tmp_path))
    async with tool_world(tmp_path) as world:
        client = await world.client(policy=policy)
        shelf = {"builtin::sums": ["b/c"], "a": ["b/c", "b/d"], "a/b": ["c", "d"], "b": ["c"]}
        world.box.SHELF.update(shelf)
        for name, owner in (("a", "ada"), ("a/b", "eve"), ("b", "eve")):
            made = await client.post(GROUPS, json={"toolgroup_id": name, "provider_id": "box"}, headers=by(owner))
            assert made.status_code == 200, made.text

        async def group_of(name: str, who: str) -> str:
            return str((await client.get(f"{TOOLS}/{name}", headers=by(who))).json()["toolgroup_id"])

        assert await group_of("b/c", "bob") == "builtin::sums"
        assert [await group_of("a/b/d", who) for who in ("ada", "eve")] == ["a", "a/b"]
