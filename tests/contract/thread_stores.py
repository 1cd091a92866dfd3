"""Fixtures of what is kept of responses and conversations: one caller over a database of its own, whose clock the test moves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.stores.documents.port import DocumentStore
from tests.contract.documents import KINDS, LEAST, Clock, Documenting
from tests.parts.thread_state import Caller, Kept

OVER_BOTH = pytest.mark.parametrize("documenting", KINDS, indirect=True)  # others over DynamoDB are `exact`


@pytest.fixture(params=["sqlite", pytest.param("dynamodb", marks=pytest.mark.exact)])
def documenting(request: pytest.FixtureRequest, tmp_path: Path) -> Documenting:
    blobs = str(tmp_path / "blobs")
    return Documenting.fresh(request, request.param, tmp_path, "state_table", blobs=blobs, least=LEAST)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def thread_store(documenting: Documenting, clock: Clock) -> AsyncIterator[DocumentStore]:
    async with documenting.opened(clock=clock) as store:
        yield store


@pytest.fixture
def ada(thread_store: DocumentStore, clock: Clock) -> Caller:
    return Caller(Kept(thread_store), clock=clock)
