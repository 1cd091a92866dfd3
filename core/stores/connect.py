"""The kinds of store: a row for each, and the stores of one stack, which are connected at their first use."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from core.config.document import RunConfig
from core.config.places import to_mapping
from core.config.records import DynamoStore, Record, SqliteStore
from core.config.storage import SERVED, state_values
from core.errors import StateUnavailable

if TYPE_CHECKING:  # an adapter imports its own port, and nobody those of the others
    from core.config.state import StateConfig
    from core.stores.answers.port import AnswerStore
    from core.stores.audit.port import AuditStore
    from core.stores.blobs.port import BlobStore
    from core.stores.configurations.port import ConfigurationStore
    from core.stores.counters.port import CounterStore
    from core.stores.documents.port import DocumentStore
    from core.stores.jobs.port import JobStore
    from core.stores.queue.port import WorkQueue
    from core.stores.registry.port import RegistryStore
    from core.stores.semaphores.port import SemaphoreStore
    from core.stores.usage.port import UsageStore


@dataclass(frozen=True, slots=True)
class StoreKind[Port]:
    """A port and its `adapters`: modules by the type of a store in the run config, where `path` leads to it, or else `fallback`.

    Each has a `connect`, which takes the fields of that type and returns a `Port`. A `warm` one is prepared at init, since
    the first call needs it.
    """

    name: str
    path: tuple[str, ...]
    adapters: Mapping[str, str]
    warm: bool = True
    fallback: tuple[str, ...] = ()

    def connect(self, config: Record, **more: object) -> Port:
        """The store that `config` names, which is not opened yet; only its own libraries are imported."""
        fields = {name: value for name, value in config if name != "type"}  # flat: no serializer need be built
        kind: str = vars(config)["type"]
        store: Port = import_module(self.adapters[kind]).connect(**fields, **more)
        return store

    def config_in(self, config: RunConfig) -> Record | None:
        """What the run config says of it."""
        if self.path[0] == "state":
            return _state_record(config, self.path[1])
        part: Any = _part_of(config, self.path) or _part_of(config, self.fallback)
        if isinstance(part, dict):
            part = RECORDS[to_mapping(part).get("type")].model_validate(part)
        record: Record | None = part
        return record


def _part_of(config: RunConfig, path: tuple[str, ...]) -> Any:  # noqa: ANN401 - a record, or the values of one
    part: Any = config if path else None
    for name in path:
        part = to_mapping(part).get(name) if isinstance(part, dict) else getattr(part, name, None)
    return part


def _state_record(config: RunConfig, name: str) -> Record | None:
    """Of a database, which most functions have alone, without the records of everything else."""
    values = state_values(config).get(name)
    model = RECORDS.get(to_mapping(values).get("type")) if name in IN_DATABASES else None
    record: Record | None = getattr(_state_of(config), name) if model is None else model.model_validate(values)
    return record


def _state_of(config: RunConfig) -> "StateConfig":
    from core.config.state import state_of  # its records are not for every cold start

    return state_of(config)


def _databases(name: str) -> dict[str, str]:
    return {kind: f"core.stores.{name}.{kind}" for kind in ("sqlite", "dynamodb")}


REGISTRY: "StoreKind[RegistryStore]" = StoreKind("registry", ("metadata_store",), _databases("registry"), warm=False)
CONFIGURATIONS: "StoreKind[ConfigurationStore]" = StoreKind(
    "configurations", ("metadata_store",), _databases("configurations"), warm=False
)
AUDIT: "StoreKind[AuditStore]" = StoreKind("audit", ("metadata_store",), _databases("audit"), warm=False)
KVSTORE: Final = ("server", "quota", "kvstore")
COUNTERS: "StoreKind[CounterStore]" = StoreKind(
    "counters", KVSTORE, _databases("counters"), fallback=("server", "usage", "kvstore")
)
USAGE: "StoreKind[UsageStore]" = StoreKind(
    "usage", KVSTORE, _databases("usage"), warm=False, fallback=("server", "usage", "kvstore")
)
SEMAPHORES: "StoreKind[SemaphoreStore]" = StoreKind("semaphores", KVSTORE, _databases("semaphores"))
ANSWERS: "StoreKind[AnswerStore]" = StoreKind("answers", ("server", "idempotency", "kvstore"), _databases("answers"))
DOCUMENTS: "StoreKind[DocumentStore]" = StoreKind("documents", ("state", "documents"), _databases("documents"))
BLOBS: "StoreKind[BlobStore]" = StoreKind(
    "blobs", ("state", "blobs"), {"local": "core.stores.blobs.local", "s3": "core.stores.blobs.s3"}
)
JOBS: "StoreKind[JobStore]" = StoreKind("jobs", ("state", "jobs"), _databases("jobs"))
QUEUE: "StoreKind[WorkQueue]" = StoreKind(
    "queue", ("state", "queue"), {"sqlite": "core.stores.queue.sqlite", "sqs": "core.stores.queue.sqs"}
)

KINDS: Final[tuple[StoreKind[Any], ...]] = (
    REGISTRY, CONFIGURATIONS, AUDIT, COUNTERS, USAGE, SEMAPHORES, ANSWERS, DOCUMENTS, BLOBS, JOBS, QUEUE
)  # fmt: skip
STATE: Final[Mapping[str, StoreKind[Any]]] = {kind.name: kind for kind in (DOCUMENTS, BLOBS, JOBS, QUEUE)}
"""Those that a manifest may name in its `stores`."""
IN_DATABASES: Final = ("documents", "jobs")
RECORDS: Final[Mapping[Any, type[Record]]] = {"sqlite": SqliteStore, "dynamodb": DynamoStore}
"""Of databases, by their type."""
NEEDS: Final = {"documents": ("blobs",)}
"""What a kind is connected with, each as a function that gives it: documents put large bodies into blobs, where there are any."""


def unset(name: str) -> str:
    """What to do where a kind of STATE is kept nowhere."""
    types = " or ".join(SERVED[name])
    return f"{name} are kept nowhere; name a backend of type {types} at `storage.stores.{name}` of the run config"


class Stores:
    """The stores that a run config names: each is connected when it is first asked for, and closed with the others."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._stores: dict[str, Any] = {}
        self._warm: dict[str, Any] = {}

    def find[Port](self, kind: StoreKind[Port]) -> Port | None:
        """The store of this kind; None where the run config names none."""
        store = self._open(kind)
        if kind.warm and store is not None:
            self._warm[kind.name] = store
        return store

    def _open[Port](self, kind: StoreKind[Port]) -> Port | None:
        if kind.name not in self._stores:
            config = kind.config_in(self._config)
            if config is None:
                return None
            self._connect(kind, kind.name, config)
        store: Port = self._stores[kind.name]
        return store

    def get[Port](self, kind: StoreKind[Port]) -> Port:
        """The store of this kind; raises StateUnavailable where the run config names none."""
        store = self.find(kind)
        if store is None:
            raise StateUnavailable(f"This stack cannot keep it: {unset(kind.name)}.")
        return store

    def has_collection(self, name: str) -> bool:
        """Whether the run config says where the documents are that the reference keeps in the store of this name."""
        return name in (state_values(self._config).get("collections") or ())

    def find_collection(self, name: str) -> "DocumentStore | None":
        """As `collection`; None where the run config names no place for documents."""
        return self.collection(name) if name in self._collections else self.find(DOCUMENTS)

    def collection(self, name: str) -> "DocumentStore":
        """The documents that the reference keeps in the store of this name: elsewhere, where the run config says so."""
        config = self._collections.get(name)
        if config is None:
            return self.get(DOCUMENTS)
        if name not in self._stores:
            self._connect(DOCUMENTS, name, config)
        store: DocumentStore = self._stores[name]
        self._warm[name] = store
        return store

    @cached_property
    def _collections(self) -> Mapping[str, Record]:
        return _state_of(self._config).collections if state_values(self._config).get("collections") else {}

    def _connect(self, kind: StoreKind[Any], name: str, config: Record) -> None:
        needs = {other: partial(self._open, STATE[other]) for other in NEEDS.get(kind.name, ())}
        self._stores[name] = kind.connect(config, **needs)

    def warm(self) -> None:
        """Do at init what the first call would wait for, for what was looked up by then; opens no connection.

        What is there for another store alone is not warmed: documents seldom put a body into blobs.
        """
        for store in self._warm.values():
            store.warm()

    async def close(self) -> None:
        """Close the connections of all; a later call opens others."""
        for store in self._stores.values():
            await store.close()
