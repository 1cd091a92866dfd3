"""Evaluations: what a candidate makes of the rows of a dataset, and how that scores.

A benchmark is a dataset with the scoring functions that judge its rows. Source: Eval of Llama Stack 0.2.12 and 0.7.3.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Protocol, override, runtime_checkable

from pydantic import Field

from core.apis import bounds
from core.apis.agents import AgentConfig
from core.apis.answers.evals import EvalJob, EvalResult
from core.apis.inference import Name
from core.apis.native import Message, SamplingParams
from core.apis.scoring import ScoringParams
from core.errors import InvalidRequest
from core.frame.content import Bytes, Redirect
from core.frame.forms import IdempotencyKey
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject, Query, Wire

MOST_FUNCTIONS: Final = 32
"""Scoring functions of one benchmark, and of one request."""
MOST_ROWS: Final = 100
"""Of a request that is answered at once."""
AT_ONCE: Final = 20
"""Rows that a worker has under way at most, unless the run config says otherwise."""
WAIT_SECONDS: Final = 20.0
"""For which a request for an evaluation waits for its end: clients of 2025 read the result at once."""

TOO_MANY_ROWS: Final = (
    "input_rows: at most {} rows are evaluated in a request. Make a dataset of them, and run the benchmark as a job."
)


class RegisterBenchmark(Wire):
    benchmark_id: Name
    dataset_id: Name
    scoring_functions: Annotated[list[Name], Field(max_length=MOST_FUNCTIONS)]
    provider_benchmark_id: str | None = None
    provider_id: str | None = None
    metadata: dict[str, Any] | None = None


class ModelCandidate(Wire):
    """`temperature`, `top_p` and `repeat_penalty` may stand at the top of `sampling_params` too, as 0.2's command line has them."""

    type: Literal["model"]
    model: Name
    sampling_params: SamplingParams | None = None
    system_message: Message | None = None


class AgentCandidate(Wire):
    type: Literal["agent"]
    config: AgentConfig


type Candidate = Annotated[ModelCandidate | AgentCandidate, Field(discriminator="type")]


class BenchmarkConfig(Wire):
    """`scoring_params` are by scoring function, and in the place of its own."""

    eval_candidate: Candidate
    scoring_params: dict[str, ScoringParams | None] | None = None
    num_examples: Annotated[int, Field(ge=1)] | None = None


class RunEval(Wire):
    benchmark_config: BenchmarkConfig


class EvaluateRows(Wire):
    """`scoring_functions` are those to use, whatever the benchmark has."""

    input_rows: list[dict[str, Any]]
    scoring_functions: Annotated[list[Name], Field(max_length=MOST_FUNCTIONS)]
    benchmark_config: BenchmarkConfig

    @property
    def candidate_model(self) -> str:
        """Whose tokens the candidate's are."""
        candidate = self.benchmark_config.eval_candidate
        return candidate.model if isinstance(candidate, ModelCandidate) else candidate.config.model

    @override
    def check_body(self) -> None:
        if len(self.input_rows) > MOST_ROWS:
            raise InvalidRequest(TOO_MANY_ROWS.format(MOST_ROWS), param="input_rows")


class RunEvalQuery(Query):
    """With the header Idempotency-Key an evaluation is made once, as long as its key is one of the last that the benchmark had (MOST_KEYS of `core.services.evals.numbering`)."""

    idempotency_key: IdempotencyKey | None = None


def count_rows(request: EvaluateRows) -> int:
    """How many requests it counts as."""
    return max(1, len(request.input_rows))


def most_tokens(request: EvaluateRows) -> int:
    """How many tokens the candidate may make of all rows; see `core.apis.bounds`. Judges' are counted when they were used."""
    candidate = request.benchmark_config.eval_candidate
    params = candidate.sampling_params if isinstance(candidate, ModelCandidate) else candidate.config.sampling_params
    most = (params.max_tokens if params is not None else None) or 0
    return bounds.most_tokens({"max_tokens": most}, len(request.input_rows))


class Evals(Protocol):
    """Evaluations of the caller's. `job_id` counts within a benchmark and its caller, from "0"."""

    async def run_eval(self, request: RunEval, benchmark_id: str, *, query: RunEvalQuery) -> EvalJob:
        """A new job, or that of before with the same key. It is waited for a while: what is quick has ended by the answer.

        Raises:
            Conflict: the key came with another evaluation before.
            NotFound: no such benchmark, or its dataset or a scoring function is gone.
            InvalidRequest: the candidate or the parameters of a scoring function make no sense.
        """
        ...

    async def evaluate_rows(self, request: EvaluateRows, benchmark_id: str) -> EvalResult:
        """At once; raises as `run_eval`, and what a row was refused with, which is named."""
        ...

    async def job_status(self, benchmark_id: str, job_id: str) -> EvalJob:
        """Raises NotFound."""
        ...

    async def job_cancel(self, benchmark_id: str, job_id: str) -> None:
        """Stop it, and keep what was evaluated; once more is no failure.

        Raises:
            Conflict: it has ended otherwise.
        """
        ...

    async def job_result(self, benchmark_id: str, job_id: str) -> Bytes | Redirect:
        """An EvalResult as JSON; of a job that was stopped, rows that were not evaluated have an error.

        Raises:
            Conflict: it has not ended, or failed.
        """
        ...


@dataclass(frozen=True, slots=True)
class EvalSettings:
    """`at_once` is how many rows a worker has under way at most, `wait` for how many seconds a request waits for its job."""

    at_once: int = AT_ONCE
    wait: float = WAIT_SECONDS


class EvalProvider(Protocol):
    """A provider of the API `eval`; one that has no `run_eval` leaves evaluations to the jobs of the stack."""

    async def check_benchmark(self, benchmark: Resource) -> None:
        """Raise InvalidRequest or NotFound for one that it could not evaluate; it is being registered."""
        ...

    async def health(self) -> Health:
        """Never raises for a provider that is down."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class HasEvalSettings(Protocol):
    """A provider that says how the jobs of the stack evaluate; without it they have the defaults."""

    settings: EvalSettings


class RunsEvaluations(Protocol):
    """What a provider has too that evaluates itself; its answers are the reference's, as JSON.

    Whose a job is, the stack knows: ids are the provider's, of one benchmark. A call of `core.frame.callers.CURRENT_CALL` is under way in every
    method. `config` is a BenchmarkConfig. Source: Eval of Llama Stack 0.2.12.
    """

    async def run_eval(self, benchmark: Resource, config: JsonObject) -> JsonObject:
        """`{"job_id", "status"}`."""
        ...

    async def evaluate_rows(
        self, benchmark: Resource, rows: list[JsonObject], functions: list[str], config: JsonObject
    ) -> JsonObject:
        """`{"generations", "scores"}`; raises InvalidRequest where it evaluates whole benchmarks alone."""
        ...

    async def job_status(self, benchmark: Resource, job_id: str) -> JsonObject:
        """`{"job_id", "status"}`; raises NotFound for one that is not there."""
        ...

    async def job_cancel(self, benchmark: Resource, job_id: str) -> None: ...

    async def job_result(self, benchmark: Resource, job_id: str) -> JsonObject:
        """`{"generations", "scores"}`; raises Conflict for a job that has not ended."""
        ...
