"""Vector stores in PostgreSQL: what can go wrong with a database that others have too, as callers are told of it."""

from array import array
import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
import math
from pathlib import Path
import random
from typing import Any
from urllib.parse import urlsplit

import httpx
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
import pytest

from core.apis.vector_filters import Comparison, parse_filter
from core.apis.vector_io import Chunk, VectorQuery
from core.errors import ApiError, Conflict, InvalidRequest, ProviderUnavailable, UpstreamFailed, UpstreamTimeout
from core.platform import secrets
from core.providers.pgvector.config import Config
from core.providers.pgvector.database import ConnectionLost, SqlRefused
from core.providers.pgvector.direct import Connections, number_values
from core.providers.pgvector.failures import refusal_of
from core.providers.pgvector.filters import print_filter
from core.providers.pgvector.rows import check_numbers, escape, print_words, unescape
from core.providers.pgvector.statements import StoreTable
from core.providers.pgvector.vector_io import PgVector
from tests.contract.vector_providers import INDEX, chunk, random_vector
from tests.parts import postgres as parts_postgres
from tests.parts.cutting_proxy import proxying
from tests.parts.moto import aws_client
from tests.parts.postgres import Database, Server, new_schema, provider
from tests.parts.secrets import plant
from tests.parts.vector_stack import insert, make, message, search, vector_world

FIRST, SECOND = plant("first-password-of-the-database"), plant("second-password-of-the-database")
X, Y = (1.0, 0, 0, 0), (0, 1.0, 0, 0)


@pytest.fixture
def database(postgres_server: Server) -> Database:
    """The one that most tests share, each in a schema of its own."""
    return Database(postgres_server.port, "postgres")


@pytest.fixture
async def pg(database: Database) -> AsyncGenerator[PgVector]:
    async with provider(database, db_schema=new_schema()) as opened:
        yield opened


def table_of(pg: PgVector, dimension: int = 4) -> str:
    return StoreTable(pg._config, INDEX.name, dimension).table


async def found(pg: PgVector, **query: Any) -> list[str]:
    return [one.chunk.key for one in await pg.search(INDEX, VectorQuery(**({"vector": X} | query)))]


@asynccontextmanager
async def on_the_wire(folder: Path, database: Database, **config: Any) -> AsyncGenerator[httpx.AsyncClient]:
    entry = {"provider_id": "pg", "provider_type": "remote::pgvector", "config": database.config | config}
    async with vector_world(folder, entry=entry) as world:
        client = await world.client()
        try:
            yield client
        finally:
            await world.opened.aclose()


async def test_a_store_is_filled_and_searched_in_every_way_on_the_wire(tmp_path: Path, database: Database) -> None:
    async with on_the_wire(tmp_path, database, db_schema=new_schema()) as client:
        store = await make(client, name="notes")
        await insert(client, store["id"], "Files expire after a year", "Quotas are exact", "Nothing of both")
        for mode in ("vector", "keyword", "hybrid"):
            answer = await search(client, store["id"], "when do files expire", search_mode=mode, max_num_results=1)
            [row] = answer.json()["data"]
            assert row["content"][0]["text"] == "Files expire after a year"
            assert 0 < row["score"] <= 1
        deleted = await client.delete(f"/v1/vector_stores/{store['id']}", headers={"authorization": "Bearer ada"})
        assert deleted.status_code == 200


async def test_a_table_that_somebody_changed_is_said_to_be(tmp_path: Path, database: Database) -> None:
    schema = new_schema()
    async with on_the_wire(tmp_path, database, db_schema=schema) as client:
        store = await make(client)
        await insert(client, store["id"], "one")
        [[table]] = await database.execute(f"SELECT digest FROM {schema}.llambda_vector_stores")
        await database.execute(f"ALTER TABLE {schema}.{table} DROP COLUMN metadata")
        answer = await search(client, store["id"], "one")
        assert answer.status_code == 502
        assert message(answer) == (
            "Provider `pg` found the table of this vector store changed by somebody else: undo the change, or delete the store and fill another."
        )
        await database.execute(f"ALTER TABLE {schema}.{table} ALTER COLUMN embedding TYPE vector(2) USING '[1,2]'")
        answer = await search(client, store["id"], "one")
        assert (answer.status_code, "changed by somebody else" in message(answer)) == (502, True)


