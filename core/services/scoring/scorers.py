"""Scoring functions as a caller may use them, with the params of one piece of work, and what they make of its rows.

A row that cannot be judged has the score null and says why: it stops no other. What may pass, as a model's 429, is tried again.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from random import uniform
from typing import Any, Final

from core.apis.answers.scoring import ScoreRow, ScoringResult
from core.apis.scoring import ScoringParams, ScoringProvider
from core.errors import ApiError, InvalidRequest, ProviderUnavailable, shorten
from core.frame.callers import ANONYMOUS, ActingFor, Call
from core.frame.resources import Resource
from core.frame.types import JsonObject
from core.platform.concurrency import run_all
from core.routing.guard import GuardedRegistry
from core.services.scoring.aggregation import aggregate

AT_ONCE: Final = 20
"""Rows of one request, or of one worker, that are under way at most."""
TRIES: Final = 4
FIRST_WAIT: Final = 0.5  # seconds, of full jitter
LONGEST_WAIT: Final = 10.0
MARGIN: Final = 2.0
"""Seconds before an answer must leave from which no row is judged any more."""
THROTTLED: Final = 429
SERVER_ERROR: Final = 500
MOST_DIGITS: Final = 3  # of a Retry-After that is heeded
MOST_ERROR: Final = 1000  # characters of a row's error
NO_TIME: Final = "There was no time left to judge it. POST /v1/scoring/score-batch scores a dataset in a job."
SPENT: Final = "The quota of tokens is used up."
NO_ANSWER: Final = "Its provider gave no score."


@dataclass(frozen=True, slots=True)
class Scorer:
    """A function, who serves it, and what holds for this work."""

    function: Resource
    provider: ScoringProvider
    params: JsonObject
    columns: tuple[str, ...]

    def missing(self, row: JsonObject) -> str | None:
        """The first column that is read and not there."""
        return next((name for name in self.columns if name not in row), None)


class FunctionLookup:
    """Answers `core.apis.scoring.RowScoring`."""

    def __init__(self, functions: GuardedRegistry, providers: Mapping[str, ScoringProvider], call: Call | None) -> None:
        self._functions = functions
        self._providers = providers
        self._call = call or Call(ANONYMOUS)
        self._acting = call

    async def prepare(self, functions: Mapping[str, JsonObject | None]) -> "FunctionScorers":
        scorers = {name: await self._find(name, params) for name, params in functions.items()}
        return FunctionScorers(scorers, self._call, self._acting)

    async def _find(self, name: str, params: JsonObject | None) -> Scorer:
        function = await self._functions.get(name)
        provider = self._provider(function.provider_id)
        if provider is None:
            raise ProviderUnavailable(
                f"Scoring function `{name}` belongs to provider `{function.provider_id}`, which this stack does not configure."
            )
        offers = [o for o in provider.functions() if o["provider_resource_id"] == function.provider_resource_id]
        layers = [*(offer["params"] for offer in offers), function.attributes.get("params"), params]
        merged = _lay_over(*layers)
        with ActingFor(self._acting):
            await provider.check_function(function, merged)
        tell = getattr(
            provider, "columns", None
        )  # not by the type: one of another package hands on what it is asked for
        columns = [*(offers[0]["columns"] if offers else ())] if tell is None else tell(function, merged)
        return Scorer(function, provider, merged, tuple(columns))

    def _provider(self, provider_id: str) -> ScoringProvider | None:
        """With what the caller brings for it."""
        provider: Any = self._providers.get(provider_id)
        take = getattr(provider, "with_provider_data", None) if self._call.provider_data else None
        with ActingFor(self._acting):
            served: ScoringProvider | None = provider if take is None else take(self._call.provider_data)
        return served


def _lay_over(*layers: JsonObject | None) -> JsonObject:
    """What the later ones say goes first; it is nobody's but this work's."""
    merged: JsonObject = {}
    for layer in layers:
        merged |= {name: deepcopy(value) for name, value in (layer or {}).items() if value is not None}
    return merged


def dump_params(functions: Mapping[str, ScoringParams | None]) -> dict[str, JsonObject | None]:
    """As JSON, without what was not said."""
    return {
        name: None if params is None else params.model_dump(exclude_none=True) for name, params in functions.items()
    }


class FunctionScorers:
    """Answers `core.apis.scoring.Scorers`; `acting` is for whom providers act, None is the stack itself."""

    def __init__(self, scorers: Mapping[str, Scorer], call: Call, acting: Call | None) -> None:
        self._scorers = scorers
        self._call = call
        self._acting = acting
        self._until = None if call.until is None else call.until - MARGIN

    @property
    def ids(self) -> Sequence[str]:
        return tuple(self._scorers)

    def columns(self, function_id: str) -> Sequence[str]:
        return self._scorers[function_id].columns

    def check(self, rows: Sequence[JsonObject], first: int = 0) -> None:
        for number, row in enumerate(rows, first):
            for name, scorer in self._scorers.items():
                if (column := scorer.missing(row)) is not None:
                    raise InvalidRequest(
                        f"Row {number} has no `{column}`, which `{name}` reads: it reads {', '.join(scorer.columns)}.",
                        param=f"input_rows[{number}].{column}",
                    )

    async def score(self, row: JsonObject) -> dict[str, ScoreRow]:
        with self._call.observed.upstream, ActingFor(self._acting):
            return {name: await self._score_row(scorer, row) for name, scorer in self._scorers.items()}

    async def score_all(self, rows: Sequence[JsonObject]) -> dict[str, ScoringResult]:
        """Every row by every function, several at once."""
        with self._call.observed.upstream, ActingFor(self._acting):
            return {name: self.result(name, await self._score_rows(s, rows)) for name, s in self._scorers.items()}

    def result(self, function_id: str, rows: list[ScoreRow]) -> ScoringResult:
        """The rows, with what they come to."""
        result = ScoringResult(score_rows=rows, aggregated_results=self.aggregate(function_id, rows))
        errors = sum("error" in row and row.get("score") is None for row in rows)
        return {**result, "errors": errors} if errors else result

    def aggregations(self, function_id: str) -> list[str]:
        """Their names, as the function's params have them."""
        return list(self._scorers[function_id].params.get("aggregation_functions") or ())

    def aggregate(self, function_id: str, rows: Sequence[ScoreRow]) -> JsonObject:
        return {name: aggregate(name, rows) for name in self.aggregations(function_id)}

    async def _score_rows(self, scorer: Scorer, rows: Sequence[JsonObject]) -> list[ScoreRow]:
        if hasattr(scorer.provider, "score_rows"):
            return await self._attempt(partial(self._ask_many, scorer, rows), len(rows))
        return await run_all([partial(self._score_row, scorer, row) for row in rows], at_once=AT_ONCE)

    async def _score_row(self, scorer: Scorer, row: JsonObject) -> ScoreRow:
        if (column := scorer.missing(row)) is not None:
            return failed_row(f"The row has no `{column}`.")
        if hasattr(scorer.provider, "score_rows"):
            return (await self._attempt(partial(self._ask_many, scorer, [row]), 1))[0]
        return (await self._attempt(partial(self._ask_one, scorer, row), 1))[0]

    async def _ask_one(self, scorer: Scorer, row: JsonObject) -> list[ScoreRow]:
        return [await scorer.provider.score_row(scorer.function, row, scorer.params)]

    async def _ask_many(self, scorer: Scorer, rows: Sequence[JsonObject]) -> list[ScoreRow]:
        provider: Any = scorer.provider
        scores: list[ScoreRow] = await provider.score_rows(scorer.function, rows, scorer.params)
        return scores

    async def _attempt(self, ask: Callable[[], Coroutine[Any, Any, list[ScoreRow]]], count: int) -> list[ScoreRow]:
        """What `ask` gives for `count` rows; what it fails with, for each of them."""
        if self._call.is_spent:
            return [failed_row(SPENT)] * count
        error = NO_TIME
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._until):
                try:
                    scores = await _try(ask)
                except ApiError as failure:
                    error = failure.message
                else:
                    return scores if len(scores) == count else [failed_row(NO_ANSWER)] * count
        return [failed_row(error)] * count


async def _try(ask: Callable[[], Coroutine[Any, Any, list[ScoreRow]]]) -> list[ScoreRow]:
    for number in range(1, TRIES):
        try:
            return await ask()
        except ApiError as failure:
            if not _may_pass(failure):
                raise
            await asyncio.sleep(_pause(number, failure))
    return await ask()


def failed_row(error: str) -> ScoreRow:
    """Of a row that was not judged."""
    return {"score": None, "error": shorten(error, MOST_ERROR)}


def _may_pass(failure: ApiError) -> bool:
    passes = failure.status == THROTTLED or failure.status >= SERVER_ERROR
    return passes and failure.headers.get("x-should-retry") != "false"


def _pause(number: int, failure: ApiError) -> float:
    """Full jitter, after whatever the upstream asks for."""
    after = failure.headers.get("retry-after", "")
    wish = int(after) if after.isdecimal() and len(after) <= MOST_DIGITS else 0
    return min(wish, LONGEST_WAIT) + uniform(0, FIRST_WAIT * 2**number)  # noqa: S311 - no secret
