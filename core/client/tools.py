"""Tools of a running stack: listed, shown and called."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from core.client.http import Transport
from core.client.shapes import check_shape

if TYPE_CHECKING:
    from core.apis.answers.tool_runtime import Invocation, ToolGroupView, ToolView

SECONDS: Final = 60.0  # without a byte: the servers of tools are asked before the answer
CALL_SECONDS: Final = 900.0  # a function of Lambda takes as long


class Tools:
    """A tool is named by its bare name, or as `group/name`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def groups(self) -> "list[ToolGroupView]":
        """The tool groups that the caller may see."""
        from core.apis.answers.tool_runtime import ToolGroupView

        return self._rows("/v1/toolgroups", ToolGroupView)

    def list_tools(self, group: str | None = None) -> "list[ToolView]":
        """The tools of a group; without one, those of all groups whose servers can be asked."""
        from core.apis.answers.tool_runtime import ToolView

        return self._rows("/v1/tools", ToolView, toolgroup_id=group)

    def get(self, name: str) -> "ToolView":
        from core.apis.answers.tool_runtime import ToolView

        return check_shape(self._transport.send("GET", f"/v1/tools/{quote(name)}", timeout=SECONDS), ToolView)

    def call(self, name: str, arguments: Mapping[str, Any]) -> "Invocation":
        """What the tool answers; one that fails says so in its `error_code`."""
        from core.apis.answers.tool_runtime import Invocation

        body = {"tool_name": name, "kwargs": dict(arguments)}
        return check_shape(
            self._transport.send("POST", "/v1/tool-runtime/invoke", body, timeout=CALL_SECONDS), Invocation
        )

    def _rows[Row](self, path: str, shape: type[Row], **query: str | None) -> "list[Row]":
        from core.apis.answers.tool_runtime import ToolList

        answer: Any = check_shape(self._transport.send("GET", path, query=query, timeout=SECONDS), ToolList)
        return [check_shape(row, shape) for row in answer["data"]]