async def test_a_table_with_another_dimension_is_a_conflict(pg: PgVector, database: Database) -> None:
    await pg.put(INDEX, [chunk("a")])
    wide = replace(INDEX, dimension=5)
    with pytest.raises(Conflict, match=r"there already, with 4 dimensions, not 5\. Use the embedding model"):
        await pg.create(wide)
    for work in (pg.put(wide, [chunk("b", "", (1, 0, 0, 0, 0))]), pg.search(wide, VectorQuery((1, 0, 0, 0, 0)))):
        with pytest.raises(Conflict, match="vectors of other dimensions in this store"):
            await work
    assert await found(pg) == ["a"]
    await database.execute(f"DROP TABLE {table_of(pg)}")  # what is left says nothing of what is in it
    assert await found(pg) == []
    await pg.put(INDEX, [chunk("c")])
    assert await found(pg) == ["c"]


async def test_scores_that_are_none_are_0_and_last(tmp_path: Path, database: Database) -> None:
    schema = new_schema()
    async with on_the_wire(tmp_path, database, db_schema=schema) as client:
        store = await make(client)
        await insert(client, store["id"], "one", "two")
        [[table]] = await database.execute(f"SELECT digest FROM {schema}.llambda_vector_stores")
        zeros = [0] * 64
        await database.execute(f"UPDATE {schema}.{table} SET embedding = '{zeros}' WHERE text = 'two'")
        rows = (await search(client, store["id"], "one")).json()["data"]
        assert [(row["content"][0]["text"], round(row["score"], 3)) for row in rows] == [("one", 1), ("two", 0)]


async def test_vectors_of_zeros_are_refused(pg: PgVector) -> None:
    with pytest.raises(InvalidRequest, match="no direction"):
        await pg.put(INDEX, [chunk("a", "", (0, 0, 0, 0))])
    with pytest.raises(InvalidRequest, match="no direction"):
        await pg.search(INDEX, VectorQuery((0.0, 0, 0, 1e-60)))


@given(st.lists(st.floats(width=64) | st.sampled_from([0.0, 1e-46, 1e-40, 3e38, 4e38]), min_size=1, max_size=6))
def test_a_vector_is_taken_as_its_32_bit_floats_are(numbers: list[float]) -> None:
    floats = array("f", numbers)
    if any(floats) and all(map(math.isfinite, floats)):
        assert check_numbers(numbers) == numbers
    else:
        with pytest.raises(InvalidRequest):
            check_numbers(numbers)


async def test_a_statement_that_takes_too_long_is_stopped_and_says_by_whom(tmp_path: Path, postgres: Database) -> None:
    await postgres.execute(f"ALTER DATABASE {postgres.name} SET statement_timeout = '300ms'")
    async with on_the_wire(tmp_path, postgres) as client:
        store = await make(client)
        await insert(client, store["id"], "one")
        [[table]] = await postgres.execute("SELECT digest FROM llambda.llambda_vector_stores")
        async with locked(postgres, f"llambda.{table}"):
            answer = await search(client, store["id"], "one")
        assert answer.status_code == 504
        assert message(answer) == (
            "Provider `pg` stopped the statement at its `statement_timeout`: ask for fewer results, or raise the timeout."
        )
    async with provider(postgres, command_timeout=0.2) as hasty, locked(postgres, f"llambda.{table}"):
        with pytest.raises(UpstreamTimeout, match=r"`pg` stopped a statement after `command_timeout`, 0.2 seconds"):
            await hasty.search(replace(INDEX, name=store["id"], dimension=64), VectorQuery([1.0] * 64))


