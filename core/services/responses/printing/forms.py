"""How OpenAI tells of the parts, the arguments and the phases of items: names of events, and of their members.

Source: https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from core.frame.types import JsonObject
from core.platform.json_values import is_list


class Form(NamedTuple):
    """Of a part: `member` has its text, `place` is what an event calls its number in the list `holder` of the item."""

    member: str
    events: str
    part: str = "response.content_part"
    place: str = "content_index"
    holder: str = "content"


FORMS: Final = {
    "output_text": Form("text", "response.output_text"),
    "refusal": Form("refusal", "response.refusal"),
    "reasoning_text": Form("text", "response.reasoning_text"),
    "summary_text": Form(
        "text", "response.reasoning_summary_text", "response.reasoning_summary_part", "summary_index", "summary"
    ),
}
"""By the type of the part."""
ARGUMENTS: Final = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
    "mcp_call": ("arguments", "response.mcp_call_arguments"),
    "code_interpreter_call": ("code", "response.code_interpreter_call_code"),
}
"""By the type of the item: the member that has them, and their events."""
SEARCHES: Final = frozenset({"in_progress", "searching", "completed"})
SERVED: Final = frozenset({"in_progress", "completed", "failed"})
PHASES: Final = {
    "file_search_call": SEARCHES,
    "web_search_call": SEARCHES,
    "mcp_call": SERVED,
    "mcp_list_tools": SERVED,
    "code_interpreter_call": frozenset({"in_progress", "interpreting", "completed"}),
    "compaction": frozenset({"compacting"}),
}
"""Those that have an event, by the type of the item: a search that failed has none, and says so as it is done."""


@dataclass(slots=True)
class PrintedPart:
    """A part that has begun."""

    kind: str
    form: Form
    number: int
    texts: list[str] = field(default_factory=list[str])
    logprobs: list[JsonObject] = field(default_factory=list[JsonObject])
    annotations: list[JsonObject] = field(default_factory=list[JsonObject])

    def show(self) -> JsonObject:
        part: JsonObject = {"type": self.kind, self.form.member: "".join(self.texts)}
        if self.kind == "output_text":
            part |= {"annotations": list(self.annotations), "logprobs": list(self.logprobs)}
        return part


@dataclass(slots=True)
class PrintedItem:
    """An item that was added: its part under way, how many parts each of its lists has, its arguments so far, and whether nothing more is told of them."""

    kind: str
    is_called: bool
    part: PrintedPart | None = None
    counts: dict[str, int] = field(default_factory=dict[str, int])
    arguments: list[str] = field(default_factory=list[str])

    def rest_of(self, item: JsonObject) -> Iterator[JsonObject]:
        """The parts of the whole item of which nothing was told, a summary before the content."""
        for holder in ("summary", "content"):
            parts = item.get(holder)
            for part in parts[self.counts.get(holder, 0) :] if is_list(parts) else ():
                form = FORMS.get(part.get("type", ""))
                if form is not None and form.holder == holder:
                    yield part
