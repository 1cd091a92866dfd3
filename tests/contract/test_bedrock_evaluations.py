"""Bedrock's model evaluation jobs: prompts in S3, a job over them, and scores that are read in the order of the rows."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
import pytest

from core.errors import Conflict, InvalidRequest, NotFound, UpstreamFailed
from core.frame.resources import Resource
from core.frame.types import JsonObject
from core.providers.bedrock.evaluation_config import Config
from core.providers.bedrock.evaluation_lines import Results, to_line
from core.providers.bedrock.evaluations import BedrockEvaluations, connect
from tests.parts.bedrock import KEYS, MODEL, REGION
from tests.parts.bedrock_evaluations import ROLE, BedrockEvaluationJobs
from tests.parts.moto import aws_client
from tests.parts.upstream import running

METADATA = {"taskType": "QuestionAndAnswer", "metricNames": ["Builtin.Accuracy", "Builtin.Robustness"]}
JUDGE = "anthropic.judge-v1:0"
CONFIG: JsonObject = {
    "eval_candidate": {
        "type": "model",
        "model": "claude",
        "provider_resource_id": MODEL,
        "sampling_params": {"strategy": {"type": "top_p", "temperature": 0.5, "top_p": 0.9}, "max_tokens": 99},
    }
}


@dataclass
class Rows:
    """The datasets of a caller, as the port of the stack has them."""

    datasets: dict[str, list[JsonObject]] = field(default_factory=dict[str, list[JsonObject]])

    async def purpose(self, dataset_id: str) -> str:
        self._get(dataset_id)
        return "eval/question-answer"

    async def count(self, dataset_id: str) -> int:
        return len(self._get(dataset_id))

    async def read(self, dataset_id: str, start: int, count: int) -> list[JsonObject]:
        return self._get(dataset_id)[start : start + count]

    def _get(self, dataset_id: str) -> list[JsonObject]:
        if dataset_id not in self.datasets:
            raise NotFound(f"There is no dataset `{dataset_id}`.")
        return self.datasets[dataset_id]


@dataclass
class World:
    jobs: BedrockEvaluationJobs
    rows: Rows
    provider: BedrockEvaluations
    bucket: str

    @property
    def last(self) -> dict[str, Any]:
        """The request of the last job."""
        return [*self.jobs.jobs.values()][-1].request

    async def result(self, benchmark: Resource, config: JsonObject = CONFIG) -> JsonObject:
        job = await self.provider.run_eval(benchmark, config)
        assert (await self.provider.job_status(benchmark, job["job_id"]))["status"] == "completed"
        return await self.provider.job_result(benchmark, job["job_id"])


def benchmark(dataset_id: str = "d", functions: list[str] | None = None, **metadata: Any) -> Resource:
    told = {name: value for name, value in {**METADATA, **metadata}.items() if value is not None}
    attributes = {"dataset_id": dataset_id, "scoring_functions": functions or [], "metadata": told}
    return Resource("benchmark", "b", "bedrock", "b", attributes)


def settings(jobs: BedrockEvaluationJobs, bucket: str, **more: Any) -> dict[str, Any]:
    places = {"s3_uri": f"s3://{bucket}/evals", "evaluation_role_arn": ROLE, "s3_endpoint_url": jobs.s3}
    return {"endpoint_url": jobs.url, "region_name": REGION, "total_max_attempts": 1, **KEYS, **places, **more}


@pytest.fixture
async def world(moto_endpoint: str, bucket: str) -> AsyncIterator[World]:
    rows = Rows({"d": [{"question": f"what is {n % 2}", "answer": str(n)} for n in range(4)]})
    jobs = BedrockEvaluationJobs(s3=moto_endpoint)
    async with running(jobs):
        config = Config.model_validate(settings(jobs, bucket, evaluator_model=JUDGE))
        provider = connect("bedrock", config, {"dataset_rows": rows})
        assert isinstance(provider, BedrockEvaluations)
        yield World(jobs, rows, provider, bucket)
        await provider.close()


async def test_rows_become_prompts_and_scores_come_back_in_their_order(world: World) -> None:
    world.jobs.score = lambda reference, _: float(reference) / 2
    result = await world.result(benchmark())
    assert [generation["generated_answer"] for generation in result["generations"]] == ["WHAT IS 0", "WHAT IS 1"] * 2
    assert set(result["scores"]) == {"Builtin.Accuracy", "Builtin.Robustness"}
    accuracy = result["scores"]["Builtin.Accuracy"]
    assert [row["score"] for row in accuracy["score_rows"]] == [0.0, 0.5, 1.0, 1.5]
    assert accuracy["aggregated_results"] == {"average": {"average": 0.75}}


async def test_a_job_says_the_task_the_metrics_the_judge_and_the_model_with_its_sampling(world: World) -> None:
    await world.provider.run_eval(benchmark(), CONFIG)
    asked = world.last
    automated = asked["evaluationConfig"]["automated"]
    [part] = automated["datasetMetricConfigs"]
    assert (part["taskType"], part["metricNames"]) == (METADATA["taskType"], METADATA["metricNames"])
    assert part["dataset"]["datasetLocation"]["s3Uri"].startswith(f"s3://{world.bucket}/evals/eval-")
    assert automated["evaluatorModelConfig"] == {"bedrockEvaluatorModels": [{"modelIdentifier": JUDGE}]}
    [model] = asked["inferenceConfig"]["models"]
    assert model["bedrockModel"]["modelIdentifier"] == MODEL
    told = '{"inferenceConfig": {"temperature": 0.5, "topP": 0.9, "maxTokens": 99}}'
    assert model["bedrockModel"]["inferenceParams"] == told
    assert asked["applicationType"] == "ModelEvaluation"


async def test_a_dataset_of_bedrocks_own_has_no_place_and_its_records_are_shown(world: World) -> None:
    of_builtin = benchmark("Builtin.Bold", metricNames=["Builtin.Toxicity"])
    await world.provider.check_benchmark(of_builtin)
    result = await world.result(of_builtin)
    [part] = world.last["evaluationConfig"]["automated"]["datasetMetricConfigs"]
    assert part["dataset"] == {"name": "Builtin.Bold"}
    assert len(result["generations"]) == len(result["scores"]["Builtin.Toxicity"]["score_rows"]) == 3


async def test_a_judge_and_metrics_of_ones_own_are_in_the_metadata(world: World) -> None:
    metric = {"name": "Tone", "instructions": "Is it kind? {{prediction}}"}
    await world.provider.run_eval(
        benchmark(metricNames=["Tone"], evaluatorModel="amazon.other-v1:0", customMetrics=[metric]), CONFIG
    )
    automated = world.last["evaluationConfig"]["automated"]
    judges = {"bedrockEvaluatorModels": [{"modelIdentifier": "amazon.other-v1:0"}]}
    assert automated["customMetricConfig"]["customMetrics"] == [{"customMetricDefinition": metric}]
    assert automated["evaluatorModelConfig"] == automated["customMetricConfig"]["evaluatorModelConfig"] == judges


async def test_metrics_may_be_the_scoring_functions_and_examples_are_as_many_as_asked_for(world: World) -> None:
    of_functions = benchmark(functions=["Builtin.Accuracy"], metricNames=None)
    await world.provider.check_benchmark(of_functions)
    result = await world.result(of_functions, {**CONFIG, "num_examples": 2})
    assert len(result["generations"]) == 2
    assert list(result["scores"]) == ["Builtin.Accuracy"]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (benchmark(taskType="Poetry"), "taskType"),
        (benchmark(metricNames=[]), "metricNames"),
        (benchmark(metricNames=["no/metric"]), "metricNames"),
        (benchmark("unknown"), "unknown"),
    ],
)
async def test_a_benchmark_that_bedrock_could_not_evaluate_is_refused(
    world: World, made: Resource, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        await world.provider.check_benchmark(made)


async def test_what_is_too_much_or_no_model_is_refused_before_anything_is_asked(world: World) -> None:
    world.rows.datasets |= {"many": [{"question": "q"}] * 1001, "odd": [{"question": "q"}, {"text": "t"}]}
    with pytest.raises(InvalidRequest, match="1000"):
        await world.provider.run_eval(benchmark("many"), CONFIG)
    with pytest.raises(InvalidRequest, match="Row 1"):
        await world.provider.run_eval(benchmark("odd"), CONFIG)
    with pytest.raises(InvalidRequest, match="models alone"):
        await world.provider.run_eval(benchmark(), {"eval_candidate": {"type": "agent", "config": {}}})
    with pytest.raises(InvalidRequest, match="as a job"):
        await world.provider.evaluate_rows(benchmark(), [{}], [], CONFIG)
    assert not world.jobs.jobs
    with aws_client("s3", world.jobs.s3) as s3:
        kept = s3.list_objects_v2(Bucket=world.bucket).get("Contents", [])
    assert kept == []


async def test_a_job_is_stopped_and_has_no_result_before_its_end(world: World) -> None:
    world.jobs.held = True
    job = await world.provider.run_eval(benchmark(), CONFIG)
    with pytest.raises(Conflict, match="in_progress"):
        await world.provider.job_result(benchmark(), job["job_id"])
    await world.provider.job_cancel(benchmark(), job["job_id"])
    assert (await world.provider.job_status(benchmark(), job["job_id"]))["status"] == "cancelled"
    await world.provider.job_cancel(benchmark(), job["job_id"])


async def test_why_a_job_failed_is_told_and_one_that_ended_is_not_cancelled(world: World) -> None:
    job = await world.provider.run_eval(benchmark(), CONFIG)
    made = [*world.jobs.jobs.values()][-1]
    made.status, made.messages = "Failed", ["The judge was not allowed."]
    shown = await world.provider.job_status(benchmark(), job["job_id"])
    assert (shown["status"], shown["error"]["message"]) == ("failed", "The judge was not allowed.")
    with pytest.raises(Conflict, match="failed"):
        await world.provider.job_cancel(benchmark(), job["job_id"])


@pytest.mark.parametrize("job_id", ["0", "999999999999-000000000009", "x" * 400, "123456789012-../../etc"])
async def test_an_id_of_no_job_is_not_found(world: World, job_id: str) -> None:
    with pytest.raises(NotFound):
        await world.provider.job_status(benchmark(), job_id)


async def test_its_health_is_that_of_its_jobs(world: World) -> None:
    assert await world.provider.health() == {"status": "OK"}


async def test_a_role_that_bedrock_cannot_assume_is_its_refusal(world: World) -> None:
    other = settings(world.jobs, world.bucket, evaluation_role_arn="arn:aws:iam::123456789012:role/none")
    provider = BedrockEvaluations("bedrock", Config.model_validate(other), world.rows)
    with pytest.raises((InvalidRequest, UpstreamFailed)):
        await provider.run_eval(benchmark(), CONFIG)
    await provider.close()


@pytest.mark.parametrize(
    "more", [{"s3_uri": "https://bucket"}, {"evaluation_role_arn": None}, {"evaluation_role_arn": "r"}]
)
def test_a_config_without_a_place_or_a_role_is_refused(more: dict[str, Any]) -> None:
    good = {"s3_uri": "s3://bucket/evals", "evaluation_role_arn": ROLE}
    with pytest.raises(ValidationError):
        Config.model_validate({**good, **more})


ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), min_size=1, max_size=12)


@given(ROWS, st.randoms())
def test_each_row_gets_its_own_score_in_whichever_order_results_come(rows: list[tuple[str, str]], order: Any) -> None:
    """Records have no ids: those that are alike get the scores of those that are alike."""
    results, lines = Results(), list[JsonObject]()
    for at, (prompt, reference) in enumerate(rows):
        line = to_line({"question": prompt, "answer": reference}, at)
        results.expect(line)
        score = {"metricName": "m", "result": prompt + reference}
        responses = [{"response": prompt}]
        record = {"scores": [score]}
        lines.append(
            {"automatedEvaluationResult": record, "inputRecord": json.loads(line), "modelResponses": responses}
        )
    order.shuffle(lines)
    results.begin_file()
    for each in lines:
        results.add(json.dumps(each).encode())
    answer = results.answer()
    assert [row["score"] for row in answer["scores"]["m"]["score_rows"]] == [p + r for p, r in rows]
    assert [row["generated_answer"] for row in answer["generations"]] == [prompt for prompt, _ in rows]


@given(st.binary(max_size=60))
def test_no_line_of_an_output_breaks_what_reads_it(line: bytes) -> None:
    results = Results()
    results.begin_file()
    results.add(line)
    assert results.answer()["generations"] in ([], [{"generated_answer": None}])
