"""The kind of job `eval`: a row is one of a dataset, its generation and its scores together.

request   {"benchmark_id", "provider_id", "number", "dataset_id", "functions": {id: params or null}, "benchmark_config"}
source    {"start": the number of the first row, "agent"?: the id of the candidate}
line      {"generation", "scores"}, or {"error": {"code", "message"}}
result    {"result": the name of a blob of the job, "bytes", "result_file_id"?}
"""

from collections.abc import Sequence
from functools import partial
import logging
from typing import Any, Final

from pydantic_core import to_json

from core.apis.evals import AgentCandidate, BenchmarkConfig
from core.apis.inference import ChatRequest, CompletionRequest, most_tokens
from core.errors import ApiError, NotFound, StateUnavailable
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.services.evals.settings import settings_of
from core.services.jobs.admission import order_of
from core.services.jobs.kind import MOST_SHARDS, FinishRun, JobKind, PrepareRun, Result, Row, Slice
from core.services.jobs.rows import RowWork
from core.services.jobs.shard_run import ShardRun
from core.services.parts import Parts, surface_for
from core.stores.jobs.port import Job

log = logging.getLogger(__name__)

KIND: Final = "eval"
ROWS: Final = 200
"""Of a shard, unless there would be too many shards. At the end of each, workers wait for its slowest row."""
SERVER_ERROR: Final = 500
THROTTLED: Final = 429
NO_DATASETS: Final = "This stack has no datasets: it has no provider of `datasetio`."


class RowGone(ApiError):
    status = 404
    code = "row_gone"

    def __init__(self) -> None:
        super().__init__("The dataset has no such row any more.")


def eval_job(parts: Parts) -> JobKind:
    """Rows run as whoever evaluates."""
    work = _Eval(parts)

    async def finish(run: FinishRun) -> JsonObject:
        from core.services.evals.job.finishing import finish  # late: a worker may have other jobs

        return await finish(parts, run)

    return JobKind(KIND, work.prepare, work.work, finish, work.abandon, work.ended)


def rows_for(parts: Parts, call: Call | None) -> Any:  # noqa: ANN401 - a DatasetRows
    """Raises NotFound where the stack has none."""
    rows = surface_for(parts, "dataset_rows", call)
    if rows is None:
        raise NotFound(NO_DATASETS)
    return rows


def config_of(request: JsonObject) -> BenchmarkConfig:
    """As it was sent."""
    return BenchmarkConfig.model_validate(request["benchmark_config"])


class _Eval:
    """What JobKind needs of it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def prepare(self, run: PrepareRun) -> Sequence[Slice]:
        from core.services.evals.candidates import agent_of, keep_agent

        config = config_of(run.job.request)
        count: int = await rows_for(self._parts, run.call).count(run.job.request["dataset_id"])
        total = min(count, config.num_examples or count)
        size = max(ROWS, -(-total // MOST_SHARDS))
        source: JsonObject = {}
        if isinstance(config.eval_candidate, AgentCandidate) and total:
            source["agent"] = agent_of(run.job.id)
            await keep_agent(self._parts, config.eval_candidate, run.call, source["agent"])
        return [Slice({"start": start, **source}, min(size, total - start)) for start in range(0, total, size)]

    async def work(self, run: ShardRun) -> None:
        asking = RowAsking(self._parts, run)
        at_once = settings_of(self._parts, run.job.request["provider_id"]).at_once
        read = partial(read_rows, self._parts)
        await RowWork(read, asking.ask, fail, asking.bound, order=asking.order, at_once=at_once).work(run)

    async def abandon(self, run: ShardRun, failure: ApiError) -> None:
        async def no_rows(shard: ShardRun) -> Sequence[Row]:
            return _rows_of(shard, [])

        await RowWork(no_rows, RowAsking(self._parts, run).ask, fail).abandon(run, failure)

    async def ended(self, job: Job) -> None:
        """What failed may not have been finished, where the agent goes."""
        if job.status == "failed":
            await forget_candidate(self._parts, job)


async def forget_candidate(parts: Parts, job: Job) -> None:
    """An agent goes, with the sessions of rows whose worker died over them."""
    if not isinstance(config_of(job.request).eval_candidate, AgentCandidate):
        return
    from core.services.evals.candidates import agent_of, forget_agent

    try:
        await forget_agent(parts, agent_of(job.id), Call(job.principal))
    except StateUnavailable:  # whoever comes again does it
        raise
    except ApiError as failure:
        log.warning("job %s: its agent stays: %s", job.id, failure)


async def read_rows(parts: Parts, run: ShardRun) -> Sequence[Row]:
    """Those of a shard; without a value are those that are gone."""
    try:
        rows = await rows_for(parts, run.call).read(
            run.job.request["dataset_id"], run.shard.source["start"], run.shard.rows
        )
    except ApiError as failure:
        if failure.status >= SERVER_ERROR or failure.status == THROTTLED:
            raise
        rows = list[JsonObject]()
    return _rows_of(run, rows)


def _rows_of(run: ShardRun, rows: Sequence[JsonObject]) -> list[Row]:
    start = run.shard.source["start"]
    return [Row(start + at, rows[at] if at < len(rows) else None) for at in range(run.shard.rows)]


class RowAsking:
    """What RowWork asks; what it asks with is made at the first row, so that a row is refused where it makes no sense."""

    def __init__(self, parts: Parts, run: ShardRun) -> None:
        self._parts = parts
        self._run = run
        self._candidate: Any = None
        self._evaluator: Any = None

    async def ask(self, row: Row, call: Call) -> Result:
        if row.value is None:
            raise RowGone
        evaluation = await self._get_evaluator().evaluate(row.value, call)
        line = {"generation": evaluation.generation, "scores": evaluation.scores}
        return Result(to_json(line, inf_nan_mode="null"), tokens=evaluation.tokens)

    def bound(self, row: Row) -> int:
        """Of the tokens that the candidate makes, as its own call would have it."""
        request = self._request(row)
        return 0 if request is None else most_tokens(request)

    def order(self, row: Row) -> Any:  # noqa: ANN401 - a core.quota.order.Order
        """What the candidate's model is asked; which models judge it, the functions know."""
        request = self._request(row)
        return None if request is None else order_of(self._run.admission, request.model, request)

    def _request(self, row: Row) -> ChatRequest | CompletionRequest | None:
        """None of a row that asks nobody."""
        if row.value is None:
            return None
        try:
            request: ChatRequest | CompletionRequest = self._get_candidate().request(row.value)
        except ApiError:  # which is the row's own
            return None
        return request

    def _get_candidate(self) -> Any:  # noqa: ANN401 - an Asked
        if self._candidate is None:
            from core.services.evals.candidates import AskedAgent, AskedModel

            candidate, source = config_of(self._run.job.request).eval_candidate, self._run.shard.source
            self._candidate = (
                AskedAgent(self._parts, candidate, source["agent"])
                if isinstance(candidate, AgentCandidate)
                else AskedModel(self._parts, candidate)
            )
        return self._candidate

    def _get_evaluator(self) -> Any:  # noqa: ANN401 - a RowEvaluator
        if self._evaluator is None:
            from core.services.evals.evaluating import RowEvaluator

            functions = self._run.job.request["functions"]
            self._evaluator = RowEvaluator(self._parts, self._get_candidate(), functions)
        return self._evaluator


def fail(row: Row, failure: ApiError) -> bytes:
    """For RowWork.fail."""
    del row
    return to_json({"error": {"code": failure.code, "message": failure.message}})
