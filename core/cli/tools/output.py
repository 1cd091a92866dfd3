"""How `llambda tools` says what a stack answers: the words of tools are strangers', and nothing in them is obeyed."""

from collections.abc import Iterable, Iterator, Sequence
import json
import sys
from typing import TYPE_CHECKING, Final

from core.cli.files.output import size
from core.cli.terminal import clean, clip_table, width_of, wrap

if TYPE_CHECKING:
    from core.apis.answers.tool_runtime import ContentImage, ContentText, Invocation, ToolView

TOOLS: Final = ("TOOL", "GROUP", "WHAT")
ARGUMENTS: Final = ("ARGUMENT", "TYPE", "NEEDED", "WHAT")
MOST_NAME: Final = 40  # columns of a name, which is to be pasted whole; what is said of it has the rest


def full_name(tool: "ToolView") -> str:
    return f"{tool['toolgroup_id']}/{tool['identifier']}"


def tool_table(tools: "Iterable[ToolView]") -> Iterator[str]:
    """A line for each, below the titles."""
    return _table(
        TOOLS, [[tool["identifier"], tool["toolgroup_id"] or "", _line(tool["description"])] for tool in tools]
    )


def tool_lines(tool: "ToolView") -> Iterator[str]:
    """Its name, group and provider, what it does, and its arguments."""
    yield clean(tool["identifier"])
    for name, fact in {"group": tool["toolgroup_id"], "provider": tool["provider_id"]}.items():
        yield clean(f"{name + ':':10}{fact}")
    for line in _lines(tool["description"]):
        yield wrap(line, width_of(sys.stdout))
    parameters = tool["parameters"]
    if parameters:
        yield ""
        rows = [
            [row["name"], row["parameter_type"], "yes" if row["required"] else "", _line(row["description"])]
            for row in parameters
        ]
        yield from _table(ARGUMENTS, rows)
    else:
        yield "It takes no arguments."


def result_lines(answer: "Invocation") -> Iterator[str]:
    """Its texts as they are, without what a terminal obeys; what is no text is named."""
    content = answer["content"]
    if isinstance(content, str):
        yield from _lines(content)
    elif content:
        for part in content:
            yield from _part_lines(part)
    elif "structured_content" in answer:
        yield clean(json.dumps(answer["structured_content"], ensure_ascii=False))
    elif not answer["error_code"]:
        yield "it answered nothing"


def _part_lines(part: "ContentText | ContentImage") -> Iterator[str]:
    if part["type"] == "text":
        yield from _lines(part["text"])
    else:
        yield f"[an image of {size(3 * len(part['image']['data']) // 4)}; --json prints it]"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    *names, _ = zip(titles, *rows, strict=True)
    widths = [min(MOST_NAME, max(map(len, column))) for column in names]
    rest = max(len(titles[-1]), width_of(sys.stdout) - sum(widths) - 2 * len(widths))
    return clip_table(tuple(zip(titles, [*widths, rest], strict=True)), rows)


def _line(text: str) -> str:
    return " ".join(text.split())


def _lines(text: str) -> list[str]:
    return [clean(line.expandtabs(4)) for line in text.split("\n")]