@asynccontextmanager
async def locked(database: Database, table: str) -> AsyncGenerator[None]:
    """While somebody else has the table for himself."""
    import asyncpg

    config = database.config
    connection = await asyncpg.connect(
        host=config["host"], port=config["port"], database=config["db"], user=config["user"]
    )
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def test_a_server_that_restarts_is_asked_again_and_one_that_is_down_is_said_to_be(tmp_path: Path) -> None:
    with parts_postgres.running() as server:
        database = Database(server.port, "postgres")
        async with on_the_wire(tmp_path, database) as client, provider(database) as pg:
            store = await make(client)
            await insert(client, store["id"], "one")
            await pg.put(INDEX, [chunk("a")])
            for mode in ("fast", "immediate"):  # which have the connections that were open end
                server.stop(mode)
                answer = await search(client, store["id"], "one")
                assert answer.status_code == 503
                assert message(answer).startswith(
                    "Provider `pg` cannot reach its database, or it is restarting. Try again in a moment; if it stays so, check where its config says that it is."
                )
                assert answer.headers["retry-after"] == "2"
                assert (await pg.health())["status"] == "Error"
                server.start()
                assert (await search(client, store["id"], "one")).status_code == 200
                await pg.put(INDEX, [chunk("a")])


async def test_a_password_is_read_by_reference_and_again_when_it_was_replaced(
    request: pytest.FixtureRequest,
    moto_endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
    postgres_server: Server,
    postgres: Database,
) -> None:
    request.getfixturevalue("aws_credentials")
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_endpoint)
    monkeypatch.setattr(secrets, "RENEWAL_SECONDS", 0.0)
    server, database = postgres_server, postgres
    with aws_client("secretsmanager", moto_endpoint) as vault:
        await database.execute(
            f"CREATE ROLE sesame LOGIN SUPERUSER PASSWORD '{FIRST}'",
            "CREATE TABLE hba (line text)",
            f"COPY hba FROM '{server.data}/pg_hba.conf' WITH (DELIMITER E'\x01')",
            f"COPY (SELECT 'host all sesame all scram-sha-256' UNION ALL SELECT line FROM hba) TO '{server.data}/pg_hba.conf'",
            "SELECT pg_reload_conf()",
        )
        arn = vault.create_secret(Name=new_schema(), SecretString=f'{{"password": "{FIRST}"}}')["ARN"]
        reference = f"aws-secretsmanager:{arn}#password"
        async with provider(database, user="sesame", password=reference) as pg:
            await pg.put(INDEX, [chunk("a")])
            vault.put_secret_value(SecretId=arn, SecretString=f'{{"password": "{SECOND}"}}')
            await database.execute(
                f"ALTER ROLE sesame PASSWORD '{SECOND}'",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sesame'",
            )
            assert await found(pg) == ["a"]
        async with provider(database, user="sesame", password="wrong") as pg:
            with pytest.raises(UpstreamFailed, match="`pg` refused the stack's user or password") as raised:
                await found(pg)
            assert "wrong" not in str(raised.value)


async def test_a_connection_that_ends_is_asked_again_once_where_nothing_was_written(
    pg: PgVector, database: Database
) -> None:
    await pg.put(INDEX, [chunk("a")])
    others = f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = '{table_of(pg)}'::regclass AND pid <> pg_backend_pid()"
    for work in (pg.search(INDEX, VectorQuery(X)), pg.put(INDEX, [chunk("b")]), pg.delete(INDEX, ["a"])):
        async with locked(database, table_of(pg)):
            task = asyncio.ensure_future(work)
            while not await database.execute(
                f"SELECT 1 FROM pg_locks WHERE relation = '{table_of(pg)}'::regclass AND NOT granted"
            ):
                await asyncio.sleep(0.01)
            await database.execute(f"{others} AND NOT granted")
        await task
    assert await found(pg) == ["b"]


