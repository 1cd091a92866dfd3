"""Files in a folder of this machine, or in the blob store of the stack, where the run config names no folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from core.config.records import Record, UserPath, Whole
from core.config.user_fields import USER
from core.frame.types import Health

if TYPE_CHECKING:
    from core.apis.files import FilesProvider, FileStorage

YEAR = 365 * 86_400


class Config(Record):
    """The reference's fields. `metadata_store` has no effect: records of files are documents of the stack."""

    storage_dir: UserPath | None = None
    metadata_store: dict[str, Any] | None = None
    ttl_secs: Annotated[Annotated[Whole, Field(ge=3600)] | None, USER] = YEAR


class LocalFiles:
    """`directory` is made at the first file; None is the blob store of the stack."""

    def __init__(self, directory: Path | None, ttl_seconds: int | None) -> None:
        self._storage: FileStorage | None = None
        if directory is not None:
            from core.stores.blobs.local import LocalBlobs  # late: on Lambda there is no folder

            self._storage = LocalBlobs(directory)
        self._ttl_seconds = ttl_seconds

    def storage(self) -> "FileStorage | None":
        return self._storage

    def ttl_seconds(self) -> int | None:
        return self._ttl_seconds

    async def health(self) -> Health:
        """A folder is used as it is needed."""
        return Health(status="OK")


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> "FilesProvider":
    """A provider over one folder."""
    del provider_id, deps
    return LocalFiles(None if config.storage_dir is None else Path(config.storage_dir), config.ttl_secs)
