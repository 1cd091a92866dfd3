"""Each inference operation answers as the OpenAPI document says; so does whatever other tests ask of a live stack."""

from pathlib import Path
from typing import Any

import pytest

from core.apis.index import route_rows
from tests.parts.live_stack import client_of, run_config
from tests.parts.upstream import CHAT, EMBEDDINGS, USAGE, rank_by_words, running, status, stream

COMPLETION = CHAT | {"object": "text_completion", "choices": [{"index": 0, "text": "Hello", "finish_reason": "stop"}]}
MESSAGES = [{"role": "user", "content": "hi"}]
BODIES: dict[str, dict[str, Any]] = {
    "chat_completion": {"model": "local/m", "messages": MESSAGES},
    "completion": {"model": "local/m", "prompt": "hi"},
    "embeddings": {"model": "embed", "input": "hi"},
    "native_chat_completion": {"model_id": "local/m", "messages": MESSAGES},
    "native_completion": {"model_id": "local/m", "content": "hi"},
    "native_embeddings": {"model_id": "embed", "contents": ["hi"]},
    "native_batch_chat_completion": {"model_id": "local/m", "messages_batch": [MESSAGES, MESSAGES]},
    "native_batch_completion": {"model_id": "local/m", "content_batch": ["hi", "hi"]},
    "rerank": {"model": "ranks", "query": "hi", "documents": ["hi", {"text": "ho"}], "return_documents": True},
    "native_rerank": {"model": "ranks", "query": "hi", "items": ["hi", {"type": "text", "text": "ho"}]},
}
ROWS = [
    row
    for row in route_rows(["inference"])
    if row.operation is not None and (row.surface != "chats" or row.name == "chat_completion")
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.path)
async def test_an_answer_and_a_stream_are_as_described(tmp_path: Path, row: Any) -> None:
    async with running() as upstream:
        upstream.models.append({"id": "e", "object": "model", "created": 7})
        upstream.replies |= {"/v1/embeddings": status(200, EMBEDDINGS), "/v1/rerank": rank_by_words}
        config = run_config(upstream.url, {"type": "sqlite", "db_path": str(tmp_path / "registry.db")})
        embed: dict[str, Any] = {"model_id": "embed", "provider_model_id": "e", "model_type": "embedding"}
        embed |= {"metadata": {"embedding_dimension": 1}}
        ranks = {"model_id": "ranks", "provider_model_id": "r", "model_type": "rerank"}
        async with client_of(config | {"models": [embed, ranks]}) as client:
            upstream.replies["/v1/completions"] = status(200, COMPLETION)
            assert (await client.post(row.path, json=BODIES[row.name])).status_code == 200
            if row.operation.stream is not None:
                first = {"id": "c", "object": "text_completion", "created": 1, "model": "m"}
                chunks = [first | {"choices": [{"index": 0, "text": text}]} for text in "ab"]
                upstream.replies["/v1/completions"] = stream([*chunks, USAGE])
                answer = await client.post(row.path, json=BODIES[row.name] | {"stream": True})
                assert answer.text.count("data: ") >= len(chunks)
