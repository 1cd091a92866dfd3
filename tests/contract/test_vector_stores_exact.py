"""What stays exact of vector stores, however many make, fill, search and delete them at once: lists, limits, and what is at the provider."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
import random
from typing import Any

import httpx
import pytest

from tests.parts.file_stack import upload
from tests.parts.ingest_stack import stack_of
from tests.parts.vector_places import AWS, CHROMA, SQLITE, Place, open_place
from tests.parts.vector_stack import ADA, STORES, message

pytestmark = pytest.mark.exact
LIMIT = 12
CALLERS = 64


@pytest.fixture(params=[SQLITE, AWS, CHROMA])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with open_place(request, tmp_path) as place:
        yield place


async def act(client: httpx.AsyncClient, file: str, known: list[str], chance: random.Random) -> httpx.Response:
    """Something that a caller may do with a store."""
    store = chance.choice(known) if known else ""
    one = f"{STORES}/{store}"
    chunks = {"vector_store_id": store, "chunks": [{"content": "the sun"}] * 3}
    requests: dict[str, tuple[str, str, Any]] = {
        "make": ("POST", STORES, {"file_ids": [file] * chance.randrange(2)}),
        "delete": ("DELETE", one, None),
        "insert": ("POST", "/v1/vector-io/insert", chunks),
        "add": ("POST", f"{one}/files", {"file_id": file}),
        "search": ("POST", f"{one}/search", {"query": "sun"}),
        "update": ("POST", one, {"metadata": {"n": str(chance.random())}}),
        "list": ("GET", STORES, None),
    }
    name = chance.choice(["make", *requests]) if known else "make"
    method, path, body = requests[name]
    answer = await client.request(method, path, json=body, headers=ADA)
    if name == "make" and answer.status_code == 200:
        known.append(answer.json()["id"])
    return answer


async def test_stores_that_many_make_fill_and_delete_at_once(place: Place) -> None:
    client = await place.world.client(quota={"max_vector_stores": LIMIT}, **place.how)
    file: str = (await upload(client, b"the sun is a star")).json()["id"]
    known, failures = list[str](), set[str]()

    async def call(number: int) -> None:
        chance = random.Random(number)  # noqa: S311 - no secret
        for _ in range(4):
            answer = await act(client, file, known, chance)
            if answer.status_code not in {200, 204, 404, 409, 429}:
                failures.add(f"{answer.request.method} {answer.request.url.path}: {message(answer)}")

    await asyncio.gather(*(call(number) for number in range(CALLERS)))
    assert not failures
    stores = (await client.get(STORES, params={"limit": "100"}, headers=ADA)).json()["data"]
    assert 0 < len(stores) <= LIMIT
    left = await _stores_with_room(client, LIMIT - len(stores))
    assert left == LIMIT - len(stores)
    for store in (await client.get(STORES, params={"limit": "100"}, headers=ADA)).json()["data"]:
        counts = store["file_counts"]
        files = (await client.get(f"{STORES}/{store['id']}/files", headers=ADA)).json()["data"]
        assert (counts["completed"], counts["total"]) == (len(files), len(files))
        assert (await client.delete(f"{STORES}/{store['id']}", headers=ADA)).status_code == 200
    assert not (await client.get(STORES, headers=ADA)).json()["data"]
    documents = (await stack_of(place.world, **place.how)).stores.collection("vector_stores")
    async with asyncio.timeout(100):  # a lease and more: a deletion ends when somebody looks after it
        while (await documents.page("vector_store", limit=1)).documents:
            await asyncio.sleep(0.2)
            await client.get(STORES, headers=ADA)
    assert place.world.count_indexes() == 0
    assert await _stores_with_room(client, LIMIT + 3) == LIMIT


async def _stores_with_room(client: httpx.AsyncClient, most: int) -> int:
    """How many more the caller may make."""
    for number in range(most):
        answer = await client.post(STORES, json={}, headers=ADA)
        if answer.status_code == 429:
            assert message(answer) == f"You may have {LIMIT} vector stores, and have as many. Delete some."
            return number
    return most
