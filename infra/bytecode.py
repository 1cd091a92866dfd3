"""`python -I -S infra/bytecode.py FOLDER`: compile what is there, and leave the byte code in the place of its source.

A process of its own makes the same bytes every time. Nothing is checked against a source at run time. All lose their
asserts, and all but the contracts their docstrings: the OpenAPI document shows those of the wire types.
A traceback has files and line numbers, and the lines themselves are in the repository.
"""

from importlib.util import cache_from_source
from pathlib import Path
import py_compile
import sys
from typing import Final

CONTRACTS: Final = (("core", "apis"), ("core", "frame"))
# anyio reads the source of these itself, to import the rest late.
READ_AS_SOURCE: Final = frozenset({"anyio/__init__.py", "anyio/abc/__init__.py"})
WITHOUT_ASSERTS: Final = 1
WITHOUT_DOCSTRINGS: Final = 2


def compile_folder(folder: Path) -> None:
    """Each `x.py` becomes `x.pyc`, but for those READ_AS_SOURCE; raises py_compile.PyCompileError."""
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for source in sorted(folder.rglob("*.py")):
        name = source.relative_to(folder)
        stays = name.as_posix() in READ_AS_SOURCE
        py_compile.compile(
            str(source),
            cache_from_source(source, optimization="") if stays else str(source.with_suffix(".pyc")),
            name.as_posix(),  # what tracebacks show
            doraise=True,
            optimize=WITHOUT_ASSERTS if name.parts[:2] in CONTRACTS else WITHOUT_DOCSTRINGS,
            invalidation_mode=unchecked,
        )
        if not stays:
            source.unlink()


if __name__ == "__main__":
    compile_folder(Path(sys.argv[1]))
