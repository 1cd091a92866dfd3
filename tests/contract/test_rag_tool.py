"""The RAG tool over HTTP: documents from texts and URLs, what is told of them, and both tools by their invocation."""

from base64 import b64encode
import json
from typing import Any

from aiohttp import web
import httpx

from tests.parts.documents_office import pdf
from tests.parts.rag_stack import (
    INSERT,
    INVOKE,
    QUERY,
    document,
    insert,
    make_database,
    query,
    rag_client,
    rag_document,
)
from tests.parts.upstream import CHAT as REPLY
from tests.parts.upstream import raw
from tests.parts.vector_stack import ADA, CHAT, EMBEDDER, STORES, VectorWorld, by, message, search

PURPOSE = "Use them as supporting information only in answering this query."


def texts(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["text"] for item in answer.json()["content"]]


async def chunks(client: httpx.AsyncClient, store: str = "notes") -> list[dict[str, Any]]:
    body = {"vector_db_id": store, "query": "a", "params": {"max_chunks": 100}}
    rows: list[dict[str, Any]] = (await client.post("/v1/vector-io/query", json=body, headers=ADA)).json()["chunks"]
    return sorted(rows, key=lambda row: str(row["chunk_id"]))


async def test_what_was_inserted_is_told_in_the_words_of_0_2(places: VectorWorld) -> None:
    client = await rag_client(places)
    await make_database(client)
    facts: dict[str, Any] = {"topic": "sky", "year": 2026, "tags": ["a"], "none": None}
    assert (await query(client, "sun")).json() == {"content": None, "metadata": {}}
    await insert(
        client,
        document("d1", "the sun is a star", **facts),
        document("d2", [{"type": "text", "text": "tea is"}, {"type": "image", "image": {"data": "aGk="}}, "a drink"]),
    )
    answer = await query(client, ["the sun", {"type": "text", "text": "a star"}])
    assert texts(answer) == [
        "knowledge_search tool found 2 chunks:\nBEGIN of knowledge_search tool results.\n",
        f"Result 1\nContent: the sun is a star\nMetadata: {facts | {'document_id': 'd1'}}\n",
        "Result 2\nContent: tea is a drink\nMetadata: {'document_id': 'd2'}\n",
        "END of knowledge_search tool results.\n",
        f'The above results were retrieved to help answer the user\'s query: "the sun a star". {PURPOSE}\n',
    ]
    metadata = answer.json()["metadata"]
    assert metadata["document_ids"] == ["d1", "d2"]
    assert metadata["chunks"] == ["the sun is a star", "tea is a drink"]
    assert metadata["scores"] == sorted(metadata["scores"], reverse=True)
    assert metadata["vector_db_ids"] == ["notes", "notes"]
    filters = {"type": "eq", "key": "topic", "value": "sky"}
    found = (await search(client, "notes", "sun", filters=filters)).json()["data"]
    assert [(row["file_id"], row["attributes"]) for row in found] == [
        ("d1", {"topic": "sky", "year": 2026, "document_id": "d1"})
    ]


async def test_a_query_says_how_much_and_in_which_words(world: VectorWorld) -> None:
    client = await rag_client(world)
    await make_database(client)
    await insert(client, *(document(f"d{n}", f"sun number{n}") for n in range(7)))
    assert len((await query(client, "sun")).json()["metadata"]["chunks"]) == 5
    own = await query(client, "sun", max_chunks=2, chunk_template="{index}. {chunk.content}; {chunk.__class__}")
    shown = [f"{n}. {text}; {{chunk.__class__}}" for n, text in enumerate(own.json()["metadata"]["chunks"], 1)]
    assert texts(own)[1:3] == shown
    small = (await query(client, "sun", max_tokens_in_context=7)).json()["metadata"]
    assert len(small["chunks"]) == 2
    [cut] = (await query(client, "sun", max_tokens_in_context=1)).json()["metadata"]["chunks"]
    assert cut == "sun"
    hybrid = await query(client, "number3", mode="hybrid", ranker={"type": "weighted", "alpha": 0.1})
    assert hybrid.json()["metadata"]["document_ids"][0] == "d3"
    ignored = await query(client, "number3", mode="keyword", ranker={"type": "rrf", "impact_factor": 60.0})
    assert ignored.json()["metadata"]["document_ids"] == ["d3"]


