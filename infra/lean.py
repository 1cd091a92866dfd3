"""Our modules as a package has them: without what Python would work out at every start, and nobody asks for.

Annotations of functions and modules go. Those of classes stay, for pydantic, data classes and named tuples read them.
"""

import ast
from typing import override

from infra.data_classes import write_methods


class _Lean(ast.NodeTransformer):
    def __init__(self) -> None:
        self._is_in_module = True

    @override
    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._inside(node)

    @override
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    @override
    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    @override
    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Of a module: of a class it is left, and in a function Python does not look at it."""
        if not self._is_in_module or node.value is None:
            return node
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        of = node.args
        for argument in (*of.posonlyargs, *of.args, *of.kwonlyargs, of.vararg, of.kwarg):
            if argument is not None:
                argument.annotation = None
        return self._inside(node)

    def _inside(self, node: ast.AST) -> ast.AST:
        was, self._is_in_module = self._is_in_module, False
        self.generic_visit(node)
        self._is_in_module = was
        return node


def drop_annotations(tree: ast.Module) -> ast.Module:
    """The same module, changed in place."""
    _Lean().visit(tree)
    return tree


def lean_module(source: bytes, name: str) -> ast.Module:
    """What is compiled of it; `name` is for a SyntaxError."""
    return ast.fix_missing_locations(drop_annotations(write_methods(ast.parse(source, name))))
