"""Every distribution as it ships: served by `llambda serve NAME`, and chatted with, over the fakes or the local model."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass
import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

import httpx
import pytest
import yaml

from core.client.api import Client
from core.config.distributions import names, read_distribution
from infra.local.dynamodb import CREDENTIALS
from infra.local.model_server import CHAT_MODEL
from tests.parts import upstream as upstreams
from tests.parts.bedrock import GUARDRAIL, KEYS, MODEL, REGION, FakeBedrock
from tests.parts.guardrails import judging, listing
from tests.parts.secrets import plant
from tests.parts.stack import ROOT, serving
from tests.parts.upstream import FakeUpstream, status

HELLO = [{"role": "user", "content": "Hello"}]
FIXTURES = ("model_server", "registry_table", "quota_table", "dynamodb_endpoint")
UPSTREAM_KEY = plant("key-of-the-upstream-in-distributions")
AWS = {
    "AWS_ACCESS_KEY_ID": KEYS["aws_access_key_id"],
    "AWS_SECRET_ACCESS_KEY": KEYS["aws_secret_access_key"],
    "AWS_REGION": REGION,
    "AWS_ENDPOINT_URL": "BEDROCK",
}


@dataclass(frozen=True)
class Served:
    """How one is served. A value that is VLLM, BEDROCK or the name of a fixture is the address, or the name, of that."""

    variables: dict[str, str]
    models: tuple[str, ...]
    guarded: bool = False


SERVED = {
    "starter": Served({"VLLM_URL": "model_server"}, (f"local/{CHAT_MODEL}",)),
    "guarded": Served({"VLLM_URL": "VLLM"}, ("local/m",), guarded=True),
    "remote-vllm": Served({"VLLM_URL": "VLLM", "INFERENCE_MODEL": "m"}, ("m", "vllm/m")),
    "openai-compatible": Served(
        {"UPSTREAM_URL": "VLLM", "UPSTREAM_API_KEY": UPSTREAM_KEY, "INFERENCE_MODEL": "m"}, ("m", "upstream/m")
    ),
    "bedrock": Served(
        AWS | {"GUARDRAIL_ID": GUARDRAIL, "GUARDRAIL_VERSION": "1", "INFERENCE_MODEL": MODEL},
        (MODEL, f"bedrock/{MODEL}"),
    ),
    "bedrock-vllm": Served(
        AWS | {"VLLM_URL": "VLLM", "INFERENCE_MODEL": "m", "BEDROCK_MODEL": MODEL},
        ("assistant", "vllm/m", f"bedrock/{MODEL}"),
    ),
    "llama-guard": Served(
        {"VLLM_URL": "VLLM", "SAFETY_VLLM_URL": "VLLM", "INFERENCE_MODEL": "m", "SAFETY_MODEL": "guard"}, ("m",)
    ),
    "lambda": Served(
        {
            "VLLM_URL": "VLLM",
            "REGISTRY_TABLE": "registry_table",
            "QUOTA_TABLE": "quota_table",
            "AWS_ENDPOINT_URL": "dynamodb_endpoint",
        }
        | CREDENTIALS,
        ("vllm/m",),
        guarded=True,
    ),
}

KEEPING = {
    "files": {"provider_id": "files", "provider_type": "inline::localfs", "config": {"ttl_secs": 31_536_000}},
    "vector_io": {"provider_id": "vectors", "provider_type": "inline::sqlite", "config": {}},
    "responses": {
        "provider_id": "builtin",
        "provider_type": "inline::builtin",
        "config": {"max_infer_iters": 10, "background": None, "foreground_seconds": None},
    },
    "datasetio": {"provider_id": "localfs", "provider_type": "inline::localfs", "config": {}},
    "scoring": {"provider_id": "basic", "provider_type": "inline::basic", "config": {}},
    "eval": {
        "provider_id": "meta-reference",
        "provider_type": "inline::meta-reference",
        "config": {"wait_seconds": 20.0, "max_concurrent_rows": 20},
    },
}
JUDGE = {
    "provider_id": "llm-as-judge",
    "provider_type": "inline::llm-as-judge",
    "config": {"judge_model": None, "temperature": 0.0, "max_tokens": 1024, "max_concurrency": 20},
}

CHANGES: dict[str, dict[str, Any]] = {
    "files": {"ttl_secs": 7200},
    "responses": {"background": "auto"},
    "batches": {"max_concurrent_requests_per_batch": 5},
    "scoring": {"judge_model": "ollama/m"},
}

type Json = dict[str, Any]
type Start = Callable[[str], Any]


@dataclass
class World:
    """The servers behind the distributions, and the one that `start` put before them."""

    request: pytest.FixtureRequest
    folder: Path
    vllm: FakeUpstream
    bedrock: FakeBedrock
    opened: ExitStack

    async def start(self, name: str, **more: str) -> httpx.AsyncClient:
        """With `more` variables, whose values are as those of the table."""
        variables = {key: self._value(value) for key, value in (SERVED[name].variables | more).items()}
        variables["SQLITE_STORE_DIR"] = str(self.folder)
        log = self.folder / "log"
        url = await asyncio.to_thread(self.opened.enter_context, serving(Path(name), log, env=variables))
        headers = {"authorization": f"Bearer {await _key(name, variables)}"} if SERVED[name].guarded else {}
        return httpx.AsyncClient(base_url=url, headers=headers, timeout=60)

    def _value(self, value: str) -> str:
        fakes = {"VLLM": self.vllm.url, "BEDROCK": self.bedrock.url}
        if value in FIXTURES:
            found: str = self.request.getfixturevalue(value)
            return found
        return fakes.get(value, value)


async def _llambda(*arguments: str, variables: dict[str, str] | None = None) -> str:
    command = [sys.executable, "-m", "core.cli.main", *arguments]
    environ = os.environ | (variables or {})
    made = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    output: str = made.stdout
    return output


async def _key(name: str, variables: dict[str, str]) -> str:
    made = await _llambda("keys", "create", "--config", name, "--name", "t", variables=variables)
    return plant(made.strip())


@pytest.fixture
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with upstreams.running() as vllm, upstreams.running(FakeBedrock()) as bedrock:
        assert isinstance(bedrock, FakeBedrock)
        with ExitStack() as opened:
            yield World(request, tmp_path, vllm, bedrock, opened)
            await asyncio.to_thread(opened.close)


async def chat(client: httpx.AsyncClient, model: str) -> httpx.Response:
    body = {"model": model, "messages": HELLO, "max_tokens": 8}
    return await client.post("/v1/chat/completions", json=body)


@pytest.fixture(params=[pytest.param(name, id=name) for name in SERVED])
def name(request: pytest.FixtureRequest) -> str:
    """Those of the table; DynamoDB and the local model start for the ones that need them alone."""
    found: str = request.param
    for fixture in set(FIXTURES) & {*SERVED[found].variables.values()}:
        request.getfixturevalue(fixture)
    return found


def test_no_distribution_is_left_out_here() -> None:
    assert set(SERVED) == set(names())


@pytest.mark.parametrize("name", SERVED)
def test_what_is_set_here_is_what_the_head_of_the_file_names(name: str) -> None:
    known = {variable.name for variable in read_distribution(name)[0].variables}
    assert (
        set(read_distribution(name)[0].required())
        <= SERVED[name].variables.keys()
        <= known | AWS.keys() | CREDENTIALS.keys()
    )


async def test_it_is_served_and_its_models_answer(name: str, world: World) -> None:
    async with await world.start(name) as client:
        for model in SERVED[name].models:
            answer = await chat(client, model)
            assert answer.status_code == 200, answer.text
            assert answer.json()["choices"][0]["message"]["content"] or name == "starter"
        if name not in {"llama-guard", "lambda"}:
            inspected = (await client.get("/v1/inspect/configurations")).json()
            assert inspected["refresh_seconds"] == 10
            for api, entry in KEEPING.items() if name in {"starter", "guarded", "bedrock"} else ():
                further = [JUDGE] if api == "scoring" else []
                assert inspected["providers"][api] == [entry, *further]  # and nothing of where they keep it
        if SERVED[name].guarded:
            del client.headers["authorization"]
            assert (await chat(client, SERVED[name].models[0])).status_code == 401


async def test_what_the_issue_about_configurations_shows_is_done_to_starter_with_files_and_vector_stores(
    world: World, tmp_path: Path
) -> None:
    async with await world.start("starter", VLLM_URL="VLLM") as client:
        url, ollama = str(client.base_url), {"provider_id": "ollama", "provider_type": "remote::ollama"}
        assert (
            await client.post("/v1/providers", json={"api": "inference", **ollama, "config": {"url": world.vllm.url}})
        ).is_success
        config = json.dumps({"inference": [ollama | {"config": {"url": f"{world.vllm.url}/", "timeout": 9}}]})
        made = await asyncio.to_thread(Client(url).configurations.register, config=config)
        assert (made["active"], made["dropped"], made["withheld"]) == (True, [], [])
        assert (await chat(client, "ollama/m")).status_code == 200
        shown = yaml.safe_load(await _llambda("configurations", "inspect", "--url", url))
        assert [*shown["providers"]] == [
            "batches",
            "datasetio",
            "eval",
            "files",
            "inference",
            "responses",
            "scoring",
            "tool_runtime",
            "vector_io",
            "webhooks",
        ]
        assert shown["providers"]["inference"][1]["config"]["timeout"] == 9
        for api, change in CHANGES.items():
            shown["providers"][api][-1]["config"] |= change
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(shown), "utf-8")
        await _llambda("configurations", "register", "--config", str(tmp_path / "mine.yaml"), "--url", url)
        model = {"model_id": "e", "provider_id": "ollama", "provider_model_id": "m", "model_type": "embedding"}
        assert (await client.post("/v1/models", json=model | {"metadata": {"embedding_dimension": 1}})).is_success
        form: dict[str, Any] = {"files": {"file": ("a.txt", b"Files expire.")}, "data": {"purpose": "assistants"}}
        file = (await client.post("/v1/files", **form)).json()
        assert file["expires_at"] - file["created_at"] == 7200
        store = (await client.post("/v1/vector_stores", json={"file_ids": [file["id"]], "embedding_model": "e"})).json()
        answer = (await client.post(f"/v1/vector_stores/{store['id']}/search", json={"query": "files"})).json()
        assert [row["content"][0]["text"] for row in answer["data"]] == ["Files expire."]
        shown = yaml.safe_load(await _llambda("configurations", "inspect", "--url", url))
        assert shown["providers"]["responses"][0]["config"]["background"] == "auto"
        assert shown["providers"]["batches"][0]["config"]["max_concurrent_requests_per_batch"] == 5
        await ask_an_agent(client)
        await judge(client)


async def judge(client: httpx.AsyncClient) -> None:
    """By the model of the configuration that is in force, as the request names none; it has no score in its answer."""
    rows = [{"input_query": "Hello", "generated_answer": "Hi", "expected_answer": "Hi"}]
    asked = {"input_rows": rows, "scoring_functions": {"llm-as-judge::base": None}}
    scores = await client.post("/v1/scoring/score", json=asked)
    [row] = scores.json()["results"]["llm-as-judge::base"]["score_rows"]
    assert row["judge_feedback"] == "Hello", scores.text


async def ask_an_agent(client: httpx.AsyncClient) -> None:
    config = {"model": "ollama/m", "instructions": "Be brief.", "toolgroups": ["builtin::rag/knowledge_search"]}
    agent = (await client.post("/v1/agents", json={"agent_config": config})).json()["agent_id"]
    session = (await client.post(f"/v1/agents/{agent}/session", json={"session_name": "s"})).json()["session_id"]
    asked = {"messages": [{"role": "user", "content": "Hello."}], "stream": False}
    turn = (await client.post(f"/v1/agents/{agent}/session/{session}/turn", json=asked)).json()
    assert turn["output_message"]["stop_reason"] == "end_of_turn", turn


async def test_the_federated_model_falls_back_to_bedrock_and_the_circuit_opens(world: World) -> None:
    async with await world.start("bedrock-vllm") as client:
        assert (await chat(client, "assistant")).status_code == 200
        assert world.bedrock.operations().count("converse") == 0
        world.vllm.replies["/v1/chat/completions"] = status(503)
        before = len(world.vllm.seen)
        for _ in range(7):
            assert (await chat(client, "assistant")).status_code == 200
        assert world.bedrock.operations().count("converse") == 7
        assert sum(seen.path == "/v1/chat/completions" for seen in world.vllm.seen[before:]) == 5


async def test_the_shield_of_bedrock_judges_and_both_its_providers_are_well(world: World) -> None:
    world.bedrock.replies |= {"list-guardrails": listing("DRAFT", "1"), "apply-guardrail": judging("bad")}
    async with await world.start("bedrock") as client:
        [shield] = (await client.get("/v1/shields")).json()["data"]
        assert (shield["identifier"], shield["params"]) == (GUARDRAIL, {"guardrailVersion": 1})
        for said, level in (("good", None), ("bad", "error")):
            asked = {"shield_id": GUARDRAIL, "messages": [{"role": "user", "content": said}], "params": {}}
            violation = (await client.post("/v1/safety/run-shield", json=asked)).json()["violation"]
            assert (violation and violation["violation_level"]) == level
        providers = (await client.get("/v1/providers")).json()["data"]
        apis = {*KEEPING, "inference", "safety", "tool_runtime", "batches", "webhooks"}
        assert {each["api"]: each["health"]["status"] for each in providers} == dict.fromkeys(apis, "OK")
        await evaluate(client, MODEL)


async def evaluate(client: httpx.AsyncClient, model: str) -> str:
    """The id of a dataset of whoever asks, whose own benchmark was evaluated with a scoring function that is nobody's."""
    rows = [{"question": "Hello", "answer": "Hi"}]
    asked: Json = {"purpose": "eval/question-answer", "source": {"type": "rows", "rows": rows}}
    dataset = (await client.post("/v1/datasets", json=asked)).json()["identifier"]
    asked = {"benchmark_id": "mine", "dataset_id": dataset, "scoring_functions": ["basic::subset_of"]}
    assert (await client.post("/v1/eval/benchmarks", json=asked)).is_success
    candidate = {"type": "model", "model": model, "sampling_params": {"max_tokens": 8}}
    asked = {"input_rows": rows, "scoring_functions": ["basic::subset_of"]}
    asked["benchmark_config"] = {"eval_candidate": candidate, "scoring_params": {}}
    answer = await client.post("/v1/eval/benchmarks/mine/evaluations", json=asked)
    assert len(answer.json()["scores"]["basic::subset_of"]["score_rows"]) == 1, answer.text
    return str(dataset)