async def test_a_write_whose_answer_was_lost_is_not_done_again_unasked(pg: PgVector, database: Database) -> None:
    await pg.put(INDEX, [chunk("a")])
    waiting = f"SELECT 1 FROM pg_locks WHERE relation = '{table_of(pg)}'::regclass AND NOT granted"
    with proxying(f"http://127.0.0.1:{database.port}") as proxy:
        port = urlsplit(proxy.url).port or 0
        async with provider(Database(port, database.name), db_schema=pg._config.db_schema) as other:
            assert await found(other) == ["a"]
            for work, again in ((other.put(INDEX, [chunk("b")]), False), (found(other, limit=1), True)):
                async with locked(database, table_of(pg)):
                    task = asyncio.ensure_future(work)
                    while not await database.execute(waiting):
                        await asyncio.sleep(0.01)
                    proxy.set_away(away=True)
                    await asyncio.sleep(0.1)
                    proxy.set_away(away=False)
                if again:
                    assert await task == ["a"]
                    continue
                with pytest.raises(
                    ProviderUnavailable, match="not known whether the last write was done; doing it again"
                ):
                    await task


async def test_an_index_that_ends_before_there_are_enough_loses_nothing(postgres: Database) -> None:
    await postgres.execute(
        "CREATE EXTENSION vector",
        *(f"ALTER DATABASE {postgres.name} SET {name} = off" for name in ("enable_seqscan", "enable_bitmapscan")),
    )
    index, source = {"ef_search": 10}, random.Random(2)  # noqa: S311
    rows = [chunk(f"f#{n}", "", random_vector(4, source), v=n % 30) for n in range(300)]
    only, limit = Comparison("eq", "v", 7), 5
    async with provider(postgres, vector_index=index) as pg:
        await pg.put(INDEX, rows)
        assert len(await found(pg, filter=only, limit=limit)) == limit
        plan = await explain(pg, VectorQuery(X, filter=only, limit=limit))
        assert [line for line in plan if "_hnsw" in line]
        assert f" rows={limit}.00 " in plan[0]  # enough, so that nothing else is asked
        everything = await found(pg, limit=300)
    await postgres.execute(f"ALTER DATABASE {postgres.name} SET hnsw.max_scan_tuples = 1")
    async with provider(postgres, vector_index=index) as pg:
        plan = await explain(pg, VectorQuery(X, filter=only, limit=limit))
        assert f" rows={limit}.00 " not in plan[0]
        right = [key for key in everything if int(key[2:]) % 30 == 7]
        assert await found(pg, filter=only, limit=limit) == right[:limit]
        assert await found(pg, filter=only, limit=100) == right
        assert len(everything) == 300


async def explain(pg: PgVector, query: VectorQuery) -> list[str]:
    """How PostgreSQL has carried out the search."""
    assert query.filter is not None
    values = pg._values(INDEX, query)
    condition, operands = print_filter(query.filter)
    statement = pg._store(INDEX).near(condition, with_vectors=False, settings=True)
    rows = await pg._database.run(f"EXPLAIN (ANALYZE, COSTS OFF) {statement}", {**values, "filter": operands})
    return [line for (line,) in rows]


async def test_without_pgvector_it_says_what_to_run(tmp_path: Path, postgres: Database) -> None:
    await postgres.execute(
        "DO $$ BEGIN CREATE ROLE poor LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        f"REVOKE ALL ON DATABASE {postgres.name} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {postgres.name} TO poor",
    )
    async with on_the_wire(tmp_path, postgres, user="poor") as client:
        answer = await client.post("/v1/vector_stores", json={}, headers={"authorization": "Bearer ada"})
        assert answer.status_code == 503
        assert (
            "has no pgvector, and the provider may not add it. As an administrator of the database run: CREATE EXTENSION vector;"
            in message(answer)
        )
    [[version]] = await postgres.execute(
        "CREATE EXTENSION vector", "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
    )
    await postgres.execute("UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'")
    async with provider(postgres, user="poor") as poor:
        with pytest.raises(
            ProviderUnavailable, match=r"pgvector 0.7.4, which is too old.*ALTER EXTENSION vector UPDATE"
        ):
            await poor.create(INDEX)
        await postgres.execute(f"UPDATE pg_extension SET extversion = '{version}' WHERE extname = 'vector'")
        with pytest.raises(ProviderUnavailable, match=r"no schema `llambda`.*CREATE SCHEMA .llambda. AUTHORIZATION"):
            await poor.create(INDEX)
        await postgres.execute("CREATE SCHEMA llambda")
        with pytest.raises(
            (ProviderUnavailable, UpstreamFailed), match=r"GRANT USAGE, CREATE ON SCHEMA|grant it USAGE"
        ):
            await poor.create(INDEX)
        await postgres.execute("GRANT USAGE, CREATE ON SCHEMA llambda TO poor")
        await poor.put(INDEX, [chunk("a")])
        assert await found(poor) == ["a"]


