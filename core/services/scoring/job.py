"""The kind of job `score`: a row is a row of a dataset, scored by every function as whoever asked for it.

request   {"dataset_id", "rows": how many there were, "functions": {id: params | null}, "aggregations": {id: [name]}, "save": bool}
result    {"rows", "errors": {id: n}, "aggregated_results": {id: {...}}, "dataset_id"?}
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
import json
from typing import Any, Final

from pydantic_core import to_json

from core.apis.answers.scoring import ScoreRow
from core.apis.datasets import DatasetRows
from core.apis.scoring import ScoreRequest, ScoringParams
from core.errors import ApiError, InvalidRequest
from core.frame.callers import Call
from core.frame.dotted import load
from core.frame.types import JsonObject
from core.platform.byte_lines import read_lines
from core.services.jobs.kind import FinishRun, JobFiles, JobKind, PrepareRun, Result, Row, Slice
from core.services.jobs.rows import RowWork
from core.services.jobs.shard_run import ShardRun
from core.services.parts import Parts, surface_for
from core.services.scoring.aggregation import aggregate
from core.services.scoring.scorers import FunctionLookup, failed_row
from core.stores.jobs.port import Shard

KIND: Final = "score"
SCORES: Final = "scores.jsonl"
"""Of the job's files: `{id: score row}` in a line for each row of the dataset."""
PER_SHARD: Final = 200
MOST_ROWS: Final = PER_SHARD * 1000
"""Of one job: all shards of a job are read by whoever looks at it."""
PAGE: Final = 200  # rows that are read at once
MOST_LINE: Final = 64 * 1024 * 1024
NOT_SCORED: Final = "The job ended before this row was scored."
NO_DATASETS: Final = "This stack serves no datasets: its run config has no provider of `datasetio`."


def score_job(parts: Parts) -> JobKind:
    """Rows are scored as the owner, and charged to it."""

    async def prepare(run: PrepareRun) -> Sequence[Slice]:
        count: int = run.job.request["rows"]
        return [Slice({"first": first}, min(PER_SHARD, count - first)) for first in range(0, count, PER_SHARD)]

    async def read(run: ShardRun) -> Sequence[Row]:
        first: int = run.shard.source["first"]
        rows = dataset_rows(parts, run.call)
        values = [row async for row in read_all(rows, run.job.request["dataset_id"], first, run.shard.rows)]
        return [Row(first + place, (run.job.request["functions"], value)) for place, value in enumerate(values)]

    async def ask(row: Row, call: Call) -> Result:
        functions, value = row.value
        lookup: FunctionLookup = surface_for(parts, "row_scoring", call)
        scores = await (await lookup.prepare(functions)).score(value)
        tokens = {_judge_of(functions): call.tokens} if call.tokens else {}
        call.add_tokens(0)
        return Result(to_json(scores), ok=not any(map(_is_error, scores.values())), tokens=tokens)

    async def abandon(run: ShardRun, failure: ApiError) -> None:
        """Nobody is asked, not even for the rows."""
        rows = [Row(run.shard.source["first"] + place, None) for place in range(run.shard.rows)]

        async def known(_: ShardRun) -> Sequence[Row]:
            return rows

        await RowWork(known, ask, _fail).abandon(run, failure)

    async def finish(run: FinishRun) -> JsonObject:
        return await _finish(parts, run)

    work = RowWork(read, ask, _fail, order=_order)
    return JobKind(KIND, prepare, work.work, finish, abandon)


def dataset_rows(parts: Parts, call: Call | None) -> DatasetRows:
    """Raises InvalidRequest where the stack has none."""
    rows: DatasetRows | None = surface_for(parts, "dataset_rows", call)
    if rows is None:
        raise InvalidRequest(NO_DATASETS, param="dataset_id")
    return rows


async def read_all(rows: DatasetRows, dataset_id: str, first: int, count: int) -> AsyncIterator[JsonObject]:
    """Rows from `first`, page by page: a page may have less than was asked for."""
    while count > 0 and (page := await rows.read(dataset_id, first, min(count, PAGE))):
        for row in page:
            yield row
        first, count = first + len(page), count - len(page)


