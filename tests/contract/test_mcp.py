"""The client of MCP over real sockets: which revision it speaks with whom, what it says and hears, and what it takes for granted of nobody."""

import asyncio
from typing import Any

from aiohttp import web
import pytest

from core.apis.tools import NO_ACCESS, Progress, ToolAccess
from core.errors import ApiError, NotFound, UpstreamFailed, UpstreamTimeout
from core.providers.mcp.tool_runtime import ModelContextProtocol
from tests.parts.mcp_double import (
    RESULT,
    TOOL,
    Answer,
    McpDouble,
    acting,
    error,
    event,
    events,
    forever,
    in_turn,
    message_of,
    reply,
    result,
    serving,
    stateless,
    status,
    with_sessions,
)
from tests.parts.upstream import running

UNKNOWN_SESSION = (
    status(404),
    error(-32001, "Session not found", status=404),
    error(-32000, "Bad Request: No valid session ID provided"),
)
PRIMING = "id: e1\nretry: 1\ndata:\n\n"


async def call(made: ModelContextProtocol, group: Any, **more: Any) -> Any:
    return await made.invoke_tool(group, "greet", {"name": "Bo"}, ToolAccess(**more))


async def test_a_stateless_server_is_asked_once_what_it_speaks_and_then_with_one_post_a_call() -> None:
    double = stateless()
    async with serving(double) as (made, group, upstream):
        listing = await made.list_tools(group, NO_ACCESS)
        assert ([tool.name for tool in listing.tools], listing.seconds) == (["greet"], 5.0)
        assert (await call(made, group)).content == RESULT["content"]
        assert [name for name, _, _ in double.calls] == ["server/discover", "tools/list", "tools/call"]
        assert len(upstream.connections) == 1
    headers, message = double.last("tools/call")
    assert [headers[name] for name in ("mcp-protocol-version", "mcp-method", "mcp-name")] == [
        "2026-07-28",
        "tools/call",
        "greet",
    ]
    assert message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert "mcp-session-id" not in headers


@pytest.mark.parametrize("make", [stateless, with_sessions])
async def test_a_call_that_is_made_again_bears_its_key_and_has_the_same_bytes(make: Any) -> None:
    double = make()
    messages: list[Any] = []
    for _ in range(2):
        async with serving(double) as (made, group, _):
            await call(made, group)
            await call(made, group, key="resp_1:call_0")
            headers, message = double.last("tools/call")
            messages.append(message)
            assert headers["idempotency-key"] == "resp_1:call_0"
            assert message["params"]["_meta"]["idempotencyKey"] == "resp_1:call_0"
            assert sum("idempotency-key" in headers for _, headers, _ in double.calls) == len(messages)
    assert messages[0] == messages[1]


async def test_a_session_is_its_callers_own_and_ends_with_the_provider() -> None:
    double = with_sessions()
    async with serving(double) as (made, group, _):
        for name in ("ada", "ada", "bob"):
            with acting(name):
                await call(made, group)
        assert double.count("initialize") == double.count("notifications/initialized") == 2
    headers, _ = double.last("tools/call")
    assert (headers["mcp-session-id"], headers["mcp-protocol-version"]) == ("s1", "2025-11-25")
    assert double.count("DELETE") == 2


@pytest.mark.parametrize("refusal", UNKNOWN_SESSION, ids=["404", "error", "400"])
async def test_a_session_that_is_gone_is_begun_anew_once_and_the_call_is_made_once(refusal: Answer) -> None:
    double = with_sessions()
    async with serving(double) as (made, group, _):
        await call(made, group)
        double.answers["tools/call"] = in_turn(refusal, result(RESULT))
        assert (await call(made, group)).content == RESULT["content"]
        assert double.count("initialize") == 2
        double.answers["tools/call"] = refusal
        with pytest.raises(ApiError):
            await call(made, group)
        assert double.count("tools/call") <= 7  # of which three are the ones above


async def test_a_server_that_changes_its_revision_is_asked_again() -> None:
    old, new = with_sessions(), stateless()
    async with serving(new) as (made, group, upstream):
        await call(made, group)
        new.answers |= {"tools/call": error(-32600, "Bad Request: Missing session ID")}
        upstream.replies["/mcp"] = old.reply
        assert (await call(made, group)).content == RESULT["content"]
        upstream.replies["/mcp"] = stateless().reply
        old.answers |= dict.fromkeys(("tools/call", "initialize"), status(404))
        assert (await call(made, group)).content == RESULT["content"]


@pytest.mark.parametrize("failing", [status(503), status(401)], ids=["503", "401"])
async def test_a_server_that_is_away_or_refuses_credentials_is_not_taken_for_an_older_one(failing: Answer) -> None:
    double = McpDouble({"server/discover": failing})
    async with serving(double) as (made, group, _):
        with pytest.raises(UpstreamFailed):
            await call(made, group)
    assert [name for name, _, _ in double.calls] == ["server/discover"]


