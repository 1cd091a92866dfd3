"""The stack of `.vector_stack` with the RAG tool, whose documents may be fetched from the test's own server."""

from typing import Any

import httpx
from yarl import URL

from tests.parts.vector_stack import ADA, BLOBS, VectorWorld, by

INSERT = "/v1/tool-runtime/rag-tool/insert"
QUERY = "/v1/tool-runtime/rag-tool/query"
INVOKE = "/v1/tool-runtime/invoke"
DATABASE = {"vector_db_id": "notes", "embedding_model": "words"}


def rag_document(world: VectorWorld, **more: Any) -> dict[str, Any]:
    """What a run config of `world` has with a tool group for each provider: `builtin::rag` and `builtin::file_search`."""
    fetch = {"allow_private_addresses": True, "allowed_ports": [URL(world.upstream.url).port]}
    local = {"provider_id": "local", "provider_type": "remote::vllm", "config": {"url": f"{world.upstream.url}/v1"}}
    providers: dict[str, Any] = {
        "inference": [local],
        "files": [BLOBS],
        "vector_io": [world.provider],
        "tool_runtime": [
            {"provider_id": "rag", "provider_type": "inline::rag-runtime", "config": {"fetch": fetch}},
            {"provider_id": "search", "provider_type": "inline::file-search"},
        ],
    }
    groups = [
        {"toolgroup_id": "builtin::rag", "provider_id": "rag"},
        {"toolgroup_id": "builtin::file_search", "provider_id": "search", "args": {"vector_store_ids": ["notes"]}},
    ]
    apis = ["files", "inference", "vector_io", "tool_runtime"]
    return {"apis": apis, "providers": providers, "tool_groups": groups, **more}


async def rag_client(world: VectorWorld, **more: Any) -> httpx.AsyncClient:
    return await world.client(**rag_document(world, **more))


async def make_database(client: httpx.AsyncClient, name: str = "notes", who: str = "ada") -> None:
    answer = await client.post("/v1/vector-dbs", json=DATABASE | {"vector_db_id": name}, headers=by(who))
    assert answer.status_code == 200, answer.text


def document(name: str, content: Any, mime_type: str | None = None, **metadata: Any) -> dict[str, Any]:
    more = {} if mime_type is None else {"mime_type": mime_type}
    return {"document_id": name, "content": content, "metadata": metadata, **more}


async def insert(client: httpx.AsyncClient, *documents: dict[str, Any], into: str = "notes", size: int = 512) -> None:
    body = {"documents": documents, "vector_db_id": into, "chunk_size_in_tokens": size}
    answer = await client.post(INSERT, json=body, headers=ADA)
    assert answer.status_code == 204, answer.text


async def query(
    client: httpx.AsyncClient, content: Any, *stores: str, who: str = "ada", **config: Any
) -> httpx.Response:
    body = {"content": content, "vector_db_ids": list(stores or ("notes",)), "query_config": config or None}
    return await client.post(QUERY, json=body, headers=by(who))