def read_scores(files: JobFiles) -> AsyncIterator[bytes]:
    """A line for each row."""
    return read_lines(files.read(SCORES), MOST_LINE)


def _judge_of(functions: JsonObject) -> str:
    """What tokens are counted under: the judge that a request names, or else its first function."""
    judges: list[str] = [params["judge_model"] for params in functions.values() if params and "judge_model" in params]
    return (judges or list(functions))[0]


def _order(row: Row) -> Any:  # noqa: ANN401 - a core.quota.order.Order
    """What the judge that the request names is asked; None where it names none, or several: functions know theirs themselves."""
    functions, value = row.value
    request = ScoreRequest.model_construct(
        input_rows=[value],
        scoring_functions={
            name: None if params is None else ScoringParams.model_construct(**params)
            for name, params in functions.items()
        },
    )
    judge = request.judge_model
    return load("core.quota.order:Order")(judge, request) if judge else None


def _is_error(row: ScoreRow) -> bool:
    return "error" in row and row.get("score") is None


def _fail(row: Row, failure: ApiError) -> bytes:
    """Of a row that no function saw."""
    del row
    return to_json({"": failed_row(failure.message)})


@dataclass(slots=True)
class _Sums:
    """Of one function: what its aggregations read of each row, and nothing of what a judge wrote."""

    rows: list[ScoreRow] = field(default_factory=list[ScoreRow])
    errors: int = 0

    def add(self, row: ScoreRow) -> None:
        self.rows.append({name: row[name] for name in ("score", "weight") if name in row})
        self.errors += _is_error(row)


async def _finish(parts: Parts, run: FinishRun) -> JsonObject:
    request = run.job.request
    sums = {name: _Sums() for name in request["functions"]}

    async def content() -> AsyncIterator[bytes]:
        async for scores in _all_scores(run):
            for name, row in scores.items():
                sums[name].add(row)
            yield to_json(scores) + b"\n"

    await run.files.put(SCORES, content(), media_type="application/jsonl")
    result: JsonObject = {
        "rows": request["rows"],
        "errors": {name: part.errors for name, part in sums.items()},
        "aggregated_results": {
            name: {aggregation: aggregate(aggregation, sums[name].rows) for aggregation in names}
            for name, names in request["aggregations"].items()
        },
    }
    if request["save"] and run.job.outcome is None:
        result["dataset_id"] = await _save(parts, run)
    return result


async def _all_scores(run: FinishRun) -> AsyncIterator[dict[str, ScoreRow]]:
    """Of every row in its order, also of those that were not scored."""
    names = list(run.job.request["functions"])
    number = 0

    def missing(until: int) -> list[dict[str, ScoreRow]]:
        return [dict.fromkeys(names, failed_row(NOT_SCORED)) for _ in range(number, until)]

    firsts = {shard.number: _first(shard) for shard in run.shards}
    async for shard, position, line in run.lines():
        for gap in missing(firsts[shard] + position):
            yield gap
        scores: dict[str, ScoreRow] = json.loads(line)
        yield dict.fromkeys(names, scores[""]) if "" in scores else scores
        number = firsts[shard] + position + 1
    for gap in missing(run.job.request["rows"]):
        yield gap


def _first(shard: Shard) -> int:
    first: int = shard.source["first"]
    return first


async def _save(parts: Parts, run: FinishRun) -> str:
    """A dataset of the rows, each with its `scores` beside; who finishes again makes the same one."""
    request, call = run.job.request, Call(run.job.principal)
    rows, dataset_id = dataset_rows(parts, call), f"scores-{run.job.id}"

    async def lines() -> AsyncIterator[bytes]:
        scores = read_scores(run.files)
        async for row in read_all(rows, request["dataset_id"], 0, request["rows"]):
            yield to_json({**row, "scores": json.loads(await anext(scores))}) + b"\n"

    metadata = {"job": run.job.id, "dataset_id": request["dataset_id"], "scoring_functions": list(request["functions"])}
    await rows.create(dataset_id, await rows.purpose(request["dataset_id"]), lines(), metadata)
    return dataset_id
