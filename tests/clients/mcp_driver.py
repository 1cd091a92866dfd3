"""`python -m tests.clients.mcp_driver URL`: what MCP's conformance suite starts as a client: our provider lists a server's tools and calls each.

The suite says in the environment which scenario it is, and with what (https://github.com/modelcontextprotocol/conformance).
"""

import asyncio
import json
import os
import sys
from typing import Any

from core.apis.tools import NO_ACCESS, Tool, ToolGroup
from core.errors import ApiError
from core.providers.mcp.config import Config
from core.providers.mcp.tool_runtime import connect

VALUES: dict[str, Any] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}


def config_of(url: str, context: dict[str, Any]) -> Config:
    """With the credentials that a scenario gives; where it gives none, those of a client without a secret."""
    client: dict[str, Any] = {"client_id": context.get("client_id", "test-client"), "discover": True}
    if key := context.get("private_key_pem"):
        client |= {"private_key": key, "signing_algorithm": context.get("signing_algorithm", "ES256")}
    elif secret := context.get("client_secret"):
        client |= {"client_secret": secret}
    else:
        client |= {"auth_method": "none"}
    return Config.model_validate({"servers": [{"url": url, "client_credentials": client}], "timeout": 20})


def arguments_of(tool: Tool, tools: dict[str, Tool]) -> dict[str, Any]:
    properties = tool.input_schema.get("properties", {})
    if set(properties) == {"schema"}:  # it wants to see what a client has of the other tool's
        return {"schema": next(other.input_schema for other in tools.values() if other is not tool)}
    return {name: VALUES.get(schema.get("type"), "text") for name, schema in properties.items()}


async def main(url: str) -> int:
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    scenario = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
    config = config_of(url, context) if scenario.startswith("auth/") else Config()
    provider: Any = connect("mcp", config, {})
    group = ToolGroup(scenario, scenario, url, trusted=True)
    try:
        tools = {tool.name: tool for tool in (await provider.list_tools(group, NO_ACCESS)).tools}
        calls = context.get("toolCalls") or [
            {"name": name, "arguments": arguments_of(tool, tools)} for name, tool in tools.items()
        ]
        for call in calls:
            result = await provider.invoke_tool(group, call["name"], call["arguments"], NO_ACCESS)
            print(call["name"], result)
    except ApiError as failure:
        print(type(failure).__name__, failure.message, failure.reason, file=sys.stderr)
        return 1
    finally:
        await provider.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
