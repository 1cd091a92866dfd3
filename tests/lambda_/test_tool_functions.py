"""A tool's function in the real Lambda runtime, called by the provider through a double of Invoke: whatever is sent arrives."""

from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from core.apis.tools import NO_ACCESS, ToolGroup
from tests.lambda_ import emulator
from tests.lambda_.conftest import needs
from tests.parts.lambda_functions import lambda_tools

HANDLER = """
def handle(event, context):
    custom = context.client_context.custom
    tool = custom["bedrockAgentCoreToolName"].split("___", 1)[1]
    if tool == "fail":
        raise KeyError(event["id"])
    return {"event": event, "tool": tool, "custom": custom}
"""
GROUP = ToolGroup("orders", "orders", trusted=True)
TOOLS = {"function": "orders", "tools": [{"name": "echo"}, {"name": "fail"}]}
NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL at which the function runs."""
    needs(emulator.emulator)
    folder = tmp_path_factory.mktemp("tool")
    (folder / "orders.py").write_text(HANDLER)
    with emulator.running(folder, "orders.handle", {}, folder / "log") as function:
        yield function.url


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arguments=st.dictionaries(st.text(), VALUES, max_size=4))
async def test_any_arguments_arrive_as_they_were_sent(runtime: str, arguments: dict[str, Any]) -> None:
    async with lambda_tools({"orders": runtime}, TOOLS) as (_, provider):
        result = await provider.invoke_tool(GROUP, "echo", arguments, NO_ACCESS)
    assert result.structured is not None
    assert (result.structured["event"], result.structured["tool"]) == (arguments, "echo")


async def test_the_runtime_reads_the_context_and_says_what_a_function_raises(runtime: str) -> None:
    async with lambda_tools({"orders": runtime}, TOOLS) as (double, provider):
        result = await provider.invoke_tool(GROUP, "echo", {}, NO_ACCESS)
        failure = await provider.invoke_tool(GROUP, "fail", {"id": "order 7"}, NO_ACCESS)
    assert result.structured is not None
    assert result.structured["custom"] == double.invoked[0][2]
    assert (failure.failed, failure.content, failure.metadata) == (True, "'order 7'", {"error_type": "KeyError"})