async def test_tables_of_a_newer_llambda_are_refused(tmp_path: Path, database: Database) -> None:
    schema = new_schema()
    async with provider(database, db_schema=schema) as older:
        await older.put(INDEX, [chunk("a")])
    await database.execute(f"UPDATE {schema}.llambda_vector_versions SET version = 99")
    async with on_the_wire(tmp_path, database, db_schema=schema) as client:
        answer = await client.post("/v1/vector_stores", json={}, headers={"authorization": "Bearer ada"})
        assert answer.status_code == 503
        assert "was written by a newer llambda, whose vector stores have version 99; this one knows 1" in message(
            answer
        )


async def test_a_database_that_is_not_in_utf8_is_refused(postgres: Database) -> None:
    name = f"{postgres.name}_l1"
    await postgres.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0")
    async with provider(Database(postgres.port, name)) as pg:
        with pytest.raises(ProviderUnavailable, match="is encoded as LATIN1: vector stores need one of UTF8"):
            await pg.create(INDEX)


async def test_cold_starts_that_meet_make_the_tables_once(postgres: Database) -> None:
    async def start(number: int) -> None:
        async with provider(postgres) as pg:
            await pg.put(INDEX, [chunk(f"f#{number}")])

    await asyncio.gather(*map(start, range(12)))
    async with provider(postgres) as pg:
        assert len(await found(pg, limit=100)) == 12
    [[versions]] = await postgres.execute("SELECT count(*) FROM llambda.llambda_vector_versions")
    assert versions == 1


