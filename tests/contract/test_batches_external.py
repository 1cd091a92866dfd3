"""Batches of packages that run them themselves, in both forms of the reference's methods; whose they are, the stack knows."""

import importlib
from pathlib import Path

import pytest

from core.cli.providers.new import NewPackage, files, write
from core.config.load import load
from tests.contract.external import CONFIG, entry, loaded, put
from tests.parts.batch_stack import BATCHES, chat_line, jsonl, lines_of, new_batch, upload
from tests.parts.live_stack import client_over
from tests.parts.upstream import FakeUpstream, running

WITH_RECORDS = f"""{CONFIG}
class Runner:
    def __init__(self): self.made = {{}}

    async def create_batch(self, request):
        key = request.idempotency_key
        for batch in self.made.values():
            if key and batch["key"] == key: return batch
        name = f"batch_{{len(self.made)}}"
        self.made[name] = dict(id=name, key=key, status="in_progress", endpoint=request.endpoint, created_at=1,
            input_file_id=request.input_file_id, completion_window="24h", metadata=request.metadata,
            request_counts=dict(total=1, completed=0, failed=0))
        return self.made[name]

    async def retrieve_batch(self, request): return self.made[request.batch_id]

    async def cancel_batch(self, request):
        batch = self.made[request.batch_id]
        if batch["status"] == "cancelled": raise ValueError("Cannot cancel a batch with status 'cancelled'.")
        batch["status"] = "cancelled"
        return batch

    async def list_batches(self, request): raise RuntimeError("nobody asks")

async def get_adapter_impl(config, deps): return Runner()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


async def test_a_package_with_records_is_asked_and_each_caller_sees_its_own(folder: Path) -> None:
    put(folder, WITH_RECORDS, "batches")
    storage = {"provider_id": "files", "provider_type": "inline::localfs", "config": {}}
    stack = loaded(folder, batches=[entry()], files=[storage])
    async with client_over(stack) as client:
        del client.headers["content-type"]
        file_id = await upload(client, jsonl([chat_line("a")]))
        made = await client.post(
            BATCHES, json=new_batch(file_id, metadata={"a": "b"}), headers={"idempotency-key": "k"}
        )
        batch = made.json()
        assert (batch["status"], batch["metadata"], batch["usage"]) == ("in_progress", {"a": "b"}, None)
        again = await client.post(BATCHES, json=new_batch(file_id), headers={"idempotency-key": "k"})
        assert again.json()["id"] == batch["id"]
        other = (await client.post(BATCHES, json=new_batch(file_id))).json()
        page = (await client.get(BATCHES)).json()
        assert {each["id"] for each in page["data"]} == {batch["id"], other["id"]}
        assert (await client.get(f"{BATCHES}/{batch['id']}")).json()["id"] == batch["id"]
        path = f"{BATCHES}/{batch['id']}/cancel"
        assert (await client.post(path)).json()["status"] == "cancelled"
        late = await client.post(path)
        assert (late.status_code, "Cannot cancel" in late.json()["error"]["message"]) == (409, True)
        missing = [
            await client.get(f"{BATCHES}/batch_9"),
            await client.post(BATCHES, json=new_batch("file-00000000000000000000000000000000")),
        ]
        assert [answer.status_code for answer in missing] == [404, 404]
        assert all("id" in answer.json().get("error", {}).get("param", "") for answer in missing)


async def test_a_new_package_answers_lines_by_the_models_of_the_stack(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "rows", files(NewPackage("rows", "batches", "inline")))
    monkeypatch.syspath_prepend(str(folder / "rows"))
    monkeypatch.chdir(folder / "rows")
    importlib.invalidate_caches()
    async with running(FakeUpstream()) as upstream:
        stack = load(folder / "rows" / "run.yaml", {"VLLM_URL": f"{upstream.url}/v1"})
        async with client_over(stack) as client:
            del client.headers["content-type"]
            file_id = await upload(
                client, jsonl([chat_line("a") | {"body": {**chat_line("a")["body"], "model": "vllm/m"}}])
            )
            batch = (await client.post(BATCHES, json=new_batch(file_id))).json()
            assert (batch["status"], batch["request_counts"]["completed"]) == ("completed", 1), batch
            [line] = await lines_of(client, batch["output_file_id"])
            assert line["response"]["body"]["choices"][0]["message"]["content"] == "Hello"
