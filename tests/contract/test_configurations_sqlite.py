"""The SQLite configurations and their file: how it is made, shared, waited for, and left by a process that dies."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import closing
import multiprocessing
from pathlib import Path
import signal
import sqlite3

import pytest

from core.errors import ProviderUnavailable
from core.stores.audit.sqlite import connect as connect_trail
from core.stores.configurations.port import ConfigurationStore, Head
from core.stores.configurations.sqlite import connect
from core.stores.registry import sqlite
from tests.contract.configurations import Configuring, configuration, consistent, die_before
from tests.contract.registries import model
from tests.parts.audit import CHANGE, read_trail

FIRST = configuration(1)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncGenerator[ConfigurationStore]:
    store = connect(str(tmp_path / "new" / "registry.db"))
    yield store
    await store.close()


async def test_configurations_and_resources_share_a_file(store: ConfigurationStore, tmp_path: Path) -> None:
    registry = sqlite.connect(str(tmp_path / "new" / "registry.db"))
    assert await registry.create(model()) == model()
    assert await store.append(FIRST, change=CHANGE, after=Head())
    assert await registry.get("model", "llama") == model()
    assert await store.get(1) == FIRST
    await registry.close()


async def test_a_table_of_another_shape_is_unavailable_and_a_write_leaves_nothing_of_itself(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "registry.db")) as other:
        other.execute("CREATE TABLE configuration_heads (namespace, latest, active, one_more NOT NULL)")
    store = connect(str(tmp_path / "registry.db"))
    for _ in range(2):
        with pytest.raises(ProviderUnavailable, match="has 4 columns but 3 values"):
            await store.append(FIRST, change=CHANGE, after=Head())
        assert await store.page(before=None, limit=9) == []
    await store.close()


@pytest.mark.parametrize("statement", ["INSERT INTO", "INSERT OR REPLACE", "INSERT INTO audit", "COMMIT", "DELETE"])
async def test_a_process_that_is_killed_within_a_write_leaves_what_was_there(tmp_path: Path, statement: str) -> None:
    configuring = Configuring(str(tmp_path / "registry.db"))
    async with configuring.opened() as store:
        assert await store.append(FIRST, change=CHANGE, after=Head())
        process = multiprocessing.get_context("spawn").Process(target=die_before, args=(configuring, statement))
        process.start()
        await asyncio.to_thread(process.join)
        assert process.exitcode == -signal.SIGKILL
        assert await consistent(store) == Head(1, 1)
        assert await store.append(configuration(2), change=CHANGE, after=Head(1, 1))
        assert await consistent(store) == Head(2, 2)
        trail = connect_trail(configuring.place)
        assert len(await read_trail(trail)) == 2  # nothing of what was killed
        await trail.close()
