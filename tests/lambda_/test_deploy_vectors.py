"""A deployment with files, vector stores, responses, agents and batches: a file goes through the API's functions and bucket, and is found in a store.

The cloud is a stand-in (`tests/lambda_/ministack.py`), which has no S3 Vectors: a double of that answers in its place.
"""

from collections.abc import Generator, Iterator
import json
from pathlib import Path
import shutil
import sys
import time
from typing import Any, Final

import httpx
import pytest

from infra import build
from infra.local.dynamodb import CREDENTIALS, REGION
from infra.local.ports import free_port
from tests.lambda_ import emulator, keys, ministack
from tests.lambda_.conftest import needs
from tests.lambda_.emulator import ROOT
from tests.lambda_.ministack import Cloud
from tests.lambda_.test_deploy import sam_deploy
from tests.parts.batch_stack import chat_line, jsonl
from tests.parts.older_state import KEYS, fill_tables
from tests.parts.processes import answering
from tests.parts.secrets import plant
from tests.parts.upstream import FakeUpstream

pytestmark = pytest.mark.exact

STACK: Final = "llambda-vectors"
BUCKET: Final = "vectors"
ARN: Final = f"arn:aws:s3vectors:{REGION}:123456789012:bucket/{BUCKET}"
PATIENCE_SECONDS: Final = 120.0
TEXT: Final = "Files expire exactly when they are read."
KEPT: Final = ("RegistryTable", "StateTable", "QuotaTable", "InferenceFunction", "InferenceLogGroup")
TABLES: Final = {"registry": "RegistryTable", "quota": "QuotaTable", "state": "StateTable"}
ON: Final = {
    "Files": "true",
    "VectorStores": "true",
    "Tools": "true",
    "Responses": "true",  # with which there are jobs
    "Batches": "true",
    "EmbeddingModel": "e",
    "Streaming": "false",
}


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the double."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "tests.parts.s3_vectors", str(port), BUCKET]
    with answering(command, url, tmp_path_factory.mktemp("double") / "log", cwd=ROOT):
        yield url


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, vectors: str) -> Path:
    """A copy of this one, whose vector bucket is the double's."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("core", "functions", "infra", "locks"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "samconfig.toml", "pyproject.toml"):
        shutil.copy(ROOT / name, copy)
    for name in (".venv", ".uv"):
        (copy / name).symlink_to(ROOT / name)
    ministack.adapt(ROOT / "template.yaml", copy / "template.yaml")
    document = (copy / "template.yaml").read_text("utf-8")
    text = document.replace(json.dumps({"Fn::GetAtt": ["VectorBucket", "VectorBucketArn"]}), json.dumps(ARN))
    template = json.loads(text.replace("${VectorBucket.VectorBucketArn}", ARN))
    assert template["Resources"].pop("VectorBucket")["Type"] == "AWS::S3Vectors::VectorBucket"
    (copy / "template.yaml").write_text(json.dumps(template), "utf-8")
    config = build.CONFIG.read_text("utf-8")
    line = "        vector_bucket: "
    assert config.count(line) == 1
    more = {"endpoint_url": vectors, "region_name": REGION}
    more |= {name.lower(): CREDENTIALS[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    fields = "".join(f"        {name}: {value}\n" for name, value in more.items())
    (copy / "vectors.yaml").write_text(config.replace(line, f"{fields}{line}"), "utf-8")
    return copy


@pytest.fixture(scope="module")
def api(cloud: Cloud, checkout: Path, upstream: FakeUpstream) -> Generator[httpx.Client]:
    """A client with a key of the deployment."""
    parameters = {"VllmUrl": upstream.url, "Architecture": needs(emulator.architecture), **ON}
    pairs = " ".join(f"{name}={value}" for name, value in parameters.items())
    done = cloud.llambda(checkout, "deploy", "vectors.yaml", "--stack-name", STACK, "--yes", "--param", pairs)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    outputs = cloud.outputs(STACK)
    table = ("--table", outputs["RegistryTableName"], "--region", ministack.REGION)
    key = keys.created("--name", "v", *table, AWS_ENDPOINT_URL=cloud.endpoint, **ministack.CREDENTIALS)
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=cloud.url(outputs["BaseUrl"]), timeout=60, headers=headers) as client:
        yield client


def took(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def upload(api: httpx.Client, cloud: Cloud, stack: str) -> dict[str, Any]:
    """The file, which is in the stack's bucket; and there is a model for its text."""
    model = {"model_id": "e", "provider_id": "vllm", "provider_model_id": "m", "model_type": "embedding"}
    took(api.post("/v1/models", json={**model, "metadata": {"embedding_dimension": 1}}))
    form: dict[str, Any] = {"files": {"file": ("notes.md", TEXT.encode())}, "data": {"purpose": "assistants"}}
    file: dict[str, Any] = took(api.post("/v1/files", **form))
    assert (file["bytes"], file["filename"]) == (len(TEXT), "notes.md")
    with cloud.client("s3") as objects:
        rows = objects.list_objects_v2(Bucket=cloud.resources(stack)["BlobBucket"], Prefix="files/365d/")["Contents"]
    assert [row["Size"] for row in rows] == [len(TEXT)]
    return file


