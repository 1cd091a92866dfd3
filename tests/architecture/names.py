"""`python -m tests.architecture.names [FOLDER ...]`: functions are verbs and values are nouns, so that a search finds them.

Counts the functions that are named by a past participle, and the variables that are a bare participle or a pronoun (`found`, `given`, `each`): a
few are right, as `can_be_dropped` in a sentence; many hide what a thing is. Exit code 1 if there are more than the house allows.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
import re
import sys
from typing import Final

FOLDERS: Final = ("core", "functions", "infra")
MOST_PARTICIPLES: Final = 3.0  # percent of the functions; in ten admired codebases 0 to 2.5
MOST_BARE: Final = 0.5  # percent of the variables; in ten admired codebases 0 to 0.3
IRREGULAR: Final = frozenset(
    [
        "begun",
        "chosen",
        "drawn",
        "found",
        "given",
        "gone",
        "heard",
        "held",
        "kept",
        "known",
        "left",
        "made",
        "meant",
        "said",
        "sent",
        "shown",
        "taken",
        "thought",
        "told",
        "written",
    ]
)
PRONOUNS: Final = frozenset(
    [
        "asked",
        "called",
        "each",
        "elsewhere",
        "it",
        "listed",
        "named",
        "served",
        "so",
        "there",
        "used",
        "wanted",
        "what",
        "where",
        "who",
    ]
)
NO_PARTICIPLES: Final = frozenset(
    ["embed", "exceed", "feed", "need", "nested", "required", "seed", "shared", "shed", "speed"]
)


@dataclass(slots=True)
class Count:
    """How many there are, and where the ones are that the rule is about."""

    total: int = 0
    places: list[str] = field(default_factory=list[str])

    @property
    def percent(self) -> float:
        """Of all."""
        return 100 * len(self.places) / max(self.total, 1)


def is_participle(name: str) -> bool:
    """Whether the last word of a function's name is one."""
    last = name.strip("_").split("_")[-1]
    return last in IRREGULAR or (re.search("[a-z]{2}ed$", last) is not None and last not in NO_PARTICIPLES)


def is_bare(name: str) -> bool:
    """Whether a variable says only that something was done to it, or points at it."""
    return name.strip("_") in IRREGULAR | PRONOUNS


def count(folders: Iterator[Path] | list[Path]) -> tuple[Count, Count]:
    """Of the functions and of the variables in these folders."""
    functions, variables = Count(), Count()
    for path in (file for folder in folders for file in sorted(folder.rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("__"):
                functions.total += 1
                functions.places += [f"{path}:{node.lineno} {node.name}"] if is_participle(node.name) else []
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                variables.total += 1
                variables.places += [f"{path}:{node.lineno} {node.id}"] if is_bare(node.id) else []
    return functions, variables


def main(folders: list[str]) -> int:
    """Print the places, then both shares."""
    functions, variables = count([Path(name) for name in folders or FOLDERS])
    print(*functions.places, *variables.places, sep="\n")
    print(
        f"functions named by a participle: {functions.percent:.1f} % of {functions.total} (at most {MOST_PARTICIPLES} %)"
    )
    print(f"variables that are a bare word: {variables.percent:.1f} % of {variables.total} (at most {MOST_BARE} %)")
    return int(functions.percent > MOST_PARTICIPLES or variables.percent > MOST_BARE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
