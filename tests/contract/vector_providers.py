"""Providers of vector stores that the contract suite is run over: an adapter is a row of CONNECT."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
import random

from core.apis.vector_filters import Scalar
from core.apis.vector_io import Chunk, VectorIndex, VectorIOProvider
from core.providers.vector_sqlite.vector_io import SqliteVectors
from tests.parts import s3_vectors as s3_vectors_double

INDEX = VectorIndex("vs_1", "vs_1", 4, "all-minilm")


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncGenerator[VectorIOProvider]:
    provider = SqliteVectors(folder / "vectors.db")
    try:
        yield provider
    finally:
        await provider.close()


@asynccontextmanager
async def s3_vectors(folder: Path) -> AsyncGenerator[VectorIOProvider]:
    del folder
    async with s3_vectors_double.running() as double, s3_vectors_double.provider(double) as provider:
        yield provider


CONNECT = {"sqlite": sqlite, "s3-vectors": s3_vectors}
"""Each opens a provider over what is kept in a folder, or for it."""


def chunk(key: str, text: str = "", vector: Sequence[float] = (1, 0, 0, 0), **attributes: Scalar) -> Chunk:
    return Chunk(key, text, vector, attributes, metadata='{"n": 1}', source="file-1", filename="a.txt")


def random_vector(dimension: int, source: random.Random) -> list[float]:
    return [source.gauss(0, 1) for _ in range(dimension)]
