"""The SQLite adapters and their file: how it is made, shared, waited for, and found unusable, whatever is kept in it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
import sqlite3
import stat
import subprocess
import sys
from typing import Any, Final

import pytest

from core.errors import ApiError, IdempotencyUnavailable, ProviderUnavailable, QuotaUnavailable, StateUnavailable
from core.stores.answers import sqlite as answers
from core.stores.configurations import sqlite as configurations
from core.stores.counters import sqlite as counters
from core.stores.counters.port import AccountKey
from core.stores.jobs import sqlite as jobs
from core.stores.queue import sqlite as queue
from core.stores.queue.port import Message
from core.stores.registry import sqlite as registry
from core.stores.semaphores import sqlite as semaphores
from tests.contract.configurations import added
from tests.contract.counters import taking
from tests.contract.jobs import job
from tests.contract.registries import model


@dataclass
class Kind:
    """`write` is a call that writes, each time; the registry always waits as long."""

    connect: Callable[..., Any]
    write: Callable[[Any], Awaitable[object]]
    unavailable: type[ApiError]
    patience: dict[str, float] = field(default_factory=lambda: {"patience": 0.1})


KINDS = {
    "registry": Kind(registry.connect, lambda store: store.create(model()), ProviderUnavailable, {}),
    "configurations": Kind(configurations.connect, lambda store: added(store, "x"), ProviderUnavailable),
    "answers": Kind(
        answers.connect, lambda store: store.begin("k", "f", now=0, until=9), IdempotencyUnavailable
    ),
    "counters": Kind(
        counters.connect,
        lambda store: store.take(AccountKey("k"), taking(1)),
        QuotaUnavailable,
    ),
    "semaphores": Kind(
        semaphores.connect, lambda store: store.acquire("k", "h", most=1, now=0, until=9), QuotaUnavailable
    ),
    "jobs": Kind(jobs.connect, lambda store: store.create(job()), StateUnavailable),
    "queue": Kind(queue.connect, lambda store: store.send([Message({})]), StateUnavailable),
}  # fmt: skip
only_registry = pytest.mark.parametrize("kind", [KINDS["registry"]])

type Open = Callable[..., Any]


@pytest.fixture(params=KINDS.values(), ids=[*KINDS])
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
async def connect(kind: Kind) -> AsyncGenerator[Open]:
    stores: list[Any] = []

    def connect(path: Path | str, **how: float) -> Any:
        stores.append(kind.connect(str(path), **how))
        return stores[-1]

    yield connect
    for store in stores:
        await store.close()


def made(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


async def test_nothing_is_made_before_the_first_call_and_the_files_are_for_their_owner_alone(
    tmp_path: Path, connect: Open, kind: Kind
) -> None:
    store = connect(tmp_path / "new" / "x.db")
    assert made(tmp_path) == []
    await kind.write(store)
    files = made(tmp_path)
    assert len(files) == 4  # the folder, the database, its -wal and its -shm
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in files} == {0}


async def test_a_tilde_is_the_home_directory(
    tmp_path: Path, connect: Open, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    await kind.write(connect("~/state/x.db"))
    assert tmp_path / "state" / "x.db" in made(tmp_path)


async def test_a_new_file_that_another_is_writing_is_waited_for(tmp_path: Path, connect: Open, kind: Kind) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.ensure_future(kind.write(connect(tmp_path / "x.db")))
        await asyncio.sleep(0.2)
        other.execute("COMMIT")
        await writing


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.patience])
async def test_a_file_that_stays_locked_is_unavailable_and_works_again_later(
    tmp_path: Path, connect: Open, kind: Kind, *, new: bool
) -> None:
    store = connect(tmp_path / "x.db", **kind.patience)
    if not new:
        await kind.write(store)
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE" if new else "BEGIN IMMEDIATE")
        with pytest.raises(kind.unavailable, match=r"`x.db` cannot be used: database is locked"):
            await kind.write(store)
    await kind.write(store)


async def test_a_file_that_is_not_a_database_is_unavailable_and_untouched(
    tmp_path: Path, connect: Open, kind: Kind
) -> None:
    path = tmp_path / "x.db"
    path.write_text("my diary, " * 200)
    store = connect(path)
    for _ in range(2):
        with pytest.raises(kind.unavailable, match=r"`x.db` cannot be used: file is not a database") as raised:
            await kind.write(store)
    assert str(tmp_path) not in raised.value.message
    assert path.read_text() == "my diary, " * 200


@pytest.mark.parametrize("path", ["file/x.db", "file/below/x.db"])
async def test_a_folder_that_cannot_be_made_is_unavailable_until_it_can(
    tmp_path: Path, connect: Open, kind: Kind, path: str
) -> None:
    (tmp_path / "file").touch()
    store = connect(tmp_path / path)
    with pytest.raises(kind.unavailable, match=r"its folder cannot be written \("):
        await kind.write(store)
    (tmp_path / "file").unlink()
    await kind.write(store)


async def test_a_folder_in_place_of_the_file_is_unavailable(tmp_path: Path, connect: Open, kind: Kind) -> None:
    with pytest.raises(kind.unavailable, match="cannot be used: unable to open"):
        await kind.write(connect(tmp_path))


@only_registry
async def test_two_stores_over_one_file_see_each_other(tmp_path: Path, connect: Open, kind: Kind) -> None:
    del kind
    one, other = (connect(tmp_path / "x.db") for _ in range(2))
    resource = await one.create(model())
    assert await other.get("model", "llama") == resource
    assert await other.delete("model", "llama")
    assert await one.get("model", "llama") is None


@only_registry
async def test_a_table_of_another_shape_is_unavailable(tmp_path: Path, connect: Open, kind: Kind) -> None:
    del kind
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        connection.execute("CREATE TABLE resources (x)")
    with pytest.raises(ProviderUnavailable, match="no such column"):
        await connect(tmp_path / "x.db").get("model", "x")


READ_ONLY: Final = """
import asyncio, sys
from core.errors import ApiError
from core.stores.configurations.sqlite import connect as configurations
from core.stores.counters.port import AccountKey
from core.stores.counters.sqlite import connect as counters
from core.stores.registry.sqlite import connect as registry
from tests.contract.counters import counted, taking
from tests.contract.registries import model

