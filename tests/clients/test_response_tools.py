"""Tools of official MCP servers in a response: of the Python SDK as of 2026, and of 2024's HTTP+SSE."""

from pathlib import Path

import pytest

from core.services.responses.contract import StepDone
from tests.parts import mcp_servers
from tests.parts.response_tools import called, names_of, prepared, tools_of


@pytest.mark.conformance
@pytest.mark.parametrize(("generation", "path"), [("2", "/mcp"), ("1", "/sse")])
async def test_tools_of_a_server_of_the_python_sdk_are_listed_called_and_their_failures_told(
    generation: str, path: str, tmp_path: Path
) -> None:
    with mcp_servers.running(generation) as url:
        document = {
            "version": 2,
            "image_name": "t",
            "apis": ["tool_runtime"],
            "providers": {"tool_runtime": [{"provider_id": "mcp", "provider_type": "remote::model-context-protocol"}]},
            "connectors": [{"connector_id": "sdk", "connector_type": "mcp", "url": f"{url}{path}"}],
            "metadata_store": {"type": "sqlite", "db_path": str(tmp_path / "registry.db")},
        }
        server = {"type": "mcp", "server_label": "sdk", "connector_id": "sdk", "require_approval": "never"}
        async with tools_of(document) as surfaces:
            tools, steps = await prepared(surfaces, server)
            assert {"greet", "add", "fail", "show"} <= {*names_of(tools)}
            assert isinstance(steps[-1], StepDone)
            for name, arguments, status, told in (
                ("greet", {"name": "Bo"}, "completed", "Hello, Bo!"),
                ("add", {"a": 1}, "completed", '"sum"'),
                ("add", {"a": "one"}, "failed", "`a`"),
                ("fail", {"secret": "x"}, "failed", "Error executing tool fail"),
                ("show", {}, "completed", "[image image/png]"),
            ):
                _, done = await called(tools, name, arguments)
                assert (done.item["status"], told in str(done.output)) == (status, True), done
