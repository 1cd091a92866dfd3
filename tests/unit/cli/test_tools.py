"""`llambda tools`, against a real HTTP server that answers by the contract."""

from collections.abc import Generator
import json
from typing import Any, Final

from click.testing import CliRunner, Result
import pytest

from core.cli.tools.command import command
from tests.parts.configured import FakeStack, answering
from tests.unit.cli.test_files import refusal

SCHEMA: Final = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "count": {"type": "integer"}, "rest": {}, "lines": {"type": "array"}},
}
ROW: Final = {"title": None, "required": False, "default": None, "description": ""}
PARAMETERS: Final = [
    ROW | {"name": "id", "parameter_type": "string", "required": True, "description": "The order's\nid\x1b[31m"},
    ROW | {"name": "count", "parameter_type": "integer"},
]


@pytest.fixture
def stack() -> Generator[FakeStack]:
    with answering(FakeStack()) as stack:
        yield stack


def tool(name: str = "get_order", group: str = "orders", **more: Any) -> dict[str, Any]:
    return {
        "identifier": name,
        "name": name,
        "provider_resource_id": None,
        "provider_id": "functions",
        "type": "tool",
        "toolgroup_id": group,
        "description": "One\x1b]0;\x07 order,\nby its id.",
        "parameters": PARAMETERS,
        "input_schema": SCHEMA,
        "output_schema": None,
        "metadata": {},
        **more,
    }


def group(name: str) -> dict[str, Any]:
    return {
        "identifier": name,
        "provider_resource_id": name,
        "provider_id": "p",
        "type": "tool_group",
        "mcp_endpoint": None,
        "args": None,
    }


def invocation(content: Any, code: int = 0, message: str | None = None, **more: Any) -> dict[str, Any]:
    return {"content": content, "error_message": message, "error_code": code, "metadata": {}, **more}


def run(stack: FakeStack, answers: list[Any], *arguments: str, stdin: str = "") -> Result:
    stack.asked.clear()
    stack.said += [
        answer if isinstance(answer, tuple) else (200, {}, json.dumps(answer).encode()) for answer in answers
    ]
    runner = CliRunner(env={"LLAMBDA_URL": stack.url, "COLUMNS": "80"})
    return runner.invoke(command, arguments, standalone_mode=False, input=stdin)


def test_tools_are_listed_with_their_groups_and_nothing_of_theirs_reaches_the_terminal(stack: FakeStack) -> None:
    rows = {"data": [tool(), tool("x" * 60, "mcp::everything")]}
    groups = {"data": [group("orders"), group("mcp::everything"), group("away\x1b[2J")]}
    result = run(stack, [rows, groups], "list")
    assert result.exception is None, result.exception
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["TOOL", "get_order", "x" * 39 + "…"]
    assert lines[1].split(maxsplit=2)[1:] == ["orders", "One�]0;� order, by i…"]
    assert all(len(line) <= 80 for line in lines)
    assert "no tool of group `away�[2J` is listed; --group away�[2J says why" in " ".join(result.stderr.split())
    result = run(stack, [{"data": []}], "list", "--group", "orders")
    assert result.stdout == "no tools\n"
    assert stack.asked == [("GET", "/v1/tools?toolgroup_id=orders", None)]
    assert json.loads(run(stack, [rows], "list", "--group", "orders", "--json").stdout) == rows["data"]


def test_a_tool_is_shown_with_what_it_takes(stack: FakeStack) -> None:
    result = run(stack, [tool()], "show", "orders/get_order")
    assert result.exception is None, result.exception
    words = [line.split() for line in result.stdout.splitlines()]
    assert words[:3] == [["get_order"], ["group:", "orders"], ["provider:", "functions"]]
    assert words[-3:] == [
        ["ARGUMENT", "TYPE", "NEEDED", "WHAT"],
        ["id", "string", "yes", "The", "order's", "id�[31m"],
        ["count", "integer"],
    ]
    assert not set(result.stdout) & {"\x1b", "\x07"}
    assert stack.asked == [("GET", "/v1/tools/orders/get_order", None)]
    bare = tool(parameters=[], input_schema={"type": "object"})
    assert run(stack, [bare], "show", "a", "--group", "b::c").stdout.endswith("It takes no arguments.\n")
    assert stack.asked[0][1] == "/v1/tools/b%3A%3Ac/a"


