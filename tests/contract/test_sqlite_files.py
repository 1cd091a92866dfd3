"""The SQLite adapter and its file: how it is made, shared, and found unusable."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import closing
from pathlib import Path
import sqlite3
import stat

import pytest

from core.errors import ProviderUnavailable
from core.stores.registry import sqlite
from core.stores.registry.port import RegistryStore
from tests.contract.registries import model

type Open = Callable[[Path | str], RegistryStore]


@pytest.fixture
async def connect() -> AsyncGenerator[Open]:
    stores: list[RegistryStore] = []

    def connect(path: Path | str) -> RegistryStore:
        stores.append(sqlite.connect(str(path)))
        return stores[-1]

    yield connect
    for store in stores:
        await store.close()


def made(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


async def test_nothing_is_made_before_the_first_call(tmp_path: Path, connect: Open) -> None:
    store = connect(tmp_path / "new" / "registry.db")
    assert made(tmp_path) == []
    await store.get("model", "x")
    assert tmp_path / "new" / "registry.db" in made(tmp_path)


async def test_the_files_are_for_their_owner_alone(tmp_path: Path, connect: Open) -> None:
    await connect(tmp_path / "new" / "registry.db").create(model())
    files = made(tmp_path)
    assert len(files) == 4  # the folder, the database, its -wal and its -shm
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in files} == {0}


async def test_a_tilde_is_the_home_directory(tmp_path: Path, connect: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    await connect("~/state/registry.db").get("model", "x")
    assert tmp_path / "state" / "registry.db" in made(tmp_path)


async def test_two_stores_over_one_file_see_each_other(tmp_path: Path, connect: Open) -> None:
    one, other = (connect(tmp_path / "registry.db") for _ in range(2))
    resource = await one.create(model())
    assert await other.get("model", "llama") == resource
    assert await other.delete("model", "llama")
    assert await one.get("model", "llama") is None


async def test_a_new_file_that_another_is_writing_is_waited_for(tmp_path: Path, connect: Open) -> None:
    with closing(sqlite3.connect(tmp_path / "registry.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        creating = asyncio.create_task(connect(tmp_path / "registry.db").create(model()))
        await asyncio.sleep(0.2)
        other.execute("COMMIT")
        assert await creating == model()


async def test_a_file_that_is_not_a_database_is_unavailable_and_untouched(tmp_path: Path, connect: Open) -> None:
    path = tmp_path / "registry.db"
    path.write_text("my diary, " * 200)
    store = connect(path)
    for _ in range(2):
        with pytest.raises(
            ProviderUnavailable, match=r"`registry.db` cannot be used: file is not a database"
        ) as raised:
            await store.create(model())
    assert str(tmp_path) not in raised.value.message
    assert path.read_text() == "my diary, " * 200


@pytest.mark.parametrize("path", ["file/registry.db", "file/below/registry.db"])
async def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path, connect: Open, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ProviderUnavailable, match=r"its folder cannot be written \("):
        await connect(tmp_path / path).get("model", "x")


async def test_a_folder_in_place_of_the_file_is_unavailable(tmp_path: Path, connect: Open) -> None:
    with pytest.raises(ProviderUnavailable, match="cannot be used: unable to open"):
        await connect(tmp_path).get("model", "x")


async def test_it_works_again_when_the_fault_is_gone(tmp_path: Path, connect: Open) -> None:
    (tmp_path / "state").touch()
    store = connect(tmp_path / "state" / "registry.db")
    with pytest.raises(ProviderUnavailable):
        await store.get("model", "x")
    (tmp_path / "state").unlink()
    assert await store.create(model()) == model()


async def test_a_table_of_another_shape_is_unavailable(tmp_path: Path, connect: Open) -> None:
    with closing(sqlite3.connect(tmp_path / "registry.db")) as connection:
        connection.execute("CREATE TABLE resources (x)")
    with pytest.raises(ProviderUnavailable, match="no such column"):
        await connect(tmp_path / "registry.db").get("model", "x")