async def test_several_stores_are_one_ranking_and_their_model_is_asked_once(world: VectorWorld) -> None:
    client = await rag_client(world)
    for name in ("notes", "more"):
        await make_database(client, name)
        await insert(client, document("same", "the sun is a star"), document(name, f"the sun of {name}"), into=name)
    asked = len(world.upstream.seen)
    metadata = (await query(client, "the sun", "notes", "more", "notes")).json()["metadata"]
    assert [seen.path for seen in world.upstream.seen[asked:]].count("/v1/embeddings") == 1
    assert sorted(metadata["document_ids"]) == ["more", "notes", "same"]
    for who, store in (("bob", "notes"), ("ada", "nowhere")):
        hidden = await query(client, "sun", "more", store, who=who)
        assert (hidden.status_code, hidden.json()["error"]["param"]) == (404, "vector_store_id")


async def test_a_document_takes_the_place_of_the_one_with_its_id(places: VectorWorld) -> None:
    client = await rag_client(places)
    await make_database(client)
    long = " ".join(f"Sentence number {n} of a long text." for n in range(220))
    await insert(client, document("d/1 é", long), document("d2", "tea"), size=64)
    before = await chunks(client)
    assert len(before) > 20
    asked = len(places.upstream.seen)
    await insert(client, document("d/1 é", long), size=64)
    assert await chunks(client) == before
    assert "/v1/embeddings" not in [seen.path for seen in places.upstream.seen[asked:][:-1]]
    await insert(client, document("d/1 é", long[:400], year=1), size=64)
    after = await chunks(client)
    assert {row["metadata"]["document_id"]: row["metadata"].get("year") for row in after} == {"d/1 é": 1, "d2": None}
    assert len(after) < 8
    assert after[0]["content"].startswith("Sentence number 0")


async def test_documents_by_their_urls(world: VectorWorld) -> None:
    replies = world.upstream.replies
    replies["/page"] = raw(b"<!doctype html><p>the sun is a star<script>no</script>", "text/html")
    replies["/paper"] = raw(pdf("tea is a drink"), "application/octet-stream")
    client = await rag_client(world)
    await make_database(client)
    encoded = b64encode(b"quotas are exact").decode()
    await insert(
        client,
        document("page", {"uri": f"{world.upstream.url}/page"}),
        document("paper", f"{world.upstream.url}/paper", "application/pdf"),
        document("data", {"uri": f"data:text/plain;charset=utf-8;base64,{encoded}"}),
        document("plain", "data:,files%20expire"),
        document("text", f"{world.upstream.url}/page is where it is"),
    )
    assert {row["metadata"]["document_id"]: row["content"].strip() for row in await chunks(client)} == {
        "page": "the sun is a star",
        "paper": "tea is a drink",
        "data": "quotas are exact",
        "plain": "files expire",
        "text": f"{world.upstream.url}/page is where it is",
    }


async def test_a_stack_that_fetches_nothing_says_what_to_add(world: VectorWorld) -> None:
    providers = rag_document(world)["providers"]
    providers["tool_runtime"] = [{"provider_id": "mcp", "provider_type": "remote::model-context-protocol"}]
    client = await rag_client(world, providers=providers, tool_groups=[])
    await make_database(client)
    body = {"documents": [document("d", {"uri": "https://a.test/d"})], "vector_db_id": "notes"}
    answer = await client.post(INSERT, json=body, headers=ADA)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "documents[0].content"), answer.text
    assert "add a provider of the type `inline::rag-runtime`" in answer.text


async def test_an_address_that_the_operator_does_not_allow_is_not_fetched(world: VectorWorld) -> None:
    world.upstream.replies["/page"] = raw(b"the sun", "text/plain")
    providers = rag_document(world)["providers"]
    del providers["tool_runtime"][0]["config"]["fetch"]["allow_private_addresses"]
    client = await rag_client(world, providers=providers)
    await make_database(client)
    seen = len(world.upstream.seen)
    for url in (f"{world.upstream.url}/page", world.upstream.url.replace("127.0.0.1", "[::ffff:127.0.0.1]")):
        for content in (url, {"uri": url}):
            body = {"documents": [document("a", content)], "vector_db_id": "notes"}
            answer = await client.post(INSERT, json=body, headers=ADA)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "documents[0].content")
            assert "fetching from it is not allowed" in message(answer)
    assert [entry.path for entry in world.upstream.seen[seen:]] == ["/auth"] * (len(world.upstream.seen) - seen)


