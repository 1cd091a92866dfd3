"""SQLite files of other versions: older ones are brought up to date, once and whole; newer ones are refused and untouched.

`databases/*.sql` are dumps (`.dump`) of what an earlier llambda wrote: 2026-11, the last that kept no versions; 2026-11-state, documents
of before there were tallies; 2026-12-before-usage, accounts of before they counted usage.
"""

import asyncio
from contextlib import closing
from dataclasses import replace
from pathlib import Path
import sqlite3

import pytest

from core.errors import ApiError, ProviderUnavailable
from core.frame.callers import UsageRow
from core.platform.sqlite_connection import SqliteConnection
from core.platform.sqlite_file import open_file
from core.platform.sqlite_schema import NewerSchema, Schema
from core.stores.answers import sqlite as answers
from core.stores.answers.port import Answer, Earlier
from core.stores.configurations import sqlite as configurations
from core.stores.configurations.port import Head
from core.stores.counters import sqlite as counters
from core.stores.counters.port import AccountKey, AccountState, Counter, Counts, Held, Reservation, Use, Window
from core.stores.documents import sqlite as documents
from core.stores.documents.port import Document, Tally, TallyExceeded
from core.stores.registry import sqlite as registry
from core.stores.semaphores import sqlite as semaphores
from core.stores.usage import sqlite as usage
from core.stores.usage.port import Unsettled, UsageQuery, UsageSum
from tests.contract.counters import DAY, LATER, MONTH, counted, taken, taking
from tests.contract.crew import Crew, together
from tests.contract.test_sqlite_files import KINDS, Kind

MINUTE = Counter("minute", Window("1", 60, 120))
DATABASES = Path(__file__).parent / "databases"
ONE = ("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",)
TWO = ("ALTER TABLE notes ADD COLUMN length INTEGER NOT NULL DEFAULT 0", "UPDATE notes SET length = length(text)")
THREE = ("UPDATE notes SET length = length + 1000",)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


