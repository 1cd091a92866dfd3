"""The surface `retrieval`, as the services that answer with passages use it; and an insert for which there is no time."""

import asyncio
from typing import Any

from aiohttp import web
import pytest

from core.apis.rag import InsertDocuments
from core.apis.retrieval import Passage, Retrieval, RetrievalQuery
from core.errors import InvalidRequest, NotFound, UpstreamTimeout
from core.frame.callers import Call
from tests.parts.ingest_stack import PRINCIPAL, stack_of
from tests.parts.rag_stack import document, insert, make_database, rag_client, rag_document
from tests.parts.vector_stack import VectorWorld, embed


async def retrieval_of(world: VectorWorld, **more: Any) -> Retrieval:
    """That of the caller `ada`, over the store `notes` with four documents, and `more` with one of them and another."""
    client = await rag_client(world)
    for name in ("notes", "more"):
        await make_database(client, name)
    texts = ("the sun is a star", "the moon goes round the earth", "mars is red", "tea is a drink of leaves")
    documents = [document(f"d{place}", text, place=place) for place, text in enumerate(texts)]
    await insert(client, *documents)
    await insert(client, documents[0], document("dwarf", "pluto the moon"), into="more")
    stack = await stack_of(world, **rag_document(world, **more))
    surface: Retrieval = stack.surfaces["retrieval"](Call(PRINCIPAL))
    return surface


def ids(passages: Any) -> list[str]:
    assert [passage.index for passage in passages] == list(range(1, len(passages) + 1))
    return [passage.document_id for passage in passages]


async def test_passages_of_several_questions_and_stores(world: VectorWorld) -> None:
    retrieval = await retrieval_of(world)
    both = ("notes", "more")
    rows = await retrieval.retrieve(RetrievalQuery(["the sun is a star", "pluto the moon"], both, limit=2))
    assert {(row.document_id, row.store_id, row.text) for row in rows} == {
        ("dwarf", "more", "pluto the moon"),
        ("d0", "more", "the sun is a star"),
    }
    sun = next(row for row in rows if row.document_id == "d0")
    assert sun.score == pytest.approx(1.0, abs=1e-5)
    assert sun == Passage(
        sun.index,
        "the sun is a star",
        sun.score,
        "more",
        "d0",
        "",
        {"place": 0, "document_id": "d0"},
        {"place": 0, "document_id": "d0"},
        "d0#0",
    )
    filters = {"type": "gte", "key": "place", "value": 2}
    assert ids(await retrieval.retrieve(RetrievalQuery(["tea"], both, filters=filters))) == ["d3", "d2"]
    options = {"hybrid_search": {"embedding_weight": 1, "text_weight": 3}, "score_threshold": 0.5}
    assert ids(await retrieval.retrieve(RetrievalQuery(["mars"], both, ranking_options=options))) == ["d2"]
    assert ids(await retrieval.retrieve(RetrievalQuery(["mars"], both, mode="keyword"))) == ["d2"]
    [cut] = await retrieval.retrieve(RetrievalQuery(["mars"], both, most_tokens=2))
    assert cut.text == "mars is"


@pytest.mark.parametrize(
    ("query", "failure", "param"),
    [
        (RetrievalQuery(["a"], []), InvalidRequest, "vector_store_ids"),
        (RetrievalQuery(["a"], [f"s{n}" for n in range(21)]), InvalidRequest, "vector_store_ids"),
        (RetrievalQuery([" "], ["notes"]), InvalidRequest, "query"),
        (RetrievalQuery(["a"], ["nowhere"]), NotFound, "vector_store_id"),
        (RetrievalQuery(["a"], ["notes"], filters={"type": "like"}), InvalidRequest, "filters.type"),
        (RetrievalQuery(["a"], ["notes"], ranking_options={"alpha": 2}), InvalidRequest, "ranking_options.alpha"),
        (RetrievalQuery(["a"], ["notes"], ranking_options={"ranker": "x"}), InvalidRequest, "ranking_options.ranker"),
        (RetrievalQuery(["a"], ["notes"], rewrite=True), InvalidRequest, "rewrite_query"),
    ],
)
async def test_what_cannot_be_looked_for(
    world: VectorWorld, query: RetrievalQuery, failure: type[Exception], param: str
) -> None:
    client = await rag_client(world)
    await make_database(client)
    stack = await stack_of(world, **rag_document(world))
    with pytest.raises(failure) as refused:
        await stack.surfaces["retrieval"](Call(PRINCIPAL)).retrieve(query)
    assert vars(refused.value)["param"] == param


async def test_the_run_config_bounds_what_is_shown(world: VectorWorld) -> None:
    params = {"chunk_retrieval_params": {"max_tokens_in_context": 9, "default_search_mode": "vector"}}
    retrieval = await retrieval_of(world, vector_stores=params)
    assert len(await retrieval.retrieve(RetrievalQuery(["sun"], ["notes"]))) == 1
    assert len(await retrieval.retrieve(RetrievalQuery(["sun"], ["notes"], most_tokens=100))) == 4


async def test_an_insert_ends_before_its_answer_must_leave_and_goes_on_when_it_comes_again(world: VectorWorld) -> None:
    client = await rag_client(world)
    await make_database(client)
    stack = await stack_of(world, **rag_document(world))
    asked: list[int] = []

    async def slow(request: web.Request) -> web.StreamResponse:
        asked.append(len((await request.json())["input"]))
        if len(asked) == 2:
            await asyncio.sleep(60)
        return await embed(request)

    world.upstream.replies["/v1/embeddings"] = slow
    request = InsertDocuments.model_validate(
        {"documents": [document("a", "the sun"), document("b", "tea")], "vector_db_id": "notes"}
    )
    call = Call(PRINCIPAL, until=asyncio.get_running_loop().time() + 3.5)
    with pytest.raises(UpstreamTimeout, match="1 of 2 documents are in the vector store"):
        await stack.surfaces["rag_tool"](call).insert(request)
    await stack.surfaces["rag_tool"](Call(PRINCIPAL)).insert(request)
    assert asked == [1, 1, 1]
    assert world.count_vectors() == 2


async def test_a_stack_without_vector_stores_says_what_to_add(world: VectorWorld) -> None:
    stack = await stack_of(world, **rag_document(world))
    del stack.surfaces["retrieval"]
    with pytest.raises(InvalidRequest, match="add a provider of `vector_io`"):
        stack.surfaces["rag_tool"](None)
