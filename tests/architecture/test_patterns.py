"""No regular expression of ours takes longer than its text is long: of those that run, none can read a character twice.

What backtracks is two repeats without a bound that can share characters, one inside the other or with nothing sure between
them; and, where a search tries every place, a repeat that reaches over places where the search may begin again.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from importlib import import_module
from pathlib import Path
import re
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FUNCTIONS = frozenset(("compile", "fullmatch", "match", "search", "sub", "split", "findall", "finditer"))
SAMPLE = frozenset([*map(chr, range(256)), *"Ā٣　\u2028é界🦙"])
BOUND = 400  # a repeat of at most so many characters is no repeat without a bound
OF_OPERATORS = {
    "core/config/policy.py",
    "core/cli/deploy/template.py",
    "core/cli/iam/command.py",
    "core/cli/deploy/checks.py",
    "core/config/distributions.py",
}
"""Where a pattern is not ours: of the operator's own files and arguments; the policy only looks whether it is one."""

type Node = tuple[Any, Any]


@dataclass(frozen=True)
class Piece:
    """A part of a pattern: the characters that it can have, and whether there may be none, any number, or no way back.

    `begins` are those that each round of an endless one has first, if there must be one.
    """

    chars: frozenset[str]
    optional: bool = False
    endless: bool = False
    atomic: bool = False
    begins: frozenset[str] | None = None


class Ambiguous(Exception):
    """Its text says where."""


def pieces_of(nodes: Sequence[Node]) -> list[Piece]:
    return [piece for node in nodes for piece in pieces_of_node(node)]


def pieces_of_node(node: Node) -> list[Piece]:
    code, value = node
    match code:
        case codes.LITERAL | codes.NOT_LITERAL | codes.IN | codes.ANY | codes.RANGE | codes.CATEGORY:
            return [Piece(chars_of(node))]
        case codes.SUBPATTERN:
            return pieces_of(value[-1])
        case codes.ATOMIC_GROUP:
            return [replace(piece, atomic=True) for piece in pieces_of(value)]
        case codes.BRANCH:
            return branch(value[1])
        case codes.MAX_REPEAT | codes.MIN_REPEAT | codes.POSSESSIVE_REPEAT:
            return repeat(code, value)
        case _:  # what a search has behind it; what is ahead and anchors take nothing
            return pieces_of(value[1]) if code == codes.ASSERT and value[0] < 0 else []


def branch(choices: Sequence[Sequence[Node]]) -> list[Piece]:
    pieces = [pieces_of(choice) for choice in choices]
    if any(piece.endless for choice in pieces for piece in choice):
        return [replace(piece, optional=True) for choice in pieces for piece in choice]
    chars = reduce(frozenset.union, [piece.chars for choice in pieces for piece in choice], frozenset[str]())
    return [Piece(chars, optional=any(all(piece.optional for piece in choice) for choice in pieces))]


def repeat(code: Any, value: Any) -> list[Piece]:
    least, most, body = value
    endless = int(most) > BOUND
    possessive = code == codes.POSSESSIVE_REPEAT
    parts = pieces_of(body)
    nested = endless and any(part.endless and not part.atomic for part in parts)
    if nested and not possessive and not starts_apart(parts):
        raise Ambiguous("a repeat within a repeat")
    if not endless:
        begins = None if least or not parts or parts[0].optional else parts[0].chars
        later = [
            replace(part, optional=part.optional or least == 0, begins=part.begins or begins) for part in parts[1:]
        ]
        return [*(replace(part, optional=part.optional or least == 0) for part in parts[:1]), *later]
    chars = reduce(frozenset.union, [part.chars for part in parts], frozenset[str]())
    begins = parts[0].chars if len(parts) > 1 and not parts[0].optional else None
    return [Piece(chars, least == 0, endless=True, atomic=possessive, begins=begins)]


def starts_apart(parts: Sequence[Piece]) -> bool:
    """Whether a round of a repeat begins with what no endless part of it can have: then rounds cannot be cut otherwise."""
    first, *rest = parts
    return not first.optional and not any(part.endless and part.chars & first.chars for part in rest)


def chars_of(node: Node) -> frozenset[str]:
    pattern = parser.SubPattern(parser.State(), [node])
    compiled = re._compiler.compile(pattern, re.DOTALL)  # type: ignore[attr-defined]
    return frozenset(char for char in SAMPLE if compiled.fullmatch(char))


