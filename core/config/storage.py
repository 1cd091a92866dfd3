"""The newest spelling of where state is kept: `storage.backends` by name, and `storage.stores` that use them.

| store                                              | keeps                                            |
|----------------------------------------------------|--------------------------------------------------|
| `metadata`                                         | registered resources, keys, configurations       |
| `documents`                                        | what users make, as JSON                         |
| `inference`, `conversations`, `responses`, ...     | documents of that kind, where they are elsewhere |
| `blobs`                                            | bytes: files, and documents too large for an item |
| `jobs`, `queue`                                    | work that outlives a request, and its messages   |

What says nothing is beside what it belongs to: documents beside `metadata_store`, jobs beside documents, blobs and the queue
beside those where they are SQLite's. Source: StorageConfig of OGX 1.5.0; `kv_dynamodb`, `blob_local`, `blob_s3`, `queue_sqs`
and the stores documents, blobs, jobs and queue are llambda's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from core.config.places import Value, join
from core.config.problems import Problem
from core.platform.suggestions import did_you_mean

if TYPE_CHECKING:
    from core.config.document import RunConfig

BACKENDS: Final = "storage.backends"
STORES: Final = "storage.stores"
DATABASES: Final = {"kv_sqlite": "sqlite", "sql_sqlite": "sqlite", "kv_dynamodb": "dynamodb"}
"""Types of backends, by those of their records."""
SERVED: Final[dict[str, dict[str, str]]] = {
    "metadata": DATABASES,
    "documents": DATABASES,
    "blobs": {"blob_local": "local", "blob_s3": "s3"},
    "jobs": DATABASES,
    "queue": {"kv_sqlite": "sqlite", "sql_sqlite": "sqlite", "queue_sqs": "sqs"},
}
ELSEWHERE: Final = ("kv_redis", "kv_mongodb", "kv_postgres", "sql_postgres")
"""Types of the reference's backends that are not served here."""
COLLECTIONS: Final = ("inference", "conversations", "responses", "prompts", "connectors", "vector_stores")
DEFAULTS: Final = {
    "documents": "metadata_store",
    "jobs": "state.documents",
    "queue": "state.jobs",
    "blobs": "state.documents",
}
"""What a store of state is beside, if nothing says where it is; in their order."""
REFERENCE: Final = ("backend", "namespace")
IGNORED: Final = ("max_write_queue_size", "num_writers")  # of the reference's write queue, which is none here
IN_PROVIDERS: Final = (
    "kvstore",
    "persistence_store",
    "metadata_store",
    "responses_store",
    "persistence",
    "sqlstore",
    "store",
)
"""Keys of a provider's config that say where it keeps state, over the reference's versions."""


@dataclass(slots=True)
class StoreSelection:
    """A store, if one is configured, and where its parts were written, as `origins` of `target`."""

    target: str = "metadata_store"
    store: dict[str, Value] | None = None
    origins: dict[str, str] = field(default_factory=dict[str, str])
    problems: list[Problem] = field(default_factory=list[Problem])

    def mapping(self, value: Value, path: str) -> Mapping[str, Value]:
        """The mapping at this path; empty when there is none, with a problem when there is something else."""
        if isinstance(value, Mapping):
            return cast("Mapping[str, Value]", value)
        if value is not None:
            self.problems.append(Problem(path, "must be a mapping"))
        return {}

    def only(self, value: Mapping[str, Value], path: str, allowed: tuple[str, ...]) -> None:
        """Note a problem for each other key."""
        for key in value:
            if key not in allowed:
                self.problems.append(Problem(join(path, key), f"unknown key `{key}`{did_you_mean(key, allowed)}"))


def select_stores(storage: Value) -> tuple[dict[str, StoreSelection], list[Problem]]:
    """The selections of the `storage` section, by the name of the store; problems of the section beside theirs."""
    reading = StoreSelection()
    sections = reading.mapping(storage, "storage")
    reading.only(sections, "storage", ("backends", "stores"))
    backends = reading.mapping(sections.get("backends"), BACKENDS)
    stores = reading.mapping(sections.get("stores"), STORES)
    reading.only(stores, STORES, (*SERVED, *COLLECTIONS))
    selections: dict[str, StoreSelection] = {}
    for name in (*SERVED, *COLLECTIONS):
        if stores.get(name) is None:
            continue
        place = join(STORES, name)
        selection = selections[name] = StoreSelection(_target(name))
        reference = selection.mapping(stores[name], place)
        if reference.get("backend", "") is None:  # a variable that is not set: there is no such store
            continue
        if name in COLLECTIONS:
            _use_collection(selection, reference, place, backends)
        else:
            _use(selection, reference, place, backends, SERVED[name])
    return selections, reading.problems


def backed_store(storage: Value, reference: Mapping[str, Value], place: str) -> StoreSelection:
    """The database that `reference` (`backend` and `namespace`), which stands at `place`, means."""
    selection = StoreSelection(place)
    _use(selection, reference, place, backends_of(storage), DATABASES)
    return selection


