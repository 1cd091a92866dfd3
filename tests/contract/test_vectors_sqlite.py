"""What the vectors in a SQLite file promise beyond the Protocol: several processes, kills, what a Python may lack, Lambda."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import closing
from dataclasses import replace
import math
import os
from pathlib import Path
import signal
import sqlite3
import subprocess
import sys
import time
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from core.apis.vector_io import VectorQuery
from core.apis.vector_words import MOST_WORDS
from core.providers.vector_sqlite import vector_io
from core.providers.vector_sqlite.tables import to_match
from core.providers.vector_sqlite.vector_io import Config, SqliteVectors
from tests.contract.vector_providers import INDEX, chunk

WRITE = """
import asyncio, sys
from pathlib import Path
from core.providers.vector_sqlite.vector_io import SqliteVectors
from tests.contract.vector_providers import INDEX, chunk

async def main(path, name, batches):
    provider = SqliteVectors(Path(path))
    for batch in range(int(batches)):
        await provider.put(INDEX, [chunk(f"{name}{batch}#{number}", "word", v=number) for number in range(20)])
    await provider.close()

asyncio.run(main(*sys.argv[1:]))
"""
WITHOUT_SIMSIMD = """
import asyncio, sys
sys.modules["simsimd"] = None
from pathlib import Path
from core.apis.vector_io import VectorQuery
from core.providers.vector_sqlite.vector_io import SqliteVectors
from tests.contract.vector_providers import INDEX, chunk

async def main():
    provider = SqliteVectors(Path(sys.argv[1]))
    await provider.put(INDEX, [chunk("a")])
    await provider.search(INDEX, VectorQuery(INDEX.dimension * (1,)))

asyncio.run(main())
"""
LAMBDA = """
import sys
from core.config.problems import ConfigInvalid
from core.providers.vector_sqlite.vector_io import Config, connect

try:
    connect("faiss", Config(), {})
except ConfigInvalid as invalid:
    print(invalid)