def test_a_file_is_kept_in_the_bucket_and_found_in_a_store(api: httpx.Client, cloud: Cloud) -> None:
    file = upload(api, cloud, STACK)
    store = took(api.post("/v1/vector_stores", json={"name": "notes", "file_ids": [file["id"]]}))
    assert store["file_counts"] == {"in_progress": 0, "completed": 1, "failed": 0, "cancelled": 0, "total": 1}, store
    for mode in ("vector", "keyword", "hybrid"):
        asked = {"query": "files expire", "search_mode": mode}
        [found] = took(api.post(f"/v1/vector_stores/{store['id']}/search", json=asked))["data"]
        assert (found["file_id"], found["content"][0]["text"]) == (file["id"], TEXT)
    assert store["id"] in [row["identifier"] for row in took(api.get("/v1/vector-dbs"))["data"]]
    assert [tool["name"] for tool in took(api.get("/v1/tools"))["data"]] == ["knowledge_search"]
    arguments = {"query": "files expire", "vector_db_ids": [store["id"]]}
    call = {"tool_name": "builtin::rag/knowledge_search", "kwargs": arguments}
    assert TEXT in str(took(api.post("/v1/tool-runtime/invoke", json=call))["content"])  # a function that asks no other
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    over_mcp = [tool["name"] for tool in took(api.post("/mcp", json=listing))["result"]["tools"]]
    assert {"knowledge_search", f"search_{store['id']}"} <= set(over_mcp)
    assert took(api.delete(f"/v1/files/{file['id']}"))["deleted"]
    assert api.get(f"/v1/files/{file['id']}").status_code == 404


def test_a_response_is_kept_in_the_state_and_gone_on_from(api: httpx.Client) -> None:
    prompt = took(api.post("/v1/prompts", json={"prompt": "Answer {{ name }}."}))
    conversation = took(api.post("/v1/conversations", json={"metadata": {"topic": "files"}}))["id"]
    body: dict[str, Any] = {"model": "vllm/m", "input": "Hello."}
    body |= {"prompt": {"id": prompt["prompt_id"], "variables": {"name": "Ada"}}}
    first = took(api.post("/v1/responses", json=body | {"conversation": conversation}))
    assert (first["status"], first["conversation"]) == ("completed", {"id": conversation}), first
    assert took(api.get(f"/v1/responses/{first['id']}"))["output"] == first["output"]
    message = {"role": "user", "content": "x" * 500_000}  # the bucket has it
    large = took(
        api.post(
            "/v1/openai/v1/responses", json={"model": "vllm/m", "input": [message], "previous_response_id": first["id"]}
        )
    )
    assert took(api.get(f"/v1/responses/{large['id']}/input_items"))["data"][0]["content"][0]["text"] == "x" * 500_000
    assert len(took(api.get(f"/v1/conversations/{conversation}/items"))["data"]) == 2
    store = took(api.post("/v1/vector_stores", json={"name": "empty"}))["id"]
    searched = {"type": "file_search", "vector_store_ids": [store]}
    assert (
        took(api.post("/v1/responses", json=body | {"input": "Hello.", "tools": [searched]}))["status"] == "completed"
    )
    missing = api.post("/v1/responses", json=body | {"tools": [searched | {"vector_store_ids": ["vs_none"]}]})
    assert missing.status_code == 404, missing.text
    assert took(api.delete(f"/v1/responses/{first['id']}"))["deleted"]


