"""What an MCP client is answered, whatever it sends."""

import asyncio
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.mcp import count_requests, read_message
from core.apis.retrieval import RetrievalQuery
from core.apis.tools import ToolResult
from core.apis.vector_io import NamedStore
from core.errors import InvalidRequest, NotFound, StateUnavailable, UpstreamFailed
from core.frame.content import Message
from core.frame.types import JsonObject
from core.services.mcp.eras import STATELESS
from core.services.mcp.naming import full_name
from tests.unit.services.mcp.parts import META, MemoryStores, MemoryTools, Stack, tool

NAMES = st.sampled_from(
    ["initialize", "ping", "tools/list", "tools/call", "server/discover", "notifications/x", "", "x"]
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.just("find"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELDS = {
    "jsonrpc": st.just("2.0") | JSON_VALUES,
    "id": st.integers() | st.text(max_size=4) | JSON_VALUES,
    "method": NAMES | JSON_VALUES,
    "params": st.fixed_dictionaries(
        {},
        optional={
            "name": st.just("find") | JSON_VALUES,
            "arguments": JSON_VALUES,
            "cursor": JSON_VALUES,
            "_meta": st.just(META) | JSON_VALUES,
            "protocolVersion": JSON_VALUES,
        },
    )
    | JSON_VALUES,
}
BODIES = st.one_of(
    st.fixed_dictionaries({}, optional=FIELDS).map(json.dumps).map(str.encode),
    JSON_VALUES.map(json.dumps).map(str.encode),
    st.binary(max_size=20),
)
HEADERS = st.dictionaries(
    st.sampled_from(["mcp-protocol-version", "mcp-method", "mcp-name", "mcp-param-x"]),
    st.sampled_from([STATELESS, "2025-06-18", "tools/list", "tools/call", "find", "=?base64?!?="]),
)


def stack(**fields: Any) -> Stack:
    tools = MemoryTools({"op": [tool("find", read_only=True), tool("fetch")], "mine": [tool("find")]})
    return Stack(tools, first=("op",), **fields)


async def ask(stack: Stack, method: str, **params: Any) -> JsonObject:
    """The answer's body in the stateless revision."""
    headers = {"mcp-protocol-version": STATELESS, "mcp-method": method}
    if "name" in params:
        headers["mcp-name"] = params["name"]
    body: JsonObject = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"_meta": META, **params}}
    answer = await stack.send(json.dumps(body).encode(), headers)
    assert answer.body is not None
    assert answer.body["id"] == 7
    return answer.body


@given(BODIES, HEADERS)
def test_whatever_comes_is_answered_as_json_rpc(body: bytes, headers: dict[str, str]) -> None:
    incoming = read_message(Message(body, {name: (value,) for name, value in headers.items()}))
    assert count_requests(incoming) in {0, 1}
    answer = asyncio.run(stack().router.answer_mcp(incoming))
    if answer.body is None:
        assert answer.status == 202
        return
    assert answer.status in {200, 400, 404}
    assert answer.body["jsonrpc"] == "2.0"
    assert ("result" in answer.body) is not ("error" in answer.body)
    assert ("error" in answer.body) is bool(answer.code)
    sent = json.loads(body) if answer.body["id"] is not None else None
    assert sent is None or sent["id"] == answer.body["id"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b'{"jsonrpc": "2.0", "id": NaN}', -32700),
        (b"[]", -32600),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
        (b'{"id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}', -32602),
    ],
)
async def test_what_is_no_message_is_a_400(body: bytes, code: int) -> None:
    answer = await stack().send(body)
    assert answer.body is not None
    assert (answer.status, answer.body["error"]["code"]) == (400, code)
    assert count_requests(read_message(Message(body))) == 1