"""


def start(code: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


async def count(provider: SqliteVectors) -> int:
    """How many chunks have a vector; that as many or more, later, have their words."""
    near = await provider.search(INDEX, VectorQuery((1, 0, 0, 0), limit=10_000))
    words = await provider.search(INDEX, VectorQuery(text="word", limit=10_000))
    assert len(near) <= len(words)
    assert len(words) % 20 == 0
    return len(near)


async def test_a_change_of_one_process_is_in_the_next_search_of_another(tmp_path: Path) -> None:
    path = tmp_path / "vectors.db"
    one, other = SqliteVectors(path), SqliteVectors(path)
    await one.put(INDEX, [chunk("a"), chunk("b")])
    assert await other.search(INDEX, VectorQuery((1, 0, 0, 0))) == await one.search(INDEX, VectorQuery((1, 0, 0, 0)))
    await one.delete(INDEX, ["a"])
    await other.put(INDEX, [chunk("c")])
    for provider in (one, other):
        results = await provider.search(INDEX, VectorQuery((1, 0, 0, 0)))
        assert {scored.chunk.key for scored in results} == {"b", "c"}
        await provider.close()


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncGenerator[SqliteVectors]:
    provider = SqliteVectors(tmp_path / "vectors.db")
    yield provider
    await provider.close()


async def test_vectors_of_zeros_are_near_to_nothing(provider: SqliteVectors) -> None:
    await provider.put(INDEX, [chunk("zero", "word", (0, 0, 0, 0)), chunk("a")])
    assert [one.score for one in await provider.search(INDEX, VectorQuery((0, 0, 0, 0)))] == [0, 0]
    assert [one.chunk.key for one in await provider.search(INDEX, VectorQuery((1, 0, 0, 0)))] == ["a", "zero"]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("un cafe\u0301 noir", "café"),
        ("un café noir", "cafe\u0301"),
        ("हिन्दी भाषा", "भाषा"),
        ("שָׁלוֹם עולם", "עולם"),
        ("ยินดีต้อนรับสวัสดีครับ", "สวัสดี"),
        ("İSTANBUL", "istanbul"),
        ("snake_case", "CASE"),
        ("a\x00rare\x00b", "rare"),
    ],
)
async def test_a_word_is_found_however_its_script_is_written(provider: SqliteVectors, text: str, query: str) -> None:
    others = [
        chunk(f"f#{number}", other) for number, other in enumerate(("nothing", "भारत", "ความ", "שולחן", "ca f e"))
    ]
    await provider.put(INDEX, [chunk("it", text), *others])
    assert [one.chunk.key for one in await provider.search(INDEX, VectorQuery(text=query))][:1] == ["it"]
    await provider.delete(INDEX, ["it"])
    assert "it" not in [one.chunk.key for one in await provider.search(INDEX, VectorQuery(text=query))]


def test_a_word_is_searched_for_once_and_not_more_than_a_hundred_are() -> None:
    assert to_match("Word, WORD! word") == '"word"'
    assert to_match(" ".join(f"w{number}" for number in range(5000))).count(" OR ") == MOST_WORDS - 1
    assert to_match("日本語") == '"日 本" OR "本 語"'


async def test_of_equal_chunks_the_older_are_first_in_every_process(tmp_path: Path) -> None:
    one, other = SqliteVectors(tmp_path / "vectors.db"), SqliteVectors(tmp_path / "vectors.db")
    await one.put(INDEX, [chunk(f"f#{number}", "word") for number in range(700)])
    await one.search(INDEX, VectorQuery((1, 0, 0, 0)))
    await one.delete(INDEX, [f"f#{number}" for number in range(0, 350, 2)])  # in the buffer, the last take their places
    for query in (VectorQuery((1, 0, 0, 0)), VectorQuery(text="word"), VectorQuery((1, 0, 0, 0), "word")):
        for limit in (1, 7, 300):
            results = [await provider.search(INDEX, replace(query, limit=limit)) for provider in (one, other)]
            assert results[0] == results[1]
            assert [scored.chunk.key for scored in results[0][:3]] == ["f#1", "f#3", "f#5"][:limit]
    await one.close()
    await other.close()


async def test_a_dropped_index_is_not_kept_in_memory(provider: SqliteVectors) -> None:
    for number in range(4):
        index = replace(INDEX, name=f"vs_{number}")
        await provider.put(index, [chunk("a")])
        await provider.search(index, VectorQuery((1, 0, 0, 0)))
        await provider.drop(index)
    assert len(provider._buffers) == 1


async def test_of_more_stores_than_memory_is_for_the_last_searched_are_kept(
    provider: SqliteVectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_io, "MOST_BUFFERED", 2 * 4 * INDEX.dimension)
    indexes = [replace(INDEX, name=f"vs_{number}") for number in range(3)]
    for index in [*indexes, indexes[1], indexes[0]]:
        await provider.put(index, [chunk(index.name)])
        results = await provider.search(index, VectorQuery((1, 0, 0, 0)))
        assert [one.chunk.key for one in results] == [index.name]
    assert list(provider._buffers) == [2, 1]


async def test_the_score_of_words_is_of_bm25(provider: SqliteVectors, tmp_path: Path) -> None:
    await provider.put(INDEX, [chunk("it", "rare word"), *(chunk(f"f#{number}", "word") for number in range(9))])
    [result] = await provider.search(INDEX, VectorQuery(text="rare"))
    with closing(sqlite3.connect(tmp_path / "vectors.db")) as file:
        [(bm25,)] = file.execute("SELECT -rank FROM vector_words_1 WHERE text MATCH 'rare'").fetchall()
    assert bm25 > 1
    assert result.score == pytest.approx(bm25 / (1 + bm25))


async def test_a_text_without_words_leaves_the_vectors_scores(provider: SqliteVectors) -> None:
    await provider.put(INDEX, [chunk("a")])
    assert [one.score for one in await provider.search(INDEX, VectorQuery((1, 0, 0, 0), ""))] == [1]
    assert await provider.search(INDEX, VectorQuery(text="")) == []


async def test_after_more_removals_than_are_remembered_all_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "vectors.db"
    one, other = SqliteVectors(path), SqliteVectors(path)
    keys = [f"f#{number}" for number in range(vector_io.MOST_REMOVALS + 1)]
    await one.put(INDEX, [chunk(key) for key in [*keys, "last"]])
    await other.search(INDEX, VectorQuery((1, 0, 0, 0)))
    await one.delete(INDEX, keys)
    results = await other.search(INDEX, VectorQuery((1, 0, 0, 0)))
    assert [scored.chunk.key for scored in results] == ["last"]
    await one.close()
    await other.close()


async def test_writers_in_several_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "vectors.db"
    writers = [start(WRITE, str(path), name, "10") for name in "abc"]
    provider = SqliteVectors(path)
    while any(writer.poll() is None for writer in writers):
        assert await count(provider) % 20 == 0
    assert [writer.communicate()[0] for writer in writers] == [""] * 3
    assert await count(provider) == 600
    assert len(await provider.search(INDEX, VectorQuery(text="word", limit=10_000))) == 600
    await provider.close()


async def kill_writers(path: Path, names: str) -> None:
    provider = SqliteVectors(path)
    for name in names:
        await provider.drop(INDEX)
        writer = start(WRITE, str(path), name, "100000")
        try:
            until = time.monotonic() + 20
            while await count(provider) == 0:
                assert time.monotonic() < until
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
        chunks = await count(provider)
        assert chunks > 0
        assert chunks % 20 == 0
        check_tables(path, chunks)
    await provider.close()


def check_tables(path: Path, chunks: int) -> None:
    """All that is kept of the chunks of the only index is whole: their vectors, their words, their attributes."""
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        [(number,)] = file.execute("SELECT id FROM vector_indexes").fetchall()
        words = f"vector_words_{number}"
        file.execute(f"INSERT INTO {words} ({words}) VALUES ('integrity-check')")  # noqa: S608 - a number
        tables = ("vector_chunks", f"{words}_docsize", "vector_attributes")
        counts = [file.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]  # noqa: S608
    assert counts == [chunks] * 3


async def test_a_writer_that_is_killed_leaves_whole_batches(tmp_path: Path) -> None:
    await kill_writers(tmp_path / "vectors.db", "ab")


@pytest.mark.exact
async def test_20_writers_that_are_killed_leave_whole_batches(tmp_path: Path) -> None:
    await kill_writers(tmp_path / "vectors.db", "abcdefghijklmnopqrst")


steps = st.tuples(st.booleans(), st.sampled_from(["put", "delete", "drop"]), st.lists(st.integers(0, 30), max_size=9))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=12))
def test_two_processes_that_write_by_turns_see_the_same(
    tmp_path: Path, script: list[tuple[bool, str, list[int]]]
) -> None:
    """Each has a connection and a buffer of its own, which is all that processes do not share here."""
    asyncio.run(play(tmp_path / f"{uuid4()}.db", script))


async def play(path: Path, script: list[tuple[bool, str, list[int]]]) -> None:
    providers, model = (SqliteVectors(path), SqliteVectors(path)), dict[str, tuple[float, ...]]()
    for turn, (first, action, numbers) in enumerate(script):
        provider = providers[first]
        keys = [f"f#{number}" for number in numbers]
        match action:
            case "put":
                vectors = {key: (1.0, float(turn), number / 7, 0.0) for key, number in zip(keys, numbers, strict=True)}
                await provider.put(INDEX, [chunk(key, "word", vector) for key, vector in vectors.items()])
                model |= vectors
            case "delete":
                await provider.delete(INDEX, keys)
                model = {key: vector for key, vector in model.items() if key not in keys}
            case _:
                await provider.drop(INDEX)
                model.clear()
        if turn % 2 == 0:  # so that there is more than one change to catch up with
            for other in providers:
                results = await other.search(INDEX, VectorQuery((1, 0, 0, 0), limit=100))
                scores = {one.chunk.key: one.score for one in results}
                assert scores == pytest.approx(
                    {key: 1 / math.hypot(*vector) for key, vector in model.items()}, abs=1e-6
                )
    for provider in providers:
        await provider.close()


def test_without_simsimd_it_says_how_to_get_it(tmp_path: Path) -> None:
    output = start(WITHOUT_SIMSIMD, str(tmp_path / "vectors.db")).communicate()[0]
    assert "ProviderUnavailable" in output
    assert "pip install simsimd" in output


def test_on_lambda_it_names_what_keeps_vectors_there() -> None:
    output = start(LAMBDA, AWS_LAMBDA_FUNCTION_NAME="vector_io").communicate()[0]
    assert "remote::s3-vectors" in output
    assert "faiss" in output


@pytest.mark.parametrize(
    ("config", "file"),
    [
        ({"db_path": "/a/b.db"}, "/a/b.db"),
        ({"kvstore": {"type": "sqlite", "db_path": "/a/faiss_store.db"}}, "/a/vectors.db"),
        (
            {"persistence": {"namespace": "n", "backend": "kv"}, "kvstore": None},
            str(Path.home() / ".llambda/vectors.db"),
        ),
    ],
)
def test_the_file_is_where_the_config_of_the_reference_says(config: dict[str, object], file: str) -> None:
    assert Config.model_validate(config).file == Path(file)
