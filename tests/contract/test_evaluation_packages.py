"""Packages of datasets, scoring and evaluations, remote and inline: what a caller brings is handed to them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.external import CONFIG, entry, loaded, put
from tests.parts.dataset_stack import DATASETS, ROWS, dataset, questions
from tests.parts.eval_stack import BENCHMARKS
from tests.parts.live_stack import client_over
from tests.parts.score_stack import SCORE

NEEDS: str = f"""{CONFIG}
from llama_stack.apis.common.type_system import NumberType
from llama_stack.apis.scoring import ScoreResponse, ScoringResult
from llama_stack.apis.scoring_functions import BasicScoringFnParams, ScoringFn
from llama_stack.distribution.request_headers import NeedsRequestProviderData

class Data(BaseModel):
    feather: str

class Adapter(NeedsRequestProviderData):
    def feather(self):
        data = self.get_request_provider_data()
        return "none" if data is None else data.feather
"""
DATASETIO: str = f"""{NEEDS}
    async def register_dataset(self, dataset): pass
    async def unregister_dataset(self, dataset_id): pass
    async def iterrows(self, dataset_id, start_index=None, limit=None):
        return dict(data=[dict(feather=self.feather())], has_more=False)
"""
SCORING: str = f"""{NEEDS}
    async def list_scoring_functions(self):
        return [ScoringFn(identifier="acme::f", provider_resource_id="f", provider_id="acme", description="",
            return_type=NumberType(), params=BasicScoringFnParams(aggregation_functions=[]))]
    async def register_scoring_function(self, scoring_fn): pass
    async def score(self, input_rows, scoring_functions):
        rows = [dict(score=1.0, feather=self.feather()) for _ in input_rows]
        return ScoreResponse(results={{name: ScoringResult(score_rows=rows, aggregated_results={{}}) for name in scoring_functions}})
"""
EVAL: str = f"""{NEEDS}
    async def register_benchmark(self, task_def): pass
    async def evaluate_rows(self, benchmark_id, input_rows, scoring_functions, benchmark_config):
        return dict(generations=[dict(feather=self.feather())], scores={{}})
    async def run_eval(self, benchmark_id, benchmark_config): pass
    async def job_status(self, benchmark_id, job_id): pass
    async def job_cancel(self, benchmark_id, job_id): pass
    async def job_result(self, benchmark_id, job_id): pass
"""
FACTORIES = {
    "remote": "\nasync def get_adapter_impl(config, deps): return Adapter()\n",
    "inline": "\nasync def get_provider_impl(config, deps): return Adapter()\n",
}
CANDIDATE: dict[str, Any] = {"type": "model", "model": "m", "sampling_params": {}}
EVALUATION: dict[str, Any] = {
    "input_rows": [{}],
    "scoring_functions": [],
    "benchmark_config": {"eval_candidate": CANDIDATE},
}
BENCHMARK: dict[str, Any] = {"benchmark_id": "b", "dataset_id": "d", "scoring_functions": []}
CALLS: dict[str, tuple[str, list[tuple[str, Any]], tuple[str, str, Any]]] = {
    "datasetio": (DATASETIO, [(DATASETS, dataset({"rows": questions(1)}, "d"))], ("GET", f"{ROWS}/d", None)),
    "scoring": (SCORING, [], ("POST", SCORE, {"input_rows": [{}], "scoring_functions": {"acme::f": None}})),
    "eval": (EVAL, [(BENCHMARKS, BENCHMARK)], ("POST", f"{BENCHMARKS}/b/evaluations", EVALUATION)),
}


def put_validated(folder: Path, code: str, api: str, flavour: str) -> None:
    module = put(folder, code, api, flavour, **({"container_image": "acme:1"} if flavour == "inline" else {}))
    (spec,) = folder.rglob("parrot.yaml")
    validated = json.loads(spec.read_text())
    validated.get("adapter", validated)["provider_data_validator"] = f"{module}.Data"
    spec.write_text(json.dumps(validated))


@pytest.mark.parametrize("flavour", ["remote", "inline"])
@pytest.mark.parametrize("api", CALLS)
async def test_what_a_caller_brings_is_for_the_package_and_that_call_alone(
    api: str, flavour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    code, before, (method, path, body) = CALLS[api]
    put_validated(tmp_path, code + FACTORIES[flavour], api, flavour)
    async with client_over(loaded(tmp_path, {}, **{api: [entry(flavour)]})) as client:
        for url, made in before:
            assert (await client.post(url, json=made)).status_code == 200
        for feather in ("mine", "none"):
            headers = {} if feather == "none" else {"x-llamastack-provider-data": json.dumps({"feather": feather})}
            answer = await client.request(method, path, json=body, headers=headers)
            assert f'"feather":"{feather}"' in answer.text, answer.text
        wrong = {"x-llamastack-provider-data": json.dumps({"feather": 7})}
        refused = await client.request(method, path, json=body, headers=wrong)
        assert (refused.status_code, "feather is not valid" in refused.text) == (400, True), refused.text
