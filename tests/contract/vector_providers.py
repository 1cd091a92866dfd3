"""Providers of vector stores that the contract suite is run over: an adapter is a row of CONNECT."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
import random
from secrets import token_hex
import sys

from core.apis.vector_filters import Scalar
from core.apis.vector_io import Chunk, VectorIndex, VectorIOProvider
from core.providers.chroma.config import Config as ChromaConfig
from core.providers.chroma.vector_io import Chroma
from core.providers.vector_sqlite.vector_io import SqliteVectors
from infra.local import chroma as chroma_server
from tests.parts import postgres, rds_data, reference
from tests.parts import qdrant as qdrant_double
from tests.parts import s3_vectors as s3_vectors_double
from tests.parts.reference_vectors import NEW_VECTORS
from tests.parts.shared import SharedParts

INDEX = VectorIndex("vs_1", "vs_1", 4, "all-minilm")


@asynccontextmanager
async def sqlite(folder: Path, parts: SharedParts) -> AsyncGenerator[VectorIOProvider]:
    del parts
    provider = SqliteVectors(folder / "vectors.db")
    try:
        yield provider
    finally:
        await provider.close()


@asynccontextmanager
async def s3_vectors(folder: Path, parts: SharedParts) -> AsyncGenerator[VectorIOProvider]:
    del folder, parts
    async with s3_vectors_double.running() as double, s3_vectors_double.provider(double) as provider:
        yield provider


@asynccontextmanager
async def reference_package(folder: Path, parts: SharedParts) -> AsyncGenerator[VectorIOProvider]:
    del parts
    name = f"shelf_{token_hex(4)}"
    reference.install(folder, name, NEW_VECTORS)
    sys.path.insert(0, str(folder))
    try:
        yield await reference.make(name, "inline::shelf", "vector_io")
    finally:
        sys.path.remove(str(folder))


@asynccontextmanager
async def pgvector(folder: Path, parts: SharedParts) -> AsyncGenerator[VectorIOProvider]:
    """Over connections."""
    del folder
    database = postgres.Database(parts.get(postgres.running).port, postgres.USER)
    async with postgres.provider(database, db_schema=postgres.new_schema()) as provider:
        yield provider


@asynccontextmanager
async def aurora(folder: Path, parts: SharedParts) -> AsyncGenerator[VectorIOProvider]:
    """Over the RDS Data API."""
    del folder
    database = postgres.Database(parts.get(postgres.running).port, postgres.USER)
    async with (
        rds_data.running(database) as double,
        rds_data.provider(double, db_schema=postgres.new_schema()) as provider,
    ):
        yield provider


@asynccontextmanager
async def chroma(folder: Path, parts: SharedParts) -> AsyncGenerator[VectorIOProvider]:
    """Over a database of its own of the real server, which all tests share."""
    del folder
    url = parts.get(chroma_server.running)
    provider = Chroma("chroma", ChromaConfig(url=url, database=chroma_server.create_database(url)))
    try:
        yield provider
    finally:
        await provider.close()


@asynccontextmanager
async def qdrant(folder: Path, parts: SharedParts) -> AsyncGenerator[VectorIOProvider]:
    del folder, parts
    async with qdrant_double.qdrant() as (_, provider):
        yield provider


CONNECT = {
    "sqlite": sqlite,
    "s3-vectors": s3_vectors,
    "pgvector": pgvector,
    "aurora": aurora,
    "chroma": chroma,
    "qdrant": qdrant,
    "reference": reference_package,
}
"""Each opens a provider over what is kept in a folder, or for it, or in one of the parts of a run."""
WITHOUT_WORDS = {"chroma", "qdrant"}
"""Those that search by vector alone."""


def chunk(key: str, text: str = "", vector: Sequence[float] = (1, 0, 0, 0), **attributes: Scalar) -> Chunk:
    return Chunk(key, text, vector, attributes, metadata='{"n": 1}', source="file-1", filename="a.txt")


def random_vector(dimension: int, source: random.Random) -> list[float]:
    return [source.gauss(0, 1) for _ in range(dimension)]
