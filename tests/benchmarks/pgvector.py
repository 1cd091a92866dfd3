"""What do `remote::pgvector`'s searches and writes cost over the bare driver's statement on the same server, with the same indexes?"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import batched
import random
import time
from typing import Any

import asyncpg
from pydantic_core import to_json

from core.apis.vector_filters import Comparison
from core.apis.vector_io import Chunk, VectorQuery
from core.providers.pgvector.config import Config
from core.providers.pgvector.statements import StoreTable
from tests.benchmarks.table import Row
from tests.benchmarks.vectors import INDEX, TEXT, new_chunk
from tests.parts import postgres

SIZE, BATCH, SEARCHES, LIMIT, GOAL = 5_000, 250, 150, 10, "<= 1.3x"
MORE = 4  # times as many, of what takes half a millisecond
CANDIDATES = {
    "by vector": 100,
    "by vector in a tenth": 400,
    "by words": 100,
    "by both": 200,
}  # as the provider has them
TENTH = Comparison("eq", "part", 3)
MAKE = (
    "CREATE EXTENSION IF NOT EXISTS vector",
    """CREATE TABLE bare (key text COLLATE "C" PRIMARY KEY, embedding vector(384) NOT NULL, attributes jsonb NOT NULL,
        text text NOT NULL, metadata text NOT NULL, source text NOT NULL, filename text NOT NULL, words tsvector NOT NULL)""",
    "ALTER TABLE bare ALTER COLUMN embedding SET STORAGE PLAIN",
    "CREATE INDEX ON bare USING gin (words)",
    "CREATE INDEX ON bare USING gin (attributes jsonb_path_ops)",
    "CREATE INDEX ON bare USING hnsw (embedding vector_cosine_ops)",
)
PUT = """INSERT INTO bare VALUES ($1, CAST(CAST($2 AS text) AS vector), CAST(CAST($3 AS text) AS jsonb), $4,
    $5, $6, $7, to_tsvector('english', CAST($4 AS text))) ON CONFLICT (key) DO NOTHING"""
VECTOR = "CAST(CAST($1 AS text) AS vector)"
WHOLE = "text, CAST(attributes AS text), metadata, source, filename"


def bare_searches(table: str) -> dict[str, str]:
    """Asked of the provider's own table: of two indexes of the same vectors one may be quicker by a third."""
    search = f"SELECT key, embedding <=> {VECTOR}, {WHOLE} FROM {table}"  # noqa: S608 - constants
    best = f"ORDER BY embedding <=> {VECTOR} LIMIT 10"
    found = f"{table}, websearch_to_tsquery('english', $%d) AS asked WHERE words @@ asked"
    return {
        "by vector": f"{search} {best}",
        "by vector in a tenth": f"{search} WHERE attributes @> CAST(CAST($2 AS text) AS jsonb) {best}",
        "by words": f"SELECT key, ts_rank(words, asked) AS rank, {WHOLE} FROM {found % 1} ORDER BY rank DESC LIMIT 10",  # noqa: S608
        "by both": f"""WITH near AS (SELECT key FROM {table} ORDER BY embedding <=> {VECTOR} LIMIT 100),
            found AS (SELECT key FROM {found % 2} ORDER BY ts_rank(words, asked) DESC LIMIT 100),
            shares AS (SELECT key, row_number() OVER () AS place FROM near
                UNION ALL SELECT key, row_number() OVER () FROM found)
            SELECT key, score, {WHOLE} FROM (
                SELECT key, sum(1.0 / (60 + place)) AS score FROM shares GROUP BY key ORDER BY score DESC LIMIT 10) AS best
            JOIN {table} USING (key) ORDER BY score DESC""",  # noqa: S608 - constants
    }


def pgvector() -> list[Row]:
    with postgres.running() as server:
        return asyncio.run(measure(server.port))


async def measure(port: int) -> list[Row]:
    source = random.Random(SIZE)  # noqa: S311 - test data
    chunks = [new_chunk(number, SIZE, source) for number in range(SIZE)]
    database = await postgres.new_database(port)
    await database.execute(*MAKE)
    connection: Any = await asyncpg.connect(host="127.0.0.1", port=port, database=database.name, user=postgres.USER)
    async with postgres.provider(database) as provider:
        await provider.create(INDEX)
        puts, bare_puts = list[float](), list[float]()
        for batch in batched(chunks, BATCH, strict=False):
            await timed(puts, partial(provider.put, INDEX, batch))
            await timed(bare_puts, partial(put_bare, connection, batch))
        await database.execute(
            "VACUUM (ANALYZE)"
        )  # as autovacuum leaves it: what was put last is in the index of words too
        for setting in (
            "hnsw.iterative_scan = strict_order",
            "plan_cache_mode = force_custom_plan",
        ):  # as the provider's
            await connection.execute(f"SET {setting}")
        queries = [[source.gauss(0, 1) for _ in range(INDEX.dimension)] for _ in range(SEARCHES)]
        table = StoreTable(Config(**database.config), INDEX.name, INDEX.dimension).table
        rows = [compared(f"{BATCH} chunks put", puts, bare_puts), *await compare(provider, connection, table, queries)]
    await connection.close()
    return rows


async def put_bare(connection: Any, batch: Sequence[Chunk]) -> None:
    values = [
        (
            chunk.key,
            to_json(chunk.vector).decode(),
            to_json(chunk.attributes).decode(),
            chunk.text,
            chunk.metadata,
            chunk.source,
            chunk.filename,
        )
        for chunk in batch
    ]
    async with connection.transaction():
        await connection.executemany(PUT, values)


async def compare(provider: Any, connection: Any, table: str, queries: list[list[float]]) -> list[Row]:
    texts = bare_searches(table)
    words = " or ".join(f'"{word}"' for word in TEXT.split())
    kinds: dict[str, tuple[Callable[[list[float]], VectorQuery], Callable[[list[float]], list[str]]]] = {
        "by vector": (lambda one: VectorQuery(one, limit=LIMIT), lambda one: [printed(one)]),
        "by vector in a tenth": (
            lambda one: VectorQuery(one, filter=TENTH, limit=LIMIT),
            lambda one: [printed(one), '{"part": 3}'],
        ),
        "by words": (lambda _: VectorQuery(text=TEXT, limit=LIMIT), lambda _: [words]),
        "by both": (lambda one: VectorQuery(one, TEXT, limit=LIMIT), lambda one: [printed(one), words]),
    }
    rows: list[Row] = []
    for name, (query, values) in kinds.items():
        await connection.execute(f"SET hnsw.ef_search = {CANDIDATES[name]}")
        ours, bare = list[float](), list[float]()
        for one in queries * (MORE if name == "by words" else 1):
            await timed(bare, partial(fetch_bare, connection, texts[name], partial(values, one)))
            await timed(ours, partial(provider.search, INDEX, query(one)))
        rows.append(compared(f"search {name} among {SIZE}", ours, bare))
    return rows


async def fetch_bare(connection: Any, text: str, values: Callable[[], list[str]]) -> None:
    await connection.fetch(text, *values())


def printed(vector: list[float]) -> str:
    return to_json(vector).decode()


async def timed(seconds: list[float], work: Callable[[], Awaitable[Any]]) -> None:
    start = time.perf_counter()
    await work()
    seconds.append(time.perf_counter() - start)


def compared(what: str, ours: list[float], floor: list[float]) -> Row:
    mine, bare = 1000 * min(ours), 1000 * min(floor)  # what others on the machine took is in neither
    return Row(what, f"{mine:.2f} ms", f"{bare:.2f} ms", mine / bare, GOAL)