def answer_in_the_background(api: httpx.Client) -> None:
    """The function sends a message, and the worker makes the response, in its conversation; the stream is there afterwards."""
    body = {"model": "vllm/m", "input": "Hello.", "background": True, "stream": True}
    conversation = took(api.post("/v1/conversations", json={}))["id"]
    begun = took(api.post("/v1/responses", json={**body, "conversation": conversation, "stream": False}))
    assert begun["status"] == "queued", begun
    path, until = f"/v1/responses/{begun['id']}", time.monotonic() + PATIENCE_SECONDS
    while (made := took(api.get(path)))["status"] in {"queued", "in_progress"} and time.monotonic() < until:
        time.sleep(0.5)
    assert made["status"] == "completed", made
    assert len(took(api.get(f"/v1/conversations/{conversation}/items"))["data"]) == 2
    events = api.get(path, params={"stream": "true", "starting_after": 1}).text
    assert events.startswith("event: response.in_progress\n"), events
    assert "event: response.completed\n" in events
    assert {job["status"] for job in took(api.get("/v1/jobs", params={"kind": "response"}))["data"]} == {"completed"}


def test_a_response_in_the_background_is_the_workers(api: httpx.Client) -> None:
    answer_in_the_background(api)


def test_an_agent_has_turns_in_its_session(api: httpx.Client) -> None:
    config = {"model": "vllm/m", "instructions": "Be brief.", "toolgroups": ["builtin::rag/knowledge_search"]}
    agent = took(api.post("/v1/agents", json={"agent_config": config}))["agent_id"]
    session = took(api.post(f"/v1/agents/{agent}/session", json={"session_name": "s"}))["session_id"]
    message = {"role": "user", "content": "Hello."}
    turns = f"/v1/agents/{agent}/session/{session}/turn"
    turn = took(api.post(turns, json={"messages": [message], "stream": False}))
    assert [step["step_type"] for step in turn["steps"]] == ["inference"], turn
    assert took(api.get(f"{turns}/{turn['turn_id']}"))["output_message"] == turn["output_message"]
    assert len(took(api.get(f"/v1/conversations/{session}/items"))["data"]) == 2
    assert api.delete(f"/v1/agents/{agent}").status_code == 200
    assert api.get(f"/v1/conversations/{session}").status_code == 404


def test_a_batch_of_files_is_the_workers(api: httpx.Client) -> None:
    form = {"files": {"file": ("notes.md", TEXT.encode())}, "data": {"purpose": "assistants"}}
    ids = [took(api.post("/v1/files", **form))["id"] for _ in range(3)]  # type: ignore[arg-type]
    store = took(api.post("/v1/vector_stores", json={"name": "batch"}))["id"]
    batch = took(api.post(f"/v1/vector_stores/{store}/file_batches", json={"file_ids": ids}))
    until = time.monotonic() + PATIENCE_SECONDS
    while batch["status"] == "in_progress" and time.monotonic() < until:
        time.sleep(0.5)
        batch = took(api.get(f"/v1/vector_stores/{store}/file_batches/{batch['id']}"))
    assert batch["file_counts"]["completed"] == len(ids), batch


