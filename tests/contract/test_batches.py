"""Batches on the wire: made, shown, listed, stopped, refused; what their lines come to is tested beside the job."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.config.load import interpret
from core.resolution.resolve import resolve
from core.services.batches.erasing import erase as erase_of
from core.services.batches.slots import SLOT
from core.services.erasure import Estate
from core.stores.connect import DOCUMENTS, JOBS
from tests.parts.batch_stack import (
    BATCHES,
    BatchWorld,
    batch_world,
    chat_line,
    end_of,
    jsonl,
    lines_of,
    new_batch,
    upload,
)
from tests.parts.job_tasks import job_worker
from tests.parts.response_stack import MODEL

ADA = {"authorization": "Bearer ada"}
BOB = {"authorization": "Bearer bob"}
TIMES = ("in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at", "cancelled_at")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[BatchWorld]:
    async with batch_world(tmp_path) as world:
        yield world


@pytest.fixture
async def client(world: BatchWorld) -> httpx.AsyncClient:
    """Without a worker: what is made stays as it is."""
    return await world.client()


async def make(client: httpx.AsyncClient, headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    answer = await client.post(BATCHES, json=new_batch("file-none", **more), headers=headers)
    assert answer.status_code == 200, answer.text
    batch: dict[str, Any] = answer.json()
    return batch


def refusal(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"]["message"])


async def test_a_file_of_requests_is_answered_line_by_line_in_its_order(world: BatchWorld) -> None:
    prices = [{"provider_id": "local", "model": "*", "price": {"input": 3, "output": 3}}]
    async with job_worker(world, usage={"prices": prices}):
        client = await world.client()
        lines = [chat_line(f"c{number}") for number in range(3)]
        lines.insert(1, chat_line("refused", temperature="hot"))
        file_id = await upload(client, jsonl(lines))
        made = await client.post(f"/v1/openai{BATCHES}", json=new_batch(file_id, metadata={"run": "1"}))
        assert (made.status_code, made.json()["status"], made.json()["object"]) == (200, "validating", "batch")
        assert [name for name in TIMES if made.json()[name] is not None] == []
        batch = await end_of(client, made.json()["id"])
        assert batch["status"] == "completed"
        assert batch["request_counts"] == {"total": 4, "completed": 3, "failed": 1}
        assert (batch["model"], batch["metadata"], batch["errors"]) == (MODEL, {"run": "1"}, None)
        assert batch["usage"]["total_tokens"] == batch["usage"]["input_tokens"] + batch["usage"]["output_tokens"] > 0
        assert batch["usage"]["cost"] == batch["usage"]["total_tokens"] * 3 / 1_000_000
        times = [batch[name] for name in ("created_at", "in_progress_at", "finalizing_at", "completed_at")]
        assert times == sorted(times)
        assert batch["expires_at"] == batch["created_at"] + 24 * 3600
        assert {batch[name] for name in TIMES[3:]} == {None}
        good = await lines_of(client, batch["output_file_id"])
        assert [line["custom_id"] for line in good] == ["c0", "c1", "c2"]
        assert {line["response"]["body"]["object"] for line in good} == {"chat.completion"}
        [bad] = await lines_of(client, batch["error_file_id"])
        assert (bad["custom_id"], bad["response"]["status_code"]) == ("refused", 400)
        assert bad["error"]["message"] == bad["response"]["body"]["error"]["message"]
        late = await client.post(f"{BATCHES}/{batch['id']}/cancel")
        assert refusal(late, 409) == "Cannot cancel a batch with status 'completed'."


async def test_a_file_with_faults_ends_the_batch_with_each_of_them(world: BatchWorld) -> None:
    async with job_worker(world):
        client = await world.client()
        content = jsonl([chat_line("a"), chat_line("a"), chat_line("b", stream=True)]) + b"{no json\n"
        batch = await end_of(client, (await make(client, input_file_id=await upload(client, content)))["id"])
        assert (batch["status"], batch["errors"]["object"], batch["output_file_id"]) == ("failed", "list", None)
        assert batch["failed_at"] is not None
        faults = {(fault["line"], fault["code"]) for fault in batch["errors"]["data"]}
        assert faults >= {(3, "streaming_unsupported"), (4, "invalid_json_line")}
        assert {fault["line"] for fault in batch["errors"]["data"]} == {2, 3, 4}
        gone = await end_of(client, (await make(client))["id"])
        [fault] = gone["errors"]["data"]
        assert (fault["code"], fault["line"], fault["param"]) == ("invalid_request", None, "input_file_id")
        assert "cannot find file" in fault["message"].lower()


async def test_a_batch_is_stopped_twice_and_its_list_is_newest_first(client: httpx.AsyncClient) -> None:
    ids = [(await make(client))["id"] for _ in range(3)]
    assert len({*ids}) == 3
    assert all(len(batch_id) == len("batch_") + 24 and batch_id.startswith("batch_") for batch_id in ids)
    page = (await client.get(BATCHES, params={"limit": 2})).json()
    assert [batch["id"] for batch in page["data"]] == [ids[2], ids[1]] == [page["first_id"], page["last_id"]]
    assert (page["object"], page["has_more"]) == ("list", True)
    rest = (await client.get(f"/v1/openai{BATCHES}", params={"after": ids[1]})).json()
    assert ([batch["id"] for batch in rest["data"]], rest["has_more"]) == ([ids[0]], False)
    stopped = (await client.post(f"{BATCHES}/{ids[0]}/cancel")).json()
    again = (await client.post(f"{BATCHES}/{ids[0]}/cancel")).json()
    assert (stopped["status"], stopped["cancelled_at"]) == ("cancelling", None)
    assert stopped["cancelling_at"] is not None
    assert again == stopped
    assert "limit" in refusal(await client.get(BATCHES, params={"limit": 101}), 400)
    assert "batch_none" in refusal(await client.get(BATCHES, params={"after": "batch_none"}), 404)


async def test_a_batch_is_its_owners(world: BatchWorld) -> None:
    client = await world.client(auth=True)
    batch = await make(client, ADA)
    path = f"{BATCHES}/{batch['id']}"
    assert (await client.get(path, headers=ADA)).json() == batch
    hidden = [await client.get(path, headers=BOB), await client.post(f"{path}/cancel", headers=BOB)]
    for answer in hidden:
        told = refusal(answer, 404)
        missing = refusal(await client.get(f"{BATCHES}/batch_{24 * '0'}", headers=BOB), 404)
        assert told.replace(batch["id"], "") == missing.replace(f"batch_{24 * '0'}", "")
    assert (await client.get(BATCHES, headers=BOB)).json()["data"] == []
    assert refusal(await client.get(BATCHES, params={"after": batch["id"]}, headers=BOB), 404)
    data = ADA | {"X-OGX-Provider-Data": '{"openai_api_key": "k"}'}
    assert "keeps no secrets" in refusal(await client.post(BATCHES, json=new_batch("file-1"), headers=data), 400)


@pytest.mark.parametrize("in_body", [True, False], ids=["body", "header"])
async def test_a_key_makes_one_batch_for_each_caller(world: BatchWorld, *, in_body: bool) -> None:
    client = await world.client(auth=True)

    async def post(who: dict[str, str], **more: Any) -> httpx.Response:
        key = {"idempotency_key": "k"} if in_body else {}
        headers = who if in_body else who | {"idempotency-key": "k"}
        return await client.post(BATCHES, json=new_batch("file-1", **key, **more), headers=headers)

    first = (await post(ADA, metadata={"a": "1", "b": "2"})).json()
    assert (await post(ADA, metadata={"b": "2", "a": "1"})).json()["id"] == first["id"]
    assert (await post(BOB, metadata={"a": "1"})).json()["id"] != first["id"]
    assert "conflict" in refusal(await post(ADA, metadata={"a": "1"}), 409).lower()
    assert "conflict" in refusal(await post(ADA, endpoint="/v1/embeddings"), 409).lower()
    assert len((await client.get(BATCHES, headers=ADA)).json()["data"]) == 1


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"endpoint": "/v1/nowhere"}, "Invalid endpoint: /v1/nowhere. Supported values: /v1/chat/completions"),
    ({"completion_window": "12h"}, "Invalid completion_window: 12h. Supported values: 24h. Code: invalid_value."),
    ({"metadata": {str(number): "" for number in range(17)}}, "metadata: has 17 pairs"),
    ({"metadata": {"k" * 65: ""}}, "metadata: a key has at most 64 characters"),
    ({"metadata": {"k": "v" * 513}}, "metadata.k: has at most 512 characters"),
    ({"metadata": {"k": 1}}, "metadata.k"),
    ({"input_file_id": ""}, "input_file_id"),
    ({"endpoint": None}, "endpoint"),
    ({"output_expires_after": {"anchor": "created_at", "seconds": 3599}}, "output_expires_after.seconds"),
    ({"output_expires_after": {"anchor": "last_active_at", "seconds": 3600}}, "output_expires_after.anchor"),
    ({"idempotency_key": "two words"}, "idempotency_key: must be 1 to 255 visible ASCII characters"),
]


async def test_a_batch_that_nobody_could_run_is_refused(client: httpx.AsyncClient) -> None:
    for fields, words in REFUSED:
        assert words in refusal(await client.post(BATCHES, json=new_batch("file-1") | fields), 400)
    body = new_batch("file-1", idempotency_key="a")
    assert "conflict" in refusal(await client.post(BATCHES, json=body, headers={"idempotency-key": "b"}), 409)


async def test_who_asks_again_is_told_that_nothing_has_changed(client: httpx.AsyncClient) -> None:
    path = f"{BATCHES}/{(await make(client))['id']}"
    first = await client.get(path)
    same = await client.get(path, headers={"if-none-match": f'"other", W/{first.headers["etag"]}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", first.headers["etag"])
    await client.post(f"{path}/cancel")
    other = await client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (other.status_code, other.json()["status"]) == (200, "cancelling")
    job = await client.get(path.replace("batches", "jobs"))
    assert job.headers["etag"] != first.headers["etag"]


async def test_a_job_of_another_kind_is_no_batch(client: httpx.AsyncClient) -> None:
    response = (await client.post("/v1/responses", json={"model": MODEL, "input": "Hi", "background": True})).json()
    [job] = (await client.get("/v1/jobs", params={"kind": "response"})).json()["data"]
    assert response["status"] == "queued"
    assert "There is no batch" in refusal(await client.get(f"{BATCHES}/{job['id']}"), 404)
    assert "There is no batch" in refusal(await client.post(f"{BATCHES}/{job['id']}/cancel"), 404)
    batch = await make(client)
    listed = (await client.get("/v1/jobs", params={"kind": "batch"})).json()["data"]
    assert [entry["id"] for entry in listed] == [batch["id"]]


async def test_as_many_batches_are_under_way_as_a_caller_may_have(world: BatchWorld) -> None:
    client = await world.client(auth=True, quota={"max_batches": 3})

    async def post(number: int, who: dict[str, str] = ADA) -> httpx.Response:
        body = new_batch("file-1", idempotency_key=f"k{number}")
        return await client.post(BATCHES, json=body, headers=who)

    answers = await asyncio.gather(*(post(number) for number in range(8)))
    made = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    assert len(made) == 3
    refused = next(answer for answer in answers if answer.status_code != 200)
    assert "You may have 3 batches under way" in refusal(refused, 429)
    assert refused.json()["error"]["code"] == "max_batches_reached"
    assert (await post(made[0])).json()["id"] == answers[made[0]].json()["id"]
    assert (await post(0, BOB)).status_code == 200
    async with job_worker(world, auth=True, quota={"max_batches": 3}):
        await end_of(client, answers[made[0]].json()["id"], **ADA)
    assert (await post(9)).status_code == 200
    await check_erasure(world, answers[made[0]].json()["id"])


async def test_calls_with_one_key_at_once_take_one_slot(world: BatchWorld) -> None:
    client = await world.client(auth=True, quota={"max_batches": 2})

    async def post(key: str) -> httpx.Response:
        return await client.post(BATCHES, json=new_batch("file-1", idempotency_key=key), headers=ADA)

    at_once = await asyncio.gather(*(post("a") for _ in range(16)))
    assert {answer.status_code for answer in at_once} == {200}
    assert len({answer.json()["id"] for answer in at_once}) == 1
    assert [(await post(key)).status_code for key in "bc"] == [200, 429]


async def check_erasure(world: BatchWorld, batch_id: str) -> None:
    """The slots of whoever has the batch go with it, and no other's."""
    document = interpret(world.document(auth=True, quota={"max_batches": 3}), {})
    stack = await resolve(document, ["batches"], version="1")
    try:
        job, documents, erase = await stack.stores.get(JOBS).get(batch_id), stack.stores.get(DOCUMENTS), erase_of(stack)
        assert job is not None
        assert erase is not None
        async for pieces in erase(Estate(job.principal, lambda _: False)):
            assert all([await piece.remove() for piece in pieces])
        left = [await documents.page(SLOT, job.owner.replace("ada", name), limit=9) for name in ("ada", "bob")]
        assert [len(page.documents) for page in left] == [0, 1]
    finally:
        await stack.close()
