"""`inline::localfs`: datasets whose rows the stack keeps, from sources that this process opens itself.

Source: the provider's config of Llama Stack 0.2.12 and 0.7.3.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.apis.datasets import DatasetIOProvider, SourceContent
from core.config.records import UserPath
from core.frame.types import Health
from core.providers.datasets.folder import FolderFiles
from core.providers.datasets.places import SourcePlaces, SourcesConfig

SCHEME = "lsfs:"


class Config(SourcesConfig):
    """`storage_dir` is where `lsfs:` leads: whoever may register a dataset may read the files below it. Datasets are documents of the stack, and their rows blobs."""

    storage_dir: UserPath | None = None


class LocalDatasets:
    """Opens sources by their schemes."""

    def __init__(self, config: Config) -> None:
        self._places = SourcePlaces(config, further=("lsfs",))
        self._files = FolderFiles(None if config.storage_dir is None else Path(config.storage_dir))

    def check_source(self, uri: str) -> None:
        """As OpensSources has it."""
        self._opener(uri).check_source(uri)

    async def open(self, uri: str) -> SourceContent:
        """As OpensSources has it."""
        return await self._opener(uri).open(uri)

    async def health(self) -> Health:
        """It asks nobody by itself."""
        return Health(status="OK")

    async def close(self) -> None:
        await self._places.close()

    def _opener(self, uri: str) -> FolderFiles | SourcePlaces:
        return self._files if uri[: len(SCHEME)].lower() == SCHEME else self._places


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> DatasetIOProvider:
    """A provider over this process's own sources."""
    del provider_id, deps
    return LocalDatasets(config)
