"""The scoring API: functions that say how good answers are, row by row, and what becomes of all rows together.

Sources: Scoring and ScoringFunctions of Llama Stack 0.2.12 and 0.7.3.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NotRequired, Protocol, TypedDict, override

from pydantic import ConfigDict, Field

from core.apis.answers.scoring import ScoreAnswer, ScoreBatchAnswer, ScoreRow
from core.apis.inference import Name
from core.errors import InvalidRequest, shorten
from core.frame.resources import Resource, present
from core.frame.types import Health, JsonObject, Wire

type Aggregation = Literal["average", "weighted_average", "median", "categorical_count", "accuracy"]
type Regex = Annotated[str, Field(min_length=1, max_length=2_000)]

MOST_FUNCTIONS: Final = 32
"""That one request may name."""
MOST_ROWS: Final = 10_000
"""Of one request; a dataset may have more, which a job works on."""
MOST_REGEXES: Final = 200
MOST_TEMPLATE: Final = 100_000
"""Characters of a prompt for a judge."""
MOST_REFUSAL: Final = 500  # characters of it that a row says


def refused_judgement(refusal: str) -> InvalidRequest:
    """Of a row whose judge was not asked, or would not judge, by what was answered instead; asked again it would be the same."""
    return InvalidRequest(
        f"It was not judged: the judge, or a shield that guards it, refused with: {shorten(refusal, MOST_REFUSAL)}"
    )


class ReturnType(Wire):
    """What a score is; a judge's answers are read as numbers where it is `number`."""

    type: Literal[
        "string",
        "number",
        "boolean",
        "array",
        "object",
        "json",
        "union",
        "chat_completion_input",
        "completion_input",
        "agent_turn_input",
    ]


class ScoringParams(Wire):
    """The three forms of the reference in one, told apart by `type`: `basic`, `regex_parser`, `llm_as_judge`; a provider of another package may have its own.

    Those of a request are laid over those of the function, for this request alone.
    """

    model_config = ConfigDict(protected_namespaces=())

    type: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    aggregation_functions: Annotated[list[Aggregation], Field(max_length=16)] | None = None
    parsing_regexes: Annotated[list[Regex], Field(max_length=MOST_REGEXES)] | None = None
    judge_model: Name | None = None
    prompt_template: Annotated[str, Field(min_length=1, max_length=MOST_TEMPLATE)] | None = None
    judge_score_regexes: Annotated[list[Regex], Field(max_length=MOST_REGEXES)] | None = None


class RegisterScoringFunction(Wire):
    """`provider_scoring_fn_id` defaults to `scoring_fn_id`, `provider_id` to the only scoring provider."""

    model_config = ConfigDict(extra="forbid")

    scoring_fn_id: Name
    description: Annotated[str, Field(max_length=10_000)] | None = None
    return_type: ReturnType
    provider_scoring_fn_id: Name | None = None
    provider_id: Annotated[str, Field(min_length=1)] | None = None
    params: ScoringParams | None = None
    metadata: dict[str, Any] | None = None


Functions = Annotated[dict[Name, ScoringParams | None], Field(min_length=1)]
"""Ids of functions, with params for this request where there are any."""


def _check_functions(functions: Mapping[str, object]) -> None:
    if len(functions) > MOST_FUNCTIONS:
        raise InvalidRequest(
            f"scoring_functions: has {len(functions)} entries; one request takes at most {MOST_FUNCTIONS}.",
            param="scoring_functions",
        )


class ScoreRequest(Wire):
    input_rows: Annotated[list[dict[str, Any]], Field(max_length=MOST_ROWS)]
    scoring_functions: Functions

    @property
    def judge_model(self) -> str:
        """The one that the request names; "" where it names none, or several: what a function asks else, it knows itself."""
        models = (params.judge_model for params in self.scoring_functions.values() if params is not None)
        judges = {model for model in models if model}
        return judges.pop() if len(judges) == 1 else ""

    @override
    def check_body(self) -> None:
        _check_functions(self.scoring_functions)


class ScoreBatchRequest(Wire):
    dataset_id: Name
    scoring_functions: Functions
    save_results_dataset: bool | None = None

    @override
    def check_body(self) -> None:
        _check_functions(self.scoring_functions)


