"""From the stores that a run config names, `metadata_store` and each `kvstore`, to what they mean."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from core.config.records import DynamoStore, SqliteStore
from core.stores.ports import AnswerStore, ConfigurationStore, CounterStore, RegistryStore

MODULES: Final = {"sqlite": "core.stores.registry.sqlite", "dynamodb": "core.stores.registry.dynamodb"}
COUNTERS: Final = {"sqlite": "core.stores.counters.sqlite", "dynamodb": "core.stores.counters.dynamodb"}
ANSWERS: Final = {"sqlite": "core.stores.answers.sqlite", "dynamodb": "core.stores.answers.dynamodb"}
CONFIGURATIONS: Final = {
    "sqlite": "core.stores.configurations.sqlite",
    "dynamodb": "core.stores.configurations.dynamodb",
}


def connect_registry(config: SqliteStore | DynamoStore) -> RegistryStore:
    """The store that `config` names, not cached and not opened yet; only its own libraries are imported."""
    store: RegistryStore = _made(MODULES, config)
    return store


def connect_counters(config: SqliteStore | DynamoStore) -> CounterStore:
    """The counters in the store that `config` names, which is not opened yet; only its own libraries are imported."""
    store: CounterStore = _made(COUNTERS, config)
    return store


def connect_answers(config: SqliteStore | DynamoStore) -> AnswerStore:
    """The answers in the store that `config` names, which is not opened yet; only its own libraries are imported."""
    store: AnswerStore = _made(ANSWERS, config)
    return store


def connect_configurations(config: SqliteStore | DynamoStore) -> ConfigurationStore:
    """The configurations in the store that `config` names, not opened yet; only its own libraries are imported."""
    store: ConfigurationStore = _made(CONFIGURATIONS, config)
    return store


def _made(modules: Mapping[str, str], config: SqliteStore | DynamoStore) -> Any:  # noqa: ANN401 - of the port that the modules keep
    return import_module(modules[config.type]).connect(**config.model_dump(exclude={"type"}))
