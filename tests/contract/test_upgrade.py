"""A stack of before there were files and vector stores is upgraded, and has them: what it kept stays, in SQLite and in DynamoDB.

`databases/2026-11-before-files.*` is what `serve` at that time wrote: keys, models, a configuration, an answer under its
idempotency key, documents and a job.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
import sqlite3
from typing import Any

import httpx
import pytest

from core.config.load import interpret
from core.resolution.resolve import resolve
from core.resolution.stack import Stack
from core.stores.connect import DOCUMENTS, JOBS
from core.stores.documents.port import Tally
from tests.parts import upstream as upstreams
from tests.parts.live_stack import client_over
from tests.parts.older_state import DATABASES, KEYS, fill_tables
from tests.parts.secrets import plant
from tests.parts.upstream import FakeUpstream

RULES = [
    {"permit": {"actions": ["create", "read", "update", "delete"]}, "when": "user with admin in roles"},
    {"permit": {"actions": ["create", "read", "update", "delete"]}, "when": "user is owner"},
    {"permit": {"actions": "read"}},
]
type Use = Callable[[httpx.AsyncClient], Awaitable[list[str]]]
"""Makes something of what came later: the paths of it."""

TEXT = "Files expire exactly when they are read."


@dataclass(frozen=True, slots=True)
class Place:
    """`databases` are those of resources, of counters and of what users make."""

    kind: str
    folder: Path
    databases: tuple[dict[str, Any], dict[str, Any], dict[str, Any]]

    def document(self, upstream: FakeUpstream) -> dict[str, Any]:
        resources, counters, state = self.databases
        backends = {
            "db": state | {"type": f"kv_{self.kind}"},
            "queue": {"type": "kv_sqlite", "db_path": str(self.folder / "queue.db")},
            "blobs": {"type": "blob_local", "path": str(self.folder / "blobs")},
        }
        stores = {"documents": "db", "jobs": "db", "queue": "queue", "blobs": "blobs"}
        auth = {"providers": [{"type": "api_key"}], "access_policy": RULES}
        return {
            "version": 2,
            "image_name": "t",
            "apis": ["inference", "files", "vector_io", "responses", "datasetio", "scoring", "eval"],
            "providers": {
                "inference": [
                    {"provider_id": "vllm", "provider_type": "remote::vllm", "config": {"url": upstream.url}}
                ],
                "files": [{"provider_id": "files", "provider_type": "inline::localfs", "config": {}}],
                "vector_io": [
                    {
                        "provider_id": "vectors",
                        "provider_type": "inline::sqlite",
                        "config": {"db_path": str(self.folder / "vectors.db")},
                    }
                ],
                "responses": [{"provider_id": "builtin", "provider_type": "inline::builtin", "config": {}}],
                "datasetio": [{"provider_id": "localfs", "provider_type": "inline::localfs", "config": {}}],
                "scoring": [{"provider_id": "basic", "provider_type": "inline::basic", "config": {}}],
                "eval": [
                    {"provider_id": "own", "provider_type": "inline::meta-reference", "config": {"wait_seconds": 0}}
                ],
            },
            "metadata_store": resources,
            "storage": {"backends": backends, "stores": {name: {"backend": back} for name, back in stores.items()}},
            "configurations": {"allow_private_urls": True},
            "server": {
                "auth": auth,
                "quota": {"kvstore": counters, "authenticated_max_requests": 1000, "period": "month"},
                "idempotency": {"kvstore": state},
            },
        }


@pytest.fixture(params=["sqlite", "dynamodb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        file = tmp_path / "state.db"
        with closing(sqlite3.connect(file)) as connection:
            connection.executescript((DATABASES / "2026-11-before-files.sql").read_text("utf-8"))
        database = {"type": "sqlite", "db_path": str(file)}
        return Place("sqlite", tmp_path, (database, database, database))
    names = {"registry": "registry_table", "quota": "quota_table", "state": "state_table"}
    tables = {table: request.getfixturevalue(fixture) for table, fixture in names.items()}
    endpoint = request.getfixturevalue("dynamodb_endpoint")
    fill_tables(endpoint, tables)
    resources, counters, state = (
        {"type": "dynamodb", "table": table, "endpoint_url": endpoint} for table in tables.values()
    )
    return Place("dynamodb", tmp_path, (resources, counters, state))


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with upstreams.running() as upstream:
        yield upstream


@asynccontextmanager
async def upgraded(place: Place, upstream: FakeUpstream) -> AsyncIterator[tuple[httpx.AsyncClient, Stack]]:
    """A client with the key of `ada`, and the stack by itself."""
    loaded = interpret(place.document(upstream), {})
    async with AsyncExitStack() as opened:
        client = await opened.enter_async_context(client_over(loaded))
        stack = await resolve(loaded, ["files", "vector_io"], version="1")
        opened.push_async_callback(stack.close)
        del client.headers["content-type"]
        client.headers["authorization"] = f"Bearer {plant(KEYS[place.kind]['ada'])}"
        yield client, stack


async def took(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_what_it_kept_is_there_and_files_and_vector_stores_are_beside_it(
    place: Place, upstream: FakeUpstream
) -> None:
    async with upgraded(place, upstream) as (client, stack):
        await check_old_state(client, stack, place, upstream)
        store = await use_files_and_stores(client, place)
        await check_old_state(client, stack, place, upstream)
    async with upgraded(place, upstream) as (client, _):
        shown = await took(await client.get(f"/v1/vector_stores/{store}"))
        assert shown["file_counts"]["completed"] == 1


async def use_evaluations(client: httpx.AsyncClient) -> list[str]:
    """The paths of what was made."""
    rows = [{"question": "Which?", "answer": "a", "generated_answer": "a"}]
    source = {"type": "rows", "rows": rows}
    asked: dict[str, Any] = {"purpose": "eval/question-answer", "source": source}
    dataset = (await took(await client.post("/v1/datasets", json=asked)))["identifier"]
    added = await client.post(f"/v1/datasetio/append-rows/{dataset}", json={"rows": rows})
    assert added.is_success, added.text
    expected = [{"expected_answer": "a", **rows[0]}]
    scored = await took(
        await client.post(
            "/v1/scoring/score", json={"input_rows": expected, "scoring_functions": {"basic::equality": None}}
        )
    )
    assert scored["results"]["basic::equality"]["aggregated_results"]["accuracy"]["accuracy"] == 1.0
    asked = {"benchmark_id": "letters", "dataset_id": dataset, "scoring_functions": ["basic::equality"]}
    assert (await client.post("/v1/eval/benchmarks", json=asked)).is_success
    candidate = {"type": "model", "model": "adas", "sampling_params": {}}
    config = {"benchmark_config": {"eval_candidate": candidate, "scoring_params": {}}}
    job = await took(await client.post("/v1/eval/benchmarks/letters/jobs", json=config))
    assert (await client.delete(f"/v1/eval/benchmarks/letters/jobs/{job['job_id']}")).is_success
    return [
        f"/v1/datasets/{dataset}",
        f"/v1/datasetio/iterrows/{dataset}",
        "/v1/eval/benchmarks/letters",
        f"/v1/eval/benchmarks/letters/jobs/{job['job_id']}",
    ]


async def use_responses(client: httpx.AsyncClient) -> list[str]:
    """The paths of what was made."""
    prompt = await took(await client.post("/v1/prompts", json={"prompt": "Answer {{ name }}.", "variables": ["name"]}))
    conversation = (await took(await client.post("/v1/conversations", json={})))["id"]
    body = {"model": "adas", "input": "Hello", "prompt": {"id": prompt["prompt_id"], "variables": {"name": "Ada"}}}
    made = await took(await client.post("/v1/responses", json={**body, "conversation": conversation}))
    assert made["status"] == "completed", made
    waits = await took(await client.post("/v1/responses", json={**body, "background": True}))
    assert (await took(await client.post(f"/v1/responses/{waits['id']}/cancel")))["status"] == "cancelled"
    config = {"agent_config": {"model": "adas", "instructions": "Be brief."}}
    agent = f"/v1/agents/{(await took(await client.post('/v1/agents', json=config)))['agent_id']}"
    session = (await took(await client.post(f"{agent}/session", json={"session_name": "s"})))["session_id"]
    turn = {"messages": [{"role": "user", "content": "Hello"}], "stream": False}
    turn_id = (await took(await client.post(f"{agent}/session/{session}/turn", json=turn)))["turn_id"]
    return [
        *(f"/v1/responses/{one['id']}" for one in (made, waits)),
        f"/v1/prompts/{prompt['prompt_id']}",
        f"/v1/conversations/{conversation}/items",
        agent,
        f"{agent}/session/{session}/turn/{turn_id}",
    ]


async def check_old_state(client: httpx.AsyncClient, stack: Stack, place: Place, upstream: FakeUpstream) -> None:
    assert (await took(await client.get("/v1/models/team/a/model")))["metadata"] == {"a": "ä"}
    assert (await took(await client.get("/v1/models/adas")))["owner"] == KEYS[place.kind]["ada"].split("_")[1]
    view = await took(await client.get("/v1/inspect/configurations"))
    assert (view["version"], view["providers"]["inference"][0]["config"]["timeout"]) == (1, 7)
    chat = {"model": "adas", "messages": [{"role": "user", "content": "Hello"}]}
    before = len(upstream.seen)
    await took(await client.post("/v1/chat/completions", json=chat, headers={"idempotency-key": "k1"}))
    assert len(upstream.seen) == before  # the answer of then
    await took(await client.post("/v1/chat/completions", json=chat))
    assert len(upstream.seen) == before + 1
    documents = stack.stores.get(DOCUMENTS)
    listed = (await documents.page("note", "n", order="asc", limit=9)).documents
    assert [(note.id, note.body["text"], note.revision) for note in listed] == [
        ("a", "ä", 1),
        ("b", "b", 1),
        ("c", "changed", 2),
    ]
    assert (await took(await client.get("/v1/jobs/job_old")))["status"] == "queued"


async def use_files_and_stores(client: httpx.AsyncClient, place: Place) -> str:
    """The id of a store with a file."""
    model = {"model_id": "e", "provider_id": "vllm", "provider_model_id": "m", "model_type": "embedding"}
    root = {"authorization": f"Bearer {plant(KEYS[place.kind]['admin'])}"}
    await took(await client.post("/v1/models", json=model | {"metadata": {"embedding_dimension": 1}}, headers=root))
    form: dict[str, Any] = {"files": {"file": ("a.txt", TEXT.encode())}, "data": {"purpose": "assistants"}}
    file = await took(await client.post("/v1/files", **form))
    body = {"name": "notes", "file_ids": [file["id"]], "embedding_model": "e"}
    store: str = (await took(await client.post("/v1/vector_stores", json=body)))["id"]
    rows = await took(await client.post(f"/v1/vector_stores/{store}/search", json={"query": "expire"}))
    assert [row["content"][0]["text"] for row in rows["data"]] == [TEXT]
    return store


async def test_what_it_kept_can_be_changed_and_counted(place: Place, upstream: FakeUpstream) -> None:
    async with upgraded(place, upstream) as (_, stack):
        documents = stack.stores.get(DOCUMENTS)
        old = await documents.get("note", "a")
        assert old is not None
        tally = Tally("note", "owner:ada", {"notes": 1}, {"notes": 1})
        new = await documents.put(old, {"text": "new"}, tally=(tally,))
        assert await documents.tallies("note", "owner:ada") == {"notes": 1}
        assert await documents.delete(new, tally=(replace(tally, changes={"notes": -1}),))
        assert [note.id for note in (await documents.page("note", "n", limit=9)).documents] == ["b", "c"]
        stopped = await stack.stores.get(JOBS).stop("job_old", "cancelled")  # its record had no such times
        assert stopped is not None
        assert stopped.status == "finishing"
        assert None not in {stopped.stopped, stopped.finishing}


@pytest.mark.parametrize("use", [use_responses, use_evaluations])
async def test_what_came_later_is_beside_it(place: Place, upstream: FakeUpstream, use: Use) -> None:
    async with upgraded(place, upstream) as (client, stack):
        paths = await use(client)
        await check_old_state(client, stack, place, upstream)
        before = [await took(await client.get(path)) for path in paths]
    async with upgraded(place, upstream) as (client, _):
        assert [await took(await client.get(path)) for path in paths] == before
