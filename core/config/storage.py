"""The newest spelling of where state is kept: `storage.backends` by name, and `storage.stores` that use them.

Only the `metadata` store is read; the others (inference, conversations, ...) are known and have no effect.
Source: StorageConfig of OGX 1.5.0, with `kv_dynamodb` added.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from core.config.places import Value, join
from core.config.problems import Problem
from core.config.sections import nearest

BACKENDS: Final = "storage.backends"
METADATA: Final = "storage.stores.metadata"
SERVED: Final = {"kv_sqlite": "sqlite", "kv_dynamodb": "dynamodb"}
STORES: Final = ("metadata", "inference", "conversations", "responses", "prompts", "connectors", "vector_stores")


@dataclass(slots=True)
class Found:
    """The `metadata_store` that `storage` asks for, if it does, and where its parts were written."""

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

    def only(self, value: Mapping[str, Value], path: str, known: tuple[str, ...]) -> None:
        """Complain about keys that are not known here."""
        for key in value:
            if key not in known:
                self.problems.append(Problem(join(path, key), f"unknown key `{key}`{nearest(key, known)}"))


def metadata_store(storage: Value) -> Found:
    """Read the `storage` section."""
    found = Found()
    sections = found.mapping(storage, "storage")
    found.only(sections, "storage", ("backends", "stores"))
    backends = found.mapping(sections.get("backends"), BACKENDS)
    stores = found.mapping(sections.get("stores"), "storage.stores")
    found.only(stores, "storage.stores", STORES)
    if stores.get("metadata") is not None:
        metadata = found.mapping(stores["metadata"], METADATA)
        found.only(metadata, METADATA, ("backend", "namespace"))
        _use(found, metadata, backends)
    return found


def _use(found: Found, metadata: Mapping[str, Any], backends: Mapping[str, Any]) -> None:
    name = metadata.get("backend")
    if not isinstance(name, str) or name not in backends:
        known = ", ".join(backends) or "none"
        message = f"must name one of the backends ({known})"
        found.problems.append(Problem(join(METADATA, "backend"), message))
        return
    path = join(BACKENDS, name)
    backend = found.mapping(backends[name], path)
    kind = backend.get("type")
    if not isinstance(kind, str) or kind not in SERVED:
        message = f"`{kind}` is not served here for metadata; use {' or '.join(SERVED)}" if kind else "is required"
        found.problems.append(Problem(join(path, "type"), message))
        return
    found.store = {**backend, "type": SERVED[kind]}
    found.origins["metadata_store"] = path
    if metadata.get("namespace") is not None:
        found.store["namespace"] = metadata["namespace"]
        found.origins["metadata_store.namespace"] = join(METADATA, "namespace")
