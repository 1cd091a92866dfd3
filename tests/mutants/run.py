"""The tests of a module whose file has a mutation in it, in a process forked from one that has loaded the libraries.

Nothing is written: an import hook hands out the broken module in the place of the file's.
"""

import ast
from collections.abc import Sequence
from enum import Enum
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from multiprocessing import get_context
import os
import signal
import sys
from tempfile import TemporaryDirectory
from types import CodeType, ModuleType
from typing import Any, Final, override

from tests.mutants.mutations import mutations

LIBRARIES: Final = ("pytest", "hypothesis", "httpx", "aiohttp.web", "pydantic", "starlette.routing", "jwt", "botocore")
ARGUMENTS: Final = (
    "-x",
    "-q",
    "-p",
    "no:cacheprovider",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
    "--hypothesis-profile=mutants",
)
NOT_IMPORTED: Final = 90  # an exit code beyond pytest's
CONTEXT: Final = get_context("forkserver")
CONTEXT.set_forkserver_preload([*LIBRARIES, "tests.mutants.mutations"])


class Fate(Enum):
    CAUGHT = "caught"
    OUT_OF_TIME = "out of time"
    SURVIVED = "survived"
    NOT_IMPORTED = "not imported by its tests"


class _Broken(SourceFileLoader):
    """Compiles the file with mutation `index` in it; None is the file as it is. Byte code is neither read nor written."""

    def __init__(self, name: str, path: str, index: int | None) -> None:
        super().__init__(name, path)
        self._index = index

    @override
    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode()
        tree = ast.parse(source)
        if self._index is not None:
            tree = mutations(source)[self._index].applied(tree)
        return compile(tree, self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, module: str, index: int | None) -> None:
        self._module = module
        self._index = index

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == self._module else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Broken(fullname, spec.origin, self._index)
        return spec


def fate(module: str, index: int | None, tests: Sequence[str], seconds: float) -> Fate:
    """What becomes of mutation `index` of `module` under `tests`; with None, of the module as it is."""
    with TemporaryDirectory() as folder:
        process: Any = CONTEXT.Process(target=_test, args=(module, index, tests, folder))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
            return Fate.OUT_OF_TIME
    return {0: Fate.SURVIVED, NOT_IMPORTED: Fate.NOT_IMPORTED}.get(process.exitcode, Fate.CAUGHT)


def _test(module: str, index: int | None, tests: Sequence[str], folder: str) -> None:
    os.setsid()  # so that what the tests start ends with them
    with open(os.devnull, "w") as silence:  # noqa: PTH123 - no path
        os.dup2(silence.fileno(), 1)
        os.dup2(silence.fileno(), 2)
    import hypothesis
    import pytest

    slow = [hypothesis.HealthCheck.too_slow]
    finding = [hypothesis.Phase.explicit, hypothesis.Phase.generate]  # what is found need not be small
    hypothesis.settings.register_profile(
        "mutants", derandomize=True, database=None, deadline=None, suppress_health_check=slow, phases=finding
    )
    sys.meta_path.insert(0, _Finder(module, index))
    code = pytest.main([*ARGUMENTS, f"--basetemp={folder}/tests", *tests])
    sys.exit(NOT_IMPORTED if module not in sys.modules else int(code))
