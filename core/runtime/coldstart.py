"""What shortens a cold start; imported before anything else by what Lambda starts.

Python compiles two things anew in every process: the methods of data classes, which `dataclasses` writes as source, and
regular expressions. infra/precompile.py put them into a file of the package. What is not in it, or was made by another
Python, is compiled as always. And while a function is made, nothing of it is garbage. docs/adr/0021-cold-starts.md.
The byte code of modules is in one file too, which infra/modules.py wrote: docs/adr/0048-modules-in-one-file.md.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import gc
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourcelessFileLoader
import marshal
import os
from pathlib import Path
import sys
from types import CodeType
from typing import Any, Final

sre: Final[Any] = import_module("_sre")
compiler: Final[Any] = import_module("re._compiler")

FILE: Final = Path(__file__).with_name("precompiled.bin")
MODULES: Final = Path(__file__).parents[2] / "modules.bin"
LENGTH_BYTES: Final = 4
MADE_BY: Final[tuple[Any, ...]] = (sys.implementation.cache_tag, sre.MAGIC)

type Pattern = tuple[str | bytes, int]
"""A regular expression and its flags."""

type Place = tuple[int, int, bool]
"""Of a module's code behind the index: offset, length, and whether it is a package."""


class PackedLoader(SourcelessFileLoader):
    """Loads a module as if its byte code were in the file that it would be in."""

    def __init__(self, name: str, path: str, file: int, place: tuple[int, int]) -> None:
        """`file` is a descriptor, `place` length and offset in it."""
        super().__init__(name, path)
        self._file = file
        self._place = place

    def get_code(self, fullname: str) -> CodeType:
        """Reads without a position that threads would share."""
        code: CodeType = marshal.loads(os.pread(self._file, *self._place))  # noqa: S302 - ours
        return code


class PackedModules:
    """Finds modules of the package whose byte code is in one file."""

    def __init__(self, file: Path) -> None:
        """Raises FileNotFoundError."""
        self._begin, self._index = read_index(file)
        self._folder = str(file.parent)
        self._file = os.open(file, os.O_RDONLY | os.O_CLOEXEC)  # for as long as the process lasts

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """None, too, for the rest of a package that was imported from another place."""
        del target
        place = self._index.get(name)
        if place is None or not all(parent.startswith(self._folder) for parent in path or ()):
            return None
        offset, length, is_package = place
        stem = f"{self._folder}/{name.replace('.', '/')}"
        origin = f"{stem}/__init__.pyc" if is_package else f"{stem}.pyc"
        loader = PackedLoader(name, origin, self._file, (length, self._begin + offset))
        spec = ModuleSpec(name, loader, origin=origin, is_package=is_package)
        spec.has_location = True
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(stem)
        return spec


def read_index(file: Path) -> tuple[int, Mapping[str, Place]]:
    """Where the code begins in the file, and the place of each module in it; raises FileNotFoundError."""
    with file.open("rb", buffering=0) as opened:
        length = int.from_bytes(opened.read(LENGTH_BYTES), "little")
        return LENGTH_BYTES + length, marshal.loads(opened.read(length))  # noqa: S302 - ours


def use_modules(file: Path) -> None:
    """Import from `file` what is in it; without it, nothing changes.

    Python's own finder is asked after it, and those before it that tracing tools have put there: they wrap what others find.
    """
    try:
        modules = PackedModules(file)
    except FileNotFoundError:
        return
    sys.meta_path.insert(sys.meta_path.index(PathFinder), modules)


def begin(file: Path) -> None:
    """Compile no more what is in `file`, and collect no garbage until `end`; without it, nothing changes."""
    try:
        made_by, methods, patterns = marshal.loads(file.read_bytes())  # noqa: S302 - ours, as the byte code beside it
    except FileNotFoundError:
        return
    gc.disable()
    if made_by == MADE_BY:
        _use_methods(methods)
        _use_patterns(patterns)


def end() -> None:
    """The function is made: look for garbage again, but not among what it is made of."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _use_methods(methods: Mapping[str, CodeType]) -> None:
    """By their source, which `dataclasses` hands to the `exec` that it finds."""

    def run(source: str, *names: dict[str, Any]) -> None:
        exec(methods.get(source, source), *names)  # noqa: S102 - what `dataclasses` wrote, as it would itself

    dataclasses.__dict__["exec"] = run


def _use_patterns(patterns: Mapping[Pattern, tuple[Any, ...]]) -> None:
    original = compiler.compile

    def compile_(pattern: Any, flags: int = 0) -> object:  # noqa: ANN401 - `re` takes more than text
        arguments = patterns.get((pattern, flags)) if isinstance(pattern, str | bytes) else None
        return original(pattern, flags) if arguments is None else sre.compile(*arguments)

    compiler.compile = compile_


use_modules(MODULES)
begin(FILE)
