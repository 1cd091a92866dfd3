"""A row is evaluated: a candidate's generation, and its scores, as one step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.apis.evals import BenchmarkConfig
from core.apis.scoring import RowScoring, Scorers
from core.errors import ApiError, InvalidRequest, NotFound
from core.frame.callers import ANONYMOUS, Call
from core.frame.types import JsonObject
from core.services.evals.candidates import Asked
from core.services.evals.rows import GENERATED, input_of, scored_row
from core.services.parts import Parts, surface_for

JUDGES: Final = "judges"
"""Whose tokens are those of scoring: which models judge is the functions' matter."""
NO_SCORING: Final = "This stack scores nothing: it has no provider of `scoring`."

type Functions = Mapping[str, JsonObject | None]
"""Params by function, None where its own hold."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a row came to; `tokens` are by model."""

    generation: JsonObject
    scores: Mapping[str, JsonObject]
    tokens: Mapping[str, int]


class RowEvaluator:
    """Functions are looked up for each row: what judging one uses is charged to its own call."""

    def __init__(self, parts: Parts, asked: Asked, functions: Functions) -> None:
        self._parts = parts
        self._asked = asked
        self._functions = functions

    async def evaluate(self, row: JsonObject, call: Call) -> Evaluation:
        """Raises what the candidate raises; a score that cannot be told is null."""
        generation = await self._asked.generate(row, call)
        generated = call.tokens or 0
        scores: Mapping[str, JsonObject] = {}
        if self._functions:
            scorers = await scorers_for(self._parts, self._functions, call)
            scores = await scorers.score(scored_row(row, generation))
        tokens = {self._asked.name: generated, JUDGES: (call.tokens or 0) - generated}
        return Evaluation(generation, scores, {name: count for name, count in tokens.items() if count > 0})


async def scorers_for(parts: Parts, functions: Functions, call: Call | None) -> Scorers:
    """Raises NotFound for a function that is not there, InvalidRequest for params that it cannot use."""
    scoring: RowScoring | None = surface_for(parts, "row_scoring", call)
    if scoring is None:
        raise NotFound(NO_SCORING)
    return await scoring.prepare(functions)


def functions_of(names: Sequence[str], config: BenchmarkConfig) -> dict[str, JsonObject | None]:
    """With the params of the request."""
    params = config.scoring_params or {}
    return {name: None if params.get(name) is None else params[name].model_dump(exclude_unset=True) for name in names}  # type: ignore[union-attr]


def check_rows(rows: Sequence[JsonObject], scorers: Scorers | None, path: str, first: int = 0) -> None:
    """Raises InvalidRequest, which names the row, for one without an input, or without a column that a function reads."""
    for at, row in enumerate(rows, first):
        try:
            input_of(row)
        except InvalidRequest as refusal:
            raise name_row(refusal, f"{path}[{at}]") from None
    if scorers is not None:
        scorers.check([scored_row(row, {GENERATED: "", "context": ""}) for row in rows], first)


def name_row(failure: ApiError, name: str) -> ApiError:
    """The failure, of the row of this name."""
    failure.message = f"{name}: {failure.message}"
    failure.param = failure.param or name
    return failure


def call_or_anonymous(call: Call | None) -> Call:
    return call or Call(ANONYMOUS)


def error_of(failure: ApiError) -> dict[str, Any]:
    """As a generation has it."""
    return {"code": failure.code, "message": failure.message}
