"""From the run config's `metadata_store` to the registry it means."""

from importlib import import_module
from typing import Final

from core.config.document import DynamoStore, SqliteStore
from core.stores.ports import RegistryStore

MODULES: Final = {"sqlite": "core.stores.sqlite", "dynamodb": "core.stores.dynamodb"}


def connect_registry(config: SqliteStore | DynamoStore) -> RegistryStore:
    """The store that `config` names, not cached and not opened yet; only its own libraries are imported."""
    settings = config.model_dump(exclude={"type"})
    store: RegistryStore = import_module(MODULES[config.type]).connect(**settings)
    return store