async def test_a_server_of_2024_answers_on_its_stream_and_is_posted_to_within_its_origin() -> None:
    async with running() as upstream, serving(McpDouble()) as (made, group, _):
        queue: asyncio.Queue[str] = asyncio.Queue()
        place = "/messages?session=1"

        async def listen(request: web.Request) -> web.StreamResponse:
            if request.method != "GET":
                return web.Response(status=405)
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            await response.write(f"event: endpoint\ndata: {place}\n\n".encode())
            while True:
                await response.write(b"event: message\n" + (await queue.get()).encode())

        async def take(request: web.Request) -> web.StreamResponse:
            message = await request.json()
            values = {"initialize": {"protocolVersion": "2024-11-05"}, "tools/call": RESULT}
            if message.get("method") in values:
                queue.put_nowait(event(message_of(message, values[message["method"]])))
            return web.Response(status=202)

        upstream.replies |= {"/sse": listen, "/messages": take}
        old = type(group)("tools", "tools", f"{upstream.url}/sse", trusted=True)
        assert (await call(made, old, authorization="secret")).content == RESULT["content"]
        upstream.seen.clear()
        place = group.endpoint
        with pytest.raises(UpstreamFailed, match="another host"):
            await call(made, old, authorization="secret")
        assert {seen.path for seen in upstream.seen} == {"/sse"}


async def test_what_a_server_of_2025_asks_of_a_client_is_answered_that_nobody_is_there() -> None:
    asked = [
        {"jsonrpc": "2.0", "id": f"q{n}", "method": method}
        for n, method in enumerate(("ping", "sampling/createMessage"))
    ]
    double = with_sessions(call=events(PRIMING, *map(event, asked), event(reply(RESULT))))
    async with serving(double) as (made, group, _):
        assert (await call(made, group)).content == RESULT["content"]
    replies = [message for name, _, message in double.calls if name == "reply"]
    assert replies[0] == {"jsonrpc": "2.0", "id": "q0", "result": {}}
    assert replies[1]["error"]["code"] == -32601


@pytest.mark.parametrize("make", [stateless, with_sessions])
async def test_progress_is_told_and_others_progress_and_answers_are_not(make: Any) -> None:
    def progress(token: Any, **more: Any) -> str:
        return event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, **more}})

    texts = [
        PRIMING,
        progress("ID", progress=1, total=2, message="half"),
        progress("other", progress=9),
        progress("ID", progress="much"),
        event({"jsonrpc": "2.0", "id": 4711, "result": {"content": [{"type": "text", "text": "another's"}]}}),
        event({"jsonrpc": "2.0", "id": "ID", "result": RESULT}),
    ]
    heard: list[Progress] = []

    async def on_progress(progress: Progress) -> None:
        heard.append(progress)

    async with serving(make(call=events(*texts))) as (made, group, _):
        assert (await call(made, group, on_progress=on_progress)).content == RESULT["content"]
    assert heard == [{"progress": 1.0, "total": 2.0, "message": "half"}]


async def test_an_answer_that_breaks_off_is_gone_on_with_and_the_call_is_not_made_again() -> None:
    double = with_sessions(call=events(PRIMING))
    double.answers["GET"] = in_turn(events("id: e2\nretry: 1\ndata:\n\n"), events(event({**reply(RESULT), "id": 1})))
    async with serving(double) as (made, group, _):
        assert (await call(made, group)).content == RESULT["content"]
        assert double.last("GET")[0]["last-event-id"] == "e2"
        double.answers["GET"] = status(404)
        with pytest.raises(UpstreamFailed, match="broke off"):
            await call(made, group)
    assert double.count("tools/call") == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (result("no object"), "no object"),
        (events(), "without a result"),
        (events(event({"jsonrpc": "2.0", "id": 77, "result": RESULT})), "without a result"),
        (events(event({"jsonrpc": "1.0", "id": "ID", "result": RESULT})), "another version"),
        (events("data: {\n\n"), "valid JSON"),
        (events(event([reply(RESULT) | {"id": True}])), "without a result"),
        (result({"content": "text"}), "no list"),
        (result({"content": [{"type": "image"}]}), "lacks"),
        (status(200, content_type="text/html"), "without a result"),
    ],
    ids=range(9),
)
@pytest.mark.parametrize("make", [stateless, with_sessions])
async def test_what_is_no_answer_is_the_servers_failure(make: Any, wrong: Answer, said: str) -> None:
    async with serving(make(call=wrong)) as (made, group, _):
        with pytest.raises(UpstreamFailed, match=said):
            await call(made, group)


async def test_a_result_may_ask_for_input_which_nobody_can_give() -> None:
    async with serving(stateless(call=result({"resultType": "input_required", "inputRequests": {}}))) as (
        made,
        group,
        _,
    ):
        answer = await call(made, group)
    assert answer.failed
    assert "nobody" in answer.content


