"""A provider of responses from another package answers in the place of the stack's engine; state, ids and numbers are the stack's."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from core.cli.providers.new import NewPackage, files, write
from core.config.load import load
from tests.contract.external import CONFIG, entry, loaded, put
from tests.parts.live_stack import client_over
from tests.parts.response_schema import check_stream, read_events
from tests.parts.upstream import FakeUpstream, running

SETTINGS = f"""{CONFIG}
class Parrot:
    async def health(self): return {{"status": "OK"}}
    async def close(self): pass

async def get_adapter_impl(config, deps): return Parrot()
"""
BROKEN = SETTINGS.replace(
    "    async def close",
    """    async def stream_response(self, request):
        async def events():
            message = {"id": "m", "type": "message", "role": "assistant", "content": []}
            yield {"type": "response.output_item.added", "output_index": 0, "item": message}
            yield {"type": "response.output_text.delta", "output_index": 0, "item_id": "m", "delta": "Hello"}
            raise RuntimeError("the key is k-123456")
        return events()
    async def close""",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def echo(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package that `llambda providers new echo --api responses --inline` writes, as it is; its run config."""
    package = NewPackage("echo", "responses", "inline")
    write(folder / "echo", files(package))
    monkeypatch.syspath_prepend(str(folder / "echo"))
    monkeypatch.chdir(folder / "echo")
    importlib.invalidate_caches()
    return folder / "echo" / "run.yaml"


async def test_a_package_answers_streams_and_is_told_what_was_said_before(echo: Path) -> None:
    async with client_over(load(echo, {})) as client:
        body = {"model": "echo", "input": "one two"}
        first = (await client.post("/v1/responses", json=body)).json()
        assert first["output"][0]["content"][0]["text"] == "You said: one two"
        assert (first["status"], first["usage"]["total_tokens"]) == ("completed", 8)
        assert first["id"].startswith("resp_")
        answer = await client.post("/v1/responses", json={**body, "input": "three", "stream": True})
        last = check_stream(read_events(answer.text))
        assert last["output"][0]["content"][0]["text"] == "You said: three"
        assert last["output"][0]["id"].startswith("msg_")
        then: dict[str, Any] = {"model": "echo", "previous_response_id": first["id"], "input": []}
        told = (await client.post("/v1/responses", json=then)).json()
        assert told["output"][0]["content"][0]["text"] == "You said: You said: one two"
        silent: dict[str, Any] = {"model": "echo", "input": [{"role": "user", "content": []}]}
        empty = await client.post("/v1/responses", json=silent)
        assert (empty.status_code, empty.json()["error"]["param"]) == (400, "input")
        kept = (await client.get(f"/v1/responses/{first['id']}")).json()
        assert kept["output"] == first["output"]


async def test_one_without_events_of_its_own_leaves_the_run_to_the_engine(folder: Path) -> None:
    put(folder, SETTINGS, "responses")
    async with running(FakeUpstream()) as upstream:
        config = {"url": f"{upstream.url}/v1", "api_token": "k"}
        local = {"provider_id": "local", "provider_type": "remote::vllm", "config": config}
        stack = loaded(folder, inference=[local], responses=[entry()])
        async with client_over(stack) as client:
            answer = await client.post("/v1/responses", json={"model": "local/m", "input": "hi"})
            assert (answer.status_code, answer.json()["status"]) == (200, "completed"), answer.text


async def test_what_breaks_in_it_is_a_failed_response_without_its_words(folder: Path) -> None:
    put(folder, BROKEN, "responses")
    async with client_over(loaded(folder, responses=[entry()])) as client:
        whole = await client.post("/v1/responses", json={"model": "m", "input": "hi"})
        streamed = await client.post("/v1/responses", json={"model": "m", "input": "hi", "stream": True})
        assert "k-123456" not in whole.text + streamed.text
        assert check_stream(read_events(streamed.text))["status"] == "failed"
