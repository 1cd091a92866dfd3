"""The byte code of a package's modules in one file, which core/runtime/packed.py imports from.

Hundreds of small files are looked for, opened and read one by one at every cold start, and each is compressed for itself.
The file is the length of its index in four bytes, the index, and one module's code after the other.
"""

from collections.abc import Collection, Mapping
import marshal
from pathlib import Path
from typing import Final

from core.runtime.packed import FILE, LENGTH_BYTES, Place, read_index

AS_FILES: Final = (
    # what is imported before the file is read
    "functions/*",
    "core/*.pyc",
    "core/runtime/*",
    "core/apis/manifests/*",  # core/apis/index.py reads the folder
    # what a process of its own imports, which reads no such file (core/services/vector_stores/ingest/pdf.py)
    "core/services/vector_stores/ingest/pdf_reader.pyc",
    "core/platform/parquet_reader.pyc",  # likewise (core/platform/parquet.py)
    "core/platform/process_limits.pyc",
    "pypdfium2/**/*",
    "pypdfium2_*/**/*",
    # what a handler without core needs, if someone puts one beside it, as `make bench` does
    "anyio/**/*",
    "idna/*",
    "mangum/**/*",
    "starlette/**/*",
    "typing_extensions.pyc",
)
WITHOUT_REFERENCES: Final = 2  # which marshal makes of what this process happens to use twice: builds would differ
HEADER_BYTES: Final = 16  # of a .pyc: https://peps.python.org/pep-0552/


def pack(folder: Path, names: Collection[str]) -> None:
    """Move the code of the modules of these top-level `names` into the file, but for those AS_FILES.

    Code of others stays where it is: it may look for its own files.
    """
    index: dict[str, Place] = {}
    codes: list[bytes] = []
    offset = 0
    as_files = {path for pattern in AS_FILES for path in folder.glob(pattern)}
    paths = [
        path
        for path in sorted(folder.rglob("*.pyc"))
        if path not in as_files
        and path.relative_to(folder).parts[0].partition(".")[0] in names
        and _is_in_packages(path, folder)
    ]
    for path in paths:
        code = path.read_bytes()[HEADER_BYTES:]
        is_package = path.stem == "__init__"
        parts = path.relative_to(folder).with_suffix("").parts
        index[".".join(parts[:-1] if is_package else parts)] = (offset, len(code), is_package)
        codes.append(code)
        offset += len(code)
    head = marshal.dumps(index, WITHOUT_REFERENCES)
    (folder / FILE).write_bytes(b"".join((len(head).to_bytes(LENGTH_BYTES, "little"), head, *codes)))
    for path in paths:
        path.unlink()
    for place in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        if not any(place.iterdir()):
            place.rmdir()


def read_places(folder: Path) -> Mapping[str, Place]:
    """Where each module is in the file of a package; none where it has no such file."""
    return read_index(str(folder))[1] if (folder / FILE).exists() else {}


def read_code(folder: Path, name: str) -> bytes:
    """A module's code, marshalled; raises KeyError."""
    begin, index = read_index(str(folder))
    offset, length, _ = index[name]
    return (folder / FILE).read_bytes()[begin + offset : begin + offset + length]


def _is_in_packages(path: Path, folder: Path) -> bool:
    """A folder without __init__ is a package too, but one that only its files make."""
    parents = path.relative_to(folder).parents[:-1]
    return all((folder / parent / "__init__.pyc").exists() for parent in parents)
