"""Chunks that a chat model gives their context: what it is asked, what is kept of its answers, how it fails, and what is asked again."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

from aiohttp import web
import httpx
import pytest

from core.services.vector_stores.ingest.contexts import MOST_CONTEXT, NO_MODEL, PROMPT
from tests.parts.ingest_stack import (
    ADA,
    STORES,
    add,
    check_exact,
    make_store,
    stack_of,
    text_of,
    until,
    upload,
    working,
)
from tests.parts.upstream import CHAT as REPLY
from tests.parts.upstream import Reply, hang, status
from tests.parts.vector_stack import EMBEDDER, VectorWorld, search, vector_world

CHATS = "/v1/chat/completions"


class Situator:
    """A chat model whose context is the passage's first word, and how often it was asked of it; or what `replies` says first."""

    def __init__(self, world: VectorWorld, *replies: Reply, seconds: float = 0.0) -> None:
        self.bodies: list[Any] = []
        self.asked: Counter[str] = Counter()
        self.now = self.peak = 0
        self._replies = [*replies]
        self._seconds = seconds
        world.upstream.replies[CHATS] = self.answer

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.bodies.append(body)
        passage = body["messages"][1]["content"].partition("\n\n</passage>")[0].removesuffix("\n</passage>")
        self.asked[passage] += 1
        if self._replies:
            return await self._replies.pop(0)(request)
        self.now += 1
        self.peak = max(self.peak, self.now)
        await asyncio.sleep(self._seconds)
        self.now -= 1
        return web.json_response(said(f" About {passage.split()[0]}. \n"))