async def main(path):
    store, counter, versions = registry(path), counters(path), configurations(path)
    print(await store.get("model", model().identifier) == model(), await counted(counter, "k"))
    for attempt in (
        store.create(model("another")),
        counter.take(AccountKey("k"), taking(1)),
        versions.head(),
        registry(path + "-new").get("model", "x"),
    ):
        try:
            await attempt
        except ApiError as failure:
            print(failure.status, failure.message)

asyncio.run(main(sys.argv[1]))
"""


async def test_a_read_only_file_system_is_read_and_a_write_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    for name in ("registry", "counters"):
        store = KINDS[name].connect(str(path))
        await KINDS[name].write(store)
        await store.close()
    mount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" -c "$3" "$1/x.db"'
    command = [
        "unshare",
        "--mount",
        "--map-root-user",
        "sh",
        "-c",
        mount,
        "sh",
        str(tmp_path),
        sys.executable,
        READ_ONLY,
    ]
    lines = (await asyncio.to_thread(subprocess.check_output, command, text=True)).splitlines()
    assert lines[0] == "True Counts(requests=1, tokens=1, nanos=0)"
    assert [line[:3] for line in lines[1:]] == ["503"] * 4
    assert lines[1].endswith("attempt to write a readonly database.")
    assert lines[2].endswith("attempt to write a readonly database.")
    assert "its configurations are of an older version, or not there, and the file system is read-only" in lines[3]
    assert "Read-only file system" in lines[4]
