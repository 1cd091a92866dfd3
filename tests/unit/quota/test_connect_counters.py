"""The counters that `server.quota.kvstore` names, and nothing that it does not."""

from pathlib import Path
import subprocess
import sys

import pytest

from core.config.records import DynamoStore, SqliteStore
from core.stores.connect import COUNTERS
from core.stores.counters.dynamodb import DynamoCounters
from core.stores.counters.sqlite import SqliteCounters
from tests.contract.counters import taken, taking


async def test_sqlite_is_connected_with_its_path(tmp_path: Path) -> None:
    store = COUNTERS.connect(SqliteStore(db_path=str(tmp_path / "quota.db"), namespace="x"))
    assert isinstance(store, SqliteCounters)
    assert (await taken(store, "k", taking()))[0]
    await store.close()
    assert (tmp_path / "quota.db").exists()


def test_dynamodb_is_connected_with_its_table() -> None:
    assert isinstance(COUNTERS.connect(DynamoStore(table="quota", region="eu-west-1", namespace="x")), DynamoCounters)


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("core.quota.quota", {"starlette", "sqlite3", "aiobotocore", "botocore", "aiohttp"}),
        ("core.stores.connect", {"core.stores.counters.sqlite", "core.stores.counters.dynamodb", "sqlite3"}),
        ("core.stores.counters.dynamodb", {"sqlite3", "aiobotocore", "botocore", "aiohttp"}),
        ("core.stores.counters.sqlite", {"aiobotocore", "botocore"}),
    ],
)
def test_libraries_are_imported_only_when_they_are_used(module: str, unwanted: set[str]) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not unwanted & set(run.stdout.split())
