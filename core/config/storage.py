"""The newest spelling of where state is kept: `storage.backends` by name, and `storage.stores` that use them.

Of the stores only `metadata` is read; the others (inference, conversations, ...) are known and have no effect.
Source: StorageConfig of OGX 1.5.0, with `kv_dynamodb` added.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from core.config.places import Value, join
from core.config.problems import Problem
from core.platform.suggestions import did_you_mean

BACKENDS: Final = "storage.backends"
METADATA: Final = "storage.stores.metadata"
SERVED: Final = {"kv_sqlite": "sqlite", "kv_dynamodb": "dynamodb"}
STORES: Final = ("metadata", "inference", "conversations", "responses", "prompts", "connectors", "vector_stores")


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


def metadata_store(storage: Value) -> StoreSelection:
    """Read the `storage` section."""
    selection = StoreSelection()
    sections = selection.mapping(storage, "storage")
    selection.only(sections, "storage", ("backends", "stores"))
    backends = selection.mapping(sections.get("backends"), BACKENDS)
    stores = selection.mapping(sections.get("stores"), "storage.stores")
    selection.only(stores, "storage.stores", STORES)
    if stores.get("metadata") is not None:
        _use(selection, selection.mapping(stores["metadata"], METADATA), METADATA, backends)
    return selection


def backed_store(storage: Value, reference: Mapping[str, Value], place: str) -> StoreSelection:
    """The store that `reference` (`backend` and `namespace`), which stands at `place`, means."""
    selection = StoreSelection(place)
    scratch = StoreSelection()  # what is wrong with `storage` is reported where that is read
    backends = scratch.mapping(scratch.mapping(storage, "storage").get("backends"), BACKENDS)
    _use(selection, reference, place, backends)
    return selection


def _use(selection: StoreSelection, reference: Mapping[str, Any], place: str, backends: Mapping[str, Any]) -> None:
    selection.only(reference, place, ("backend", "namespace"))
    name = reference.get("backend")
    if not isinstance(name, str) or name not in backends:
        choices = ", ".join(backends) or "none"
        message = f"must name one of the backends ({choices})"
        selection.problems.append(Problem(join(place, "backend"), message))
        return
    path = join(BACKENDS, name)
    backend = selection.mapping(backends[name], path)
    kind = backend.get("type")
    if not isinstance(kind, str) or kind not in SERVED:
        message = f"`{kind}` is not served here; use {' or '.join(SERVED)}" if kind else "is required"
        selection.problems.append(Problem(join(path, "type"), message))
        return
    selection.store = {**backend, "type": SERVED[kind]}
    selection.origins[selection.target] = path
    if reference.get("namespace") is not None:
        selection.store["namespace"] = reference["namespace"]
        selection.origins[f"{selection.target}.namespace"] = join(place, "namespace")
