"""Tool groups, tools and connectors as each client that has them calls them."""

from typing import Any

from tests.clients.scripts.guarded import package
from tests.clients.scripts.harness import refusal, run


def client(url: str) -> Any:
    module, make = package()
    return make(module, url, "none")


def groups(url: str) -> None:
    if not hasattr(client(url), "toolgroups"):
        return
    stack = client(url)
    endpoint = {"uri": "https://deep.example/mcp"}
    stack.toolgroups.register(toolgroup_id="mcp::deep", provider_id="box", mcp_endpoint=endpoint, args={"k": [1]})
    assert [group.identifier for group in stack.toolgroups.list()] == ["builtin::sums", "mcp::deep"]
    group = stack.toolgroups.get("mcp::deep")
    assert (group.mcp_endpoint.uri, group.args, group.type) == (endpoint["uri"], {"k": [1]}, "tool_group")
    assert [tool.identifier for tool in stack.tools.list(toolgroup_id="mcp::deep")] == ["add"]
    stack.toolgroups.unregister("mcp::deep")
    assert [group.identifier for group in stack.toolgroups.list()] == ["builtin::sums"]


def tools(url: str) -> None:
    if not hasattr(client(url), "tool_runtime"):
        return
    import llama_stack_client

    stack = client(url)
    (tool,) = stack.tools.list()
    assert stack.tools.get("add").toolgroup_id == tool.toolgroup_id == "builtin::sums"
    assert [(one.name, one.required) for one in tool.parameters] == [("a", True), ("b", False), ("words", False)]
    (defined,) = stack.tool_runtime.list_tools(tool_group_id="builtin::sums")
    assert (defined.name, defined.parameters[0].parameter_type) == ("add", "integer")
    (elsewhere,) = stack.tool_runtime.list_tools(mcp_endpoint={"uri": "https://elsewhere.example/mcp"})
    assert elsewhere.name == "add"
    result = stack.tool_runtime.invoke_tool(tool_name="add", kwargs={"a": 1, "b": 2})
    assert (result.content, result.error_code, result.error_message) == ("3", 0, None)
    refused = refusal(
        llama_stack_client.BadRequestError, lambda: stack.tool_runtime.invoke_tool(tool_name="add", kwargs={})
    )
    assert "The argument `a` of tool `add` is required" in str(refused)


def admin(url: str) -> None:
    if package()[0].__name__ != "ogx_client":
        return
    stack = client(url)
    (tool,) = stack.tools.tools_v1_admin_tools_get()
    assert (tool.name, tool.toolgroup_id, tool.input_schema["required"]) == ("add", "builtin::sums", ["a"])
    (connector,) = stack.connectors.connectors_v1alpha_admin_connectors_get()
    assert (connector.connector_id, connector.server_label, connector.server_name) == ("c", "l", None)
    asked = stack.connectors.connector_v1alpha_admin_connectors_connector_id_get("c", authorization="t")
    assert (asked.server_name, asked.server_version) == ("box", "1.0")
    (listed,) = stack.connectors.connector_tools_v1alpha_admin_connectors_connector_id_tools_get("c")
    assert listed.name == "add"
    one = stack.connectors.connector_tool_v1alpha_admin_connectors_connector_id_tools_tool_name_get("c", "add")
    assert one.description == "What add does."


SCENARIOS = (groups, tools, admin)

if __name__ == "__main__":
    run(SCENARIOS)