def count_rows(request: ScoreRequest) -> int:
    """How many requests it counts as: each row may ask a model, by every function."""
    return max(1, len(request.input_rows))


def present_function(function: Resource) -> JsonObject:
    """With what readers of the reference look for in every `params`, whatever was registered."""
    shown = present(function)
    params: JsonObject = shown["params"] or {}
    form = "llm_as_judge" if "judge_model" in params else "regex_parser" if "parsing_regexes" in params else "basic"
    shown["params"] = {"type": form, "aggregation_functions": [], **params}
    return shown


class Scoring(Protocol):
    """Functions are looked up as the caller: those of others are NotFound."""

    async def score(self, request: ScoreRequest) -> ScoreAnswer:
        """Every row by every function; no rows have no scores.

        Raises:
            NotFound: there is no such function.
            InvalidRequest: a row has not what a function reads, or params are none that the function can use.
        """
        ...

    async def score_batch(self, request: ScoreBatchRequest) -> ScoreBatchAnswer:
        """As `score`, of a dataset, in a job that is waited for.

        Raises:
            UpstreamTimeout: it takes longer than there is time for; the message names the job, which goes on.
        """
        ...


class Scorers(Protocol):
    """Functions that were looked up for one caller, with the params that hold for this work."""

    @property
    def ids(self) -> Sequence[str]: ...

    def columns(self, function_id: str) -> Sequence[str]:
        """The columns that a row must have for this function."""
        ...

    def check(self, rows: Sequence[JsonObject], first: int = 0) -> None:
        """Raise InvalidRequest for the first row without a column that is read; `first` is the number of the first of `rows`."""
        ...

    async def score(self, row: JsonObject) -> dict[str, ScoreRow]:
        """By the functions' ids; what cannot be judged has the score null, with an `error`: nothing is raised for one row."""
        ...

    def aggregate(self, function_id: str, rows: Sequence[ScoreRow]) -> JsonObject:
        """`{aggregation: {...}}`, as the function's params name them."""
        ...


class RowScoring(Protocol):
    """For other services of the same call, as evaluations."""

    async def prepare(self, functions: Mapping[str, JsonObject | None]) -> Scorers:
        """The functions by their ids, with the params that are to be laid over their own.

        Raises:
            NotFound: there is no such function.
            InvalidRequest: params that the function cannot use.
        """
        ...


class ScoringFunctionOffer(TypedDict):
    """What a provider has under an id of its own, as `basic::equality`; `columns` are what it reads of a row.

    `params` always have `aggregation_functions`.
    """

    id: str
    provider_resource_id: str
    description: str
    return_type: JsonObject
    params: JsonObject
    columns: Sequence[str]
    metadata: NotRequired[JsonObject]


class ScoringProvider(Protocol):
    """What a scoring provider offers. `params` are a function's own with those of the request over them; nothing of them outlives the call."""

    def functions(self) -> Sequence[ScoringFunctionOffer]:
        """Its own, at once; what it needs to score is imported when it scores."""
        ...

    async def check_function(self, function: Resource, params: JsonObject | None = None) -> None:
        """Raise InvalidRequest for a function that it cannot serve, or not with these params, as a regex that RE2 has not.

        Without `params` those of the function are meant: it is being registered.
        """
        ...

    async def score_row(self, function: Resource, row: JsonObject, params: JsonObject) -> ScoreRow:
        """A dict with `score`; raises InvalidRequest for a row that it cannot read, and ApiError for one that could not be judged."""
        ...

    async def health(self) -> Health:
        """Ask the provider; never raises for a provider that is down."""
        ...

    async def close(self) -> None: ...


class TellsColumns(Protocol):
    """What a scoring provider may have too, whose functions read what their params say."""

    def columns(self, function: Resource, params: JsonObject) -> Sequence[str]:
        """The columns that a row must have."""
        ...


class ScoresMany(Protocol):
    """What a scoring provider may have too, that is asked of many rows at once."""

    async def score_rows(self, function: Resource, rows: Sequence[JsonObject], params: JsonObject) -> list[ScoreRow]:
        """A score for each row, in their order."""
        ...