async def test_an_earlier_client_begins_with_initialize_and_gets_no_session() -> None:
    body = {"jsonrpc": "2.0", "id": "a", "method": "initialize", "params": {"protocolVersion": "2025-06-18"}}
    answer = await stack().send(json.dumps(body).encode())
    assert answer.body is not None
    result = answer.body["result"]
    assert (result["protocolVersion"], result["capabilities"]) == ("2025-06-18", {"tools": {}})
    done = await stack().send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    assert (done.status, done.body) == (202, None)
    unknown = await stack().send(b'{"jsonrpc":"2.0","id":1,"method":"resources/list"}')
    assert unknown.body is not None
    assert (unknown.status, unknown.body["error"]["code"]) == (200, -32601)


async def test_a_stateless_client_is_told_the_versions_and_that_older_methods_are_gone() -> None:
    result = (await ask(stack(), "server/discover"))["result"]
    assert result["supportedVersions"] == [STATELESS]
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "llambda"
    assert (await ask(stack(), "initialize"))["error"]["code"] == -32601


async def test_a_list_has_the_tools_in_order_with_all_that_is_known_of_them() -> None:
    output = {"type": "object", "properties": {"n": {"type": "integer"}}}
    described = tool("count", title="Count", output_schema=output, metadata={"annotations": {"idempotentHint": True}})
    odd = tool("odd", input_schema={}, output_schema={"type": "string"})
    result = (await ask(Stack(MemoryTools({"op": [odd, described]}), first=("op",)), "tools/list"))["result"]
    count, other = result["tools"]
    assert count == {
        "name": "count",
        "description": "It is count.",
        "title": "Count",
        "inputSchema": {"type": "object", "properties": {}},
        "outputSchema": output,
        "annotations": {"idempotentHint": True},
    }
    assert other == {"name": "odd", "description": "It is odd.", "inputSchema": {"type": "object"}}
    assert (result["ttlMs"], result["cacheScope"]) == (60_000, "private")


async def test_pages_have_every_tool_once_and_a_cursor_that_is_none_is_refused() -> None:
    many = Stack(MemoryTools({"op": [tool(f"t{number}") for number in range(450)]}), first=("op",))
    names: list[str] = []
    page: JsonObject = {"nextCursor": ""}
    while "nextCursor" in page:
        cursor = {"cursor": page["nextCursor"]} if names else {}
        page = (await ask(many, "tools/list", **cursor))["result"]
        names += [row["name"] for row in page["tools"]]
    assert names == sorted(f"t{number}" for number in range(450))
    notes = {"annotations": {"x": "y" * 3_000_000}}
    large = Stack(MemoryTools({"op": [tool(f"t{number}", metadata=notes) for number in range(3)]}), first=("op",))
    assert len((await ask(large, "tools/list"))["result"]["tools"]) == 1
    for wrong in ("!", 5, "x" * 300, "/w=="):
        assert (await ask(many, "tools/list", cursor=wrong))["error"]["code"] == -32602


async def test_a_tool_is_called_by_the_name_that_was_listed_in_any_environment() -> None:
    here = stack()
    for name, wanted in (
        ("find", "op/find"),
        (full_name("mine", "find"), "mine/find"),
        (full_name("op", "find"), "op/find"),
    ):
        result = (await ask(here, "tools/call", name=name, arguments={"a": 1}))["result"]
        assert result["content"] == [{"type": "text", "text": "done"}]
        assert here.tools.calls[-1] == (wanted, {"a": 1})


async def test_a_full_name_asks_its_group_alone() -> None:
    here = stack()
    await ask(here, "tools/call", name=full_name("mine", "find"))
    assert here.tools.asked == ["mine"]


async def test_a_name_that_two_tools_have_is_refused_with_the_names_of_both() -> None:
    here = Stack(MemoryTools({"mine": [tool("find")], "yours": [tool("find")]}))
    message = (await ask(here, "tools/call", name="find"))["error"]["message"]
    assert full_name("mine", "find") in message
    assert full_name("yours", "find") in message
    assert not here.tools.calls


async def test_a_group_that_is_down_takes_no_tool_of_others_away_and_lends_its_names_to_nobody() -> None:
    here = stack()
    here.tools.down["op"] = UpstreamFailed("It is down.")
    result = (await ask(here, "tools/list"))["result"]
    assert [row["name"] for row in result["tools"]] == [full_name("mine", "find")]
    assert result["ttlMs"] == 5000
    assert "error" in await ask(here, "tools/call", name="find")
    assert here.tools.asked.count("op") == 1  # for a while it is not asked again
    assert not here.tools.calls


