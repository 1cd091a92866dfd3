"""`llambda tools` against a stack that is served, with a Lambda function as its tools."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner, Result

from core.cli.main import command
from tests.parts.lambda_functions import LambdaDouble, config_of, running
from tests.parts.stack import serving

TOOLS: Final = [
    {
        "name": "add",
        "description": "The sum of two numbers.",
        "input_schema": {
            "type": "object",
            "properties": {"a": {"type": "number", "description": "One"}, "b": {"type": "number"}},
            "required": ["a"],
        },
    },
    {"name": "fail"},
]


def calculate(event: dict[str, Any], custom: dict[str, Any]) -> object:
    if custom["bedrockAgentCoreToolName"] == "calculator___fail":
        return {"content": [{"text": "it is broken"}], "isError": True}
    return {"sum": event["a"] + event.get("b", 0)}


def document(folder: Path, double: LambdaDouble) -> dict[str, Any]:
    rows = [
        {"function": "calculator", "tools": TOOLS},
        {"function": "other:live", "name": "other", "tools": [TOOLS[1], {"name": "only"}]},
    ]
    entry = {"provider_id": "functions", "provider_type": "remote::lambda", "config": config_of(double, rows)}
    return {
        "version": 2,
        "image_name": "tools",
        "apis": ["tool_runtime"],
        "providers": {"tool_runtime": [entry]},
        "tool_groups": [
            {"toolgroup_id": "calculator", "provider_id": "functions"},
            {"toolgroup_id": "team::other", "provider_id": "functions", "args": {"function": "other"}},
        ],
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
    }


def run(url: str, *words: str) -> Result:
    runner = CliRunner(env={"LLAMBDA_URL": url, "COLUMNS": "80"})
    return runner.invoke(command, ["tools", *words], standalone_mode=False)


def use(url: str) -> None:
    rows = [line.split(maxsplit=2) for line in run(url, "list").stdout.splitlines()[1:]]
    assert rows == [
        ["add", "calculator", "The sum of two numbers."],
        ["fail", "calculator"],
        ["fail", "team::other"],
        ["only", "team::other"],
    ]
    assert ["a", "number", "yes", "One"] in [line.split() for line in run(url, "show", "add").stdout.splitlines()]
    called = run(url, "call", "add", "--arg", "a=2", "--arg", "b=0.5")
    assert (called.return_value, called.stdout) == (0, '{"sum":2.5}\n')
    answer = json.loads(run(url, "call", "calculator/add", "--args", '{"a": 1}', "--json").stdout)
    assert (answer["content"], answer["error_code"]) == ('{"sum":1}', 0)
    failed = run(url, "call", "fail", "--group", "calculator")
    assert (failed.return_value, failed.stdout) == (1, "it is broken\n")
    for words, code, said in (
        (["call", "fail"], 2, "team::other/fail"),
        (["call", "ad"], 1, "did you mean `add`?"),
        (["call", "add", "--arg", "b=1"], 2, "`a`"),
        (["call", "add", "--arg", "a=x"], 2, "takes a JSON number"),
        (["call", "only"], 1, "Function `other` of provider `functions` is not there"),
    ):
        refused = run(url, *words)
        assert getattr(refused.exception, "exit_code", None) == code, refused.exception
        assert said in str(refused.exception)


async def test_functions_are_listed_shown_and_called_from_the_command_line(tmp_path: Path) -> None:
    async with running(LambdaDouble({"calculator": calculate})) as double:
        config = tmp_path / "run.yaml"
        config.write_text(json.dumps(document(tmp_path, double)))

        def serve() -> None:
            with serving(config, tmp_path / "log.txt") as url:
                use(url)

        await asyncio.to_thread(serve)
        assert [event for _, event, _ in double.invoked] == [{"a": 2, "b": 0.5}, {"a": 1}, {}]
