"""What the scoring API answers."""

from typing import Any, Literal, NotRequired, TypedDict

type ScoreRow = dict[str, Any]
"""`score`, which is null where `error` says why there is none, and what a function says beside it."""


class ScoringResult(TypedDict):
    """Of one function: a score for each row, in their order. `aggregated_results` are by the names of the aggregations.

    `errors` is how many rows have no score because judging them failed; it is there if any did.
    """

    score_rows: list[ScoreRow]
    aggregated_results: dict[str, Any]
    errors: NotRequired[int]


class ScoreAnswer(TypedDict):
    """`results` are by the ids of the functions."""

    results: dict[str, ScoringResult]


class ScoreBatchAnswer(TypedDict):
    """`dataset_id` is of the dataset that the scores were saved in, null where that was not wanted."""

    dataset_id: str | None
    results: dict[str, ScoringResult]


class ReturnTypeView(TypedDict):
    type: str


class ScoringFunctionView(TypedDict):
    """`params` always say what `aggregation_functions` there are, for the command line of 0.2."""

    identifier: str
    provider_resource_id: str
    provider_id: str
    type: Literal["scoring_function"]
    owner: NotRequired[str]
    description: str
    metadata: dict[str, Any]
    return_type: ReturnTypeView
    params: dict[str, Any]
