"""What a job of Bedrock's is asked with, of a benchmark and a config. Pure.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateEvaluationJob.html.
"""

from collections.abc import Sequence
import json
import re
from typing import Any, Final, cast

from core.errors import InvalidRequest
from core.frame.resources import Resource
from core.frame.types import JsonObject
from core.platform.json_values import to_object

BUILT_IN: Final = "Builtin."
TASKS: Final = ("Summarization", "Classification", "QuestionAndAnswer", "Generation", "Custom")
METRIC: Final = re.compile(r"[0-9a-zA-Z_.-]{1,63}")
MOST_METRICS: Final = 25
MOST_PROMPTS: Final = 1000
"""Of a dataset of one's own, at Bedrock."""
NAME: Final = re.compile(r"[^0-9a-zA-Z_.-]+")
MOST_NAME: Final = 63
MODELS: Final = "benchmark_config.eval_candidate: Bedrock's evaluations are of models alone."
SAMPLING: Final = {"temperature": "temperature", "top_p": "topP", "max_tokens": "maxTokens", "stop": "stopSequences"}
"""Of ours by those of Converse, which inferenceParams has."""


def is_built_in(dataset_id: str) -> bool:
    """Whether it is one of Bedrock's own, as `Builtin.Bold`."""
    return dataset_id.startswith(BUILT_IN)


def check_metadata(benchmark: Resource) -> None:
    """Raises InvalidRequest for a benchmark that says not what Bedrock must know."""
    metadata = to_object(benchmark.attributes["metadata"])
    if metadata.get("taskType") not in TASKS:
        raise InvalidRequest(f"metadata.taskType: must be one of {', '.join(TASKS)}.", param="metadata.taskType")
    metrics = metrics_of(benchmark)
    if not 0 < len(metrics) <= MOST_METRICS or not all(METRIC.fullmatch(name) for name in metrics):
        raise InvalidRequest(
            f"metadata.metricNames: must be 1 to {MOST_METRICS} names of metrics, as Builtin.Accuracy.",
            param="metadata.metricNames",
        )


def metrics_of(benchmark: Resource) -> list[str]:
    """Those of the metadata, or the scoring functions, where they are named as Bedrock's are."""
    names: Any = to_object(benchmark.attributes["metadata"]).get("metricNames")
    own: Any = benchmark.attributes["scoring_functions"] if names is None else names
    return [str(name) for name in cast("Sequence[object]", own)] if isinstance(own, list) else []


def create_request(
    benchmark: Resource, config: JsonObject, *, name: str, location: str | None, judge: str | None
) -> JsonObject:
    """Without the role and the place of the output; raises InvalidRequest for a candidate that is no model."""
    candidate = to_object(config.get("eval_candidate"))
    if candidate.get("type") != "model":
        raise InvalidRequest(MODELS, param="benchmark_config.eval_candidate")
    metadata = to_object(benchmark.attributes["metadata"])
    dataset: JsonObject = {"name": NAME.sub("-", benchmark.attributes["dataset_id"])[:MOST_NAME]}
    if location is not None:
        dataset["datasetLocation"] = {"s3Uri": location}
    part = {"taskType": metadata["taskType"], "dataset": dataset, "metricNames": metrics_of(benchmark)}
    automated: JsonObject = {"datasetMetricConfigs": [part]}
    judge = metadata.get("evaluatorModel") or judge
    if judge:
        judges = {"bedrockEvaluatorModels": [{"modelIdentifier": judge}]}
        automated["evaluatorModelConfig"] = judges
        if metadata.get("customMetrics"):
            metrics = [{"customMetricDefinition": metric} for metric in metadata["customMetrics"]]
            automated["customMetricConfig"] = {"customMetrics": metrics, "evaluatorModelConfig": judges}
    model: JsonObject = {"modelIdentifier": candidate.get("provider_resource_id") or candidate["model"]}
    if (params := inference_params(to_object(candidate.get("sampling_params")))) != "{}":
        model["inferenceParams"] = params
    return {
        "jobName": name,
        "clientRequestToken": name,
        "applicationType": "ModelEvaluation",
        "evaluationConfig": {"automated": automated},
        "inferenceConfig": {"models": [{"bedrockModel": model}]},
    }


def inference_params(sampling: JsonObject) -> str:
    """As JSON, `{}` where nothing is said."""
    strategy = to_object(sampling.get("strategy"))
    options = {**strategy, **sampling} if strategy.get("type") != "greedy" else {"temperature": 0.0, **sampling}
    converse = {name: options[own] for own, name in SAMPLING.items() if options.get(own) not in (None, 0, [], "")}
    if options.get("temperature") == 0:
        converse["temperature"] = 0.0
    return json.dumps({"inferenceConfig": converse}) if converse else "{}"