async def test_what_cannot_be_inserted_is_named_and_nothing_is_kept(world: VectorWorld) -> None:
    world.upstream.replies["/empty"] = raw(b"", "text/plain")
    client = await rag_client(world)
    await make_database(client)
    good = document("good", "the sun")
    for bad, param, words in (
        (document("good", "again"), "documents[1].document_id", "Two documents have the id `good`"),
        (document("b", "  "), "documents[1].content", "has no text"),
        (document("b", {"uri": f"{world.upstream.url}/empty"}), "documents[1].content", "is empty"),
        (document("b", {"uri": "http://169.254.169.254/latest"}), "documents[1].content", "on one of these ports"),
        (document("b", "file:///etc/passwd"), "documents[1].content", "fetched by http://"),
        (document("b", "data:text/plain;base64,***"), "documents[1].content", "no data: URL"),
        (document("b", {"type": "video"}), "documents[1].content", "must be a string"),
        (document("b", "x", big="y" * 9000), "documents[1].metadata", "8192"),
    ):
        body = {"documents": [good, bad], "vector_db_id": "notes", "chunk_size_in_tokens": 512}
        answer = await client.post(INSERT, json=body, headers=ADA)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
        assert words in message(answer)
    assert await chunks(client) == []
    body = {"documents": [good], "vector_db_id": "notes"}
    assert (await client.post(INSERT, json=body, headers=by("bob"))).status_code == 404
    refused: list[tuple[dict[str, Any], str]] = [
        ({"content": "a", "vector_db_ids": []}, "vector_db_ids"),
        (
            {"content": "a", "vector_db_ids": ["notes"], "query_config": {"chunk_template": "x"}},
            "query_config.chunk_template",
        ),
        ({"content": {"type": "image", "image": {}}, "vector_db_ids": ["notes"]}, "query"),
    ]
    for query_body, param in refused:
        answer = await client.post(QUERY, json=query_body, headers=ADA)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


async def test_a_model_makes_the_query_and_the_caller_is_charged(world: VectorWorld) -> None:
    client = await rag_client(world, quota={"authenticated_max_tokens": 100_000})
    await make_database(client)
    await insert(client, document("d", "the sun is a star"), document("e", "tea is a drink"))
    reply = {
        **REPLY,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": " tea drink "}, "finish_reason": "stop"}],
    }
    world.upstream.replies["/v1/chat/completions"] = raw(json.dumps(reply).encode())
    generator = {"type": "llm", "model": "chat", "template": "Search for: {{ messages[-1] }}"}
    before = await tokens(client)
    answer = await query(client, ["hello", "what do they drink?"], query_generator_config=generator)
    assert answer.json()["metadata"]["document_ids"][0] == "e"
    assert answer.json()["content"][-1]["text"].count("hello what do they drink?") == 1
    asked = next(seen.body for seen in world.upstream.seen if seen.path == "/v1/chat/completions")
    assert asked["messages"] == [{"role": "user", "content": "Search for: what do they drink?"}]
    assert await tokens(client) - before == 2 + 2  # of the model, and of the embedding of two words
    for bad, param in ((generator | {"model": "nobody"}, "model"), (generator | {"template": "{{ 7*7 }}"}, "template")):
        answer = await query(client, "a", query_generator_config=bad)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == f"query_config.query_generator_config.{param}"
    assert (await query(client, "a", query_generator_config={"type": "llm"})).status_code == 400