@pytest.mark.parametrize(
    "missing",
    [
        error(-32602, "Unknown tool: greet", status=200),
        error(-32602, "MCP error -32602: Tool greet not found", status=400),
        result({"content": [{"type": "text", "text": "Unknown tool: greet"}], "isError": True}),
    ],
    ids=["error", "refused", "result"],
)
async def test_a_tool_that_is_gone_is_not_found(missing: Answer) -> None:
    async with serving(stateless(call=missing)) as (made, group, _):
        with pytest.raises(NotFound, match="List its tools again"):
            await call(made, group)


async def test_what_a_server_says_of_arguments_is_the_tools_failure_without_keys_in_it() -> None:
    said = "name: too long, authorization: Bearer abcdef0123456789"
    async with serving(stateless(call=error(-32602, said))) as (made, group, _):
        answer = await call(made, group)
    assert answer.failed
    assert "too long" in answer.content
    assert "abcdef" not in answer.content


async def test_any_other_error_is_the_servers_and_its_words_are_for_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(stateless(call=error(-32603, "stack trace", status=200))) as (made, group, _):
        with pytest.raises(UpstreamFailed, match="error -32603") as failure:
            await call(made, group)
    assert "stack trace" not in failure.value.message
    assert "stack trace" in caplog.text


async def test_arguments_are_mirrored_into_headers_and_where_they_are_missed_tools_are_listed_first() -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string", "x-mcp-header": "Who"}}}

    async def check(request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        answer = result(RESULT) if request.headers.get("mcp-param-who") == "Bo" else error(-32020)
        return await answer(request, message)

    double = stateless(list=result({"tools": [TOOL | {"inputSchema": schema}]}), call=check)
    async with serving(double) as (made, group, _):
        assert (await call(made, group)).content == RESULT["content"]
    assert (double.count("tools/call"), double.count("tools/list")) == (2, 1)


async def test_a_listing_has_a_thousand_tools_of_a_hundred_pages_at_most() -> None:
    pages = 0

    async def page(request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        nonlocal pages
        pages += 1
        tools = [TOOL | {"name": f"t{pages}-{n}"} for n in range(size)] + [{"name": 5}, TOOL | {"name": "t1-0"}]
        return await result({"tools": tools, "nextCursor": str(pages)})(request, message)

    async with serving(stateless(list=page)) as (made, group, _):
        size = 400
        assert len((await made.list_tools(group, NO_ACCESS)).tools) == 1000
        assert pages == 3
        pages, size = 0, 1
        assert len((await made.list_tools(group, NO_ACCESS)).tools) == 100
        assert pages == 100
    async with serving(stateless(list=result({"tools": [], "nextCursor": "same"}))) as (made, group, _):
        with pytest.raises(UpstreamFailed, match="same page"):
            await made.list_tools(group, NO_ACCESS)


async def test_a_server_without_tools_has_none() -> None:
    async with serving(stateless(list=error(-32601, status=404))) as (made, group, _):
        assert (await made.list_tools(group, NO_ACCESS)).tools == ()


async def test_who_leaves_has_the_call_cancelled() -> None:
    for make, told in ((with_sessions, 1), (stateless, 0)):
        begun = asyncio.Event()

        async def hang(begun: asyncio.Event = begun) -> None:
            begun.set()
            await forever()

        double = make(call=events(PRIMING, then=hang))
        async with serving(double) as (made, group, upstream):
            task = asyncio.create_task(call(made, group))
            await begun.wait()
            await asyncio.sleep(0.05)  # until its first event is here
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(10):
                await upstream.cancelled.wait()
        assert double.count("notifications/cancelled") == told
        if told:
            assert (
                double.last("notifications/cancelled")[1]["params"]["requestId"] == double.last("tools/call")[1]["id"]
            )


@pytest.mark.parametrize("hanging", ["server/discover", "initialize", "tools/call"])
async def test_a_server_that_hangs_ends_with_the_time(hanging: str) -> None:
    async def hang(_: web.Request, __: dict[str, Any]) -> web.StreamResponse:
        await forever()
        raise AssertionError

    double = with_sessions()
    double.answers[hanging] = hang
    async with serving(double, {"timeout": 0.3}) as (made, group, _):
        with pytest.raises(UpstreamTimeout):
            await call(made, group)
    async with serving(double, {"timeout": 30}) as (made, group, _):
        with acting(until=asyncio.get_running_loop().time() + 0.2), pytest.raises(UpstreamTimeout):
            await call(made, group)


async def test_a_server_says_who_it_is() -> None:
    info = {"name": "d", "version": "1"}
    modern = stateless()
    modern.answers["server/discover"] = result(
        {"supportedVersions": ["2026-07-28"], "_meta": {"io.modelcontextprotocol/serverInfo": info}}
    )
    for double in (modern, with_sessions()):
        async with serving(double) as (made, group, _):
            description = await made.describe_server(group, NO_ACCESS)
            assert (description.name, description.version, description.title) == ("d", "1", "")
