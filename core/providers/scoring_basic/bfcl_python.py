"""Calls of functions as a model writes them in Python: `[f(a=1), g.h(b=["x"])]`. Nothing of it is run."""

import ast
from collections.abc import Callable, Mapping
import operator
from typing import Any, Final

from core.providers.scoring_basic.bfcl_calls import LONGEST, FunctionCall, NoCall

OPERATIONS: Final[Mapping[type[ast.operator], Callable[[Any, Any], int | float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda left, right: left / right,
    ast.FloorDiv: lambda left, right: left // right,
    ast.Mod: operator.mod,
}
MOST_BITS: Final = 4_096  # of a whole number that is calculated


def read_python_calls(text: str) -> list[FunctionCall]:
    """The calls in order; brackets around them may be missing.

    Raises:
        NoCall: it is no list of calls.
    """
    code = text.replace("\n", "").strip().strip("'").removeprefix("[").removesuffix("]")
    if len(code) > LONGEST:
        raise NoCall
    try:
        tree = ast.parse(f"[{code}]", mode="eval").body
        return [_call(entry) for entry in tree.elts] if isinstance(tree, ast.List) else []
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError) as failure:
        raise NoCall from failure


def _call(node: ast.expr) -> FunctionCall:
    """Arguments are named, or are in a dictionary without a name."""
    if not isinstance(node, ast.Call):
        raise NoCall
    arguments: dict[str | None, Any] = {}
    for entry in node.args:
        if isinstance(entry, ast.Dict):
            arguments |= {str(_key(key)): _value(value) for key, value in _pairs(entry)}
    arguments |= {entry.arg: _value(entry.value) for entry in node.keywords if entry.arg is not None}
    return FunctionCall(ast.unparse(node.func), arguments)


def _pairs(node: ast.Dict) -> list[tuple[ast.expr | None, ast.expr]]:
    return list(zip(node.keys, node.values, strict=True))


def _value(node: ast.expr) -> Any:  # noqa: ANN401 - whatever is written there
    match node:
        case ast.List(elts=entries):
            return [_value(entry) for entry in entries]
        case ast.Tuple(elts=entries):
            return tuple(_value(entry) for entry in entries)
        case ast.Dict():
            return {_key(key): _value(value) for key, value in _pairs(node)}
        case ast.Call(keywords=[_, *_]):
            call = _call(node)
            return {call.name: dict(call.arguments)}
        case ast.Name() | ast.Subscript() | ast.Call():
            return ast.unparse(node)
        case _:
            return _constant(node)


def _key(node: ast.expr | None) -> Any:  # noqa: ANN401 - whatever is written there
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return name
        case _:
            raise NoCall


def _constant(node: ast.expr) -> Any:  # noqa: ANN401 - whatever is written there
    if isinstance(node, ast.Constant):
        return "..." if node.value is Ellipsis else node.value
    return _number(node)


def _number(node: ast.expr) -> int | float:
    """What a calculation comes to; the reference runs it, whatever it is."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in OPERATIONS:
            result = OPERATIONS[type(sign)](_number(left), _number(right))
            if isinstance(result, int) and result.bit_length() > MOST_BITS:
                raise NoCall
            return result
        case _:
            raise NoCall
