from collections.abc import AsyncGenerator, Generator
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer
import pytest

from core.stores.registry.port import RegistryStore
from tests.contract.crew import Crew, hiring
from tests.contract.dynamodb_script import Scripted
from tests.contract.registries import Backend
from tests.contract.thread_stores import ada, clock, documenting, thread_store  # noqa: F401 - fixtures
from tests.parts.copy_stack import quick_queue  # noqa: F401 - a fixture
from tests.parts.vector_places import places, world  # noqa: F401 - fixtures

BACKENDS = ("sqlite", "dynamodb")


@pytest.fixture(params=[2, pytest.param(5, marks=pytest.mark.exact)], ids="{} processes".format)
def crew(request: pytest.FixtureRequest) -> Generator[Crew]:
    with hiring(request.param) as crew:
        yield crew


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
async def script_url(script: Scripted) -> AsyncGenerator[str]:
    app = web.Application(client_max_size=10**8)
    app.router.add_post("/", script.answer)
    async with TestServer(app) as server:
        yield str(server.make_url(""))
        script.over.set()


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
    return Backend.fresh(request, kind.removeprefix("cached-"), folder, "registry_table", cached=cached)
