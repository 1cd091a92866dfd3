"""Every command there is: its help fits a terminal, has examples that are true, and costs no import."""

from collections.abc import Iterator
from pathlib import Path
import re
import shlex
import subprocess
import sys
from typing import Final

import click
import pytest

from core.cli.main import COMMANDS, command

ROOT: Final = Path(__file__).parents[3]
HEAVY: Final = (
    "core.resolution",
    "core.runtime",
    "core.web",
    "functions",
    "aiohttp",
    "aioboto3",
    "aiobotocore",
    "boto3",
    "botocore",
    "yaml",
)
HELP_OF_ALL: Final = """
import sys
from core.cli.main import main
for words in sys.argv[1:]:
    assert main([*words.split(), "--help"]) == 0
    heavy = [name for name in {heavy} if name in sys.modules]
    if heavy:
        sys.exit(f"the help of `llambda {{words}}` imports {{', '.join(heavy)}}")
"""


def walk(path: tuple[str, ...] = (), group: click.Command = command) -> Iterator[tuple[str, ...]]:
    """The words of every command, the top one's first."""
    yield path
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            assert found is not None
            yield from walk((*path, name), found)


ALL: Final = [*walk()]


def contexts(path: tuple[str, ...], columns: int) -> tuple[click.Command, click.Context]:
    found: click.Command = command
    context = click.Context(command, info_name="llambda", terminal_width=columns)
    for name in path:
        assert isinstance(found, click.Group)
        below = found.get_command(context, name)
        assert below is not None
        found, context = below, click.Context(below, parent=context, info_name=name, terminal_width=columns)
    return found, context


def help_of(path: tuple[str, ...], columns: int) -> str:
    found, context = contexts(path, columns)
    return found.get_help(context)


def examples(path: tuple[str, ...]) -> list[str]:
    """The `llambda ...` of the help's examples, with lines that go on joined, and without what surrounds it."""
    said = help_of(path, 200).partition("\n  Examples:\n")[2].partition("\n\n")[0]
    lines = re.sub(r"\\\n +", "", said)
    inner = re.compile(r"\$\(([^)]*)\)")
    texts = [inner.sub("INNER", lines), *inner.findall(lines)]
    return [each.strip() for text in texts for each in re.findall(r"\bllambda ((?:[^\s|>]+ ?)+)", text)]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_says_what_it_does_fits_80_columns_and_reads_at_60(path: tuple[str, ...]) -> None:
    said = help_of(path, 80)
    assert max(map(len, said.splitlines())) <= 80
    assert contexts(path, 80)[0].get_short_help_str()
    narrow = help_of(path, 60).partition("\n  Examples:\n")[0]
    assert max(map(len, narrow.splitlines())) <= 60


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_has_an_example_and_each_of_its_examples_is_a_command_with_these_options(path: tuple[str, ...]) -> None:
    found = examples(path)
    assert found
    for example in found:
        words = shlex.split(example)
        depth = max(depth for depth in range(len(words) + 1) if tuple(words[:depth]) in ALL)
        leaf, context = contexts(tuple(words[:depth]), 80)
        assert not isinstance(leaf, click.Group), f"`llambda {example}` is no command"
        leaf.make_parser(context).parse_args(words[depth:])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_each_in_one_line(name: str) -> None:
    line = COMMANDS[name][1]
    assert line.endswith(".")
    assert f"  {name}" in help_of((), 80)
    assert line in help_of((), 80)


def test_what_is_shown_can_be_had_as_json() -> None:
    shown = {("config", "validate"), ("config", "show"), ("policy", "explain"), ("build",), ("stack", "build")}
    shown |= {("keys", action) for action in ("create", "list", "revoke")}
    shown |= {path for path in ALL if path[-1:] in {("list",), ("show",)}}
    assert not {path for path in shown if "--json" not in help_of(path, 80)}


def test_no_help_imports_what_only_a_run_needs() -> None:
    code = HELP_OF_ALL.format(heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", code, *map(" ".join, ALL)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_the_list_of_commands_imports_none_of_them_and_no_pydantic() -> None:
    code = "import sys; from core.cli.main import main; main(['--help']); print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert not modules & {module for module, _ in COMMANDS.values()}
    assert not modules & {"pydantic", "asyncio", "core.cli.options", *HEAVY}


def documented() -> set[tuple[str, ...]]:
    """What docs/cli.md's table has: in a row, a word after `group word` is of that group too."""
    text = (ROOT / "docs" / "cli.md").read_text("utf-8").partition("\n## ")[0]
    found: set[tuple[str, ...]] = set()
    for row in filter(lambda line: line.startswith("| `"), text.splitlines()):
        names = [tuple(name.split()) for name in re.findall(r"`([a-z -]+)`", row.partition(" | ")[0])]
        found |= {(names[0][:-1] + name) if len(name) == 1 else name for name in names}
    return found


def test_the_documentation_has_the_commands_that_there_are() -> None:
    groups = {path[:-1] for path in ALL if path}
    assert documented() == {path for path in ALL if path not in groups}