async def test_what_one_keeps_behind_keys_the_others_do_not_see_and_admins_do(world: World) -> None:
    async with await world.start("guarded") as mine:
        file = {"file": ("a.txt", b"mine")}
        made = await mine.post("/v1/files", files=file, data={"purpose": "assistants"})
        assert made.status_code == 200, made.text
        path = f"/v1/files/{made.json()['id']}"
        kept = (path, f"/v1/datasets/{await evaluate(mine, 'local/m')}", "/v1/eval/benchmarks/mine")
        variables = {"SQLITE_STORE_DIR": str(world.folder)}
        for roles, status_code in (((), 404), (("--roles", "admin"), 200)):
            key = await _llambda("keys", "create", "--config", "guarded", "--name", "o", *roles, variables=variables)
            headers = {"authorization": f"Bearer {plant(key.strip())}"}
            found = [(await mine.get(each, headers=headers)).status_code for each in kept]
            assert found == [status_code] * len(kept)
        assert (await mine.get("/v1/vector_stores")).json()["data"] == []
        assert (await mine.delete(path)).status_code == 200


async def test_what_init_writes_is_served_with_its_keys_and_its_quota(world: World, tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    flags = ("--inference", "vllm", "--url", world.vllm.url, "--model", "m", "--auth", "api-keys", "--quota", "2")
    await _llambda("init", "--yes", *flags, "--db-path", str(tmp_path / "registry.db"), "--out", str(out))
    headers = {"authorization": f"Bearer {await _key(str(out), {})}"}
    url = await asyncio.to_thread(world.opened.enter_context, serving(out, tmp_path / "log"))
    async with httpx.AsyncClient(base_url=url) as client:
        assert (await chat(client, "m")).status_code == 401
        client.headers.update(headers)
        assert [(await chat(client, "m")).status_code for _ in range(3)] == [200, 200, 429]
