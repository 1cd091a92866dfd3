"""A deployment with files, vector stores, responses, agents, batches and evaluations: a file goes through the API's functions and bucket, and is found in a store.

The cloud is a stand-in (`tests/lambda_/ministack.py`), which has no S3 Vectors: a double of that answers in its place.
"""

from collections.abc import Generator, Iterator
import json
from pathlib import Path
import shutil
import sys
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest

from infra import build
from infra.local.dynamodb import CREDENTIALS, REGION
from infra.local.ports import free_port
from tests.lambda_ import emulator, keys, ministack
from tests.lambda_.calls import (
    MODEL,
    OF_EVALUATION,
    TEXT,
    answer_a_batch,
    answer_a_dataset,
    answer_in_the_background,
    evaluate,
    evaluate_an_agent,
    register,
    took,
    upload,
    wait_for,
    wait_for_job,
)
from tests.lambda_.conftest import needs
from tests.lambda_.emulator import ROOT
from tests.lambda_.event_bus import Bus, new_bus
from tests.lambda_.ministack import Cloud
from tests.lambda_.test_deploy import sam_deploy
from tests.parts.datasets_server import parquet_of
from tests.parts.older_state import KEYS, fill_tables
from tests.parts.processes import answering
from tests.parts.secrets import plant
from tests.parts.upstream import FakeUpstream, status
from tests.parts.webhook_world import ENDPOINTS, Receiver

pytestmark = pytest.mark.exact

STACK: Final = "llambda-vectors"
BUCKET: Final = "vectors"
ARN: Final = f"arn:aws:s3vectors:{REGION}:123456789012:bucket/{BUCKET}"
CHOICE: Final = "basic::regex_parser_multiple_choice_answer"
JUDGE: Final = "llm-as-judge::base"
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
NEW: Final = {"Webhooks": "true", "Evaluation": "true"}
NEW_ONES: Final = {"DatasetioFunction", "ScoringFunction", "EvalFunction", "WebhooksFunction"}
PLACES: Final = ("BlobBucket", "JobsQueue", "BatchesFunction", "WorkerFunction")


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the double."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "tests.parts.s3_vectors", str(port), BUCKET]
    with answering(command, url, tmp_path_factory.mktemp("double") / "log", cwd=ROOT):
        yield url


def with_double(template: dict[str, Any]) -> str:
    """The template, with the double's bucket in place of its own of vectors."""
    template["Resources"].pop("VectorBucket", None)
    text = json.dumps(template).replace(
        json.dumps({"Fn::GetAtt": ["VectorBucket", "VectorBucketArn"]}), json.dumps(ARN)
    )
    return text.replace("${VectorBucket.VectorBucketArn}", ARN)


