"""Evaluations: benchmarks, and what candidates make of their rows."""

from typing import Final

from core.apis.manifests.responses import API as AGENTS
from core.frame.api import Api, Deployment, Eraser, JobRow, Surface
from core.frame.operations import Operation
from core.frame.resources import Kind

TYPES: Final = "core.apis.evals"
ANSWERS: Final = "core.apis.answers.evals"
JOB: Final = f"{ANSWERS}:EvalJob"
RESULT: Final = f"{ANSWERS}:EvalResult"

BENCHMARK: Final = Kind(
    name="benchmark",
    api="eval",
    path="/v1/eval/benchmarks",
    further_paths=("/v1alpha/eval/benchmarks",),
    section="benchmarks",
    id_field="benchmark_id",
    provider_id_field="provider_benchmark_id",
    body=f"{TYPES}:RegisterBenchmark",
    fields={"dataset_id": "", "scoring_functions": [], "metadata": {}},
    check="check_benchmark",
    response=f"{ANSWERS}:Benchmark",
)


def paths(path: str) -> tuple[str, str]:
    """Under both prefixes: /v1 of 0.2 and, for clients of 0.7, /v1alpha."""
    below = f"/eval/benchmarks/{{benchmark_id}}/{path}"
    return (f"/v1{below}", f"/v1alpha{below}")


EVALS: Final = (
    Operation(
        "POST",
        paths("evaluations"),
        "evaluate_rows",
        "Evaluate rows that come with the request.",
        request=f"{TYPES}:EvaluateRows",
        response=RESULT,
        tokens=f"{TYPES}:most_tokens",
        parts=f"{TYPES}:count_rows",
        model="candidate_model",
    ),
    Operation(
        "POST",
        paths("jobs"),
        "run_eval",
        "Evaluate the dataset of a benchmark in a job.",
        request=f"{TYPES}:RunEval",
        query=f"{TYPES}:RunEvalQuery",
        response=JOB,
    ),
    Operation("GET", paths("jobs/{job_id}"), "job_status", "Show how far an evaluation is.", response=JOB, tagged=True),
    Operation(
        "DELETE",
        paths("jobs/{job_id}"),
        "job_cancel",
        "Stop an evaluation, and keep what was evaluated.",
        reply="none",
        counted=False,
    ),
    Operation(
        "GET",
        paths("jobs/{job_id}/result"),
        "job_result",
        "Get the generations and scores of an evaluation.",
        response=RESULT,
        reply="bytes",
    ),
)

KEPT: Final = ("eval_agent", "eval_count", "eval_run")
READ: Final = ("dataset", *AGENTS.collections)
"""Of who evaluates: rows, and candidates that are agents."""

API: Final = Api(
    "eval",
    surfaces=(Surface("evals", f"{TYPES}:Evals", EVALS),),
    assemble="core.services.evals.assemble:assemble",
    kinds=(BENCHMARK,),
    provider=f"{TYPES}:EvalProvider",
    depends=("datasetio", "scoring", "inference", "safety", "files", "responses", "vector_io", "tool_runtime"),
    stores=("documents", "blobs", "jobs", "queue"),
    collections=(*KEPT, *READ),
    eraser=Eraser("core.services.evals.erasing:erase", KEPT),
    jobs=(JobRow("eval", "core.services.evals.job.kind:eval_job", has_runs=True, about=("benchmark_id", "number")),),
    deployment=Deployment(rights=AGENTS.deployment.rights, switch="HasEvaluation"),
)
