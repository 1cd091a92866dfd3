"""`python -I -S infra/bytecode.py FOLDER [CACHE]`: compile what is there, and leave the byte code in the place of its source.

A process of its own makes the same bytes every time. Nothing is checked against a source at run time. All lose their
asserts, and all but the contracts their docstrings: the OpenAPI document shows those of the wire types. A class of ours that
is decorated keeps a dot: for a data class without any, Python would spell out its signature at every start.
What is ours loses annotations that nobody reads, and has the methods of its data classes (see `lean` and `data_classes`).
A traceback has files and line numbers, and the lines themselves are in the repository.

What was compiled before is in CACHE, by its name, its content and what compiles it: functions share most of their modules. Tests have one.
"""

import ast
from collections.abc import Callable
import hashlib
from importlib.util import MAGIC_NUMBER, source_hash
import marshal
import os
from pathlib import Path
import sys
from types import CodeType
from typing import Final

OURS: Final = frozenset({"core", "functions"})
CONTRACTS: Final = (("core", "apis"), ("core", "frame"))
WITHOUT_ASSERTS: Final = 1
WITHOUT_DOCSTRINGS: Final = 2
MAKERS: Final = ("lean.py", "data_classes.py")
UNCHECKED: Final = b"\x01\x00\x00\x00"  # the flags of byte code with a hash that nobody compares (PEP 552)


type Compile = Callable[[bytes, Path], CodeType]


class Cache:
    """Byte code that was made before, in a folder; without one nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        makers = (Path(__file__), *(Path(__file__).with_name(name) for name in MAKERS))
        self._maker = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in makers) + MAGIC_NUMBER

    def get(self, content: bytes, path: Path, compile_module: Compile) -> bytes:
        """The marshalled code of a module."""
        if self._folder is None:
            return marshal.dumps(compile_module(content, path))
        key = hashlib.sha256(b"\0".join((self._maker, path.as_posix().encode(), content))).hexdigest()
        entry = self._folder / key
        try:
            return entry.read_bytes()
        except FileNotFoundError:
            code = marshal.dumps(compile_module(content, path))
        self._folder.mkdir(parents=True, exist_ok=True)
        part = entry.with_suffix(f".{os.getpid()}")
        part.write_bytes(code)
        part.replace(entry)  # others read it whole, or not at all
        return code


def compile_folder(folder: Path, cache: Path | None = None) -> None:
    """Each `x.py` becomes `x.pyc`; raises SyntaxError."""
    known = Cache(cache)
    for source in sorted(folder.rglob("*.py")):
        path, content = source.relative_to(folder), source.read_bytes()
        code = known.get(content, path, _compile_ours if path.parts[0] in OURS else _compile_library)
        source.with_suffix(".pyc").write_bytes(MAGIC_NUMBER + UNCHECKED + source_hash(content) + code)
        source.unlink()


def _compile_library(content: bytes, path: Path) -> CodeType:
    return compile(content, path.as_posix(), "exec", dont_inherit=True, optimize=WITHOUT_DOCSTRINGS)


def _compile_ours(content: bytes, path: Path) -> CodeType:
    from infra.lean import lean_module

    name = path.as_posix()  # what tracebacks show
    tree = lean_module(content, name)
    for node in ast.walk(tree) if path.parts[:2] not in CONTRACTS else ():
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstring(node)
    code: CodeType = compile(tree, name, "exec", dont_inherit=True, optimize=WITHOUT_ASSERTS)
    return code


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
    compile_folder(*map(Path, sys.argv[1:]))
