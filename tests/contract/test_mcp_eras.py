"""When the MCP client asks anew what a server speaks, and when it must not: a call is made once."""

import pytest

from core.apis.tools import NO_ACCESS
from core.errors import ProviderUnavailable, UpstreamFailed
from infra.local.ports import free_port
from tests.parts.mcp_double import (
    RESULT,
    Answer,
    error,
    group,
    in_turn,
    provider,
    result,
    serving,
    stateless,
    status,
    with_sessions,
)

GREET = ("greet", {"name": "Bo"}, NO_ACCESS)


@pytest.mark.parametrize("refusal", [status(404), status(405)], ids=["404", "405"])
async def test_a_server_that_has_its_new_wire_no_more_is_asked_in_the_older(refusal: Answer) -> None:
    double = stateless()
    async with serving(double) as (made, tools, upstream):
        await made.invoke_tool(tools, *GREET)
        old = with_sessions(call=in_turn(refusal, result(RESULT)))
        upstream.replies["/mcp"] = old.reply
        assert (await made.invoke_tool(tools, *GREET)).content == RESULT["content"]
        assert (old.count("tools/call"), old.count("initialize")) == (2, 1)


async def test_a_failure_is_no_refusal_of_the_wire_and_the_call_is_not_made_again() -> None:
    double = stateless(call=error(-32603, status=200))
    async with serving(double) as (made, tools, _):
        for _ in range(2):
            with pytest.raises(UpstreamFailed):
                await made.invoke_tool(tools, *GREET)
        assert (double.count("tools/call"), double.count("server/discover")) == (2, 1)


async def test_a_server_that_speaks_other_revisions_alone_is_asked_in_a_session() -> None:
    double = with_sessions()
    double.answers["server/discover"] = result({"supportedVersions": ["2027-01-01"]})
    async with serving(double) as (made, tools, _):
        assert (await made.invoke_tool(tools, *GREET)).content == RESULT["content"]
        assert double.count("initialize") == 1


async def test_a_server_where_nobody_listens_is_said_to_be_unreachable() -> None:
    made = provider()
    with pytest.raises(ProviderUnavailable, match="could not be reached; check that it is up"):
        await made.invoke_tool(group(f"http://127.0.0.1:{free_port()}/mcp"), *GREET)
    await made.close()
