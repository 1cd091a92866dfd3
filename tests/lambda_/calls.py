"""What a caller asks of a deployed stack in more than one test, over HTTP, and has to get."""

from collections.abc import Callable
import json
import time
from typing import Any, Final

import httpx

from tests.lambda_.ministack import Cloud
from tests.parts.batch_stack import chat_line, jsonl
from tests.parts.dataset_stack import APPEND, DATASETS, QUESTIONS, ROWS
from tests.parts.eval_stack import BENCHMARKS, EQUALITY

PATIENCE_SECONDS: Final = 120.0
TRIES: Final = 10
TEXT: Final = "Files expire exactly when they are read."
MODEL: Final = "vllm/m"
OF_EVALUATION: Final = (DATASETS, f"{ROWS}/d", "/v1/scoring-functions", BENCHMARKS, "/v1alpha/eval/benchmarks")

type Json = dict[str, Any]


def took(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait_for(look: Callable[[], Json], status: str, under_way: set[str]) -> Json:
    """What it is looked at as, once it is no longer under way; it has to have this status then."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (seen := look())["status"] in under_way:
        assert time.monotonic() < until, seen
        time.sleep(0.5)
    assert seen["status"] == status, seen
    return seen


def health_of_provider(look: Callable[[], Json]) -> Json:
    """The one provider's health; it is asked again where its check ran out of its two seconds, as on a busy machine."""
    for _ in range(TRIES):
        [provider] = look()["data"]
        if "timed out" not in provider["health"].get("message", ""):
            break
    return dict(provider["health"])


def wait_for_job(api: httpx.Client, **which: str) -> Json:
    """The caller's latest job of an `id` or a `kind`, once it is completed; it need not be there yet."""

    def look() -> Json:
        jobs = (
            [took(api.get(f"/v1/jobs/{which['id']}"))]
            if "id" in which
            else took(api.get("/v1/jobs", params=which))["data"]
        )
        return next(iter(jobs), {"status": "queued"})

    return wait_for(look, "completed", {"queued", "running", "finishing"})


def upload(api: httpx.Client, cloud: Cloud, stack: str) -> Json:
    """The file, which is in the stack's bucket; and there is a model for its text."""
    model = {"model_id": "e", "provider_id": "vllm", "provider_model_id": "m", "model_type": "embedding"}
    took(api.post("/v1/models", json={**model, "metadata": {"embedding_dimension": 1}}))
    form: Json = {"files": {"file": ("notes.md", TEXT.encode())}, "data": {"purpose": "assistants"}}
    file: Json = took(api.post("/v1/files", **form))
    assert (file["bytes"], file["filename"]) == (len(TEXT), "notes.md")
    with cloud.client("s3") as objects:
        rows = objects.list_objects_v2(Bucket=cloud.resources(stack)["BlobBucket"], Prefix="files/365d/")["Contents"]
    assert [row["Size"] for row in rows] == [len(TEXT)]
    return file


def answer_in_the_background(api: httpx.Client) -> None:
    """The function sends a message, and the worker makes the response, in its conversation; the stream is there afterwards."""
    body = {"model": MODEL, "input": "Hello.", "background": True, "stream": True}
    conversation = took(api.post("/v1/conversations", json={}))["id"]
    begun = took(api.post("/v1/responses", json={**body, "conversation": conversation, "stream": False}))
    assert begun["status"] == "queued", begun
    path = f"/v1/responses/{begun['id']}"
    wait_for(lambda: took(api.get(path)), "completed", {"queued", "in_progress"})
    assert len(took(api.get(f"/v1/conversations/{conversation}/items"))["data"]) == 2
    events = api.get(path, params={"stream": "true", "starting_after": 1}).text
    assert events.startswith("event: response.in_progress\n"), events
    assert "event: response.completed\n" in events
    wait_for_job(api, kind="response")  # which ends after the response does
    assert {job["status"] for job in took(api.get("/v1/jobs", params={"kind": "response"}))["data"]} == {"completed"}


def answer_a_batch(api: httpx.Client, count: int) -> Json:
    """The batch, whose lines the worker has answered."""
    lines = [chat_line(f"c{number}", model=MODEL) for number in range(count)]
    form: Json = {"files": {"file": ("rows.jsonl", jsonl(lines))}, "data": {"purpose": "batch"}}
    file = took(api.post("/v1/files", **form))
    wanted = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    made = took(api.post("/v1/batches", json=wanted))
    batch = wait_for(
        lambda: took(api.get(f"/v1/batches/{made['id']}")), "completed", {"validating", "in_progress", "finalizing"}
    )
    assert batch["request_counts"]["completed"] == count, batch
    content = api.get(f"/v1/files/{batch['output_file_id']}/content").text
    assert [json.loads(line)["custom_id"] for line in content.splitlines()] == [line["custom_id"] for line in lines]
    return batch


def register(api: httpx.Client, name: str, source: Json) -> Json:
    """The dataset, as it is when its rows are there."""
    made: Json = took(api.post(DATASETS, json={"dataset_id": name, "purpose": QUESTIONS, "source": source}))
    if job := made["metadata"].get("import_job"):
        wait_for_job(api, id=job)
    found: Json = took(api.get(f"{DATASETS}/{name}"))
    return found


def evaluate(api: httpx.Client, count: int) -> None:
    """Rows are kept and paged, scored at once, and asked of a model by the worker; every second answer is the expected one."""
    rows = [{"question": f"q{number}", "answer": "Bye" if number % 2 else "Hello"} for number in range(count)]
    register(api, "greetings", {"type": "rows", "rows": rows[:-1]})
    took(api.post(f"{APPEND}/greetings", json={"rows": rows[-1:]}))
    first = took(api.get(f"{ROWS}/greetings", params={"limit": count - 2}))
    rest = took(api.get(f"{ROWS}/greetings", params={"start_index": count - 2, "limit": count}))
    assert (first["has_more"], rest["has_more"], first["data"] + rest["data"]) == (True, False, rows)
    benchmark = {"benchmark_id": "polite", "dataset_id": "greetings", "scoring_functions": [EQUALITY]}
    took(api.post(BENCHMARKS, json=benchmark))
    job, result = run_eval(api, {"type": "model", "model": MODEL, "sampling_params": {}}, count)
    assert job["usage"]["total_tokens"] == 2 * count
    told = result["scores"][EQUALITY]
    assert [row["score"] for row in told["score_rows"]] == [float(row["answer"] == "Hello") for row in rows]
    assert told["aggregated_results"]["accuracy"]["num_correct"] == count // 2


def run_eval(api: httpx.Client, candidate: Json, count: int) -> tuple[Json, Json]:
    """The job and the result of the first rows of the benchmark of `evaluate`, to each of which the candidate says hello."""
    jobs = f"{BENCHMARKS}/polite/jobs"
    made = took(api.post(jobs, json={"benchmark_config": {"eval_candidate": candidate, "num_examples": count}}))
    job = wait_for(lambda: took(api.get(f"{jobs}/{made['job_id']}")), "completed", {"scheduled", "in_progress"})
    assert job["progress"] == {"total": count, "completed": count, "failed": 0}
    result = took(api.get(f"{jobs}/{made['job_id']}/result"))
    assert [row["generated_answer"] for row in result["generations"]] == ["Hello"] * count
    wait_for_job(api, id=job["id"])
    return job, result


def evaluate_an_agent(api: httpx.Client) -> None:
    """By the worker over rows of the dataset, and by the function over rows of the request; then there is none of it."""
    before = took(api.get("/v1/agents"))["data"]
    candidate = {"type": "agent", "config": {"model": MODEL, "instructions": "Be brief."}}
    run_eval(api, candidate, 3)
    rows = {"input_rows": [{"question": "q", "answer": "Hello"}], "scoring_functions": [EQUALITY]}
    body = {**rows, "benchmark_config": {"eval_candidate": candidate}}
    at_once = took(api.post(f"{BENCHMARKS}/polite/evaluations", json=body))
    assert [row["score"] for row in at_once["scores"][EQUALITY]["score_rows"]] == [1.0]
    assert took(api.get("/v1/agents"))["data"] == before


def answer_a_dataset(api: httpx.Client, count: int) -> None:
    """A batch whose lines are rows of the dataset of `evaluate`, and whose answers are rows again."""
    messages = [{"role": "user", "content": "Answer {{question}}."}]
    template = {"body": {"model": MODEL, "messages": messages}}
    wanted = {"input_dataset_id": "greetings", "template": template, "output_dataset_id": "answered"}
    made = took(
        api.post("/v1/batches", json={**wanted, "endpoint": "/v1/chat/completions", "completion_window": "24h"})
    )
    batch = wait_for(
        lambda: took(api.get(f"/v1/batches/{made['id']}")), "completed", {"validating", "in_progress", "finalizing"}
    )
    assert (batch["request_counts"]["completed"], batch["output_dataset_id"]) == (count, "answered"), batch
    rows = took(api.get(f"{ROWS}/answered"))["data"]
    assert [(row["question"], row["generated_answer"]) for row in rows] == [(f"q{n}", "Hello") for n in range(count)]
    took(api.delete(f"{DATASETS}/answered"))
