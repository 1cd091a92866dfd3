"""What stays exact of copies of vector stores: every chunk by key, text, attributes and metadata, whatever is in the store and whoever dies."""

import asyncio
from contextlib import suppress
import json
from pathlib import Path
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
import pytest

from core.resolution.stack import Stack
from infra.local import chroma
from tests.parts import postgres
from tests.parts.copy_stack import CopyWorld, begin, chunks_of, copy, copy_world, refusal, show, without_vectors
from tests.parts.filters import attributes
from tests.parts.ingest_stack import add, make_store, records_of, stack_of, text_of, upload, working
from tests.parts.killers import DatabaseKiller, Killer, Lives, ServiceKiller
from tests.parts.shared import SharedParts
from tests.parts.vector_stack import ADA, STORES, insert, search

pytestmark = pytest.mark.usefixtures("quick_queue")
SMALL = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 10}}
DEATHS = 12
WORDS = ["sun", "moon", "star", "crater", "日本", "größe", "it's", '"quoted"', "&amp;", "e\u0301"]

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=400).map(" ".join)
values = st.one_of(st.booleans(), st.integers(-(2**40), 2**40), st.floats(-1e9, 1e9), st.text(max_size=40))
metadata = st.dictionaries(
    st.text(min_size=1, max_size=20), st.one_of(values, st.none(), st.lists(values, max_size=2)), max_size=4
)
chunks = st.fixed_dictionaries(
    {"content": texts, "metadata": metadata}, optional={"chunk_id": st.text(min_size=1, max_size=30)}
)
stores = st.fixed_dictionaries(
    {"files": st.lists(st.tuples(texts, attributes), max_size=3), "chunks": st.lists(chunks, max_size=5)}
)


