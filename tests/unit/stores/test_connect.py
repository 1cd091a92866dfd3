"""The store that a run config names, and nothing that it does not."""

from pathlib import Path
import subprocess
import sys

import pytest

from core.config.records import DynamoStore, SqliteStore
from core.stores.configurations.dynamodb import DynamoConfigurations
from core.stores.configurations.port import Head
from core.stores.configurations.sqlite import SqliteConfigurations
from core.stores.connect import CONFIGURATIONS, REGISTRY
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
