"""`python -I -S infra/bytecode.py FOLDER`: compile what is there, and leave the byte code in the place of its source.

A process of its own makes the same bytes every time. Nothing is checked against a source at run time. All lose their
asserts, and all but the contracts their docstrings: the OpenAPI document shows those of the wire types. A class of ours that
is decorated keeps a dot: for a data class without any, Python would spell out its signature at every start.
What is ours loses annotations that nobody reads, and has the methods of its data classes (see `lean` and `data_classes`).
A traceback has files and line numbers, and the lines themselves are in the repository.
"""

import ast
from importlib.util import MAGIC_NUMBER, source_hash
import marshal
from pathlib import Path
import py_compile
import sys
from typing import Final

OURS: Final = frozenset({"core", "functions"})
CONTRACTS: Final = (("core", "apis"), ("core", "frame"))
WITHOUT_ASSERTS: Final = 1
WITHOUT_DOCSTRINGS: Final = 2
UNCHECKED: Final = b"\x01\x00\x00\x00"  # the flags of byte code with a hash that nobody compares (PEP 552)


def compile_folder(folder: Path) -> None:
    """Each `x.py` becomes `x.pyc`; raises py_compile.PyCompileError."""
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for source in sorted(folder.rglob("*.py")):
        name = source.relative_to(folder)
        if name.parts[0] in OURS:
            _compile_ours(source, name)
            continue
        py_compile.compile(
            str(source),
            str(source.with_suffix(".pyc")),
            name.as_posix(),  # what tracebacks show
            doraise=True,
            optimize=WITHOUT_DOCSTRINGS,
            invalidation_mode=unchecked,
        )
        source.unlink()


def _compile_ours(source: Path, path: Path) -> None:
    from infra.lean import lean_module

    content, name = source.read_bytes(), path.as_posix()
    tree = lean_module(content, name)
    for node in ast.walk(tree) if path.parts[:2] not in CONTRACTS else ():
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstring(node)
    code = compile(tree, name, "exec", dont_inherit=True, optimize=WITHOUT_ASSERTS)
    source.with_suffix(".pyc").write_bytes(MAGIC_NUMBER + UNCHECKED + source_hash(content) + marshal.dumps(code))
    source.unlink()


def _drop_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    first = node.body[0] if node.body else None
    has_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    if has_text:
        del node.body[0]
    if isinstance(node, ast.ClassDef) and node.decorator_list:
        blank = ast.copy_location(ast.Expr(ast.copy_location(ast.Constant("."), node)), node)
        node.body.insert(0, blank)
    elif not node.body and not isinstance(node, ast.Module):
        node.body.append(ast.copy_location(ast.Pass(), node))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    compile_folder(Path(sys.argv[1]))
