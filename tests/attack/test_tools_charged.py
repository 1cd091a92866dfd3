"""Tokens for nothing, and memory: what a caller can have of a question that it writes itself."""

from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.apis.rag import InsertDocuments, count_fetches
from tests.parts.mcp_requests import call
from tests.parts.rag_stack import INVOKE, document, insert, make_database, query, rag_client
from tests.parts.upstream import CHAT as REPLY
from tests.parts.upstream import raw
from tests.parts.vector_stack import ADA, VectorWorld, vector_world

GENERATOR: dict[str, Any] = {"type": "llm", "model": "chat", "template": "Search for: {{ messages[-1] }}"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[VectorWorld]:
    async with vector_world(tmp_path) as world:
        yield world


def knowledge(**config: Any) -> dict[str, Any]:
    return {"query": "the sun", "vector_db_ids": ["notes"], "query_config": config or None}


async def asked(client: httpx.AsyncClient, arguments: dict[str, Any]) -> httpx.Response:
    return await client.post(INVOKE, json={"tool_name": "knowledge_search", "kwargs": arguments}, headers=ADA)


async def test_who_has_no_tokens_left_has_none_through_tools(world: VectorWorld) -> None:
    """A model that makes the question, and embeddings, are had by `/invoke` and `/mcp` as by the RAG tool's own route."""
    client = await rag_client(world, quota={"authenticated_max_tokens": 60, "default_max_tokens": 10})
    await make_database(client)
    await insert(client, document("d", "the sun is a star"))
    reply = {**REPLY, "usage": {"prompt_tokens": 50, "completion_tokens": 50, "total_tokens": 100}}
    world.upstream.replies["/v1/chat/completions"] = raw(json.dumps(reply).encode())
    generator = knowledge(query_generator_config=GENERATOR)
    first = await asked(client, generator)
    assert first.status_code == 200, first.text
    before = len(world.upstream.seen)
    for answer in (
        await asked(client, generator),
        await call(client, "knowledge_search", user="ada", **generator),
        await query(client, "the sun", query_generator_config=GENERATOR),
    ):
        assert answer.status_code == 429, answer.text
    models = [seen.path for seen in world.upstream.seen[before:] if seen.path != "/auth"]
    assert models == []


async def test_a_template_is_no_way_to_a_large_answer(world: VectorWorld) -> None:
    client = await rag_client(world)
    await make_database(client)
    await insert(client, document("d", "star " * 2000), size=4096)
    template = "{index}" + "{chunk.content}" * 2000
    answer = await query(client, "star", chunk_template=template)
    assert answer.status_code == 400, len(answer.content)
    assert "chunk_template" in answer.text


async def test_who_is_asked_what_it_has_is_not_asked_for_nothing(world: VectorWorld) -> None:
    """A server that a query names, or credentials in it: each is a request of the stack's to somebody else."""
    client = await rag_client(world, quota={"authenticated_max_requests": 2})
    paths = ("/v1/tool-runtime/list-tools", "/v1beta/connectors/none", "/v1beta/connectors/none/tools")
    statuses = [(await client.get(path, headers=ADA)).status_code for path in paths]
    assert statuses == [200, 404, 429]
    assert (await client.get("/v1/tools", headers=ADA)).status_code == 200


def test_each_document_that_is_fetched_is_a_request() -> None:
    def documents(*contents: Any) -> InsertDocuments:
        rows = [{"document_id": str(number), "content": content} for number, content in enumerate(contents)]
        return InsertDocuments.model_validate({"documents": rows, "vector_db_id": "notes"})

    url = {"uri": "https://example.com/a"}
    assert [count_fetches(documents(*contents)) for contents in ((), ("text",), (url, "text"), (url, url, url))] == [
        1,
        1,
        1,
        3,
    ]
