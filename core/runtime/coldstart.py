"""What shortens a cold start; imported before anything else by what Lambda starts.

Python compiles two things anew in every process: the methods of data classes and named tuples, which it writes as source, and
regular expressions. infra/precompile.py put them into a file of the package. What is not in it, or was made by another
Python, is compiled as always. And while a function is made, nothing of it is garbage. docs/adr/0021-cold-starts.md.
"""

from core.runtime import packed  # noqa: F401  # pyright: ignore[reportUnusedImport]  # first: it imports the rest in another way

# isort: split

import collections
from collections.abc import Mapping
import dataclasses
import gc
from importlib import import_module
import inspect
import marshal
from pathlib import Path
import sys
from types import CodeType
from typing import Any, Final, NoReturn

sre: Final[Any] = import_module("_sre")
compiler: Final[Any] = import_module("re._compiler")

FILE: Final = Path(__file__).with_name("precompiled.bin")
MADE_BY: Final[tuple[Any, ...]] = (sys.implementation.cache_tag, sre.MAGIC)

LARGEST_HASH: Final = sys.hash_info.modulus
_methods: dict[str, bytes] = {}

type Pattern = tuple[str | bytes, int]
"""A regular expression and its flags."""


def begin(file: Path) -> None:
    """Compile no more what is in `file`, and collect no garbage until `end`; without it, nothing changes."""
    try:
        made_by, methods, patterns = marshal.loads(file.read_bytes())  # noqa: S302 - ours, as the byte code beside it
    except FileNotFoundError:
        return
    gc.disable()
    if made_by == MADE_BY:
        _methods.update(methods)
        _use_methods()
        _use_patterns(patterns)


def end() -> None:
    """The function is made: look for garbage again, but not among what it is made of."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def compile_script(source: str, filename: str, mode: str) -> CodeType:
    """As `compile`, for what `dataclasses` and `attrs` write; the latter asks for it by infra/rewrite.py."""
    code = _methods.get(source)
    return compile(source, filename, mode) if code is None else marshal.loads(code)  # noqa: S302 - ours


def hash_name(name: str) -> int:
    """What `attrs` writes into its scripts: the same in all processes, so that they were compiled before."""
    return int.from_bytes(name.encode()) % LARGEST_HASH


class WithoutSignatures:
    """`inspect`, for `dataclasses`: of a class without a docstring it would write the signature into one, which takes as long as all its methods."""

    @staticmethod
    def get_annotations(of: type) -> dict[str, Any]:
        """The own ones of a class, as they are."""
        return dict(vars(of).get("__annotations__") or {})

    def __getattr__(self, name: str) -> object:
        return getattr(inspect, name)

    @staticmethod
    def signature(of: object) -> NoReturn:
        """None is to be had, as of some classes of C."""
        raise ValueError(of)


def _use_methods() -> None:
    """By their source, which `dataclasses` hands to the `exec` that it finds, and `namedtuple` to the `eval`."""

    def run(source: str, *names: dict[str, Any]) -> None:
        exec(compile_script(source, "<string>", "exec"), *names)  # noqa: S102 - what `dataclasses` wrote, as it would itself

    def evaluate(source: str, *names: dict[str, Any]) -> object:
        return eval(compile_script(source, "<string>", "eval"), *names)  # noqa: S307 - as above

    dataclasses.__dict__.update(exec=run, inspect=WithoutSignatures())
    collections.__dict__["eval"] = evaluate


def _use_patterns(patterns: Mapping[Pattern, bytes]) -> None:
    original = compiler.compile

    def compile_(pattern: Any, flags: int = 0) -> object:  # noqa: ANN401 - `re` takes more than text
        arguments = patterns.get((pattern, flags)) if isinstance(pattern, str | bytes) else None
        return original(pattern, flags) if arguments is None else sre.compile(*marshal.loads(arguments))  # noqa: S302 - ours

    compiler.compile = compile_


begin(FILE)
