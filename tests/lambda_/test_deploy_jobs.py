"""A deployment with jobs: the toy API's function makes one, the queue brings it to the worker, the bucket has what it came to.

The cloud is a stand-in (`tests/lambda_/ministack.py`); its Lambda takes messages from its SQS as the template says.
"""

from collections.abc import Generator, Iterator
import json
from pathlib import Path
import subprocess
import sys
import time
from typing import Any, Final, cast

import httpx
import pytest

from infra import build
from tests.lambda_ import emulator, ministack
from tests.lambda_.conftest import needs
from tests.lambda_.emulator import ROOT
from tests.lambda_.ministack import Cloud
from tests.lambda_.notes.product import Upstream, copy_product
from tests.lambda_.test_deploy import new_key
from tests.parts.upstream import in_thread

pytestmark = pytest.mark.exact

STACK: Final = "llambda-jobs"
ROWS: Final = 250
PATIENCE_SECONDS: Final = 120.0


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with in_thread(Upstream()) as fake:
        yield cast("Upstream", fake)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product with the toy API, and the template that follows from it."""
    folder = tmp_path_factory.mktemp("notes")
    copy_product(folder)
    for name in (".venv", ".uv"):
        (folder / name).symlink_to(ROOT / name)
    subprocess.run([sys.executable, "-m", "infra.template"], cwd=folder, check=True)
    assert "NotesFunction" in (folder / "template.yaml").read_text()
    ministack.adapt(folder / "template.yaml", folder / "template.yaml")
    text = build.CONFIG.read_text("utf-8")
    assert text.count("  - safety\n") == 1
    (folder / "notes.yaml").write_text(text.replace("  - safety\n", "  - notes\n"))
    return folder


@pytest.fixture(scope="module")
def api(cloud: Cloud, checkout: Path, upstream: Upstream) -> Generator[httpx.Client]:
    """A client with a key of the deployment."""
    parameters = {"VllmUrl": upstream.url, "Architecture": needs(emulator.architecture), "Streaming": "false"}
    parameters |= {"Jobs": "true", "JobsConcurrency": "2"}
    pairs = " ".join(f"{name}={value}" for name, value in parameters.items())
    done = cloud.llambda(checkout, "deploy", "notes.yaml", "--stack-name", STACK, "--yes", "--param", pairs)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    outputs = cloud.outputs(STACK)
    headers = {"authorization": f"Bearer {new_key(cloud, outputs)}"}
    with httpx.Client(base_url=cloud.url(outputs["BaseUrl"]), timeout=60, headers=headers) as client:
        yield client


def get(api: httpx.Client, path: str) -> Any:
    answer = api.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def watch(api: httpx.Client, job_id: str) -> Any:
    until = time.monotonic() + PATIENCE_SECONDS
    while (job := get(api, f"/v1/jobs/{job_id}"))["status"] not in {"completed", "failed", "cancelled"}:
        assert time.monotonic() < until, job
        time.sleep(0.5)
    return job


def test_a_job_is_done_by_the_worker_and_its_output_is_in_the_bucket(api: httpx.Client, cloud: Cloud) -> None:
    begun = api.post("/v1/notebooks/n/digests", json={"model": "vllm/m", "rows": ROWS})
    assert begun.status_code == 202, begun.text
    job_id = begun.json()["job_id"]
    job = watch(api, job_id)
    assert (job["status"], job["progress"]["completed"], job["progress"]["failed"]) == ("completed", ROWS, 0)
    output = api.get(f"/v1/digests/{job_id}/content")
    rows = [json.loads(line) for line in output.text.splitlines()]
    assert rows == [{"row": number, "text": f"about row {number}"} for number in range(ROWS)]
    bucket = cloud.resources(STACK)["BlobBucket"]
    with cloud.client("s3") as objects:
        keys = [row["Key"] for row in objects.list_objects_v2(Bucket=bucket, Prefix=f"jobs/{job_id}/")["Contents"]]
    assert f"jobs/{job_id}/output.jsonl" in keys


def test_state_is_in_the_stacks_own_table(api: httpx.Client, cloud: Cloud) -> None:
    note = api.post("/v1/notebooks/n/notes", json={"text": "kept"}).json()
    assert api.get(f"/v1/notebooks/n/notes/{note['id']}").json() == note
    with cloud.client("dynamodb") as tables:
        items = tables.scan(TableName=cloud.resources(STACK)["StateTable"])["Items"]
    assert any(note["id"] in item["pk"]["S"] for item in items)


def test_a_caller_lists_its_own_jobs(api: httpx.Client, cloud: Cloud) -> None:
    job_id = api.post("/v1/notebooks/n/digests", json={"model": "vllm/m", "rows": 1}).json()["job_id"]
    assert watch(api, job_id)["status"] == "completed"
    assert api.get("/v1/jobs").json()["data"][0]["id"] == job_id
    key = new_key(cloud, cloud.outputs(STACK))
    assert api.get("/v1/jobs", headers={"authorization": f"Bearer {key}"}).json()["data"] == []
