"""No regular expression of ours takes longer than its text is long: of those that run, none can read a character twice.

What backtracks is two repeats without a bound that can share characters, one inside the other or with nothing sure between
them; and, where a search tries every place, a repeat that reaches over places where the search may begin again.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence
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
MOST_WAYS, FEW_WAYS = 5_000, 3
BOUND = 400  # a repeat of at most so many characters is no repeat without a bound
OF_OPERATORS = {
    "core/config/patterns.py",
    "core/cli/deploy/template.py",
    "core/cli/iam/command.py",
    "core/cli/deploy/checks.py",
    "core/config/distributions.py",
}
"""Where a pattern is not ours: of the operator's own files and arguments; the policy only looks whether it is one."""

type Node = tuple[Any, Any]


@dataclass(frozen=True)
class Piece:
    """A part of a pattern on one way through it: the characters that it can have, and whether there may be any number.

    `begins` are those that each round of an endless one has first; an `atomic` one gives nothing back.
    """

    chars: frozenset[str]
    optional: bool = False
    endless: bool = False
    atomic: bool = False
    begins: frozenset[str] = frozenset()


type Way = tuple[Piece, ...]


class Ambiguous(Exception):
    """Its text says where."""


def ways_through(nodes: Sequence[Node]) -> list[Way]:
    """Every way: a choice has one for each of its branches, and what may be left out has one without."""
    ways: list[Way] = [()]
    for node in nodes:
        ways = list({(*way, *more): None for way in ways for more in ways_of(node)})
        assert len(ways) < MOST_WAYS
    return ways


def ways_of(node: Node) -> list[Way]:
    code, value = node
    match code:
        case codes.LITERAL | codes.NOT_LITERAL | codes.IN | codes.ANY | codes.RANGE | codes.CATEGORY:
            return [(Piece(chars_of(node)),)]
        case codes.SUBPATTERN:
            return ways_through(value[-1])
        case codes.ATOMIC_GROUP:
            return [tuple(replace(piece, atomic=True) for piece in way) for way in ways_through(value)]
        case codes.BRANCH:
            return [way for choice in value[1] for way in ways_through(choice)]
        case codes.MAX_REPEAT | codes.MIN_REPEAT | codes.POSSESSIVE_REPEAT:
            return repeat(code, value)
        case _:
            return [behind(code, value)]


def behind(code: Any, value: Any) -> Way:
    """What a search must have behind it to begin; what is ahead takes nothing."""
    if code == codes.AT and value in (codes.AT_BEGINNING, codes.AT_BEGINNING_STRING):
        return (Piece(frozenset("\n")),)
    if code in (codes.ASSERT, codes.ASSERT_NOT) and value[0] < 0:
        (way,) = ways_through(value[1])
        return way if code == codes.ASSERT else (Piece(SAMPLE - way[-1].chars),)
    return ()


def repeat(code: Any, value: Any) -> list[Way]:
    least, most, body = value
    ways, possessive = ways_through(body), code == codes.POSSESSIVE_REPEAT
    if int(most) <= BOUND:
        twice = [(*one, *other) for one in ways for other in ways] if most > 1 and len(ways) <= FEW_WAYS else ways
        return [*([()] if least == 0 else []), *twice]
    if not possessive and any(part.endless and not part.atomic for way in ways for part in way):
        check_rounds(ways)
    chars = union(part.chars for way in ways for part in way)
    sure = [way[0].chars for way in ways if way and not way[0].optional]
    begins = union(sure) if len(sure) == len(ways) else frozenset[str]()
    return [(Piece(chars, least == 0, endless=True, atomic=possessive, begins=begins),)]


def union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return reduce(frozenset.union, sets, frozenset[str]())


def check_rounds(ways: Sequence[Way]) -> None:
    """A round of a repeat must begin with what no endless part of one can have: then rounds cannot be cut otherwise."""
    for way in ways:
        first, *rest = way or (Piece(SAMPLE, optional=True),)
        if first.optional or first.endless or any(part.endless and part.chars & first.chars for part in rest):
            raise Ambiguous("a repeat within a repeat")


def chars_of(node: Node) -> frozenset[str]:
    pattern = parser.SubPattern(parser.State(), [node])
    compiled = re._compiler.compile(pattern, re.DOTALL)  # type: ignore[attr-defined]
    return frozenset(char for char in SAMPLE if compiled.fullmatch(char))


def check(pieces: Way, ways: Sequence[Way], *, searches: bool) -> None:
    """Raises Ambiguous."""
    for place, piece in enumerate(pieces):
        if not piece.endless:
            continue
        if not piece.atomic:
            check_after(piece, pieces[place + 1 :])
        fails = pieces[: place + 1] not in ways and any(not other.optional for other in pieces[place + 1 :])
        if searches and fails and all(other.optional or other.chars & piece.chars for other in pieces[:place]):
            raise Ambiguous(f"a search begins again within {show(piece)}")


def check_after(piece: Piece, rest: Way) -> None:
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
        ways = ways_through(nodes.data)
        for way in ways:
            check(way, ways, searches=searches)
    except Ambiguous as ambiguous:
        return str(ambiguous)
    return ""


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