def draw(count: int) -> list[dict[str, Any]]:
    drawn: list[dict[str, Any]] = []

    @settings(
        max_examples=count,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(stores)
    def collect(store: dict[str, Any]) -> None:
        drawn.append(store)

    collect()
    return drawn


@pytest.mark.parametrize("count", [3, pytest.param(40, marks=pytest.mark.exact)])
async def test_whatever_is_in_a_store_comes_to_the_other_provider_and_back(tmp_path: Path, count: int) -> None:
    async with copy_world(tmp_path) as world, working(world):
        client, stack = await world.client(), await stack_of(world)
        for content in draw(count):
            store = await make_store(client, chunking_strategy=SMALL)
            for number, (text, values) in enumerate(content["files"]):
                await add(client, store, await upload(client, text, f"{number}.txt"), attributes=values)
            body = {"vector_store_id": store, "chunks": content["chunks"]}
            answer = await client.post("/v1/vector-io/insert", json=body, headers=ADA)
            assert answer.status_code in {204, 400}, answer.text
            away = await copy(client, store, provider_id="there")
            back = await copy(client, away["store"], provider_id="here")
            assert away["failures"] == back["failures"] == []
            before = await chunks_of(stack, store)
            for one in (away["store"], back["store"]):
                after = await chunks_of(stack, one)
                assert without_vectors(after) == without_vectors(before)
                assert all(after[key].vector == pytest.approx(chunk.vector, abs=1e-6) for key, chunk in before.items())
                assert (await show(client, one)) == (await show(client, store))
            await check_results(client, store, away["store"], back["store"])


@pytest.fixture(params=["postgres", "chroma"])
def other_place(request: pytest.FixtureRequest, parts: SharedParts) -> dict[str, Any]:
    """The entry of a provider over a real server, in a place of its own there."""
    if request.param == "chroma":
        url = parts.get(chroma.running)
        return {
            "provider_id": "chroma",
            "provider_type": "remote::chromadb",
            "config": {"url": url, "database": chroma.create_database(url)},
        }
    database = postgres.Database(parts.get(postgres.running).port, postgres.USER)
    config = database.config | {"db_schema": postgres.new_schema()}
    return {"provider_id": "postgres", "provider_type": "remote::pgvector", "config": config}


async def test_a_store_moves_from_the_embedded_provider_to_a_server_and_is_searched_in_both(
    tmp_path: Path, other_place: dict[str, Any]
) -> None:
    async with copy_world(tmp_path) as world:
        world.others.append(other_place)
        async with working(world):
            client, stack = await world.client(), await stack_of(world)
            store = await make_store(client, chunking_strategy=SMALL)
            await add(client, store, await upload(client, text_of(40), "l.txt"), attributes={"year": 2026, "ok": True})
            await insert(client, store, *(f"the moon has {n} craters" for n in range(20)))
            result = await copy(client, store, provider_id=other_place["provider_id"])
            assert (result["files"], result["native_chunks"], result["failures"]) == (1, 20, [])
            await check_results(client, store, result["store"])
            provider = stack.providers("vector_io")[other_place["provider_id"]]
            if not provider.capabilities.listing:
                status, text = await refusal(client, result["store"], provider_id="here")
                assert (status, "does not tell what is in it" in text) == (400, True)
                return
            before, after = await chunks_of(stack, store), await chunks_of(stack, result["store"])
            assert without_vectors(after) == without_vectors(before)
            back = await copy(client, result["store"], provider_id="here")
            assert without_vectors(await chunks_of(stack, back["store"])) == without_vectors(before)


async def check_results(client: httpx.AsyncClient, *ids: str) -> None:
    """The same chunks with the same scores, in each of the stores."""
    for query in ("sun moon", "größe"):
        pages = [(await search(client, store, query, max_num_results=50)).json()["data"] for store in ids]
        first = [(row["content"][0]["text"], row["score"]) for row in pages[0]]
        for page in pages[1:]:
            assert sorted(row["content"][0]["text"] for row in page) == sorted(text for text, _ in first)
            assert [row["score"] for row in page] == pytest.approx([score for _, score in first], abs=1e-5)


def killer_for(world: CopyWorld, to: dict[str, str]) -> Killer:
    """Of the server that copies there, or in the embedded provider."""
    if "provider_id" not in to:
        return DatabaseKiller(world)
    assert world.double is not None
    return ServiceKiller(world, world.double)


async def run_to_its_end(client: httpx.AsyncClient, job: str) -> dict[str, Any]:
    while True:
        view: dict[str, Any] = (await client.get(f"/v1/jobs/{job}", headers=ADA)).json()
        if view["ended_at"] is not None:
            return view
        await asyncio.sleep(0.05)


@pytest.mark.exact
@pytest.mark.parametrize("to", [{"provider_id": "there"}, {"embedding_model": "tiny"}], ids=["vectors", "texts"])
async def test_a_copy_goes_on_whoever_is_killed_and_what_is_there_then_is_whole(
    tmp_path: Path, to: dict[str, str]
) -> None:
    async with copy_world(tmp_path) as world:
        killer, config = killer_for(world, to), tmp_path / "run.json"
        config.write_text(json.dumps(world.document()))
        lives = Lives(config, tmp_path / "log")
        async with lives.next() as (client, _):
            store = await make_store(client, chunking_strategy=SMALL)
        job = other = ""
        deaths = 0
        while deaths < DEATHS:
            async with lives.next() as (client, process):
                if not job:
                    await grow(client, store, deaths)
                    job = (await begin(client, store, **({"vector_store_id": other} if other else to)))["id"]
                    other = other or await newest(client)
                killer.arm(process)
                with suppress(httpx.TransportError):
                    await run_to_its_end(client, job)
                    job = ""
                deaths += bool(job)
        async with lives.next() as (client, _):
            if job:
                await run_to_its_end(client, job)
            result = await copy_again(client, store, other)
            before = await show(client, store)
            if "provider_id" not in to:
                before["usage_bytes"] -= 4 * (64 - 8) * result["chunks"]
            assert await show(client, other) == before
            assert before["file_counts"]["completed"] == result["files"] > 0
        await check_same(await stack_of(world), store, other, result)


async def grow(client: httpx.AsyncClient, store: str, number: int) -> None:
    file = await upload(client, text_of(700, f"ship{number}"))
    assert (await add(client, store, file)).json()["status"] == "completed"
    await insert(client, store, *(f"crater {number} {n}" for n in range(200)))


async def check_same(stack: Stack, store: str, other: str, result: dict[str, Any]) -> None:
    """What is in the copy's index is what is in the store's, and the records of the copy's files bound it."""
    chunks, copies = await chunks_of(stack, store), await chunks_of(stack, other)
    assert without_vectors(copies) == without_vectors(chunks)
    native = sum(key.startswith("=") for key in chunks)
    assert (result["chunks"], result["native_chunks"], result["failures"]) == (len(chunks) - native, native, [])
    records = await records_of(stack, other)
    assert sum(record.claimed for record in records) == result["chunks"]
    assert {(record.holder, record.origin) for record in records} == {("", None)}


async def newest(client: httpx.AsyncClient) -> str:
    """The id of the store that was made last."""
    store: str = (await client.get(STORES, headers=ADA)).json()["data"][0]["id"]
    return store


async def copy_again(client: httpx.AsyncClient, store: str, other: str) -> dict[str, Any]:
    job = await begin(client, store, vector_store_id=other)
    view = await run_to_its_end(client, job["id"])
    assert view["status"] == "completed", view
    result: dict[str, Any] = view["result"]
    return result
