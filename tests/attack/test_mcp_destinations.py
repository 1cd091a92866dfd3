"""A tool group's endpoint that a caller names leads nowhere that an image's URL may not lead, whatever is posted to it or streamed from it."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
import pytest

from core.apis.tools import NO_ACCESS, ToolAccess, ToolGroup
from core.errors import ApiError, InvalidRequest, ProviderUnavailable, UpstreamFailed
from core.providers.mcp.endpoints import callers_fault
from tests.attack.test_media_urls import FINE, PRIVATE, UNREADABLE, URLS
from tests.contract.fetching import Names
from tests.contract.test_fetch import ANY, SPELLINGS
from tests.parts.mcp_double import RESULT, McpDouble, group, provider, result, serving, stateless
from tests.parts.upstream import running

SECRET = ToolAccess(authorization="callers-secret")


async def refused(made: Any, tools: ToolGroup) -> ApiError:
    with pytest.raises(ApiError) as failure:
        await made.invoke_tool(tools, "greet", {}, SECRET)
    return failure.value


@pytest.mark.parametrize("url", [*URLS, *UNREADABLE])
async def test_metadata_is_no_endpoint_in_whatever_spelling_and_whoever_names_it(url: str) -> None:
    for reach, trusted in (("public", False), ("private", False), ("private", True)):
        made = provider(reach=reach)
        failure = await refused(made, group(url, trusted=trusted))
        # What the text does not tell, the socket does, and a name that holds an address needs no question.
        assert isinstance(failure, InvalidRequest | ProviderUnavailable), (url, failure)
        assert "169.254" not in failure.message
        await made.close()


@pytest.mark.parametrize("url", PRIVATE)
async def test_private_places_are_the_operators_to_allow(url: str) -> None:
    with pytest.raises(InvalidRequest, match=r"must be|private, loopback"):
        await provider(reach="public").check_tool_group(group(url, trusted=False))
    await provider().check_tool_group(group(url, trusted=True))


def test_what_images_may_be_endpoints_may_be_too_but_for_users_and_fragments() -> None:
    public = [url for url in FINE if url.startswith("http") and not {"@", "#"} & set(url)]
    assert [url for url in public if callers_fault(url, "public", None, None)] == []


@pytest.mark.parametrize("host", SPELLINGS)
async def test_loopback_is_not_connected_to_in_any_spelling(host: str) -> None:
    double = stateless()
    async with running() as upstream:
        upstream.replies["/mcp"] = double.reply
        port = urlsplit(upstream.url).port
        made = provider({"allowed_ports": [port]}, reach="public")
        assert isinstance(await refused(made, group(f"http://{host}:{port}/mcp", trusted=False)), ApiError)
        await made.close()
        assert not upstream.connections


async def test_a_refused_address_reads_as_one_where_nobody_answers() -> None:
    names = Names(inside=[["127.0.0.1"]], metadata=[["169.254.169.254"]], mapped=[["::ffff:127.0.0.1"]])
    messages: set[str] = set()
    async with running() as upstream:
        port = urlsplit(upstream.url).port
        made = provider({"allowed_ports": [port]}, reach="public", names=names)
        for host in ("inside.test", "metadata.test", "mapped.test", "unknown.test", "a" * 60 + ".test"):
            messages.add((await refused(made, group(f"http://{host}:{port}/mcp", trusted=False))).message)
        await made.close()
        assert not upstream.connections
    assert len(messages) == 1
    assert "cannot be reached, or connecting to it is not allowed" in messages.pop()


async def test_a_name_that_changes_its_address_gains_nothing() -> None:
    """The first connection is closed by the server, so that the next one asks for the name again."""
    double = stateless()

    async def reply(request: web.Request) -> web.StreamResponse:
        answer = await double.reply(request)
        answer.force_close()
        return answer

    async with running() as upstream:
        upstream.replies["/mcp"] = reply
        port = urlsplit(upstream.url).port
        made = provider(names=Names(turns=[["127.0.0.1"], [ANY]]))
        failure = await refused(made, group(f"http://turns.test:{port}/mcp", trusted=False))
        await made.close()
    assert isinstance(failure, ProviderUnavailable)
    assert [name for name, _, _ in double.calls] == ["server/discover"]


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("trusted", [True, False])
async def test_a_redirect_takes_headers_to_no_other_place(code: int, *, trusted: bool) -> None:
    async with running() as other, serving(McpDouble()) as (made, tools, upstream):
        for target in (
            f"{other.url}/mcp",
            "http://169.254.169.254/latest",
            "http://u:p@127.0.0.1/",
            "ftp://a/",
            "//[",
            "/moved",
        ):

            async def move(_: web.Request, target: str = target) -> web.StreamResponse:
                return web.Response(status=code, headers={"location": target})

            upstream.replies["/mcp"] = move
            upstream.seen.clear()
            failure = await refused(made, group(tools.endpoint, trusted=trusted))
            assert isinstance(failure, UpstreamFailed)
            assert "redirects" in failure.message or target == "/moved"
            assert {seen.path for seen in upstream.seen} <= {"/mcp", "/moved"}
        assert not other.seen


async def test_a_redirect_within_the_origin_keeps_method_and_body_or_is_not_followed() -> None:
    double = stateless()

    async def move(_: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"location": "/mcp/"})

    async with serving(double) as (made, tools, upstream):
        upstream.replies |= {"/mcp": move, "/mcp/": double.reply}
        assert (await made.invoke_tool(tools, "greet", {}, SECRET)).content == RESULT["content"]


@pytest.mark.parametrize(
    "place",
    [
        "http://169.254.169.254/x",
        "//169.254.169.254/x",
        "http://localhost/x",
        "https://SELF/x",
        "http://u@SELF/x",
        "ftp://SELF/",
        "http://[",
    ],
)
async def test_a_stream_of_2024_cannot_have_messages_posted_elsewhere(place: str) -> None:
    async def listen(request: web.Request) -> web.StreamResponse:
        if request.method != "GET":
            return web.Response(status=405)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(f"event: endpoint\ndata: {place.replace('SELF', request.host)}\n\n".encode())
        await asyncio.sleep(3600)
        return response

    async with serving(McpDouble(), {"timeout": 20}) as (made, tools, upstream):
        upstream.replies["/mcp"] = listen
        assert isinstance(await refused(made, tools), UpstreamFailed)
        assert {seen.method for seen in upstream.seen if seen.headers.get("accept") == "text/event-stream"} == {"GET"}


async def test_hosts_and_ports_are_those_that_the_operator_allows() -> None:
    made = provider({"allowed_hosts": ["mcp.test", "*.tools.test"], "allowed_ports": [443, 8443]}, reach="public")
    for url in ("https://mcp.test/a?b=c", "https://MCP.test:8443/", "https://a.tools.test/"):
        await made.check_tool_group(group(url, trusted=False))
    for url in (
        "https://tools.test/",
        "https://mcp.test.evil.test/",
        "http://mcp.test/",
        "https://mcp.test:22/",
        "https://8.8.8.8/",
        "",
    ):
        with pytest.raises(InvalidRequest) as failure:
            await made.check_tool_group(group(url, trusted=False))
        assert failure.value.param == "mcp_endpoint.uri"
    usual = provider(reach="public")
    for port in (22, 25, 6379, 9001):
        with pytest.raises(InvalidRequest, match="one of these ports: 80, 443"):
            await usual.check_tool_group(group(f"https://mcp.test:{port}/", trusted=False))


async def test_tools_that_change_their_names_between_list_and_call_are_not_found() -> None:
    async with serving(stateless()) as (made, tools, upstream):
        assert (await made.list_tools(tools, NO_ACCESS)).tools
        gone = {"content": [{"type": "text", "text": "Unknown tool: greet"}], "isError": True}
        upstream.replies["/mcp"] = stateless(call=result(gone)).reply
        assert (await refused(made, tools)).status == 404
