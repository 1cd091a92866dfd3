"""Vector stores in Qdrant, over a double that its vendor's description was held against; what all providers promise is in `test_vector_providers`."""

from dataclasses import replace
import json
from typing import Any

from aiohttp import web
import pytest

from core.apis.vector_filters import parse_filter
from core.apis.vector_io import VectorQuery
from core.errors import Conflict, InvalidRequest, UpstreamFailed
from core.providers.qdrant.config import Config
from tests.contract.vector_providers import INDEX, chunk
from tests.parts.qdrant import Collection, fits, qdrant

X = (1.0, 0, 0, 0)


async def test_a_point_has_the_chunk_under_keys_of_ours_and_its_key_is_the_header() -> None:
    async with qdrant(api_key="key-1234567890") as (double, vectors):
        await vectors.put(INDEX, [chunk("f#0", "a text", (3, 4, 0, 0), **{"a.b": 1, "c": True})])
        [point] = double.collections["vs_1"].points.values()
        assert point["payload"] == {
            "_xa-2eb": 1,
            "c": True,
            "_key": "f#0",
            "_text": "a text",
            "_source": "file-1",
            "_filename": "a.txt",
            "_metadata": '{"n": 1}',
            "_norm": 5.0,
        }
        assert {seen.headers["api-key"] for seen in double.seen} == {"key-1234567890"}
        assert "key-1234567890" not in repr((vectors, vars(vectors._service), vectors._service._remote))


async def test_a_filter_is_printed_in_the_words_of_the_description() -> None:
    tree = {
        "type": "or",
        "filters": [
            {"type": "nin", "key": "a", "value": ["x", "x", True, 1]},
            {"type": "gt", "key": "$and", "value": 2.5},
        ],
    }
    async with qdrant() as (double, vectors):
        await vectors.create(INDEX)
        await vectors.search(INDEX, VectorQuery(X, filter=parse_filter(tree)))
        assert double.seen[-1].body["filter"] == {
            "must": [
                {
                    "should": [
                        {
                            "must_not": [
                                {"key": "a", "match": {"any": ["x"]}},
                                {"key": "a", "match": {"value": True}},
                                {"key": "a", "range": {"gte": 1, "lte": 1}},
                            ]
                        },
                        {"key": "_x-24and", "range": {"gt": 2.5}},
                    ]
                }
            ]
        }


def test_the_double_refuses_what_the_description_does_not_have() -> None:
    for shape, body in (
        ("Filter", {"must": [], "which": []}),
        ("QueryRequest", {"query": X, "top": 1}),
        ("FieldCondition", {"match": {"value": 1}}),
        ("MatchValue", {"value": 1.5}),
        ("MatchAny", {"any": ["a", "a"]}),
        ("PointsList", {"points": [{"id": "3e2b6f4e-0000-4000-8000-000000000000"}]}),
    ):
        assert not fits(shape, body), shape


async def test_a_collection_that_somebody_else_changed_says_so() -> None:
    async with qdrant() as (double, vectors):
        await vectors.put(INDEX, [chunk("a")])
        double.collections["vs_1"] = Collection({"size": 2, "distance": "Cosine"})
        refusal = (
            "vectors of 2 dimensions in Qdrant, and the store of 4. Somebody else has changed it: make another store"
        )
        for coming in (vectors.put(INDEX, [chunk("a")]), vectors.search(INDEX, VectorQuery(X)), vectors.create(INDEX)):
            with pytest.raises(Conflict, match=refusal):
                await coming
        double.collections["vs_1"] = Collection({"size": 4, "distance": "Dot"})
        with pytest.raises(Conflict, match="measures vectors by `Dot` in Qdrant"):
            await vectors.create(INDEX)
        del double.collections["vs_1"]
        assert await vectors.search(INDEX, VectorQuery(X)) == []
        await vectors.put(INDEX, [chunk("b")])
        assert [one.key for one in await vectors.fetch(INDEX, ["a", "b"])] == ["b"]


async def test_an_odd_name_is_no_path() -> None:
    async with qdrant() as (double, vectors):
        for name in ("../x", "a/b", "ä", "", "x" * 300):
            await vectors.put(replace(INDEX, name=name), [chunk("a")])
        assert len(double.collections) == 5
        assert not any("/" in name for name in double.collections)


@pytest.mark.parametrize(
    ("content", "failure"),
    [
        (b'{"result": {"points": [{"id": "a", "score": NaN}]}}', "did not answer with valid JSON"),
        (b'{"result": {"points": [{"id": "a", "score": null}]}}', "did not answer as Qdrant does"),
        (b'{"result": {"points": [{"id": "a", "score": "1e999"}]}}', "did not answer as Qdrant does"),
        (b'{"result": {"points": {}}}', ""),
        (b'{"result": []}', "did not answer as Qdrant does"),
        (b"{}", "did not answer as Qdrant does"),
        (b"", "did not answer as Qdrant does"),
        (json.dumps({"result": "x" * 2**21}).encode(), "sent an answer that is too large"),
    ],
    ids=range(8),
)
async def test_an_answer_that_is_none_of_qdrants_is_a_failure(content: bytes, failure: str) -> None:
    async with qdrant(limits={"max_bytes": 2**20}) as (double, vectors):
        double.faults.append(web.Response(body=content, content_type="application/json"))
        if not failure:
            assert await vectors.search(INDEX, VectorQuery(X)) == []
            return
        with pytest.raises(UpstreamFailed, match=failure):
            await vectors.search(INDEX, VectorQuery(X))


async def test_a_write_that_is_not_done_yet_is_a_failure() -> None:
    async with qdrant() as (double, vectors):
        for status in ("acknowledged", "wait_timeout"):
            double.faults.append(web.json_response({"result": {"status": status}}))
            with pytest.raises(UpstreamFailed, match="did not answer as Qdrant does"):
                await vectors.put(INDEX, [chunk("a")])


async def test_words_are_refused_before_anything_is_asked() -> None:
    async with qdrant() as (double, vectors):
        with pytest.raises(InvalidRequest, match="by vector alone"):
            await vectors.search(INDEX, VectorQuery(text="sun"))
        assert not double.seen


def test_the_references_config_is_one() -> None:
    values: dict[str, Any] = {
        "url": "http://q:6333",
        "port": 6333,
        "grpc_port": 6334,
        "prefer_grpc": False,
        "api_key": "",
    }
    assert Config.model_validate(values | {"persistence": {"namespace": "x"}}).credentials().key == ""
    with pytest.raises(ValueError, match="location"):
        Config.model_validate({"url": "http://q:6333", "location": ":memory:"})
