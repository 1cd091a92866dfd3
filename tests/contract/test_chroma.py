"""Vector stores in Chroma, over the real server; what all providers promise is in `test_vector_providers`.

What no server answers here, as a score that is no number, is answered by a double.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
import json
from pathlib import Path
from typing import Any

from aiohttp import web
import httpx
import pytest

from core.apis.vector_filters import Comparison
from core.apis.vector_io import Chunk, VectorIndex, VectorQuery
from core.errors import Conflict, InvalidRequest, ProviderUnavailable, UpstreamFailed
from core.providers.chroma.config import Config
from core.providers.chroma.vector_io import Chroma
from core.providers.chroma.wire import MOST_RECORDS
from core.providers.http import resources
from infra.local import chroma
from infra.local.ports import free_port
from infra.local.processes import stop
from tests.contract.vector_providers import INDEX, chunk
from tests.parts import upstream as upstreams
from tests.parts.cutting_proxy import proxying
from tests.parts.shared import SharedParts
from tests.parts.upstream import FakeUpstream, Reply, raw, status
from tests.parts.vector_stack import insert, make, message, search, vector_world

X, Y = (1.0, 0, 0, 0), (0, 1.0, 0, 0)
ID = "3e2b6f4e-0000-4000-8000-000000000000"
COLLECTIONS = "/api/v2/tenants/default_tenant/databases/default_database/collections"
LIMITS = {"max_batch_size": 2, "supports_base64_encoding": False}


@pytest.fixture
def server(parts: SharedParts) -> str:
    return parts.get(chroma.running)


@pytest.fixture
async def vectors(server: str) -> AsyncGenerator[Chroma]:
    provider = Chroma("chroma", Config(url=server, database=chroma.create_database(server)))
    yield provider
    await provider.close()


def of_somebody_else(vectors: Chroma, server: str) -> httpx.AsyncClient:
    """Whoever else uses the same database."""
    return httpx.AsyncClient(base_url=f"{server}{vectors._database}")


async def keys(vectors: Chroma, index: VectorIndex = INDEX, **query: Any) -> list[str]:
    return [one.chunk.key for one in await vectors.search(index, VectorQuery(**{"vector": X, "limit": 100, **query}))]


async def test_a_collection_can_be_read_by_others(vectors: Chroma, server: str) -> None:
    await vectors.put(INDEX, [chunk("f#0", "a text", Y, n=5, b=True, **{"chroma:document": 1})])
    async with of_somebody_else(vectors, server) as other:
        collection = (await other.get("/collections/vs_1")).json()
        assert collection["configuration_json"]["hnsw"]["space"] == "cosine"
        assert (collection["dimension"], collection["metadata"]) == (4, {"dimension": 4})
        record = (await other.post(f"/collections/{collection['id']}/get", json={"ids": ["f#0"]})).json()
    assert record["documents"] == ["a text"]
    ours = {"_source": "file-1", "_filename": "a.txt", "_metadata": '{"n": 1}'}
    assert record["metadatas"] == [{"n": 5.0, "b": True, "_xchroma-3adocument": 1.0, **ours}]


async def test_the_name_of_a_store_may_be_none_of_a_collection(vectors: Chroma, server: str) -> None:
    odd = [replace(INDEX, name=name) for name in ("my/db", "my db", "ä", "a", "x" * 600, "..", "a/../b")]
    for place, index in enumerate(odd):
        await vectors.put(index, [chunk(f"f#{place}")])
    for place, index in enumerate(odd):
        assert await keys(vectors, index) == [f"f#{place}"]
    async with of_somebody_else(vectors, server) as other:
        assert len((await other.get("/collections")).json()) == len(odd)


async def test_what_others_wrote_is_read_as_far_as_it_is_a_chunk(vectors: Chroma, server: str) -> None:
    await vectors.put(INDEX, [chunk("a")])
    async with of_somebody_else(vectors, server) as other:
        collection = (await other.get("/collections/vs_1")).json()["id"]
        rows = {"ids": ["b", "c"], "embeddings": [X, X], "documents": [None, "text"]}
        answer = await other.post(
            f"/collections/{collection}/upsert", json=rows | {"metadatas": [None, {"tag": "x", "n": 7}]}
        )
        assert answer.status_code == 200
    [b, c] = await vectors.fetch(INDEX, ["b", "c"])
    assert (b.text, b.attributes, b.source) == ("", {}, "")
    assert (c.text, c.attributes) == ("text", {"tag": "x", "n": 7})
    assert await keys(vectors, filter=Comparison("eq", "n", 7)) == ["c"]


async def test_a_collection_that_another_made_with_another_dimension_says_so(vectors: Chroma, server: str) -> None:
    await vectors.put(INDEX, [chunk("a")])
    async with of_somebody_else(vectors, server) as other:
        await other.delete("/collections/vs_1")
        made = (await other.post("/collections", json={"name": "vs_1"})).json()["id"]
        await other.post(f"/collections/{made}/upsert", json={"ids": ["a"], "embeddings": [[1, 0]]})
    refusal = "vectors of 2 dimensions in Chroma, and the store of 4. Somebody else has changed it: make another store"
    for _ in range(2):
        with pytest.raises(Conflict, match=refusal):
            await keys(vectors)
        with pytest.raises(Conflict, match=refusal):
            await vectors.put(INDEX, [chunk("a")])


async def test_a_collection_whose_dimension_changes_under_its_id_says_so(vectors: Chroma, server: str) -> None:
    await vectors.create(INDEX)  # empty: Chroma takes the dimension of the first vector
    async with of_somebody_else(vectors, server) as other:
        collection = (await other.get("/collections/vs_1")).json()["id"]
        await other.post(f"/collections/{collection}/upsert", json={"ids": ["a"], "embeddings": [[1, 0]]})
    with pytest.raises(Conflict, match="vectors of 2 dimensions in Chroma, and the store of 4"):
        await vectors.put(INDEX, [chunk("a")])


async def test_a_collection_that_measures_otherwise_is_refused(vectors: Chroma, server: str) -> None:
    async with of_somebody_else(vectors, server) as other:
        await other.post("/collections", json={"name": "vs_1", "configuration": {"hnsw": {"space": "l2"}}})
    with pytest.raises(Conflict, match="collection `vs_1` of Chroma measures vectors by `l2`"):
        await vectors.put(INDEX, [chunk("a")])


async def test_a_collection_that_was_deleted_meanwhile_is_empty_and_made_again(vectors: Chroma, server: str) -> None:
    await vectors.put(INDEX, [chunk("a")])
    async with of_somebody_else(vectors, server) as other:
        assert (await other.delete("/collections/vs_1")).status_code == 200
        assert await keys(vectors) == []
        assert await vectors.fetch(INDEX, ["a"]) == []
        await vectors.delete(INDEX, ["a"])
        await vectors.put(INDEX, [chunk("b")])
        assert (await other.delete("/collections/vs_1")).status_code == 200
        assert (
            await other.post("/collections", json={"name": "vs_1"})
        ).status_code == 200  # with another id, and by `l2`
    with pytest.raises(Conflict, match="`l2`"):
        await vectors.put(INDEX, [chunk("b")])


async def test_no_such_database_says_what_to_do(server: str) -> None:
    vectors = Chroma("chroma", Config(url=server, database="nobodys"))
    with pytest.raises(ProviderUnavailable, match="no such tenant or database: correct `tenant` and `database`"):
        await vectors.create(INDEX)
    assert await keys(vectors) == []
    assert (await vectors.health())["status"] == "Error"
    await vectors.close()


async def test_more_chunks_than_a_call_takes_are_put_read_and_removed(vectors: Chroma) -> None:
    many = [chunk(f"f#{number}") for number in range(2 * MOST_RECORDS + 1)]
    await vectors.put(INDEX, many)
    names = [one.key for one in many]
    assert [one.key for one in await vectors.fetch(INDEX, names)] == names
    assert len(await keys(vectors, limit=1000)) == len(names)
    page = await vectors.keys(INDEX, limit=500)
    rest = await vectors.keys(INDEX, after=page.next, limit=500)
    assert ([*page.keys, *rest.keys], rest.next) == (sorted(names), "")
    await vectors.delete(INDEX, names[1:])
    assert await keys(vectors) == ["f#0"]


async def test_a_chunk_of_nothing_but_a_vector_takes_the_place_of_a_full_one(vectors: Chroma) -> None:
    for one in (Chunk("a", "", X), chunk("a", "text", X, n=1), Chunk("a", "", X)):
        await vectors.put(INDEX, [one])
        assert await vectors.fetch(INDEX, ["a"], with_vectors=True) == [one]


async def test_two_that_write_one_chunk_at_once_leave_the_attributes_of_one(vectors: Chroma) -> None:
    await asyncio.gather(*(vectors.put(INDEX, [chunk("a", "", X, **{f"k{number}": number})]) for number in range(16)))
    [one] = await vectors.fetch(INDEX, ["a"])
    assert len(one.attributes) == 1


@pytest.mark.exact
async def test_64_writers_at_once_leave_what_each_wrote(vectors: Chroma) -> None:
    async def write(name: int) -> None:
        await vectors.put(INDEX, [chunk(f"{name}#{number}", "", (1, name, number, 0)) for number in range(5)])
        await vectors.delete(INDEX, [f"{name}#4"])

    await asyncio.gather(*map(write, range(64)))
    expected = {f"{name}#{number}" for name in range(64) for number in range(4)}
    assert set(await keys(vectors, limit=1000)) == expected


async def test_a_server_that_is_away_for_a_moment_is_waited_for(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "WAITS", (0.1, 0.4))
    with proxying(server) as proxy:
        vectors = Chroma("chroma", Config(url=proxy.url, database=chroma.create_database(server)))
        await vectors.put(INDEX, [chunk("a")])
        proxy.set_away(away=True)
        putting = asyncio.create_task(vectors.put(INDEX, [chunk("b")]))
        await asyncio.sleep(0.1)
        proxy.set_away(away=False)
        await putting
        assert sorted(await keys(vectors)) == ["a", "b"]
        proxy.set_away(away=True)
        with pytest.raises(UpstreamFailed, match="`chroma`"):
            await keys(vectors)
        assert (await vectors.health())["status"] == "Error"
        await vectors.close()


@pytest.mark.exact
async def test_a_server_that_restarts_in_the_middle_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    servers = [chroma.start(port, tmp_path)]
    vectors = Chroma("chroma", Config(url=f"http://127.0.0.1:{port}"))
    try:
        await vectors.put(INDEX, [chunk("a")])
        servers[0].kill()
        servers[0].wait()
        with monkeypatch.context() as patience:  # a busy machine needs longer than a second
            patience.setattr(resources, "WAITS", (0.1, 5.0, 10.0, 20.0))
            again = asyncio.create_task(asyncio.to_thread(lambda: servers.append(chroma.start(port, tmp_path))))
            try:
                await vectors.put(INDEX, [chunk("b")])
            finally:
                await again
        assert sorted(await keys(vectors)) == ["a", "b"]
        stop(servers[1])
        with pytest.raises(UpstreamFailed, match="`chroma` could not be reached; check that it is up"):
            await keys(vectors)
        assert "could not be reached" in (await vectors.health()).get("message", "")
    finally:
        for server in servers:
            stop(server)
        await vectors.close()


def query_reply(**columns: Any) -> Reply:
    whole = {"ids": [["a"]], "distances": [[0.5]], "documents": [["t"]], "metadatas": [[None]]}
    return raw(json.dumps(whole | columns).encode())


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (query_reply(distances=[[float("nan")]]), "did not answer with valid JSON"),
        (query_reply(distances=[[None]]), "did not answer as Chroma does"),
        (query_reply(distances=[[0.1, 0.2]]), "did not answer as Chroma does"),
        (query_reply(ids=None), "did not answer as Chroma does"),
        (query_reply(documents=[[]]), "did not answer as Chroma does"),
        (raw(b"[]"), "did not answer as Chroma does"),
        (raw(b""), "did not answer as Chroma does"),
        (raw(b'{"ids":[["' + b"a" * 2**21 + b'"]]}'), "sent an answer that is too large"),
        (raw(b"<html>", "text/html"), "did not answer with valid JSON"),
        (status(404, {"detail": "Not Found"}), "failed with HTTP status 404"),
        (status(401, {"error": "AuthError", "message": "Unauthorized"}), "refused the stack's credentials"),
        (status(500, {"error": "InternalError", "message": "secret-of-the-server"}), "failed with HTTP status 500"),
    ],
    ids=range(12),
)
async def test_an_answer_that_is_none_of_chromas_is_a_failure(reply: Reply, failure: str) -> None:
    collection = {"id": ID, "name": "vs_1", "dimension": 4, "configuration_json": {"hnsw": {"space": "cosine"}}}
    replies = {f"{COLLECTIONS}/vs_1": status(200, collection), f"{COLLECTIONS}/{ID}/query": reply}
    async with upstreams.running(FakeUpstream(replies=replies)) as upstream:
        vectors = Chroma("chroma", Config.model_validate({"url": upstream.url, "limits": {"max_bytes": 2**20}}))
        with pytest.raises(UpstreamFailed, match=failure) as raised:
            await vectors.search(INDEX, VectorQuery(X, limit=1))
        assert "secret-of-the-server" not in raised.value.message
        await vectors.close()


async def test_the_token_is_chromas_header_and_an_id_of_a_collection_is_no_path() -> None:
    replies: dict[str, Reply] = {f"{COLLECTIONS}/vs_1": status(200, {"id": "../../../reset"})}
    async with upstreams.running(FakeUpstream(replies=replies)) as upstream:
        vectors = Chroma("chroma", Config.model_validate({"url": upstream.url, "api_token": "ck-1234567890"}))
        with pytest.raises(UpstreamFailed, match="did not answer as Chroma does"):
            await keys(vectors)
        await vectors.close()
        [seen] = upstream.seen
        assert seen.headers["x-chroma-token"] == "ck-1234567890"
        assert "authorization" not in seen.headers
        assert "ck-1234567890" not in repr((vectors, vars(vectors._service), vectors._service._remote))


async def test_batches_are_as_large_as_the_server_takes_and_without_base64_where_it_has_none() -> None:
    async def collection(_: web.Request) -> web.StreamResponse:
        return web.json_response({"id": ID, "metadata": {"dimension": 4}})

    records = f"{COLLECTIONS}/{ID}"
    empty = status(200, {"ids": [], "metadatas": []})
    replies = {"/api/v2/pre-flight-checks": status(200, LIMITS), COLLECTIONS: collection, f"{records}/get": empty}
    replies[f"{records}/upsert"] = status(200, {})
    async with upstreams.running(FakeUpstream(replies=replies)) as upstream:
        vectors = Chroma("chroma", Config.model_validate({"url": upstream.url}))
        await vectors.put(INDEX, [chunk(f"f#{number}") for number in range(5)])
        await vectors.close()
        bodies = [seen.body for seen in upstream.seen if seen.path.endswith("upsert")]
    assert [len(body["ids"]) for body in bodies] == [2, 2, 1]
    assert bodies[2]["embeddings"] == [list(X)]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"url": ""},
        {"url": "chroma:8000"},
        {"url": "http://169.254.169.254/"},
        {"url": "http://c", "api_token": "a b"},
        {"url": "http://c", "database": ""},
        {"url": "http://c", "token": "x"},
    ],
    ids=range(7),
)
def test_a_config_with_a_mistake_is_none(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Config.model_validate(config)


def test_the_references_config_is_one() -> None:
    places = {"kvstore": {"type": "sqlite"}, "persistence": {"namespace": "x"}, "metadata_store": None}
    assert Config.model_validate({"url": "http://c:8000", "api_token": None} | places).credentials().key == ""


async def test_words_and_filters_are_answered_on_the_wire(server: str, tmp_path: Path) -> None:
    async with vector_world(tmp_path, "chroma", server) as world:
        client = await world.client()
        store = (await make(client))["id"]
        await insert(client, store, "the sun is a star", "the moon is none")
        answer = await search(client, store, "sun star", max_num_results=1)
        [row] = answer.json()["data"]
        assert row["content"][0]["text"] == "the sun is a star"
        for mode in ("keyword", "hybrid"):
            refused = await search(client, store, "sun", search_mode=mode)
            assert refused.status_code == 400
            assert "searches by vector alone" in message(refused)
        deep: dict[str, Any] = {"type": "eq", "key": "a", "value": 1}
        for _ in range(100):
            deep = {"type": "and", "filters": [deep]}
        for filters in (deep, {"type": "gt", "key": "a", "value": "x"}, {"type": "like", "key": "a", "value": "x"}):
            assert (await search(client, store, "sun", filters=filters)).status_code == 400


async def test_a_vector_with_too_large_a_number_is_refused_before_anything_is_put(vectors: Chroma) -> None:
    with pytest.raises(InvalidRequest, match="finite, as 32-bit floats"):
        await vectors.put(INDEX, [chunk("a"), chunk("b", "", (1e39, 0, 0, 0))])
    assert await keys(vectors) == []
