"""A module with one thing broken in it, as a syntax tree: what may be broken, in the order of the source.

Not broken: texts, annotations, decorators, logging, the end of a name, and names bound at the top of a module, whose loss no run survives.
"""

import ast
from collections.abc import Callable, Iterator
import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
CALLS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
LOGGERS: Final = {"log", "logger", "logging", "requests_log"}
WIDTH: Final = 100  # characters shown of a line
SKIPPED: Final = {"annotation", "returns", "decorator_list", "type_params", "bases"}

type Change = Callable[[Any], ast.AST]


@dataclass(frozen=True, slots=True)
class Mutation:
    """`path` leads from the module's node to the one that `change` replaces; texts are for people."""

    path: tuple[tuple[str, int | None], ...]
    change: Change
    line: int
    original: str
    mutated: str

    def applied(self, tree: ast.Module) -> ast.Module:
        """A copy of `tree` with the mutation in it."""
        broken = copy.deepcopy(tree)
        node: Any = broken
        for name, index in self.path[:-1]:
            node = _child(node, name, index)
        name, index = self.path[-1]
        replacement = ast.copy_location(self.change(_child(node, name, index)), _child(node, name, index))
        if index is None:
            setattr(node, name, replacement)
        else:
            getattr(node, name)[index] = replacement
        return ast.fix_missing_locations(broken)


def mutations(source: str) -> list[Mutation]:
    """All that this tool breaks in a module."""
    tree = ast.parse(source)
    return [
        Mutation(path, change, node.lineno, _line(node), _line(change(copy.deepcopy(node))))
        for path, node in _walk(tree, ())
        for change in _changes(node)
    ]


def mutations_of(file: Path) -> list[Mutation]:
    return mutations(file.read_text(encoding="utf-8"))


def _child(node: Any, name: str, index: int | None) -> Any:
    return getattr(node, name) if index is None else getattr(node, name)[index]


def _line(node: ast.AST) -> str:
    """On one line; of a statement with others in it, its head."""
    head = node.test if isinstance(node, ast.If | ast.While) else node
    text = " ".join(ast.unparse(head).split())
    return text if len(text) <= WIDTH else f"{text[:WIDTH]}..."


def _walk(node: ast.AST, path: tuple[tuple[str, int | None], ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    for name, value in ast.iter_fields(node):
        if name in SKIPPED:
            continue
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if isinstance(child, ast.AST) and not _is_left_alone(child):
                here = (*path, (name, index))
                if hasattr(child, "lineno"):
                    yield here, child
                yield from _walk(child, here)


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case ast.TypeAlias() | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return True
        case ast.Expr(value=ast.Constant()):  # a docstring, or an ellipsis
            return True
        case ast.Delete(targets=targets):  # of a name that is read no more
            return all(isinstance(target, ast.Name) for target in targets)
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))):
            return name in LOGGERS
    return False


def _changes(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Compare(ops=ops):
            yield from (_compared(index) for index in range(len(ops)) if type(ops[index]) in COMPARISONS)
        case ast.BoolOp():
            yield _other_boolean
        case ast.UnaryOp(op=ast.Not()):
            yield lambda old: old.operand
        case ast.BinOp(op=op) if type(op) in ARITHMETIC:
            yield _other_arithmetic
        case ast.Constant(value=int() | float()):  # a boolean, too
            yield _other_constant
        case ast.Call(func=ast.Name(id=name)) if name in CALLS:
            yield _other_call
        case _:
            yield from _changes_of_flow(node)


def _changes_of_flow(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.If() | ast.IfExp() | ast.While() if isinstance(node.test, ast.Name | ast.Attribute | ast.Call):
            yield _negated
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield lambda _: ast.Return(ast.Constant(None))
        case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Delete():
            yield lambda _: ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield lambda _: ast.Pass()
        case ast.Break():
            yield lambda _: ast.Continue()
        case ast.Continue():
            yield lambda _: ast.Break()


def _compared(index: int) -> Change:
    def change(old: ast.Compare) -> ast.AST:
        old.ops[index] = COMPARISONS[type(old.ops[index])]()
        return old

    return change


def _other_boolean(old: ast.BoolOp) -> ast.AST:
    old.op = ast.Or() if isinstance(old.op, ast.And) else ast.And()
    return old


def _other_arithmetic(old: ast.BinOp) -> ast.AST:
    old.op = ARITHMETIC[type(old.op)]()
    return old


def _other_constant(old: ast.Constant) -> ast.AST:
    assert isinstance(old.value, int | float)
    return ast.Constant(not old.value if isinstance(old.value, bool) else old.value + 1)


def _other_call(old: ast.Call) -> ast.AST:
    assert isinstance(old.func, ast.Name)
    old.func = ast.Name(CALLS[old.func.id], ast.Load())
    return old


def _negated(old: ast.If | ast.IfExp | ast.While) -> ast.AST:
    old.test = ast.UnaryOp(ast.Not(), old.test)
    return old
