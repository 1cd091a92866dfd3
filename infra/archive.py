"""Reproducible zips: the same folder gives the same bytes, whenever and wherever; and the sizes of a package."""

from collections import Counter
from dataclasses import dataclass
import hashlib
from pathlib import Path
from typing import Final
import zipfile

from core.runtime.packed import FILE
from infra.modules import read_places

TIME: Final = (2020, 1, 1, 0, 0, 0)
UNIX: Final = 3  # create_system: modes are in the upper half of external_attr
LEVEL: Final = 9


@dataclass(frozen=True, slots=True)
class Weight:
    """In bytes; `sha256` is the zip's, in hex. `parts` are unzipped, the largest first."""

    unzipped: int
    zipped: int
    sha256: str
    parts: dict[str, int]


def zip_folder(folder: Path, archive: Path) -> Weight:
    """Zip what is in `folder`: sorted, all with the same time, each with its mode."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as out:
        for name, path in _files(folder):
            entry = zipfile.ZipInfo(name, TIME)
            entry.create_system, entry.compress_type = UNIX, zipfile.ZIP_DEFLATED
            entry.external_attr = path.stat().st_mode << 16
            out.writestr(entry, path.read_bytes(), compresslevel=LEVEL)
    parts = parts_of(folder)
    content = archive.read_bytes()
    return Weight(sum(parts.values()), len(content), hashlib.sha256(content).hexdigest(), parts)


def parts_of(folder: Path) -> dict[str, int]:
    """Bytes of each entry of `folder`, unzipped, the largest first; modules in one file count where they belong."""
    sizes: Counter[str] = Counter()
    for name, path in _files(folder):
        sizes[name.partition("/")[0]] += path.stat().st_size
    for name, (_, length, _) in read_places(folder).items():
        sizes[name.partition(".")[0]] += length
        sizes[FILE] -= length
    return dict(sizes.most_common())


def _files(folder: Path) -> list[tuple[str, Path]]:
    return sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())
