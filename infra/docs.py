"""`python -m infra.docs` writes what the documentation says about the code as lists: docs/apis.md, and the drawing in docs/house.md.

Both are checked in, because GitHub shows the files as they are, and a test says when one is stale.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
import re
from typing import Final

from core.cli.apis import GENERATIONS, OLDER_PREFIX, ReferenceOperation, compare, count, status
from infra.build import ROOT

APIS: Final = ROOT / "docs" / "apis.md"
HOUSE: Final = ROOT / "docs" / "house.md"
ROOMS: Final = ("core", "functions")
COMMON: Final = "errors"  # which every room may import
DRAWING: Final = re.compile(r"(?<=<!-- drawing: make docs -->\n).*(?=<!-- end of the drawing -->\n)", re.DOTALL)
INTRODUCTION: Final = """\
# What is served of Llama Stack and OGX

`make docs` writes this page from the manifests (`core/apis/manifests/`), and a test says when it is stale; `llambda apis`
prints the same for an installed llambda. It compares this build with the two generations that clients are written for: {generations}.
A run config may ask for fewer APIs (`apis:`).

**yes** is served, **no** is not, and **-** means that the generation does not have the operation: a "-" under 1.5 is one
that OGX removed, a "-" under 0.2 one that it added. `*` marks what 0.2 has under `{older}` and 1.5, as the row says, under `/v1/`:
each column is about its own path.

"""


def apis() -> str:
    """The page of all operations."""
    comparison = compare()
    names = dict.fromkeys(op.api for op in comparison.operations)
    groups = {name: [op for op in comparison.operations if op.api == name] for name in names}
    lines = ["| API | " + " | ".join(GENERATIONS.values()) + " |", "|---|---|---|"]
    lines += [f"| [{name}](#{name}) | {_shares(group)} |" for name, group in groups.items()]
    lines += [f"| all | {_shares(comparison.operations)} |"]
    for name, group in groups.items():
        lines += ["", f"## {name}", "", "| operation | " + " | ".join(GENERATIONS) + " |", "|---|---|---|"]
        lines += [f"| {_operation(op)} | {' | '.join(status(op, key) for key in GENERATIONS)} |" for op in group]
    lines += ["", "## Beyond both", "", "| operation | what it does |", "|---|---|"]
    lines += [f"| `{row.method} {_plain(row.path)}` | {row.summary} |" for row in comparison.beyond]
    generations = " and ".join(GENERATIONS.values())
    return INTRODUCTION.format(generations=generations, older=OLDER_PREFIX) + "\n".join(lines) + "\n"


def _shares(operations: list[ReferenceOperation] | tuple[ReferenceOperation, ...]) -> str:
    shares = [count(operations, key) for key in GENERATIONS]
    return " | ".join(f"{number} of {total}" if total else "-" for number, total in shares)


def _operation(operation: ReferenceOperation) -> str:
    return (
        f"`{operation.method} {operation.path}`{' *' * operation.paths_differ}{' (deprecated)' * operation.deprecated}"
    )


def _plain(path: str) -> str:
    return path.replace(":path}", "}")


def house(text: str) -> str:
    """The page of the rooms with its drawing made anew.

    Raises:
        ValueError: the page has no place for it.
    """
    drawing = "\n".join(_drawing(imports_of_rooms()))
    page, places = DRAWING.subn(lambda _: f"{drawing}\n", text)
    if places != 1:
        raise ValueError("docs/house.md must have one place for the drawing")
    return page


def _drawing(imports: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Mermaid's flowchart, without the arrows that others imply, and a table with all of them."""
    yield from ("```mermaid", "flowchart TD")
    for room in imports:
        below = imports[room] - {COMMON}
        implied = frozenset[str]().union(*(_reachable(imports, other) for other in below))
        yield from (f"    {room} --> {other}" for other in sorted(below - implied))
    yield from ("```", "", "| room | imports |", "|---|---|")
    for room, others in imports.items():
        yield f"| {room} | {', '.join(other for other in imports if other in others) or 'nothing'} |"


def _reachable(imports: Mapping[str, frozenset[str]], room: str) -> frozenset[str]:
    """The rooms that a room imports, and those that they import, and so on."""
    return imports[room].union(*(_reachable(imports, other) for other in imports[room]))


@cache
def imports_of_rooms() -> dict[str, frozenset[str]]:
    """Which rooms each room imports, late imports and those of types too; from the highest room to the lowest.

    Raises:
        RecursionError: rooms import each other in a circle, which import-linter refuses.
    """
    imports: dict[str, set[str]] = {}
    for folder in ROOMS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            room = _room(".".join(path.relative_to(ROOT).with_suffix("").parts))
            if room:
                others = {_room(name) for name in _import_names(ast.parse(path.read_text("utf-8")))}
                imports.setdefault(room, set()).update(others - {room, ""})
    frozen = {room: frozenset(others) for room, others in imports.items()}
    return dict(sorted(frozen.items(), key=lambda item: (-len(_reachable(frozen, item[0])), item[0])))


def _room(module: str) -> str:
    """`core.web.app` is in web, `functions.admin` in functions; "" is for what is outside of the house."""
    first, *rest = module.split(".")
    if first not in ROOMS or rest[:1] == ["__init__"]:
        return ""
    return rest[0] if first == "core" and rest else "" if first == "core" else first


def _import_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


if __name__ == "__main__":
    APIS.write_text(apis(), "utf-8")
    HOUSE.write_text(house(HOUSE.read_text("utf-8")), "utf-8")