async def test_a_pool_that_is_in_use_says_so(database: Database) -> None:
    async with provider(database, db_schema=new_schema(), pool_max_size=1, acquire_timeout=0.2) as pg:
        await pg.put(INDEX, [chunk("a")])
        async with locked(database, table_of(pg)):
            first = asyncio.ensure_future(found(pg))
            await asyncio.sleep(0.05)
            with pytest.raises(ProviderUnavailable, match=r"no connection within 0.2 seconds.*`pool_max_size` \(1\)"):
                await found(pg)
        assert await first == ["a"]


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"db": "nowhere"}, "has no such database"),
        ({"user": "nobody_here"}, "refused the stack's user"),
        ({"ssl": "require"}, "found no TLS at its database as `ssl: require` asks for"),
        ({"language": "klingon"}, "the `language` of its config"),
        ({"port": 1}, "cannot reach its database"),
    ],
)
async def test_a_config_that_is_wrong_is_named(database: Database, config: dict[str, Any], fault: str) -> None:
    async with provider(database, **({"db_schema": new_schema()} | config)) as pg:
        with pytest.raises(ApiError, match=fault):
            await pg.put(INDEX, [chunk("a", "word")])


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"distance_metric": "L2"}, "must be COSINE here"),
        ({"vector_index": {"type": "IVFFlat", "lists": 100}}, "must be HNSW here"),
        ({"resource_arn": "arn:aws:rds:us-east-1:123456789012:cluster:c"}, "`secret_arn` together"),
        ({"resource_arn": "cluster", "secret_arn": "s"}, "resource_arn"),
        (
            {
                "resource_arn": "arn:aws:rds:us-east-1:123456789012:cluster:c",
                "secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:s",
                "host": "h",
            },
            "`host` is of a connection",
        ),
        ({"db_schema": 'a"; DROP SCHEMA public'}, "db_schema"),
        ({"language": "english'"}, "language"),
        ({"pool_min_size": 5, "pool_max_size": 2}, "at most `pool_max_size`"),
        ({"vector_index": {"m": 64}}, "twice `m`"),
    ],
    ids=range(9),
)
def test_mistakes_of_a_config_are_found_before_anything_is_asked(config: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Config.model_validate(config)


def test_the_references_own_config_is_taken_as_it_is() -> None:
    config = Config.model_validate(
        {
            "host": "localhost",
            "port": "5432",
            "db": "vectors",
            "user": "me",
            "password": "hidden",
            "distance_metric": "COSINE",
            "vector_index": {"type": "HNSW", "m": 16, "ef_construction": 64, "ef_search": 40},
            "persistence": {"backend": "kv_default", "namespace": "vector_io::pgvector"},
            "pool_min_size": 4,
            "pool_max_size": 20,
            "statement_cache_size": 512,
            "command_timeout": 30.0,
        }
    )
    assert (config.port, config.ssl_mode, "hidden" in repr(config)) == (5432, "prefer", False)
    assert Config.model_validate({"host": "db.example.com"}).ssl_mode == "require"


@given(
    st.text(st.sampled_from("\x00\x10\x11\x12ab"), max_size=12),
    st.text(st.sampled_from("\x00\x10\x11\x12ab"), max_size=12),
)
def test_texts_have_no_nul_and_come_back_each_as_it_was(text: str, other: str) -> None:
    assert "\x00" not in escape(text)
    assert unescape(escape(text)) == text
    assert (escape(text) == escape(other)) == (text == other)
    assert escape(text + other).startswith(escape(text))


def test_names_of_values_become_numbers() -> None:
    assert number_values("SELECT :a, :bc, :a, 'x' WHERE CAST(:bc AS text) = ''") == (
        "SELECT $1, $2, $1, 'x' WHERE CAST($2 AS text) = ''",
        ("a", "bc"),
    )


@pytest.mark.parametrize("vector", [None, X])
async def test_a_store_that_was_made_anew_is_searched_in_its_own_language(
    database: Database, vector: tuple[float, ...] | None
) -> None:
    schema, rows = new_schema(), [chunk("a", "run", X), chunk("b", "running", X)]
    async with (
        provider(database, db_schema=schema) as pg,
        provider(database, db_schema=schema, language="simple") as other,
    ):
        for made, language in ((pg, "english"), (other, "simple"), (pg, "english")):
            await made.drop(INDEX)
            await made.put(INDEX, rows)
            for _ in range(2):  # the second knows the language
                best = [await found(pg, vector=vector, text=text, limit=1) for text in ("runs", "running", "run")]
                nothing = [] if vector is None else ["a"]
                assert best == ([["a"]] * 3 if language == "english" else [nothing, ["b"], ["a"]])
                everything = await found(pg, vector=vector, text="running")
                assert len(everything) == (1 if vector is None and language == "simple" else 2)


def test_a_search_for_words_has_nothing_of_a_language() -> None:
    assert print_words('fox -dog "a b" OR (c:*)') == '"fox" or "dog" or "a" or "b" or "or" or "c"'
    assert print_words("x" * 3000) == ""


def test_names_of_stores_are_never_in_a_statement() -> None:
    name = "\"; DROP SCHEMA public CASCADE; --'"
    table = StoreTable(Config(), name, 4)
    condition = parse_filter({"type": "eq", "key": name, "value": name})
    assert condition is not None
    texts = [*table.create(), table.drop(), table.put(), table.delete(), table.keys(), table.fetch(with_vectors=True)]
    printed = print_filter(condition)[0]
    texts += [table.search(("vector", "words"), printed, with_vectors=True, given=given) for given in (True, False)]
    texts += [table.near(printed, with_vectors=True, settings=True), table.nearest(printed, with_vectors=True)]
    texts.append(replace(table, bounded=True).fetch(with_vectors=False))
    assert not [text for text in texts if "DROP SCHEMA" in text]
    assert len({StoreTable(Config(), other, 4).table for other in ("a", "A", "a ", "\x00", "\ud800")}) == 5


@pytest.mark.parametrize(
    ("state", "text", "kind", "said"),
    [
        ("28P01", "", UpstreamFailed, "refused the stack's user or password"),
        ("53300", "", ProviderUnavailable, "takes no more connections"),
        ("53100", "", UpstreamFailed, "no room left"),
        ("25006", "", UpstreamFailed, "is read-only"),
        ("40P01", "", ProviderUnavailable, "too many writers"),
        ("54000", "", InvalidRequest, "make smaller chunks"),
        ("22000", "different vector dimensions 4 and 5", Conflict, "other dimensions"),
        ("XX000", "secret text", UpstreamFailed, "`pg` failed."),
    ],
)
def test_what_postgresql_refuses_is_told_without_its_words(
    state: str, text: str, kind: type[ApiError], said: str
) -> None:
    failure = refusal_of("pg", SqlRefused(state, text))
    assert type(failure) is kind
    assert said in failure.message
    assert "secret" not in failure.message
    assert failure.reason == state


@pytest.mark.parametrize("dimension", [2001, 3072])
async def test_wide_vectors_are_found_by_an_index_in_half_precision(
    pg: PgVector, database: Database, dimension: int
) -> None:
    wide = replace(INDEX, dimension=dimension)
    source = random.Random(1)  # noqa: S311
    rows = [Chunk(f"f#{number}", "", random_vector(dimension, source)) for number in range(20)]
    await pg.put(wide, rows)
    [[definition]] = await database.execute(
        f"SELECT indexdef FROM pg_indexes WHERE schemaname = '{pg._config.db_schema}' AND indexname LIKE '%hnsw'"
    )
    assert f"halfvec({dimension})) halfvec_cosine_ops" in definition
    results = await pg.search(wide, VectorQuery(rows[3].vector, limit=3))
    assert results[0].chunk.key == "f#3"
    assert results[0].score == pytest.approx(1)


@pytest.mark.exact
async def test_the_index_finds_nearly_all_and_a_filter_loses_none(
    pg: PgVector, database: Database, record_property: Any
) -> None:
    index, source = replace(INDEX, dimension=32), random.Random(5)  # noqa: S311
    rows = [Chunk(f"f#{n}", "", random_vector(32, source), {"part": n % 100, "half": n % 2}) for n in range(20_000)]
    await pg.put(index, rows)
    await database.execute(f"ANALYZE {table_of(pg, 32)}")
    for name, only, matches in (
        ("all", None, lambda _: True),
        ("half", Comparison("eq", "half", 1), lambda row: row.attributes["half"] == 1),
        ("low", Comparison("lt", "part", 10), lambda row: row.attributes["part"] < 10),
        ("one in a hundred", Comparison("eq", "part", 7), lambda row: row.attributes["part"] == 7),
    ):
        possible, right = [row for row in rows if matches(row)], 0
        for _ in range(50):
            query = random_vector(32, source)
            expected = sorted(possible, key=lambda row: -math.sumprod(row.vector, query) / math.hypot(*row.vector))[:10]
            results = await pg.search(index, VectorQuery(query, filter=only, limit=10))
            assert len(results) == 10
            right += len({one.chunk.key for one in results} & {row.key for row in expected})
        record_property(f"recall, {name}", right / 500)
        print(f"recall, {name}: {right / 500:.3f}")
        assert right / 500 > 0.95, name


@pytest.mark.parametrize(
    ("said", "done"),
    [
        ("cannot switch to state 11; another operation (2) is in progress", False),
        ("got result for unknown state", True),
    ],
)
def test_what_the_driver_could_not_send_was_not_done(said: str, done: bool) -> None:  # noqa: FBT001
    import asyncpg

    connections = Connections("pg", Config())
    with pytest.raises(ConnectionLost) as lost, connections._translate_errors():
        raise asyncpg.InternalClientError(said)
    assert lost.value.done == done
