"""How an answer's calls are told to the caller who asked for it. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from core.frame.types import JsonObject


class AnswerForm(NamedTuple):
    """The calls that are told, under which names, and in which form."""

    names: Mapping[str, str] = MappingProxyType({})  # the callers', by Bedrock's, where they differ
    withheld: frozenset[str] = frozenset()  # Bedrock's names of tools that were not offered
    most: int | None = None
    older: bool = False  # one `function_call`, which OpenAI had before `tool_calls`

    def tells(self, name: str, before: int) -> bool:
        """Whether a call of this tool is told, after so many others."""
        return name not in self.withheld and (self.most is None or before < self.most)

    def call(self, call_id: str, name: str, arguments: str) -> JsonObject:
        """A call as a field of a message or, with an `index`, of a delta."""
        function: dict[str, Any] = {"name": self.names.get(name, name), "arguments": arguments}
        return function if self.older else {"id": call_id, "type": "function", "function": function}

    def finish_reason(self, reason: str, calls: int) -> str:
        """Calls that are told end an answer as calls, those that are not as a stop."""
        if reason not in {"stop", "tool_calls"}:
            return reason
        return ("function_call" if self.older else "tool_calls") if calls else "stop"


PLAIN: Final = AnswerForm()