def test_another_caller_sees_nothing_of_it(api: httpx.Client, cloud: Cloud) -> None:
    table = ("--table", cloud.outputs(STACK)["RegistryTableName"], "--region", ministack.REGION)
    key = keys.created("--name", "other", *table, AWS_ENDPOINT_URL=cloud.endpoint, **ministack.CREDENTIALS)
    headers = {"authorization": f"Bearer {key}"}
    store = took(api.get("/v1/vector_stores"))["data"][0]["id"]
    assert api.get(f"/v1/vector_stores/{store}", headers=headers).status_code == 404
    assert took(api.get("/v1/files", headers=headers))["data"] == []


@pytest.mark.usefixtures("api")  # whose packages these are
def test_a_deployment_of_before_there_were_files_is_upgraded_and_keeps_what_it_had(
    cloud: Cloud, checkout: Path, upstream: FakeUpstream
) -> None:
    """Its template is that of then, and so is what is in its tables."""
    stack, build_folder = f"{STACK}-upgraded", checkout / ".aws-sam" / "build"
    ministack.adapt(Path(__file__).parent / "templates" / "before_files.json", build_folder / "old.yaml")
    document = json.loads((build_folder / "old.yaml").read_text("utf-8"))
    for name, resource in document["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = name
    (build_folder / "old.yaml").write_text(json.dumps(document), "utf-8")
    parameters = {"VllmUrl": upstream.url, "Architecture": needs(emulator.architecture), "Streaming": "false"}
    sam_deploy(cloud, stack, build_folder / "old.yaml", parameters)
    before = cloud.resources(stack)
    fill_tables(cloud.endpoint, {name: before[resource] for name, resource in TABLES.items()})
    outputs = sam_deploy(cloud, stack, build_folder / "template.yaml", parameters | ON | {"RunConfig": "vectors"})
    after = cloud.resources(stack)
    assert {name: after[name] for name in KEPT} == {name: before[name] for name in KEPT}
    root, ada = ({"authorization": f"Bearer {plant(KEYS['dynamodb'][name])}"} for name in ("admin", "ada"))
    with httpx.Client(base_url=cloud.url(outputs["BaseUrl"]), timeout=60, headers=ada) as api:
        assert took(api.get("/v1/models/team/a/model", headers=root))["metadata"] == {"a": "ä"}
        view = took(api.get("/v1/inspect/configurations", headers=root))
        assert (view["version"], view["providers"]["inference"][0]["config"]["timeout"]) == (1, 7)
        chat = {"model": "adas", "messages": [{"role": "user", "content": "Hello"}]}
        took(api.post("/v1/chat/completions", json=chat))
        file = upload(api, cloud, stack)
        store = took(api.post("/v1/vector_stores", json={"file_ids": [file["id"]]}))
        assert store["file_counts"]["completed"] == 1, store
        took(api.get("/v1/models/adas"))
        answer_in_the_background(api)


def test_a_batch_is_answered_by_the_worker_and_its_answers_are_in_the_bucket(api: httpx.Client) -> None:
    lines = [chat_line(f"c{number}") for number in range(30)]
    for line in lines:
        line["body"]["model"] = "vllm/m"
    form: dict[str, Any] = {"files": {"file": ("rows.jsonl", jsonl(lines))}, "data": {"purpose": "batch"}}
    file = took(api.post("/v1/files", **form))
    wanted = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = took(api.post("/v1/batches", json=wanted))
    until = time.monotonic() + PATIENCE_SECONDS
    while batch["status"] not in {"completed", "failed", "cancelled", "expired"}:
        assert time.monotonic() < until, batch
        time.sleep(0.5)
        batch = took(api.get(f"/v1/batches/{batch['id']}"))
    assert (batch["status"], batch["request_counts"]["completed"]) == ("completed", len(lines)), batch
    content = api.get(f"/v1/files/{batch['output_file_id']}/content").text
    assert [json.loads(line)["custom_id"] for line in content.splitlines()] == [line["custom_id"] for line in lines]
    assert [each["id"] for each in took(api.get("/v1/openai/v1/batches"))["data"]] == [batch["id"]]
