"""Tools: their groups, their lists and their invocation."""

from core.runtime.function import function

app, handler = function("tool_runtime")
