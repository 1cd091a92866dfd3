"""A package written for Llama Stack 0.2, for later versions or for OGX is served unchanged, over HTTP."""

from collections.abc import Iterator
import itertools
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.config.load import interpret
from core.config.problems import ConfigInvalid
from core.resolution.check import check, notices
from core.resolution.resolve import resolve
from tests.parts import reference
from tests.parts.live_stack import client_of, message
from tests.parts.upstream import FakeUpstream, in_thread

NUMBERS = itertools.count()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with in_thread(FakeUpstream()) as fake:
        yield fake


def package(folder: Path, code: dict[str, str]) -> str:
    name = f"reference_{next(NUMBERS)}"
    reference.install(folder, name, code)
    return name


def document(folder: Path, *entries: tuple[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Each entry with its API."""
    providers: dict[str, list[dict[str, Any]]] = {}
    for api, one in entries:
        providers.setdefault(api, []).append(one)
    store = {"type": "sqlite", "db_path": str(folder / "registry.db")}
    common = {"version": 2, "image_name": "t", "apis": list(providers), "metadata_store": store}
    return common | {"providers": providers} | more


def parrot(module: str, flavour: str = "remote", **config: Any) -> tuple[str, dict[str, Any]]:
    return "inference", {
        "provider_id": "x",
        "provider_type": f"{flavour}::parrot",
        "module": module,
        "config": config,
    }


def owl(module: str, flavour: str = "inline", **config: Any) -> tuple[str, dict[str, Any]]:
    return "safety", {"provider_id": "o", "provider_type": f"{flavour}::owl", "module": module, "config": config}


def shields(name: str = "s", **more: Any) -> list[dict[str, Any]]:
    return [{"shield_id": name, "provider_id": "o", "provider_shield_id": "guard", **more}]


async def chat(client: httpx.AsyncClient, content: str, model: str = "x/p", **more: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": content}], **more}
    return await client.post("/v1/chat/completions", json=body)


def said(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["message"]["content"]
    return text


def streamed(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def test_inference_of_0_2_with_long_signatures(folder: Path) -> None:
    module = package(folder, reference.OLD_INFERENCE)
    async with client_of(document(folder, parrot(module, word="hi"))) as client:
        models = {row["id"] for row in (await client.get("/v1/models")).json()["data"]}
        assert models == {"x/parrot:8b", "x/mini:latest"}
        assert said(await chat(client, "you", "x/parrot:8b", temperature=0.5)) == "hi, you"
        chunks = streamed(await chat(client, "you", "x/parrot:8b", stream=True))
        assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks] == ["hi,", "you", None]
        assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, "stop"]
        parts = [{"type": "text", "text": "you"}]
        body = {"model": "x/parrot:8b", "messages": [{"role": "user", "content": parts}]}
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("content", "more", "status", "words"),
    [
        ("fail", {}, 400, "no such feather"),
        ("unsupported", {}, 503, "needs `convert_openai_chat_completion_stream`"),
        ("you", {"reasoning_effort": "low"}, 400, "does not take reasoning_effort"),
    ],
)
async def test_what_a_package_of_0_2_refuses_is_said(
    folder: Path, content: str, more: dict[str, Any], status: int, words: str
) -> None:
    module = package(folder, reference.OLD_INFERENCE)
    async with client_of(document(folder, parrot(module))) as client:
        answer = await chat(client, content, "x/parrot:8b", **more)
        assert (answer.status_code, words in message(answer)) == (status, True), answer.text
        embedded = await client.post("/v1/embeddings", json={"model": "x/mini:latest", "input": "a"})
        assert (embedded.status_code, "openai_embeddings" in message(embedded)) == (400, True)


@pytest.mark.parametrize("flavour", ["remote", "inline"])
async def test_inference_of_later_versions_with_one_parameter(folder: Path, flavour: str) -> None:
    module = package(folder, reference.NEW_INFERENCE)
    async with client_of(document(folder, parrot(module, flavour))) as client:
        assert said(await chat(client, "you", temperature=1, top_k=3)) == "hello, you, 1, 3"
        first, last = streamed(await chat(client, "you", stream=True))
        assert first["choices"][0]["delta"] == {"role": "assistant", "content": "hello, you, None, None"}
        assert last["choices"][0]["finish_reason"] == "stop"
        early = await chat(client, "early", stream=True)
        assert (early.status_code, "not that early" in message(early)) == (400, True)
        embedded = await client.post("/v1/embeddings", json={"model": "x/e", "input": "a"})
        assert embedded.json()["data"][0]["embedding"] == [0.5, 1.0]
        (provider,) = (await client.get("/v1/providers")).json()["data"]
        assert provider["health"] == {"status": "OK"}


async def test_what_a_caller_brings_is_the_packages_request_provider_data(folder: Path) -> None:
    module = package(folder, reference.NEW_INFERENCE)
    async with client_of(document(folder, parrot(module))) as client:
        client.headers["x-ogx-provider-data"] = json.dumps({"feather": "mine"})
        assert said(await chat(client, "you")).startswith("mine, you")
        del client.headers["x-ogx-provider-data"]
        assert said(await chat(client, "you")).startswith("hello, you")


async def test_a_package_over_openai_mixin(folder: Path, upstream: FakeUpstream) -> None:
    module = package(folder, reference.MIXIN)
    config = {"base_url": f"{upstream.url}/v1", "api_key": "k-123456"}
    async with client_of(document(folder, parrot(module, **config))) as client:
        assert [row["id"] for row in (await client.get("/v1/models")).json()["data"]] == ["x/m"]
        assert said(await chat(client, "hi", "x/m")) == "Hello"
        assert upstream.seen[-1].headers["authorization"] == "Bearer k-123456"
        chunks = streamed(await chat(client, "hi", "x/m", stream=True))
        deltas = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
        assert "".join(deltas) == "Hello"


async def test_a_mixin_without_a_key_sends_none_and_says_what_of_its_config_has_no_effect(
    folder: Path, upstream: FakeUpstream
) -> None:
    module, url = package(folder, reference.MIXIN), f"{upstream.url}/v1"
    network = {"timeout": 5, "tls": {"verify": False}}
    async with client_of(document(folder, parrot(module, base_url=url, network=network))) as client:
        assert said(await chat(client, "hi", "x/m")) == "Hello"
        assert "authorization" not in upstream.seen[-1].headers
    network = {"proxy": {"url": "http://proxy"}}
    loaded = interpret(document(folder, parrot(module, base_url=url, network=network)), {})
    with pytest.raises(ConfigInvalid, match=r"here `network.proxy` of its config has no effect; remove it"):
        await resolve(loaded, ["inference"], version="1")
    async with client_of(document(folder, parrot(module, base_url=url, allowed_models=["other"]))) as client:
        assert (await client.get("/v1/models")).json()["data"] == []
        assert (await chat(client, "hi", "x/m")).status_code == 404


async def test_safety_of_0_2_asks_a_model_and_finds_its_shield(folder: Path) -> None:
    inference, safety = package(folder, reference.NEW_INFERENCE), package(folder, reference.OLD_SAFETY)
    config = document(folder, parrot(inference), owl(safety), shields=shields())

    async with client_of(config) as client:

        async def judge(content: str) -> httpx.Response:
            body = {"shield_id": "s", "messages": [{"role": "user", "content": content}], "params": {}}
            return await client.post("/v1/safety/run-shield", json=body)

        violation = (await judge("storm")).json()["violation"]
        assert violation["user_message"].startswith("hello, judge storm")
        assert violation["metadata"] == {"violation_type": "S1", "shield": "guard", "user": True, "n": 1}
        assert violation["violation_level"] == "error"
        assert (await judge("pass")).json() == {"violation": None}
        assert (await judge("report")).json() == {"violation": None}
        silent = await judge("silent")
        assert (silent.status_code, "did not say whether" in message(silent)) == (502, True)
        refused = await client.post(
            "/v1/shields", json={"shield_id": "t", "provider_id": "o", "provider_shield_id": "unknown"}
        )
        assert (refused.status_code, "Unsupported shield t" in message(refused)) == (400, True)


async def test_safety_of_later_versions_with_one_parameter(folder: Path) -> None:
    module = package(folder, reference.NEW_SAFETY)
    async with client_of(document(folder, owl(module, "remote"), shields=shields(params={"depth": 2}))) as client:
        for text, flagged in (("bad bird", True), ("good bird", False)):
            answer = (await client.post("/v1/moderations", json={"model": "s", "input": text})).json()
            assert answer["results"][0]["flagged"] == flagged
        body = {"shield_id": "s", "messages": [{"role": "user", "content": "a bad one"}], "params": {}}
        answer = (await client.post("/v1/safety/run-shield", json=body)).json()
        assert answer["violation"]["user_message"] == "{'depth': 2}"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("from llama_stack.apis.inference import NotOfThisWorld", "needs `llama_stack.apis.inference.NotOfThisWorld`"),
        ("import ogx.core.server.nothing", "this package is for OGX: it needs `ogx.core.server.nothing`"),
        (
            "from llama_stack_api import convert_nothing",
            "use a version of it without that, or pip install llama-stack-api",
        ),
    ],
)
def test_a_name_that_is_not_here_is_said_with_what_to_do(folder: Path, code: str, words: str) -> None:
    module = package(folder, {**reference.MIXIN, "config": code})
    loaded = interpret(document(folder, parrot(module)), {})
    assert words in " ".join(problem.message for problem in check(loaded))


async def test_a_package_with_the_native_api_alone_is_told_by_its_version(folder: Path) -> None:
    code = """
from pydantic import BaseModel
class Config(BaseModel): pass
class Old:
    async def chat_completion(self, model_id, messages, stream=False): pass
async def get_adapter_impl(config, deps): return Old()
"""
    module = package(folder, {**reference.NEW_INFERENCE, "__init__": code + "class Data(BaseModel): pass\n"})
    loaded = interpret(document(folder, parrot(module)), {})
    with pytest.raises(ConfigInvalid) as refusal:
        await resolve(loaded, ["inference"], version="1")
    assert "this package is for Llama Stack before 0.2.2: it needs the native inference API" in str(refusal.value)


def test_a_package_for_an_api_that_is_not_served_is_a_note(folder: Path) -> None:
    module = package(folder, reference.NEW_INFERENCE)
    entry: dict[str, Any] = {"provider_id": "v", "provider_type": "inline::shelf", "module": module, "config": {}}
    loaded = interpret(document(folder, ("telemetry", entry)), {})
    assert check(loaded) == []
    assert [note.message for note in notices(loaded)] == [
        (
            "API `telemetry` is not in this build, which serves:"
            " batches, datasetio, eval, files, inference, keys, responses, safety, scoring, tool_runtime, usage, vector_io,"
            " webhooks"
        )
    ]