def test_arguments_are_what_the_tool_takes(stack: FakeStack) -> None:
    words = [f"--arg={text}" for text in ("id=007", "count=2", "rest=[1]", "lines=[]", "other=a=b", "more=true")]
    result = run(
        stack, [tool(), invocation("done")], "call", "get_order", *words, "--args", '{"id": "1", "deep": {"a": 1}}'
    )
    assert result.exception is None, result.exception
    assert (result.return_value, result.stdout) == (0, "done\n")
    kwargs = {"id": "007", "deep": {"a": 1}, "count": 2, "rest": [1], "lines": [], "other": "a=b", "more": True}
    assert stack.asked[-1] == ("POST", "/v1/tool-runtime/invoke", {"tool_name": "orders/get_order", "kwargs": kwargs})
    assert "get_order is called ..." in result.stderr
    run(stack, [tool(), invocation("done")], "call", "get_order", "--args", "-", stdin='{"id": "é"}')
    assert stack.asked[-1][2]["kwargs"] == {"id": "é"}


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (invocation("a\tb\nc\x1b[2J"), "a   b\nc�[2J\n"),
        (
            invocation([{"type": "text", "text": "a"}, {"type": "image", "image": {"data": "A" * 4000}}]),
            "a\n[an image of 2.9 KB; --json prints it]\n",
        ),
        (invocation([], structured_content={"é": 1}), '{"é": 1}\n'),
        (invocation(None), "it answered nothing\n"),
    ],
    ids=range(4),
)
def test_what_a_tool_answers_is_printed(stack: FakeStack, answer: dict[str, Any], shown: str) -> None:
    assert run(stack, [tool(), answer], "call", "get_order").stdout == shown
    assert json.loads(run(stack, [tool(), answer], "call", "get_order", "--json").stdout) == answer


def test_a_tool_that_fails_ends_with_1(stack: FakeStack) -> None:
    failed = invocation("no order 7", 1)
    result = run(stack, [tool(), failed], "call", "get_order", "--arg", "id=7")
    assert (result.return_value, result.stdout) == (1, "no order 7\n")
    assert result.stderr.endswith("Error: the tool says that it failed\n")
    assert run(stack, [tool(), failed], "call", "get_order", "--json").return_value == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--arg", "count=two"], "--arg count: the tool takes a JSON integer, and `two` is none"),
        (["--arg", "count"], "`count` is no KEY=VALUE"),
        (["--args", "[1]"], "is no JSON object"),
        (["--args", "{"], "is no JSON object"),
    ],
)
def test_arguments_that_are_none_are_a_mistake(stack: FakeStack, words: list[str], said: str) -> None:
    result = run(stack, [tool()], "call", "get_order", *words)
    assert getattr(result.exception, "exit_code", None) == 2
    assert said in str(result.exception)
    stack.said.clear()


def test_a_name_that_is_none_is_told_what_was_likely_meant(stack: FakeStack) -> None:
    missing = refusal(404, "There is no tool `get_odrer`.")
    result = run(stack, [missing, {"data": [tool(), tool("other")]}], "call", "get_odrer")
    assert getattr(result.exception, "exit_code", None) == 1
    assert "there is no tool `get_odrer`; did you mean `get_order`?" in str(result.exception)
    result = run(stack, [missing, {"data": []}], "show", "zzz")
    assert "there is no tool `zzz`; `llambda tools list` shows" in str(result.exception)
    both = refusal(400, "Several groups have a tool `a`: name it as `x/a` or `y/a`.")
    result = run(stack, [both], "call", "a")
    assert getattr(result.exception, "exit_code", None) == 2
    assert "`x/a` or `y/a`" in str(result.exception)


def test_own_keys_for_providers_go_along_and_are_not_shown(stack: FakeStack) -> None:
    stack.headers.clear()
    result = run(
        stack, [{"data": []}], "list", "--group", "orders", "--provider-data", '{"tavily_search_api_key": "ké"}'
    )
    assert result.exception is None, result.exception
    headers = {name.lower(): value for name, value in stack.headers[-1].items()}
    assert json.loads(headers["x-llamastack-provider-data"]) == {"tavily_search_api_key": "ké"}
    refused = run(stack, [], "list", "--provider-data", '["secret-1"]')
    assert "no JSON object" in str(refused.exception)
    assert "secret-1" not in str(refused.exception)
