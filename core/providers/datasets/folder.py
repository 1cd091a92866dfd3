"""Files of a folder of this machine, `lsfs://NAME`, as the reference calls its local file system."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from core.apis.datasets import SourceContent
from core.errors import InvalidRequest, ProviderUnavailable

CHUNK: Final = 1024 * 1024
NO_FOLDER: Final = "No folder is configured for `lsfs:` here: set `storage_dir` of the provider, or upload the file and register its id."


class FolderFiles:
    """`lsfs://NAME`, a file below the folder, in which links lead nowhere else; None is no folder."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def check_source(self, uri: str) -> None:
        """Raises InvalidRequest where there is no folder."""
        del uri
        if self._folder is None:
            raise InvalidRequest(NO_FOLDER, param="source.uri")

    async def open(self, uri: str) -> SourceContent:
        """What leads out of the folder is as if it were not there."""
        self.check_source(uri)
        name = unquote(uri.partition(":")[2]).lstrip("/")
        try:
            path, size = await asyncio.to_thread(self._find, name)
        except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError) as missing:
            raise InvalidRequest(
                f"There is no file `{name}` in the folder for `lsfs:`.", param="source.uri"
            ) from missing
        except OSError as failure:
            raise ProviderUnavailable("The folder for `lsfs:` cannot be read.") from failure
        return SourceContent(_chunks(path), size, name)

    def _find(self, name: str) -> tuple[Path, int]:
        folder = Path(self._folder or "").resolve()
        path = (folder / name).resolve()
        if not path.is_relative_to(folder) or not path.is_file():
            raise FileNotFoundError(name)
        return path, path.stat().st_size


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    """Opened when it is first read: who only asks how large it is leaves nothing open."""
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
