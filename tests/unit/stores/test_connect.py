"""The store that a run config names, and nothing that it does not."""

from pathlib import Path
import subprocess
import sys
from typing import Any, cast

import pytest

from core.config.document import RunConfig
from core.config.records import DynamoStore, SqliteStore
from core.config.storage import default_stores
from core.errors import StateUnavailable
from core.stores.configurations.dynamodb import DynamoConfigurations
from core.stores.configurations.port import Head
from core.stores.configurations.sqlite import SqliteConfigurations
from core.stores.connect import BLOBS, CONFIGURATIONS, COUNTERS, DOCUMENTS, KINDS, REGISTRY, Stores
from core.stores.registry.dynamodb import DynamoRegistry
from core.stores.registry.sqlite import SqliteRegistry


async def test_sqlite_is_connected_with_its_path_and_namespace(tmp_path: Path) -> None:
    store = REGISTRY.connect(SqliteStore(type="sqlite", db_path=str(tmp_path / "registry.db"), namespace="x"))
    assert isinstance(store, SqliteRegistry)
    assert await store.page("model", after="", limit=1) == []
    await store.close()
    assert (tmp_path / "registry.db").exists()


def test_dynamodb_is_connected_with_its_table_and_namespace() -> None:
    store = REGISTRY.connect(
        DynamoStore(type="dynamodb", table="models", region="eu-west-1", endpoint_url=None, namespace=None)
    )
    assert isinstance(store, DynamoRegistry)


async def test_configurations_are_connected_where_the_registry_is(tmp_path: Path) -> None:
    store = CONFIGURATIONS.connect(SqliteStore(type="sqlite", db_path=str(tmp_path / "registry.db"), namespace="x"))
    assert isinstance(store, SqliteConfigurations)
    assert await store.head() == Head(0, 0)
    await store.close()
    assert (tmp_path / "registry.db").exists()
    table = DynamoStore(type="dynamodb", table="models", region="eu-west-1", endpoint_url=None, namespace="x")
    assert isinstance(CONFIGURATIONS.connect(table), DynamoConfigurations)


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        (
            "core.stores.connect",
            {"sqlite3", "aiobotocore", "botocore", "core.stores.registry.sqlite", "core.stores.registry.dynamodb"},
        ),
        ("core.stores.registry.dynamodb", {"sqlite3", "aiobotocore", "botocore", "aiohttp"}),
        ("core.stores.registry.sqlite", {"aiobotocore", "botocore"}),
        ("core.stores.configurations.dynamodb", {"sqlite3", "aiobotocore", "botocore", "aiohttp"}),
        ("core.stores.configurations.sqlite", {"aiobotocore", "botocore"}),
    ],
)
def test_libraries_are_imported_only_when_they_are_used(module: str, unwanted: set[str]) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not unwanted & set(run.stdout.split())


class FakeStore:
    """Notes what is done to it."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields
        self.calls: list[str] = []

    def warm(self) -> None:
        self.calls.append("warm")

    async def close(self) -> None:
        self.calls.append("close")


connect = FakeStore


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Stores:
    """Of a stack whose adapters are all in this module."""
    for kind in KINDS:
        for name in kind.adapters:
            monkeypatch.setitem(cast("dict[str, str]", kind.adapters), name, __name__)
    metadata = {"type": "sqlite", "db_path": "r.db"}
    collections = {"conversations": {"type": "sqlite", "db_path": "c.db"}}
    state = {**default_stores(metadata, {}), "collections": collections}
    return Stores(RunConfig.model_validate({"name": "x", "metadata_store": metadata, "state": state}))


async def test_a_store_is_connected_once_warmed_if_calls_need_it_and_closed_with_all(stores: Stores) -> None:
    documents: Any = stores.get(DOCUMENTS)
    registry: Any = stores.get(REGISTRY)
    blobs: Any = stores.get(BLOBS)
    assert id(stores.find(DOCUMENTS)) == id(documents)
    assert documents.fields["blobs"]() is blobs  # as a function: few documents need them
    assert documents.fields["db_path"] == "state.db"
    stores.warm()
    await stores.close()
    assert (documents.calls, blobs.calls, registry.calls) == (["warm", "close"], ["warm", "close"], ["close"])


async def test_a_collection_is_where_the_run_config_says_and_else_with_the_documents(stores: Stores) -> None:
    elsewhere: Any = stores.collection("conversations")
    assert elsewhere.fields["db_path"] == "c.db"
    assert stores.collection("responses") is stores.get(DOCUMENTS)


def test_what_is_kept_nowhere_is_none_or_a_503_that_says_what_to_set(stores: Stores) -> None:
    assert stores.find(COUNTERS) is None
    table = {"type": "dynamodb", "table": "registry"}
    without = Stores(RunConfig.model_validate({"name": "x", "metadata_store": table}))
    with pytest.raises(
        StateUnavailable, match=r"name a backend of type blob_local or blob_s3 at `storage.stores.blobs`"
    ):
        without.get(BLOBS)