async def test_what_a_model_is_asked_for_a_query_is_guarded(world: VectorWorld) -> None:
    async def reply(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        content = "the sun"
        if body["model"] == "guard":
            content = "unsafe\nS1" if "drink" in str(body["messages"]) else "safe"
        message = {"role": "assistant", "content": content}
        return web.json_response(REPLY | {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    world.upstream.replies["/v1/chat/completions"] = reply
    guard = {"model_id": "guard", "provider_id": "local", "provider_model_id": "guard", "model_type": "llm"}
    shield = {"shield_id": "lg", "provider_id": "guards", "provider_shield_id": "local/guard"}
    parts = rag_document(world)
    guards = [{"provider_id": "guards", "provider_type": "inline::llama-guard"}]
    client = await rag_client(
        world,
        apis=[*parts["apis"], "safety"],
        providers=parts["providers"] | {"safety": guards},
        models=[EMBEDDER, CHAT, guard],
        shields=[shield],
        safety={"default_shields": ["lg"]},
    )
    await make_database(client)
    await insert(client, document("d", "the sun is a star"))
    generator = {"type": "llm", "model": "chat", "template": "Search for: {{ messages }}"}
    answer = await query(client, "what shines?", query_generator_config=generator)
    assert answer.json()["metadata"]["document_ids"] == ["d"]
    assert (await search(client, "notes", "sun")).status_code == 200  # its own function has what guards models too
    refused = await query(client, "what do they drink?", query_generator_config=generator)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "content_filter")


async def tokens(client: httpx.AsyncClient) -> int:
    used: int = (await client.get("/v1/quota", headers=ADA)).json()["tokens"]["used"]
    return used


async def test_both_tools_are_listed_and_called(world: VectorWorld) -> None:
    client = await rag_client(world, quota={"authenticated_max_tokens": 100_000})
    await make_database(client)
    await insert(client, document("d", "the sun is a star"))
    listed = (await client.get("/v1/tool-runtime/list-tools", headers=ADA)).json()["data"]
    assert {tool["name"]: [parameter["name"] for parameter in tool["parameters"]] for tool in listed} == {
        "knowledge_search": ["query", "vector_db_ids"],
        "file_search": ["query"],
    }
    before = await tokens(client)
    for tool, arguments, words in (
        ("knowledge_search", {"vector_db_ids": ["notes"]}, "knowledge_search tool found 1 chunks"),
        ("file_search", {"query_config": {"max_chunks": 1}}, "file_search tool found 1 chunks"),
    ):
        body = {"tool_name": tool, "kwargs": {"query": "the sun", **arguments}}
        answer = await client.post(INVOKE, json=body, headers=ADA)
        assert texts(answer)[0].startswith(words)
        assert answer.json()["metadata"]["document_ids"] == ["d"]
        assert answer.json()["error_message"] is None
    assert await tokens(client) - before == 2 + 2
    for kwargs, status, param in (
        ({"query": "a"}, 400, "kwargs"),
        ({"query": "a", "vector_db_ids": "notes"}, 400, "kwargs.vector_db_ids"),
        (
            {"query": "a", "vector_db_ids": ["notes"], "query_config": {"max_chunks": 0}},
            400,
            "kwargs.query_config.max_chunks",
        ),
        (
            {"query": "a", "vector_db_ids": ["notes"], "query_config": {"chunk_template": "no place"}},
            400,
            "kwargs.query_config.chunk_template",
        ),
        ({"query": "a", "vector_db_ids": ["nowhere"]}, 404, "vector_store_id"),
    ):
        answer = await client.post(INVOKE, json={"tool_name": "knowledge_search", "kwargs": kwargs}, headers=ADA)
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text
    for group, param in (
        ({"args": {"vector_store_ids": ["notes", 1]}}, "args.vector_store_ids"),
        ({"mcp_endpoint": {"uri": "https://a.test/mcp"}}, "mcp_endpoint"),
    ):
        body = {"toolgroup_id": "own", "provider_id": "rag", **group}
        answer = await client.post("/v1/toolgroups", json=body, headers=ADA)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    hidden = {"tool_name": "file_search", "kwargs": {"query": "the sun"}}
    assert (await client.post(INVOKE, json=hidden, headers=by("bob"))).status_code == 404


async def test_files_of_a_store_are_told_too(world: VectorWorld) -> None:
    client = await rag_client(world)
    files = {"file": ("notes.md", b"The quota admits exactly the limit.")}
    file = (await client.post("/v1/files", data={"purpose": "assistants"}, files=files, headers=ADA)).json()
    store = (await client.post(STORES, json={"file_ids": [file["id"]], "embedding_model": "words"}, headers=ADA)).json()
    answer = await query(client, "quota", store["id"])
    assert texts(answer)[1] == (
        "Result 1\nContent: The quota admits exactly the limit.\nMetadata: "
        f"{{'file_id': '{file['id']}', 'filename': 'notes.md', 'document_id': '{file['id']}'}}\n"
    )