def backends_of(storage: Value) -> Mapping[str, Value]:
    """What is wrong with `storage` is reported where that is read."""
    scratch = StoreSelection()
    return scratch.mapping(scratch.mapping(storage, "storage").get("backends"), BACKENDS)


def default_stores(metadata: Mapping[str, Value], chosen: Mapping[str, Mapping[str, Value]]) -> dict[str, Value]:
    """The stores of state, of which `chosen` are configured."""
    stores: dict[str, Value] = dict(chosen)
    documents = stores.setdefault("documents", _beside(metadata, "state.db"))
    jobs = stores.setdefault("jobs", dict(documents))
    for name, database in (("queue", jobs), ("blobs", documents)):
        if name not in stores and database.get("type") == "sqlite" and isinstance(database.get("db_path"), str):
            stores[name] = dict(database) if name == "queue" else _folder_beside(database)
    return stores


def state_values(config: "RunConfig") -> Mapping[str, Any]:
    """The stores of state, as the run config says or as follows from its `metadata_store`; not validated."""
    return config.state or default_stores(config.metadata_store.model_dump(exclude_none=True), {})


def _beside(metadata: Mapping[str, Value], file: str) -> dict[str, Value]:
    path = metadata.get("db_path")
    if metadata.get("type") != "sqlite" or not isinstance(path, str):
        return dict(metadata)
    return {**metadata, "db_path": _sibling(path, file)}


def _folder_beside(database: Mapping[str, Value]) -> dict[str, Value]:
    namespace = {"namespace": database["namespace"]} if database.get("namespace") is not None else {}
    return {"type": "local", "path": _sibling(database["db_path"], "blobs"), **namespace}


def _sibling(path: str, name: str) -> str:
    folder, separator, _ = path.rpartition("/")
    return f"{folder}{separator}{name}"


def _target(name: str) -> str:
    if name == "metadata":
        return "metadata_store"
    return f"state.collections.{name}" if name in COLLECTIONS else f"state.{name}"


def _use_collection(
    selection: StoreSelection, reference: Mapping[str, Any], place: str, backends: Mapping[str, Any]
) -> None:
    """`table_name`, which SQL stores have, separates like a namespace. A backend of a type that is the reference's alone has no effect."""
    known = {key: value for key, value in reference.items() if key not in (*IGNORED, "table_name")}
    if reference.get("table_name") is not None:
        known.setdefault("namespace", reference["table_name"])
    backend = backends.get(str(reference.get("backend")))
    kind = cast("Mapping[str, Any]", backend).get("type") if isinstance(backend, Mapping) else None
    if "backend" in reference and kind not in ELSEWHERE:
        _use(selection, known, place, backends, DATABASES)


def _use(
    selection: StoreSelection,
    reference: Mapping[str, Any],
    place: str,
    backends: Mapping[str, Any],
    served: Mapping[str, str],
) -> None:
    selection.only(reference, place, REFERENCE)
    name = reference.get("backend")
    if not isinstance(name, str) or name not in backends:
        choices = ", ".join(backends) or "none"
        message = f"must name one of the backends ({choices})"
        selection.problems.append(Problem(join(place, "backend"), message))
        return
    path = join(BACKENDS, name)
    backend = selection.mapping(backends[name], path)
    kind = backend.get("type")
    if not isinstance(kind, str) or kind not in served:
        message = f"`{kind}` is not served here; use {' or '.join(served)}" if kind else "is required"
        selection.problems.append(Problem(join(path, "type"), message))
        return
    selection.store = {**backend, "type": served[kind]}
    selection.origins[selection.target] = path
    if reference.get("namespace") is not None:
        selection.store["namespace"] = reference["namespace"]
        selection.origins[f"{selection.target}.namespace"] = join(place, "namespace")


def resolve_references(config: Value, storage: Value, path: str) -> tuple[Value, dict[str, str]]:
    """A provider's config whose keys of IN_PROVIDERS name a backend, with the store in its place, and the origins.

    What names no backend is left as it is, for the provider's type to judge.
    """
    backends = backends_of(storage)
    if not backends or not isinstance(config, Mapping):
        return config, {}
    origins: dict[str, str] = {}
    return _resolve(cast("Mapping[str, Any]", config), backends, path, origins), origins


def _resolve(
    config: Mapping[str, Any], backends: Mapping[str, Any], path: str, origins: dict[str, str]
) -> dict[str, Any]:
    resolved = dict(config)
    for key in IN_PROVIDERS:
        value = config.get(key)
        if not isinstance(value, Mapping):
            continue
        reference = cast("Mapping[str, Any]", value)
        place = join(path, key)
        if "backend" in reference:
            selection = StoreSelection(place)
            _use_collection(selection, reference, place, backends)
            resolved[key] = value if selection.store is None else selection.store
            origins.update(selection.origins)
        else:  # as `persistence`, whose values are references
            resolved[key] = {
                name: _resolve({"store": inner}, backends, place, origins)["store"] for name, inner in reference.items()
            }
    return resolved