def check(pieces: Sequence[Piece], *, searches: bool) -> None:
    """Raises Ambiguous."""
    for place, piece in enumerate(pieces):
        if not piece.endless:
            continue
        if not piece.atomic:
            check_after(piece, pieces[place + 1 :])
        fails = any(not other.optional for other in pieces[place + 1 :])
        if searches and fails and all(other.optional or other.chars & piece.chars for other in pieces[:place]):
            raise Ambiguous(f"a search begins again within {show(piece)}")


def check_after(piece: Piece, rest: Sequence[Piece]) -> None:
    for other in rest:
        if other.endless and (other.begins or other.chars) & piece.chars:
            raise Ambiguous(f"{show(piece)} and {show(other)} share characters")
        if not other.optional and not other.chars & piece.chars:
            return


def show(piece: Piece) -> str:
    return f"[{''.join(sorted(piece.chars))[:20]!r}]*"


def fault(pattern: str | bytes, flags: int = 0, *, searches: bool = True) -> str:
    """Why the time that it takes may grow faster than its text, or ""."""
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    try:
        nodes = parser.parse(text, flags)
        check(pieces_of(nodes.data), searches=searches and not anchored(nodes.data))
    except Ambiguous as ambiguous:
        return str(ambiguous)
    return ""


def anchored(nodes: Sequence[Node]) -> bool:
    return bool(nodes) and nodes[0][0] == codes.AT and nodes[0][1] == codes.AT_BEGINNING_STRING


def patterns() -> Iterator[tuple[str, str | bytes, int, bool]]:
    """`(place, pattern, flags, whether it is searched for)` of every call of `re` in core/."""
    for path in sorted((ROOT / "core").rglob("*.py")):
        name, text = path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
        if "re." not in text or name in OF_OPERATORS:
            continue
        calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and is_of_re(node.func)]
        space = vars(import_module(name.removesuffix(".py").replace("/", "."))) if calls else {}
        for call in calls:
            pattern, flags = evaluate(call, space)
            place = f"{name}:{call.lineno}"
            yield place, pattern, flags, is_searched(call, text)


def is_of_re(function: ast.expr) -> bool:
    names = isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "re"
    return names and isinstance(function, ast.Attribute) and function.attr in FUNCTIONS


def evaluate(call: ast.Call, space: dict[str, Any]) -> tuple[str | bytes, int]:
    def value(node: ast.expr) -> Any:
        return eval(compile(ast.Expression(node), "<pattern>", "eval"), dict(space))  # noqa: S307 - our own code

    pattern = value(call.args[0])
    flags = value(call.args[1]) if call.func.attr == "compile" and len(call.args) > 1 else 0  # type: ignore[attr-defined]
    return pattern, int(flags)


def is_searched(call: ast.Call, text: str) -> bool:
    function: str = call.func.attr  # type: ignore[attr-defined]
    if function != "compile":
        return function not in ("fullmatch", "match")
    line = text.splitlines()[call.lineno - 1]
    name = line.partition(":")[0].strip()
    uses = set(re.findall(rf"\b{re.escape(name)}\.(\w+)\(", text))
    return not uses or not uses <= {"fullmatch", "match"}


def test_no_pattern_is_ambiguous() -> None:
    listed = list(patterns())
    assert len(listed) > 60
    faults = {
        place: (pattern, why) for place, pattern, flags, s in listed if (why := fault(pattern, flags, searches=s))
    }
    assert not faults


@pytest.mark.parametrize(
    "pattern",
    [
        r"([?&][^=&#\s]*(?:token|secret)[^=&#\s]*=)[^&#\s]+",
        r"\s*(?:(safe)|unsafe\s*\n\s*(S\d+))\s*",
        r"\s*\w+\s*(?:\[.*\])?\s*",
        "(a+)+b",
        "(a|b+)*c",
        "(?:a*)*",
        r"\d+\w*x",
        r"a*b?a*c",
        "[?][^=]*=",
        ".*=.*;",
    ],
)
def test_one_that_takes_long_would_be_found(pattern: str) -> None:
    assert fault(pattern)


@pytest.mark.parametrize(
    "pattern", [r"\s*+(?=x)\s*+S", "[a-z]+(?:-[a-z]+)*", "[?&]([^?=&]*+)=", '"([^"]*)"', "a{1,9}a+b?"]
)
def test_one_that_does_not_passes(pattern: str) -> None:
    assert not fault(pattern, searches=pattern[0] in '[?&"')
