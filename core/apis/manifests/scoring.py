"""Scoring: how good answers are, row by row, by functions that are built in or registered."""

from typing import Final

from core.frame.api import Api, Deployment, JobRow, Surface
from core.frame.operations import Operation
from core.frame.resources import Kind

TYPES: Final = "core.apis.scoring"
ANSWERS: Final = "core.apis.answers.scoring"
NO_BOUND: Final = "core.apis.inference:no_bound"

FUNCTION: Final = Kind(
    name="scoring_function",
    api="scoring",
    path="/v1/scoring-functions",
    section="scoring_fns",
    id_field="scoring_fn_id",
    provider_id_field="provider_scoring_fn_id",
    body=f"{TYPES}:RegisterScoringFunction",
    fields={"description": "", "metadata": {}, "return_type": {"type": "number"}, "params": {}},
    check="check_function",
    present=f"{TYPES}:present_function",
    response=f"{ANSWERS}:ScoringFunctionView",
    built_in="functions",
)

OPERATIONS: Final = (
    Operation(
        "POST",
        ("/v1/scoring/score",),
        "score",
        "Score rows.",
        request=f"{TYPES}:ScoreRequest",
        response=f"{ANSWERS}:ScoreAnswer",
        tokens=NO_BOUND,
        parts=f"{TYPES}:count_rows",
        model="judge_model",
    ),
    Operation(
        "POST",
        ("/v1/scoring/score-batch",),
        "score_batch",
        "Score the rows of a dataset, in a job that is waited for.",
        request=f"{TYPES}:ScoreBatchRequest",
        response=f"{ANSWERS}:ScoreBatchAnswer",
    ),
)

API: Final = Api(
    "scoring",
    surfaces=(
        Surface("scoring", f"{TYPES}:Scoring", OPERATIONS),
        Surface("row_scoring", f"{TYPES}:RowScoring", ()),  # for evaluations: it has no routes
    ),
    assemble="core.services.scoring.assemble:assemble",
    kinds=(FUNCTION,),
    provider=f"{TYPES}:ScoringProvider",
    depends=("inference", "safety", "datasetio"),  # judges are models, which shields guard
    optional_stores=("documents", "blobs", "jobs", "queue"),  # for a dataset that is scored
    collections=("dataset", "dataset_owner"),
    jobs=(JobRow("score", "core.services.scoring.job:score_job"),),
    deployment=Deployment(
        rights=("CallModels", "CallModelsBehindProfiles", "ApplyGuardrails", "FileBuckets"), switch="HasEvaluation"
    ),
)