@pytest.mark.parametrize(
    "failure", [UpstreamFailed("The server is broken."), InvalidRequest("`x` must be a string."), NotFound("Gone.")]
)
async def test_a_tool_that_fails_is_a_result_with_one_sentence(failure: Exception) -> None:
    here = stack()
    here.tools.result = failure
    result = (await ask(here, "tools/call", name="find"))["result"]
    assert (result["isError"], result["content"]) == (True, [{"type": "text", "text": str(failure)}])
    assert here.call.observed.error_code
    assert here.call.tokens == 0


async def test_a_result_has_what_the_tool_gave() -> None:
    here = stack()
    link: Any = {"type": "resource_link", "uri": "a:b", "name": "b"}
    here.tools.result = ToolResult([link], structured={"n": 1}, failed=True)
    result = (await ask(here, "tools/call", name="find"))["result"]
    assert (result["content"], result["structuredContent"], result["isError"]) == ([link], {"n": 1}, True)
    here.tools.result = ToolResult("", structured={"n": 1})
    assert (await ask(here, "tools/call", name="find"))["result"]["content"] == [{"type": "text", "text": '{"n":1}'}]


async def test_an_unknown_tool_is_an_error_of_the_parameters() -> None:
    for params in ({"name": "nope"}, {"name": "search_nope"}, {"name": "find", "arguments": "x"}, {"name": "x" * 300}):
        assert (await ask(stack(), "tools/call", **params))["error"]["code"] == -32602


async def test_each_store_has_a_tool_that_searches_it() -> None:
    stores = MemoryStores(
        [NamedStore("vs_1", "Guide", "How to."), NamedStore("docs", declared=True), NamedStore("x y")]
    )
    here = stack(stores=stores)
    rows = {row["name"]: row for row in (await ask(here, "tools/list"))["result"]["tools"]}
    searches = [name for name in rows if name.startswith("search_")]
    assert searches[:1] + searches[1:2] == ["search_docs", "search_vs_1"]
    assert len(searches) == 3
    assert "Guide" in rows["search_vs_1"]["description"]
    assert rows["search_vs_1"]["annotations"] == {"readOnlyHint": True}
    filters = {"type": "eq", "key": "year", "value": 2026}
    for name in searches:
        arguments = {"query": "how?", "max_num_results": 3, "filters": filters}
        result = (await ask(here, "tools/call", name=name, arguments=arguments))["result"]
        assert result["content"][0]["text"].startswith("[1] a.txt\nabout ")
        assert result["structuredContent"]["results"][0]["file_id"] == "file-1"
    assert stores.searches == [
        RetrievalQuery(["how?"], [store], limit=3, filters=filters) for store in ("docs", "vs_1", "x y")
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"query": 5},
        {"query": "x", "max_num_results": 0},
        {"query": "x", "max_num_results": True},
        {"query": "x", "k": 1},
    ],
)
async def test_arguments_of_a_search_that_do_not_fit_are_told_of(arguments: JsonObject) -> None:
    here = stack(stores=MemoryStores([NamedStore("vs_1")]))
    assert (await ask(here, "tools/call", name="search_vs_1", arguments=arguments))["result"]["isError"]


async def test_stores_that_cannot_be_listed_leave_the_tools_there() -> None:
    stores = MemoryStores([], down=StateUnavailable("Down."))
    result = (await ask(stack(stores=stores), "tools/list"))["result"]
    assert (len(result["tools"]), result["ttlMs"]) == (3, 5000)


async def test_the_metadata_names_the_issuers_or_is_not_there() -> None:
    assert await stack(issuers=("https://issuer.example",)).router.protected_resource("https://a.example") == {
        "resource": "https://a.example/mcp",
        "authorization_servers": ["https://issuer.example"],
        "bearer_methods_supported": ["header"],
        "resource_name": "llambda",
    }
    with pytest.raises(NotFound):
        await stack().router.protected_resource("https://a.example")