def written_by(version: str, path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((DATABASES / f"{version}.sql").read_text())
        if version == "2026-11":  # whose counter has no name that a quota gives
            connection.execute("UPDATE counters SET key = 'quota:ada:minute:1' WHERE key = 'ada:minute'")
            connection.commit()
    return str(path)


def contents(path: Path) -> bytes:
    return path.read_bytes()


def versions(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT kind, version FROM schema_versions"))


async def test_what_was_written_before_versions_were_kept_is_read_and_written_to(path: Path) -> None:
    place = written_by("2026-11", path)
    models, keys = registry.connect(place), answers.connect(place)
    quota, overlays = counters.connect(place), configurations.connect(place)
    model = await models.get("model", "llama")
    assert model is not None
    assert model.attributes["metadata"] == {"a": "ä"}
    answer = Answer(200, "application/json", b'{"a":1}')
    assert await keys.begin("k", "g", now=1_800_000_000, until=1_800_000_900) == Earlier("f", answer)
    assert await taken(quota, "ada", taking(1, counter=MINUTE)) == (True, Counts(2, 8))
    assert await overlays.head() == Head(1, 1)
    for store in (models, keys, quota, overlays):
        await store.close()
    assert versions(path) == {"registry": 1, "answers": 2, "counters": 3, "configurations": 1, "audit": 1}


async def test_a_file_of_before_streams_were_limited_limits_them_and_keeps_its_counts(path: Path) -> None:
    place = written_by("2026-11", path)
    streams, quota = semaphores.connect(place), counters.connect(place)
    holders = [await streams.acquire("ada", holder, most=2, now=100, until=200) for holder in "aabc"]
    assert holders == [True, True, True, False]
    await streams.release("ada", "a")
    assert await streams.acquire("ada", "c", most=2, now=100, until=200)
    assert await counted(quota, "ada", MINUTE) == Counts(1, 7)
    for store in (streams, quota):
        await store.close()
    assert versions(path) == {"semaphores": 1, "counters": 3}


async def test_accounts_of_before_they_counted_usage_go_on_and_count_it(path: Path) -> None:
    place = written_by("2026-12-before-usage", path)
    store, client = counters.connect(place), "user:issuer:ada"
    listed = usage.connect(place)
    key = AccountKey(client)
    assert await store.read(key, (DAY, MONTH)) == AccountState(
        (Counts(2, 80, 16), Counts(2, 80, 16)), (Held(3_999_999_000.0, Counts(1, 50, 9)),)
    )
    old = Reservation(key, (DAY, MONTH), "c86de75a9ff349acbac26944d7ff0967")
    row = UsageRow("small", answers=1, prompt_tokens=8)
    await store.settle(old, Counts(tokens=-42), Use(46_296, (row,), expires=LATER))
    assert (await store.read(key, (DAY,))).counts == (Counts(2, 38, 16),)
    sums = await listed.sum(UsageQuery(46_296, 46_296, ("client", "model")))
    assert sums == [UsageSum((client, "small"), replace(row, model=""))]
    assert await listed.unsettled() == [Unsettled(f"{client}:1", Held(3_999_999_000.0, Counts(2, 5)))]
    await listed.close()
    await store.close()
    assert versions(path) == {"counters": 3}


async def test_documents_of_before_there_were_tallies_stay_and_are_counted(path: Path) -> None:
    store = documents.connect(written_by("2026-11-state", path))
    old = await store.get("job_input", "a")
    assert old is not None
    assert (old.body, old.owner) == ({"text": "ä"}, {"principal": "ada", "attributes": {}})
    assert await store.get("job_input", "b") is None  # it has expired
    await store.put(old, {"text": "new"}, tally=(Tally("file", "owner:ada", {"files": 1}, {"files": 1}),))
    with pytest.raises(TallyExceeded):
        await store.create(Document("file", "c", {}), tally=(Tally("file", "owner:ada", {"files": 1}, {"files": 1}),))
    assert await store.tallies("file", "owner:ada") == {"files": 1}
    assert [each.body for each in (await store.page("job_input", "ada", limit=9)).documents] == [{"text": "new"}]
    await store.close()
    assert versions(path) == {"documents": 2}


@pytest.mark.parametrize("name", KINDS)
async def test_a_file_of_a_newer_llambda_is_refused_by_name_and_untouched(path: Path, name: str) -> None:
    kind: Kind = KINDS[name]
    store = kind.connect(str(path))
    await kind.write(store)
    await store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE schema_versions SET version = 99 WHERE kind = ?", (name,))
    before = contents(path)
    refused = kind.connect(str(path))
    with pytest.raises(
        kind.unavailable, match=rf"`x.db` cannot be used: it was written by a newer llambda, whose {name}"
    ):
        await kind.write(refused)
    await refused.close()
    assert contents(path) == before


@pytest.mark.parametrize("versions_before", [0, 1, 2, 3])
async def test_each_version_is_reached_from_each_earlier_one_and_its_steps_taken_once(
    path: Path, versions_before: int
) -> None:
    steps = (ONE, TWO, THREE)
    if versions_before:
        with closing(open_file(path, Schema("notes", steps[:versions_before]))) as connection:
            connection.execute("INSERT INTO notes (text) VALUES ('four')")
    for _ in range(2):
        with closing(open_file(path, Schema("notes", steps))) as connection:
            rows = connection.execute("SELECT length FROM notes").fetchall()
    assert rows == ([], [(1004,)], [(1000,)], [(0,)])[versions_before]
    assert versions(path) == {"notes": 3}


async def test_an_upgrade_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    with closing(open_file(path, Schema("notes", (ONE,)))) as connection:
        connection.execute("INSERT INTO notes (text) VALUES ('four')")
    broken = Schema("notes", (ONE, (*TWO, "NONSENSE")))
    store = SqliteConnection(path, broken, owner="The notes'", unavailable=ProviderUnavailable)
    with pytest.raises(ApiError, match="syntax error"):
        await store.execute("SELECT 1")
    assert versions(path) == {"notes": 1}
    with closing(open_file(path, Schema("notes", (ONE, TWO)))) as connection:
        assert connection.execute("SELECT length FROM notes").fetchall() == [(4,)]


def open_at_once(path: Path) -> list[tuple[int]]:
    """In a process of a crew."""
    asyncio.run(together())
    with closing(open_file(path, Schema("notes", (ONE, TWO, THREE)), patience=60)) as connection:
        return connection.execute("SELECT length FROM notes").fetchall()


async def test_of_many_processes_that_open_it_at_once_one_upgrades_it(path: Path, crew: Crew) -> None:
    with closing(open_file(path, Schema("notes", (ONE,)))) as connection:
        connection.execute("INSERT INTO notes (text) VALUES ('four')")
    assert await crew.work(open_at_once, *[(path,)] * crew.size) == [[(1004,)]] * crew.size


def test_kinds_that_share_a_file_have_versions_of_their_own(path: Path) -> None:
    open_file(path, Schema("notes", (ONE, TWO))).close()
    open_file(path, Schema("songs", (("CREATE TABLE IF NOT EXISTS songs (id INTEGER)",),))).close()
    assert versions(path) == {"notes": 2, "songs": 1}
    with pytest.raises(NewerSchema):
        open_file(path, Schema("notes", (ONE,)))
    open_file(path, Schema("songs", (("NONSENSE, as it is there already",),))).close()
