"""Worlds of vector stores as fixtures, and one over a kind of state and of provider, for what must be exact over each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.local import chroma
from tests.parts.shared import SharedParts
from tests.parts.vector_stack import VectorWorld, vector_world

SQLITE = "sqlite"
AWS = "dynamodb and s3-vectors"
CHROMA = "sqlite and chroma"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[VectorWorld]:
    """Over the embedded provider."""
    async with vector_world(tmp_path) as world:
        yield world


@pytest.fixture(params=["sqlite", "s3-vectors"])
async def places(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VectorWorld]:
    """A world over each provider."""
    async with vector_world(tmp_path, request.param) as world:
        yield world


@dataclass
class Place:
    """`how` is what the world's run config has beside its own."""

    world: VectorWorld
    how: dict[str, Any]


@asynccontextmanager
async def open_place(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Place]:
    """By the fixture's parameter: SQLite and the embedded provider, DynamoDB Local and the double of S3 Vectors, or SQLite and Chroma."""
    if request.param == CHROMA:
        parts: SharedParts = request.getfixturevalue("parts")
        async with vector_world(folder, "chroma", parts.get(chroma.running)) as world:
            yield Place(world, {})
        return
    if request.param == SQLITE:
        async with vector_world(folder) as world:
            yield Place(world, {})
        return
    table, endpoint = request.getfixturevalue("state_table"), request.getfixturevalue("dynamodb_endpoint")
    backends = {
        "kv": {"type": "kv_dynamodb", "table": table, "endpoint_url": endpoint},
        "db": {"type": "kv_sqlite", "db_path": str(folder / "state.db")},
        "blobs": {"type": "blob_local", "path": str(folder / "blobs")},
    }
    names = {"documents": "kv", "jobs": "kv", "queue": "db", "blobs": "blobs"}
    storage = {"backends": backends, "stores": {name: {"backend": backend} for name, backend in names.items()}}
    async with vector_world(folder, "s3-vectors") as world:
        yield Place(world, {"storage": storage})
