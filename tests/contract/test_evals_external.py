"""Evaluations of packages that run them themselves, in both forms of the reference's methods; whose they are, the stack knows."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from core.cli.providers.new import NewPackage, files, write
from core.config.load import load
from tests.contract.external import CONFIG, entry, loaded, put
from tests.parts.dataset_stack import dataset
from tests.parts.eval_stack import BENCHMARKS
from tests.parts.live_stack import client_over
from tests.parts.upstream import FakeUpstream, running

RUNNER = f"""{CONFIG}
class Runner:
    def __init__(self): self.jobs, self.known = {{}}, {{}}

    async def register_benchmark(self, task_def): self.known[task_def.identifier] = task_def

    def _start(self, benchmark_id, config):
        assert benchmark_id in self.known and config.eval_candidate.type == "model"
        name = f"job-{{len(self.jobs)}}"
        self.jobs[name] = dict(job_id=name, status="in_progress")
        return self.jobs[name]

    def _find(self, job_id):
        if job_id not in self.jobs: raise ValueError(f"Job {{job_id}} not found")
        return self.jobs[job_id]

    def _result(self, benchmark_id, job_id):
        if self._find(job_id)["status"] != "completed": raise ValueError("Job is not completed")
        scored = dict(score_rows=[dict(score=1.0)], aggregated_results=dict(accuracy=dict(accuracy=1.0)))
        return dict(generations=[dict(generated_answer="4")], scores={{benchmark_id: scored}})
"""
WITH_FIELDS = f"""{RUNNER}
    async def run_eval(self, benchmark_id, benchmark_config): return self._start(benchmark_id, benchmark_config)
    async def evaluate_rows(self, benchmark_id, input_rows, scoring_functions, benchmark_config):
        return dict(generations=input_rows, scores={{}})
    async def job_status(self, benchmark_id, job_id): return self._find(job_id)
    async def job_cancel(self, benchmark_id, job_id): self._find(job_id)["status"] = "completed"
    async def job_result(self, benchmark_id, job_id): return self._result(benchmark_id, job_id)

async def get_adapter_impl(config, deps): return Runner()
"""
WITH_RECORDS = f"""{RUNNER}
    async def run_eval(self, request): return self._start(request.benchmark_id, request.benchmark_config)
    async def evaluate_rows(self, request): return dict(generations=request.input_rows, scores={{}})
    async def job_status(self, request): return self._find(request.job_id)
    async def job_cancel(self, request): self._find(request.job_id)["status"] = "completed"
    async def job_result(self, request): return self._result(request.benchmark_id, request.job_id)

async def get_adapter_impl(config, deps): return Runner()
"""
BENCHMARK: dict[str, Any] = {"benchmark_id": "theirs", "dataset_id": "anything", "scoring_functions": []}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def config(model: str) -> dict[str, Any]:
    return {"benchmark_config": {"eval_candidate": {"type": "model", "model": model, "sampling_params": {}}}}


@pytest.mark.parametrize("source", [WITH_FIELDS, WITH_RECORDS], ids=["fields", "records"])
async def test_a_package_is_asked_in_the_form_of_its_methods(folder: Path, source: str) -> None:
    put(folder, source, "eval")
    stack = loaded(folder, eval=[entry()])
    async with client_over(stack) as client:
        registered = await client.post(BENCHMARKS, json=BENCHMARK)
        assert registered.status_code == 200, registered.text
        made = await client.post(f"{BENCHMARKS}/theirs/jobs", json=config("m"))
        assert (made.status_code, made.json()["status"]) == (200, "in_progress"), made.text
        path = f"{BENCHMARKS}/theirs/jobs/{made.json()['job_id']}"
        assert (await client.get(path)).json()["benchmark_id"] == "theirs"
        early = await client.get(f"{path}/result")
        assert (early.status_code, "not completed" in early.json()["error"]["message"]) == (409, True)
        assert (await client.delete(path)).status_code == 204
        result = (await client.get(f"{path}/result")).json()
        assert result["scores"]["theirs"]["aggregated_results"] == {"accuracy": {"accuracy": 1.0}}
        rows = {"input_rows": [{"a": 1}], "scoring_functions": [], **config("m")}
        assert (await client.post(f"{BENCHMARKS}/theirs/evaluations", json=rows)).json()["generations"] == [{"a": 1}]
        for job_id in ("job-9", "0"):
            assert (await client.get(f"{BENCHMARKS}/theirs/jobs/{job_id}")).status_code == 404


async def test_a_new_package_evaluates_by_the_models_and_datasets_of_the_stack(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "judged", files(NewPackage("judged", "eval", "inline")))
    monkeypatch.syspath_prepend(str(folder / "judged"))
    monkeypatch.chdir(folder / "judged")
    importlib.invalidate_caches()
    async with running(FakeUpstream()) as upstream:
        stack = load(folder / "judged" / "run.yaml", {"VLLM_URL": f"{upstream.url}/v1"})
        async with client_over(stack) as client:
            rows = [{"question": "Hi?", "answer": "Hello"}, {"question": "Bye?", "answer": "Goodbye"}]
            await client.post("/v1/datasets", json=dataset({"type": "rows", "rows": rows}, "greetings"))
            body = {**BENCHMARK, "dataset_id": "greetings"}
            assert (await client.post(BENCHMARKS, json=body)).status_code == 200
            job = (await client.post(f"{BENCHMARKS}/theirs/jobs", json=config("vllm/m"))).json()
            assert job["status"] == "completed", job
            result = (await client.get(f"{BENCHMARKS}/theirs/jobs/{job['job_id']}/result")).json()
            [told] = result["scores"].values()
            assert told["aggregated_results"] == {"average": {"average": 0.5}}
            unknown = await client.post(f"{BENCHMARKS}/theirs/jobs", json=config("none"))
            assert unknown.status_code == 404
