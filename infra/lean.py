"""Our modules as a package has them: without what Python would work out at every start, and nobody asks for.

Annotations of functions and modules go. Those of classes stay, for pydantic, data classes and named tuples read them.
"""

import ast
from collections.abc import Iterator

from infra.data_classes import write_methods


def lean_module(source: bytes, name: str) -> ast.Module:
    """What is compiled of it; `name` is for a SyntaxError."""
    return drop_annotations(write_methods(ast.parse(source, name)))


def drop_annotations(tree: ast.Module) -> ast.Module:
    """The same module, changed in place; what is inside of functions is left, as no start comes by it."""
    for function in _functions(tree.body):
        function.returns = None
        of = function.args
        for argument in (*of.posonlyargs, *of.args, *of.kwonlyargs, of.vararg, of.kwarg):
            if argument is not None:
                argument.annotation = None
    tree.body = [_plain(node) for node in tree.body]
    return tree


def _functions(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body)


def _plain(node: ast.stmt) -> ast.stmt:
    """`x: int = 1` as `x = 1`."""
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return ast.copy_location(ast.Assign([node.target], node.value), node)
    return node
