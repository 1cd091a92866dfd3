"""How a package's modules are imported, and when those of Python are: docs/adr/0048-modules-in-one-file.md.

infra/modules.py put the byte code of hundreds of modules into one file. This module is imported before that file is read and
before `pathlib`, `dataclasses` and what these import, so it does with less.
"""

from collections.abc import Mapping, Sequence
from importlib.machinery import BuiltinImporter, ModuleSpec, SourcelessFileLoader
from importlib.util import find_spec, module_from_spec
import marshal
import os
import sys
from threading import RLock
from types import CodeType, ModuleType
from typing import Final, override

FILE: Final = "modules.bin"
LENGTH_BYTES: Final = 4
PUT_OFF: Final = (
    "ast",
    "configparser",
    "html",
    "http.client",
    "importlib.metadata",
    "locale",
    "shutil",
    "tempfile",
    "tokenize",
)
"""Modules of Python that others import, and at a start do not use."""

type Place = tuple[int, int, bool]
"""Of a module's code behind the index: offset, length, and whether it is a package."""


class PackedLoader(SourcelessFileLoader):
    """Loads a module as if its byte code were in the file that it would be in."""

    def __init__(self, name: str, path: str, file: int, place: tuple[int, int]) -> None:
        """`file` is a descriptor, `place` length and offset in it."""
        super().__init__(name, path)
        self._file = file
        self._place = place

    @override
    def get_code(self, fullname: str) -> CodeType:
        """Reads without a position that threads would share."""
        del fullname
        code: CodeType = marshal.loads(os.pread(self._file, *self._place))  # noqa: S302 - ours
        return code


class PackedModules:
    """Finds modules of a package whose byte code is in one file."""

    def __init__(self, folder: str) -> None:
        """Raises FileNotFoundError."""
        self._folder = folder
        self._begin, self._index = read_index(folder)
        self._file = os.open(f"{folder}/{FILE}", os.O_RDONLY | os.O_CLOEXEC)  # for as long as the process lasts

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """None, too, for the rest of a package that was imported from another place."""
        del target
        place = self._index.get(name)
        stem = f"{self._folder}/{name.replace('.', '/')}"
        if place is None or (path is not None and stem.rpartition("/")[0] not in path):
            return None
        offset, length, is_package = place
        origin = f"{stem}/__init__.pyc" if is_package else f"{stem}.pyc"
        loader = PackedLoader(name, origin, self._file, (length, self._begin + offset))
        spec = ModuleSpec(name, loader, origin=origin, is_package=is_package)
        spec.has_location = True
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(stem)
        return spec


def read_index(folder: str) -> tuple[int, Mapping[str, Place]]:
    """Where the code begins in the file, and the place of each module in it; raises FileNotFoundError."""
    with open(f"{folder}/{FILE}", "rb", buffering=0) as file:  # noqa: PTH123 - see above
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        return LENGTH_BYTES + length, marshal.loads(file.read(length))  # noqa: S302 - ours


def use(folder: str) -> None:
    """Import from the file in `folder` what is in it; without it, nothing changes.

    Python's own finders are asked after it, and those before it that tracing tools have put there: they wrap what others find.
    """
    try:
        modules = PackedModules(folder)
    except FileNotFoundError:
        return
    sys.meta_path.insert(sys.meta_path.index(BuiltinImporter), modules)
    put_off(PUT_OFF)


def put_off(names: Sequence[str]) -> None:
    """Execute these modules when something is looked up in them, and not when they are imported (PEP 562)."""
    for name in names:
        spec = None if name in sys.modules else find_spec(name)
        if spec is not None:
            module = sys.modules[name] = module_from_spec(spec)
            module.__dict__["__getattr__"] = _Execution(module)
            package, _, child = name.rpartition(".")
            if package:
                setattr(sys.modules[package], child, module)


class _Execution:
    """Looks a name up in a module that is executed first, once. Other threads wait for that."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._lock = RLock()
        self._has_begun = False

    def __call__(self, name: str) -> object:
        module = self._module
        with self._lock:
            if not self._has_begun:
                self._has_begun = True
                spec = module.__spec__
                if spec is not None and spec.loader is not None:
                    spec.loader.exec_module(module)
                if module.__dict__.get("__getattr__") is self:
                    del module.__dict__["__getattr__"]
                return getattr(module, name)
        if name in module.__dict__:  # another thread has executed it meanwhile
            return module.__dict__[name]
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")


use(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))  # noqa: PTH120 - see above
