"""What does a search of the embedded vector store cost over a bare script: a scan by simsimd, FTS5 asked by hand, ten texts read?"""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from heapq import nlargest
from itertools import batched
from pathlib import Path
import random
import sqlite3
from tempfile import TemporaryDirectory
import time
from typing import Any

import simsimd

from core.apis.vector_filters import Comparison
from core.apis.vector_io import Chunk, VectorIndex, VectorQuery
from core.providers.vector_sqlite.buffer import to_unit
from core.providers.vector_sqlite.vector_io import SqliteVectors
from tests.benchmarks.table import Row

SIZES, DIMENSION, LIMIT, SEARCHES = (10_000, 100_000), 384, 10, 50
INDEX = VectorIndex("vs_bench", "vs_bench", DIMENSION)
WORDS = [f"w{number}" for number in range(2_000)]
RARE = 20  # chunks with the word that is searched for
TEXT, GOAL = "rare w1", "<= 1.5x"
TENTH = Comparison("eq", "part", 3)

cdist: Any = simsimd.cdist


def vectors() -> list[Row]:
    return [row for size in SIZES for row in asyncio.run(measure(size))]


@dataclass
class Bare:
    """The vectors in memory, their texts and words in a file; `scan` and `ask` answer the texts of the best, with their scores."""

    matrix: bytes
    file: sqlite3.Connection

    def scan(self, query: Sequence[float]) -> list[tuple[float, str]]:
        unit = memoryview(to_unit(query)[0]).cast("f", (1, DIMENSION))
        rows = memoryview(self.matrix).cast("f", (len(self.matrix) // (4 * DIMENSION), DIMENSION))
        distances: Any = memoryview(cdist(unit, rows, "dot")).cast("B").cast("d")
        scores: list[float] = distances.tolist()
        best = nlargest(LIMIT, range(len(scores)), key=scores.__getitem__)
        return [(scores[place], self._text(place)) for place in best]

    def ask(self) -> list[tuple[float, str]]:
        statement = 'SELECT rowid, rank FROM words WHERE text MATCH \'"rare" OR "w1"\' ORDER BY rank LIMIT ?'
        return [(rank, self._text(place)) for place, rank in self.file.execute(statement, (LIMIT,)).fetchall()]

    def _text(self, place: int) -> str:
        text: str = self.file.execute("SELECT text FROM chunks WHERE id = ?", (place,)).fetchone()[0]
        return text


async def measure(size: int) -> list[Row]:
    source = random.Random(size)  # noqa: S311 - test data
    chunks = [new_chunk(number, size, source) for number in range(size)]
    with TemporaryDirectory() as folder, closing(sqlite3.connect(f"{folder}/bare.db")) as file:
        file.execute("CREATE VIRTUAL TABLE words USING fts5(text, content='')")
        file.execute("CREATE TABLE chunks (id INTEGER PRIMARY KEY, text TEXT)")
        for statement in ("INSERT INTO words (rowid, text) VALUES (?, ?)", "INSERT INTO chunks VALUES (?, ?)"):
            file.executemany(statement, enumerate(chunk.text for chunk in chunks))
        file.commit()
        bare = Bare(b"".join([to_unit(chunk.vector)[0] for chunk in chunks]), file)
        provider = SqliteVectors(Path(folder) / "vectors.db")
        start = time.perf_counter()
        for batch in batched(chunks, 500, strict=False):
            await provider.put(INDEX, batch)
        put = time.perf_counter() - start
        rows = await compare(provider, bare, size, source)
        await provider.close()
    return [Row(f"{size} chunks put", f"{put:.1f} s", "", None, ""), *rows]


def new_chunk(number: int, size: int, source: random.Random) -> Chunk:
    text = " ".join(source.choices(WORDS, k=40)) + (" rare" if number % (size // RARE) == 0 else "")
    vector = [source.gauss(0, 1) for _ in range(DIMENSION)]
    return Chunk(f"file#{number}", text, vector, {"part": number % 10}, "{}", "file", "a.txt")


async def compare(provider: SqliteVectors, bare: Bare, size: int, source: random.Random) -> list[Row]:
    queries = [[source.gauss(0, 1) for _ in range(DIMENSION)] for _ in range(SEARCHES)]
    hits = 0
    scans, asks, near, among, words, filtered, both = (list[float]() for _ in range(7))

    async def search(seconds: list[float], query: VectorQuery) -> set[str]:
        start = time.perf_counter()
        results = await provider.search(INDEX, query)
        seconds.append(time.perf_counter() - start)
        return {result.chunk.text for result in results}

    first: list[float] = []
    await search(first, VectorQuery(queries[0]))
    for vector in queries:
        start = time.perf_counter()
        expected = bare.scan(vector)
        scans.append(time.perf_counter() - start)
        hits += len({text for _, text in expected} & await search(near, VectorQuery(vector, limit=LIMIT)))
        await search(among, VectorQuery(vector, filter=TENTH, limit=LIMIT))
        start = time.perf_counter()
        bare.ask()
        asks.append(time.perf_counter() - start)
        await search(words, VectorQuery(text=TEXT, limit=LIMIT))
        await search(filtered, VectorQuery(text=TEXT, filter=TENTH, limit=LIMIT))
        await search(both, VectorQuery(vector, TEXT, limit=LIMIT))
    either = [scan + ask for scan, ask in zip(scans, asks, strict=True)]
    return [
        Row(f"first search among {size}, which reads the vectors", f"{1000 * first[0]:.0f} ms", "", None, ""),
        compared(f"vectors among {size}, recall {hits / SEARCHES / LIMIT:.3f}", near, scans),
        compared(f"vectors of a tenth of {size}, by a filter", among, scans),
        compared(f"words among {size}", words, asks),
        compared(f"words in a tenth of {size}, by a filter", filtered, asks),
        compared(f"both, fused, among {size}", both, either),
    ]


def compared(what: str, ours: list[float], floor: list[float]) -> Row:
    mine, bare = 1000 * min(ours), 1000 * min(floor)  # what others on the machine took is in neither
    return Row(what, f"{mine:.2f} ms", f"{bare:.2f} ms", mine / bare, GOAL)