def said(text: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {**REPLY, "choices": [choice]}


def contextual(**fields: Any) -> dict[str, Any]:
    fields = {"model_id": "chat", "max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0, **fields}
    return {"type": "contextual", "contextual": fields}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[VectorWorld]:
    async with vector_world(tmp_path) as world:
        yield world


async def contents(client: httpx.AsyncClient, store: str, file: str) -> list[str]:
    answer = await client.get(f"{STORES}/{store}/files/{file}/content", headers=ADA)
    return [part["text"] for part in answer.json()["data"]]


async def test_each_chunk_is_kept_behind_what_a_model_says_of_it(world: VectorWorld) -> None:
    client, model = await world.client(), Situator(world)
    text = text_of(12)
    store = await make_store(client, chunking_strategy=contextual(max_concurrency=2))
    file = await upload(client, text)
    added = (await add(client, store, file)).json()
    assert added["status"] == "completed", added
    plain = await make_store(client)
    static = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
    await add(client, plain, file, chunking_strategy=static)
    chunks = await contents(client, plain, file)
    assert len(chunks) > 2
    assert await contents(client, store, file) == [f"About {chunk.split()[0]}.\n\n{chunk}" for chunk in chunks]
    assert model.asked == Counter(chunks)
    for body in model.bodies:
        assert (body["model"], body["max_tokens"], body["temperature"]) == ("chat", 256, 0.0)
        system, user = body["messages"]
        assert (system["role"], user["role"]) == ("system", "user")
        assert text in system["content"]
        assert "{{" not in system["content"] + user["content"]
    found = (await search(client, store, "About", search_mode="keyword")).json()["data"]
    assert len(found) == min(len(chunks), 10)
    assert added["chunking_strategy"] == contextual(max_concurrency=2, timeout_seconds=120)
    stack = await stack_of(world)
    await check_exact(stack, store)
    assert len({body["messages"][0]["content"] for body in model.bodies}) == 1


async def test_a_prompt_of_ones_own_and_words_of_the_document_that_look_like_places(world: VectorWorld) -> None:
    client, model = await world.client(), Situator(world)
    text = "{{CHUNK_CONTENT}} and {{WHOLE_DOCUMENT}} are words here."
    prompt = "All: {{WHOLE_DOCUMENT}}\nOne: {{CHUNK_CONTENT}}!"
    store, file = await make_store(client), await upload(client, text)
    added = (await add(client, store, file, chunking_strategy=contextual(context_prompt=prompt))).json()
    assert added["status"] == "completed", added
    assert added["chunking_strategy"]["contextual"]["context_prompt"] == prompt
    [body] = model.bodies
    assert [message["content"] for message in body["messages"]] == [f"All: {text}\nOne:", f"{text}!"]
    assert "context_prompt" not in contextual()["contextual"]
    assert PROMPT.startswith("<document>")


async def test_the_run_config_names_the_model_and_the_bounds(world: VectorWorld) -> None:
    bare = {"type": "contextual", "contextual": {}}
    client = await world.client()
    store, file = await make_store(client), await upload(client, text_of(3))
    for answer in (
        await client.post(STORES, json={"chunking_strategy": bare}, headers=ADA),
        await add(client, store, file, chunking_strategy=bare),
    ):
        assert (answer.status_code, answer.json()["error"]["message"]) == (400, NO_MODEL)
        assert answer.json()["error"]["param"] == "chunking_strategy.contextual.model_id"
    params = {
        "model": {"provider_id": "local", "model_id": "chat"},
        "default_timeout_seconds": 10,
        "default_max_concurrency": 2,
    }
    client = await world.client(vector_stores={"contextual_retrieval_params": params})
    model = Situator(world)
    added = (await add(client, store, file, chunking_strategy=bare)).json()
    assert added["status"] == "completed", added
    fields = {"max_chunk_size_tokens": 700, "chunk_overlap_tokens": 400, "timeout_seconds": 10, "max_concurrency": 2}
    assert added["chunking_strategy"] == contextual(model_id="local/chat", **fields)
    assert {body["model"] for body in model.bodies} == {"chat"}


async def test_no_more_questions_are_under_way_than_were_asked_for(world: VectorWorld) -> None:
    client, model = await world.client(), Situator(world, seconds=0.02)
    store, file = await make_store(client), await upload(client, text_of(40))
    added = await add(client, store, file, chunking_strategy=contextual(max_concurrency=3))
    assert added.json()["status"] == "completed", added.text
    assert model.peak == 3
    assert set(model.asked.values()) == {1}


REFUSALS: dict[str, tuple[Reply, str]] = {
    "empty": (
        status(200, said("")),
        "The model `chat` says nothing of where a chunk stands in this file. Name another",
    ),
    "nothing": (
        status(200, said(None)),
        "The model `chat` says nothing of where a chunk stands in this file. Name another",
    ),
    "refused": (status(400, {"error": {"message": "no such words here"}}), "no such words here"),
    "too long": (
        status(400, {"error": {"message": "too long", "code": "context_length_exceeded"}}),
        "The whole file is sent with each chunk: split it.",
    ),
}


@pytest.mark.parametrize(("reply", "text"), REFUSALS.values(), ids=list(REFUSALS))
async def test_a_file_whose_chunks_get_no_context_fails_with_the_reason(
    world: VectorWorld, reply: Reply, text: str
) -> None:
    client = await world.client()
    world.upstream.replies[CHATS] = reply
    store, file = await make_store(client), await upload(client, text_of(12))
    added = (await add(client, store, file, chunking_strategy=contextual())).json()
    assert (added["status"], added["last_error"]["code"]) == ("failed", "server_error")
    assert text in added["last_error"]["message"]
    assert world.count_vectors() == 0


async def test_a_model_that_is_not_there_is_told(world: VectorWorld) -> None:
    client = await world.client(models=[EMBEDDER])
    store, file = await make_store(client), await upload(client, text_of(3))
    added = (await add(client, store, file, chunking_strategy=contextual())).json()
    assert added["last_error"]["message"] == (
        "The model `chat`, which is to give chunks their context, is not there, or you may not use it. Name another as `model_id`, or use "
        "the chunking strategy `static`."
    )
    added = (await add(client, store, file, chunking_strategy=contextual(model_id="words"))).json()
    assert (
        added["last_error"]["message"] == "Model `words` is an embedding model and does not support chat completions."
    )


async def test_a_chunk_of_which_the_model_says_nothing_or_too_much_is_kept_all_the_same(world: VectorWorld) -> None:
    client = await world.client()
    Situator(world, status(200, said(" ")), status(200, said("x" * 9000)))
    store, file = await make_store(client), await upload(client, text_of(12))
    added = (await add(client, store, file, chunking_strategy=contextual(max_concurrency=2))).json()
    assert added["status"] == "completed", added
    sizes = [len(text.partition("\n\n")[0]) for text in await contents(client, store, file)]
    assert sorted(sizes[:2])[1] == MOST_CONTEXT
    assert not (await contents(client, store, file))[0].startswith("About") or sizes[0] == MOST_CONTEXT


async def test_a_file_that_is_too_large_for_it_is_refused_and_nobody_is_asked(world: VectorWorld) -> None:
    params = {"contextual_retrieval_params": {"max_document_tokens": 1000}}
    client = await world.client(vector_stores=params)
    model = Situator(world)
    store, file = await make_store(client), await upload(client, text_of(100))
    added = (await add(client, store, file, chunking_strategy=contextual())).json()
    assert (added["status"], added["last_error"]["code"]) == ("failed", "invalid_file")
    assert added["last_error"]["message"] == (
        "This file has more than 1,000 tokens, and with the chunking strategy `contextual` a model reads all of it for each chunk: use "
        "`static`, or split it."
    )
    assert not model.bodies


async def test_what_was_put_is_not_asked_again_by_the_job_that_goes_on(world: VectorWorld) -> None:
    client = await world.client()
    store, file = await make_store(client), await upload(client, text_of(30))
    model = Situator(world)
    good, seen = world.upstream.replies[CHATS], 0

    async def broken_after_six(request: web.Request) -> web.StreamResponse:
        nonlocal seen
        seen += 1
        return await (good if seen <= 6 else status(503))(request)

    world.upstream.replies[CHATS] = broken_after_six
    added = (await add(client, store, file, chunking_strategy=contextual(max_concurrency=2))).json()
    assert (added["status"], added["last_error"]) == ("in_progress", None)
    put = world.count_vectors()
    assert 0 < put <= 4
    world.upstream.replies[CHATS] = good
    async with working(world):
        done = await until(client, f"{STORES}/{store}/files/{file}")
        [job] = (await client.get("/v1/jobs", headers=ADA)).json()["data"]
        job = await until(client, f"/v1/jobs/{job['id']}", "completed")
    assert done["status"] == "completed", done
    texts = await contents(client, store, file)
    assert all(text.startswith("About ") for text in texts)
    assert len(texts) == len(model.asked)
    assert sorted(model.asked.values()) == [1] * (len(texts) - (6 - put)) + [2] * (6 - put)
    dimension = EMBEDDER["metadata"]["embedding_dimension"]
    assert done["usage_bytes"] == sum(len(text.encode()) + 4 * dimension for text in texts)
    models = job["usage"]["models"]
    assert models["chat"] == 2 * (len(texts) - put)
    assert job["usage"]["total_tokens"] == models["chat"] + models["words"]
    await check_exact(await stack_of(world), store)


async def test_a_question_that_takes_too_long_is_given_up_and_asked_later(world: VectorWorld) -> None:
    client = await world.client()
    store, file = await make_store(client), await upload(client, text_of(3))
    world.upstream.replies[CHATS] = hang
    added = (await add(client, store, file, chunking_strategy=contextual(timeout_seconds=1))).json()
    assert (added["status"], added["last_error"]) == ("in_progress", None)
    assert world.upstream.cancelled.is_set()


async def test_other_attributes_ask_no_model_again(world: VectorWorld) -> None:
    client, model = await world.client(), Situator(world)
    store, file = await make_store(client), await upload(client, text_of(12))
    await add(client, store, file, chunking_strategy=contextual())
    count, texts = len(model.bodies), await contents(client, store, file)
    path = f"{STORES}/{store}/files/{file}"
    await client.post(path, json={"attributes": {"k": 1}}, headers=ADA)
    assert (await until(client, path))["attributes"] == {"k": 1}
    assert (len(model.bodies), await contents(client, store, file)) == (count, texts)


async def test_the_chat_is_charged_to_whoever_adds_the_file(world: VectorWorld) -> None:
    client = await world.client(quota={"max_tokens": 100_000})
    Situator(world)
    store = await make_store(client)
    static = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}

    async def cost(strategy: dict[str, Any]) -> int:
        file, before = await upload(client, text_of(12)), await _used(client)
        added = (await add(client, store, file, chunking_strategy=strategy)).json()
        assert added["status"] == "completed"
        return await _used(client) - before

    more = await cost(contextual()) - await cost(static)
    of_an_answer, of_its_words = 2, 2  # "About The."
    assert more == world.count_vectors() // 2 * (of_an_answer + of_its_words)


async def _used(client: httpx.AsyncClient) -> int:
    used: int = (await client.get("/v1/quota", headers=ADA)).json()["tokens"]["used"]
    return used
