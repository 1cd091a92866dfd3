from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from core.stores.registry.port import RegistryStore
from tests.contract.registries import Backend

BACKENDS = ("sqlite", "dynamodb")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A fresh registry of each kind."""
    return fresh(request, request.param, tmp_path)


@pytest.fixture(params=[*BACKENDS, "cached-sqlite", "cached-dynamodb"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[RegistryStore]:
    """An open, empty registry of each kind, bare and behind the cache."""
    async with fresh(request, request.param, tmp_path).opened() as store:
        yield store


def fresh(request: pytest.FixtureRequest, kind: str, folder: Path) -> Backend:
    cached = kind.startswith("cached-")
    if kind.endswith("sqlite"):
        return Backend(str(folder / "registry.db"), cached=cached)
    table: str = request.getfixturevalue("registry_table")
    endpoint: str = request.getfixturevalue("dynamodb_endpoint")
    return Backend(table, endpoint, cached=cached)