@pytest.fixture(scope="module")
def bus(cloud: Cloud) -> Bus:
    return new_bus(cloud, STACK)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, vectors: str, upstream: FakeUpstream) -> Path:
    """A copy of this one, whose vector bucket is the double's, and whose webhooks may go to the upstream."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("core", "functions", "infra", "locks"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "samconfig.toml", "pyproject.toml"):
        shutil.copy(ROOT / name, copy)
    for name in (".venv", ".uv"):
        (copy / name).symlink_to(ROOT / name)
    ministack.adapt(ROOT / "template.yaml", copy / "template.yaml")
    template = json.loads((copy / "template.yaml").read_text("utf-8"))
    assert template["Resources"]["VectorBucket"]["Type"] == "AWS::S3Vectors::VectorBucket"
    (copy / "template.yaml").write_text(with_double(template), "utf-8")
    config = build.CONFIG.read_text("utf-8")
    line = "        vector_bucket: "
    assert config.count(line) == 1
    more = {"endpoint_url": vectors, "region_name": REGION}
    more |= {name.lower(): CREDENTIALS[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    fields = "".join(f"        {name}: {value}\n" for name, value in more.items())
    webhooks = "    - provider_id: ${env.WEBHOOKS:+builtin}\n      provider_type: inline::builtin\n      config:\n"
    assert config.count(webhooks) == 1
    reach = f"        allow_private_addresses: true\n        allowed_ports: [{urlsplit(upstream.url).port}]\n"
    config = config.replace(line, f"{fields}{line}").replace(webhooks, f"{webhooks}{reach}")
    (copy / "vectors.yaml").write_text(config, "utf-8")
    return copy


@pytest.fixture(scope="module")
def api(cloud: Cloud, checkout: Path, upstream: FakeUpstream, bus: Bus) -> Generator[httpx.Client]:
    """A client with a key of the deployment."""
    parameters = {"VllmUrl": upstream.url, "Architecture": needs(emulator.architecture), **ON, **NEW}
    parameters |= {"EventBusArn": bus.arn}
    pairs = " ".join(f"{name}={value}" for name, value in parameters.items())
    done = cloud.llambda(checkout, "deploy", "vectors.yaml", "--stack-name", STACK, "--yes", "--param", pairs)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    outputs = cloud.outputs(STACK)
    table = ("--table", outputs["RegistryTableName"], "--region", ministack.REGION)
    key = keys.created("--name", "v", *table, AWS_ENDPOINT_URL=cloud.endpoint, **ministack.CREDENTIALS)
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=cloud.url(outputs["BaseUrl"]), timeout=60, headers=headers) as client:
        yield client


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
    path = f"/v1/vector_stores/{store}/file_batches/{batch['id']}"
    batch = wait_for(lambda: took(api.get(path)), "completed", {"in_progress"})
    assert batch["file_counts"]["completed"] == len(ids), batch


def test_another_caller_sees_nothing_of_it(api: httpx.Client, cloud: Cloud) -> None:
    table = ("--table", cloud.outputs(STACK)["RegistryTableName"], "--region", ministack.REGION)
    key = keys.created("--name", "other", *table, AWS_ENDPOINT_URL=cloud.endpoint, **ministack.CREDENTIALS)
    headers = {"authorization": f"Bearer {key}"}
    store = took(api.get("/v1/vector_stores"))["data"][0]["id"]
    assert api.get(f"/v1/vector_stores/{store}", headers=headers).status_code == 404
    assert took(api.get("/v1/files", headers=headers))["data"] == []


def old_template(checkout: Path, name: str) -> Path:
    """A template of then, with the packages of this build."""
    path = checkout / ".aws-sam" / "build" / "old.yaml"
    ministack.adapt(Path(__file__).parent / "templates" / name, path)
    document = json.loads(path.read_text("utf-8"))
    for function, resource in document["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = function
    path.write_text(with_double(document), "utf-8")
    return path


@pytest.mark.usefixtures("api")  # whose packages these are
def test_a_deployment_of_before_there_were_files_is_upgraded_and_keeps_what_it_had(
    cloud: Cloud, checkout: Path, upstream: FakeUpstream
) -> None:
    """Its template is that of then, and so is what is in its tables; between then and now it is one of before there were evaluations."""
    stack, parameters = f"{STACK}-upgraded", {"VllmUrl": upstream.url, "Architecture": needs(emulator.architecture)}
    sam_deploy(cloud, stack, old_template(checkout, "before_files.json"), parameters | {"Streaming": "false"})
    before = cloud.resources(stack)
    fill_tables(cloud.endpoint, {name: before[resource] for name, resource in TABLES.items()})
    root, ada = ({"authorization": f"Bearer {plant(KEYS['dynamodb'][name])}"} for name in ("admin", "ada"))
    parameters |= ON | {"RunConfig": "vectors"}
    outputs = sam_deploy(cloud, stack, old_template(checkout, "before_evaluation.yaml"), parameters)
    between = cloud.resources(stack)
    assert {name: between[name] for name in KEPT} == {name: before[name] for name in KEPT}
    assert not between.keys() & NEW_ONES
    with httpx.Client(base_url=cloud.url(outputs["BaseUrl"]), timeout=60, headers=ada) as api:
        assert_kept_from_before_files(api, root)
        kept = keep(api, cloud, stack)
        assert {api.get(path).status_code for path in (*OF_EVALUATION, ENDPOINTS)} == {404}
    outputs = sam_deploy(cloud, stack, checkout / ".aws-sam" / "build" / "template.yaml", parameters | NEW)
    after = cloud.resources(stack)
    assert {name: after[name] for name in (*KEPT, *PLACES)} == {name: between[name] for name in (*KEPT, *PLACES)}
    assert after.keys() >= NEW_ONES
    with httpx.Client(base_url=cloud.url(outputs["BaseUrl"]), timeout=60, headers=ada) as api:
        assert_kept_from_before_files(api, root)
        assert_kept(api, kept)
        evaluate(api, 4)


def assert_kept_from_before_files(api: httpx.Client, root: dict[str, str]) -> None:
    assert took(api.get("/v1/models/team/a/model", headers=root))["metadata"] == {"a": "ä"}
    view = took(api.get("/v1/inspect/configurations", headers=root))
    assert (view["version"], view["providers"]["inference"][0]["config"]["timeout"]) == (1, 7)
    chat = {"model": "adas", "messages": [{"role": "user", "content": "Hello"}]}
    took(api.post("/v1/chat/completions", json=chat))
    took(api.get("/v1/models/adas"))
    answer_in_the_background(api)


def keep(api: httpx.Client, cloud: Cloud, stack: str) -> tuple[dict[str, Any], ...]:
    """A file, a store that it is in, and a batch."""
    file = upload(api, cloud, stack)
    store = took(api.post("/v1/vector_stores", json={"file_ids": [file["id"]]}))
    assert store["file_counts"]["completed"] == 1, store
    return file, store, answer_a_batch(api, 3)


def assert_kept(api: httpx.Client, kept: tuple[dict[str, Any], ...]) -> None:
    """Each is what it was."""
    file, store, batch = kept
    assert took(api.get("/v1/models/e"))["metadata"]["embedding_dimension"] == 1
    assert api.get(f"/v1/files/{file['id']}/content").text == TEXT
    [found] = took(api.post(f"/v1/vector_stores/{store['id']}/search", json={"query": "files expire"}))["data"]
    assert (found["file_id"], found["content"][0]["text"]) == (file["id"], TEXT)
    assert took(api.get(f"/v1/batches/{batch['id']}")) == batch


def test_a_batch_is_answered_by_the_worker_and_its_answers_are_in_the_bucket(api: httpx.Client) -> None:
    batch = answer_a_batch(api, 30)
    assert [each["id"] for each in took(api.get("/v1/openai/v1/batches"))["data"]] == [batch["id"]]


def test_whoever_wants_to_know_is_told_of_a_batch_by_the_queue_and_the_bus_of_each_of_its_statuses(
    api: httpx.Client, upstream: FakeUpstream, bus: Bus
) -> None:
    """The receiver is at an address of this machine, which the run config has opened; at first it is busy."""
    receiver = Receiver(upstream)
    receiver.answers(status(503), status(200))
    body = {"name": "mine", "event_types": ["batch.completed"]}
    inside = api.post(ENDPOINTS, json=body | {"url": receiver.url.replace("127.0.0.1", "169.254.169.254")})
    assert (inside.status_code, inside.json()["error"]["param"]) == (400, "url"), inside.text
    endpoint = took(api.post(ENDPOINTS, json=body | {"url": receiver.url}))
    batch = answer_a_batch(api, 2)
    wait_for_job(api, kind="webhook_delivery")
    first, again = receiver.received
    assert first.id == again.id
    assert again.is_signed_with(endpoint["signing_secret"])
    assert (again.event["type"], again.event["data"]) == ("batch.completed", {"id": batch["id"]})
    told = [event["detail"] for event in bus.events_of(batch["id"], "completed")]
    assert [detail["status"] for detail in told] == ["queued", "running", "finishing", "completed"]
    assert told[-1]["counts"]["completed"] == 2


def test_a_dataset_is_scored_and_evaluated_by_the_worker(api: httpx.Client) -> None:
    evaluate(api, 30)
    evaluate_an_agent(api)
    answer_a_dataset(api, 30)
    rows = [
        {"question": "?", "answer": "B", "input_query": "?", "expected_answer": "B", "generated_answer": f"Answer: {x}"}
        for x in "AB"
    ]
    form: dict[str, Any] = {"files": {"file": ("rows.parquet", parquet_of(rows))}, "data": {"purpose": "assistants"}}
    file = took(api.post("/v1/files", **form))["id"]
    assert register(api, "choices", {"type": "uri", "uri": file})["metadata"]["num_rows"] == 2
    asked: dict[str, Any] = {CHOICE: None, JUDGE: {"type": "llm_as_judge", "judge_model": MODEL}}
    body = {"dataset_id": "choices", "scoring_functions": asked, "save_results_dataset": False}
    for scored in (
        api.post("/v1/scoring/score-batch", json=body),
        api.post("/v1/scoring/score", json={"input_rows": rows, "scoring_functions": asked}),
    ):
        results = took(scored)["results"]
        assert [row["score"] for row in results[CHOICE]["score_rows"]] == [0.0, 1.0]
        judged = [(row["score"], row["judge_feedback"]) for row in results[JUDGE]["score_rows"]]
        assert judged == [(None, "Hello")] * 2  # this judge says no number
