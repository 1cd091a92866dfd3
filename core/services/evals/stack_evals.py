"""Evaluations by the jobs of the stack, for one caller."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from core.apis.answers.evals import EvalJob, EvalResult
from core.apis.evals import BenchmarkConfig, EvalSettings, EvaluateRows, ModelCandidate, RunEval
from core.errors import ApiError, Conflict, InvalidRequest, NotFound
from core.frame.callers import Call, principal_of
from core.frame.content import MOST_IN_ANSWER, Bytes, Redirect
from core.frame.resources import Resource
from core.frame.types import JsonObject
from core.platform.concurrency import run_all
from core.routing.policy import owner_list
from core.services.evals.candidates import agents_for, asking, sampling_of
from core.services.evals.evaluating import (
    Evaluation,
    RowEvaluator,
    call_or_anonymous,
    check_rows,
    functions_of,
    name_row,
    scorers_for,
)
from core.services.evals.job.finishing import RESULT
from core.services.evals.job.kind import KIND, rows_for
from core.services.evals.numbering import PREFIX, Numbers
from core.services.evals.settings import settings_of
from core.services.evals.shown import show_eval
from core.services.jobs.kind import JobFiles
from core.services.jobs.retrying import last_run
from core.services.jobs.service import JobService, job_service
from core.services.jobs.waiting import wait_for_end
from core.services.parts import Parts
from core.stores.connect import BLOBS, DOCUMENTS
from core.stores.jobs.port import ENDED, Job

RESERVE: Final = 3.0  # seconds of a call that are left for its answer
RETRY_SECONDS: Final = 5
URL_SECONDS: Final = 3600


class StackEvaluations:
    """Answers `core.apis.evals.Evals`, but that benchmarks were looked up."""

    def __init__(self, parts: Parts, call: Call | None) -> None:
        self._parts = parts
        self._call = call

    async def run_eval(self, benchmark: Resource, request: RunEval, *, key: str = "") -> EvalJob:
        config = request.benchmark_config
        functions: list[str] = benchmark.attributes["scoring_functions"]
        check_params(config, functions)
        params = functions_of(functions, config)
        dataset_id: str = benchmark.attributes["dataset_id"]
        await self._check_candidate(config)
        await self._check_dataset(dataset_id, params)
        service, call = job_service(self._parts), call_or_anonymous(self._call)
        body: JsonObject = {
            "benchmark_id": benchmark.identifier,
            "provider_id": benchmark.provider_id,
            "dataset_id": dataset_id,
            "functions": params,
            "benchmark_config": config.model_dump(mode="json", exclude_unset=True),
        }
        draft = service.draft(KIND, call, body, prefix=PREFIX)
        numbers = self._numbers(benchmark.identifier)
        number = str(await numbers.claim(key))
        job = replace(draft, id=numbers.job_of(number) or draft.id, request={**body, "number": number})
        job = await service.submit(job, data=call.provider_data)
        return await self._show(await self._wait(service, job, settings_of(self._parts, benchmark.provider_id)))

    async def evaluate_rows(self, benchmark: Resource, request: EvaluateRows) -> EvalResult:
        config, rows, call = request.benchmark_config, request.input_rows, call_or_anonymous(self._call)
        functions = functions_of(request.scoring_functions, config)
        scorers = await scorers_for(self._parts, functions, self._call) if functions else None
        check_rows(rows, scorers, "input_rows")
        async with asking(self._parts, config.eval_candidate, call) as candidate:
            evaluator = RowEvaluator(self._parts, candidate, functions)

            async def evaluate(at: int, row: JsonObject) -> Evaluation:
                try:
                    return await evaluator.evaluate(row, call)
                except ApiError as failure:
                    raise name_row(failure, f"input_rows[{at}]") from failure.__cause__

            at_once = settings_of(self._parts, benchmark.provider_id).at_once
            jobs = [partial(evaluate, at, row) for at, row in enumerate(rows)]
            evaluations = await run_all(jobs, at_once=at_once)
        return {
            "generations": [evaluation.generation for evaluation in evaluations],
            "scores": {
                name: {
                    "score_rows": (scored := [dict(evaluation.scores[name]) for evaluation in evaluations]),
                    "aggregated_results": {} if scorers is None else scorers.aggregate(name, scored),
                }
                for name in functions
            },
        }

    async def find(self, benchmark_id: str, job_id: str) -> Job | None:
        """The caller's job of this number, or of its retries the last; None where there is none."""
        job_name = self._numbers(benchmark_id).job_of(job_id)
        if job_name is None:
            return None
        try:
            service = job_service(self._parts)
            return await last_run(service.jobs, await service.readable(job_name, principal_of(self._call)))
        except NotFound:
            return None

    async def status(self, job: Job) -> EvalJob:
        return await self._show(job)

    async def cancel(self, job: Job) -> None:
        """Raises Conflict for one that has ended otherwise."""
        service = job_service(self._parts)
        stopped = await service.cancel(await service.changeable(job.id, principal_of(self._call)))
        if "cancelled" not in {stopped.status, stopped.outcome}:
            raise Conflict(
                f"The evaluation is {stopped.status}: it cannot be cancelled. Ask for its result.", param="job_id"
            )

    async def result(self, job: Job) -> Bytes | Redirect:
        size = (job.result or {}).get("bytes")
        if job.status not in ENDED:
            raise Conflict(
                f"The evaluation is {(await self._show(job))['status']}. Ask for its result when it has ended.",
                param="job_id",
                headers={"retry-after": str(RETRY_SECONDS)},
            )
        if size is None:
            raise Conflict(f"The evaluation {job.status}, and has no result: {job.reason}", param="job_id")
        blobs = self._parts.stores.get(BLOBS)
        files = JobFiles(blobs, job.id)
        if size > MOST_IN_ANSWER:
            url = await blobs.download_url(files.key(RESULT), seconds=URL_SECONDS, media_type="application/json")
            if url is not None:
                return Redirect(url.url)
        return Bytes(lambda start, stop: files.read(RESULT, start=start, stop=stop), size, "application/json")

    def _numbers(self, benchmark_id: str) -> Numbers:
        principal = principal_of(self._call)
        identity = "" if principal is None else principal.identity
        return Numbers(self._parts.stores.get(DOCUMENTS), identity, owner_list(principal), benchmark_id)

    async def _check_candidate(self, config: BenchmarkConfig) -> None:
        candidate = config.eval_candidate
        if not isinstance(candidate, ModelCandidate):
            agents_for(self._parts, call_or_anonymous(self._call))
            return
        sampling_of(candidate.sampling_params)
        if "model" in self._parts.registries:
            await self._parts.registries["model"](self._call).get(candidate.model)

    async def _check_dataset(self, dataset_id: str, functions: dict[str, JsonObject | None]) -> None:
        """What can be told of the first row, before there is a job."""
        scorers = await scorers_for(self._parts, functions, self._call) if functions else None
        rows = rows_for(self._parts, self._call)
        await rows.count(dataset_id)  # raises while it is imported
        check_rows(await rows.read(dataset_id, 0, 1), scorers, "rows")

    async def _wait(self, service: JobService, job: Job, settings: EvalSettings) -> Job:
        """As long as the settings and the call let it; the job as it is then."""
        last = asyncio.get_running_loop().time() + settings.wait
        if self._call is not None and self._call.until is not None:
            last = min(last, self._call.until - RESERVE)
        return await wait_for_end(service.jobs, job, last)

    async def _show(self, job: Job) -> EvalJob:
        return show_eval(job, await job_service(self._parts).progress(job))


def check_params(config: BenchmarkConfig, functions: Sequence[str]) -> None:
    """Raises InvalidRequest for those of a function that the benchmark has not."""
    for name in config.scoring_params or {}:
        if name not in functions:
            raise InvalidRequest(
                f"scoring_params: the benchmark has no scoring function `{name}`; it has {', '.join(f'`{own}`' for own in functions) or 'none'}.",
                param="benchmark_config.scoring_params",
            )
