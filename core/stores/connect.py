"""The kinds of state, and the way from a store that the run config names to the adapter that keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from core.config.records import DynamoStore, SqliteStore

if TYPE_CHECKING:  # an adapter imports its own port, and nobody those of the others
    from core.stores.answers.port import AnswerStore
    from core.stores.configurations.port import ConfigurationStore
    from core.stores.counters.port import CounterStore
    from core.stores.registry.port import RegistryStore


@dataclass(frozen=True, slots=True)
class StoreKind[Port]:
    """A port and its `adapters`: modules by the type of a store in the run config.

    Each has a `connect`, which takes the fields of that type and returns a `Port`.
    """

    adapters: Mapping[str, str]

    def connect(self, config: SqliteStore | DynamoStore) -> Port:
        """The store that `config` names, which is not opened yet; only its own libraries are imported."""
        store: Port = import_module(self.adapters[config.type]).connect(**config.model_dump(exclude={"type"}))
        return store


REGISTRY: "Final[StoreKind[RegistryStore]]" = StoreKind(
    {"sqlite": "core.stores.registry.sqlite", "dynamodb": "core.stores.registry.dynamodb"}
)
COUNTERS: "Final[StoreKind[CounterStore]]" = StoreKind(
    {"sqlite": "core.stores.counters.sqlite", "dynamodb": "core.stores.counters.dynamodb"}
)
ANSWERS: "Final[StoreKind[AnswerStore]]" = StoreKind(
    {"sqlite": "core.stores.answers.sqlite", "dynamodb": "core.stores.answers.dynamodb"}
)
CONFIGURATIONS: "Final[StoreKind[ConfigurationStore]]" = StoreKind(
    {"sqlite": "core.stores.configurations.sqlite", "dynamodb": "core.stores.configurations.dynamodb"}
)
