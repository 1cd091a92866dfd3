"""The operations of scoring: rows at once, and those of a dataset by a job that is waited for."""

import asyncio
import json
from typing import Final

from core.apis.answers.scoring import ScoreAnswer, ScoreBatchAnswer, ScoreRow
from core.apis.scoring import ScoreBatchRequest, ScoreRequest
from core.errors import Conflict, InvalidRequest, UpstreamTimeout
from core.frame.callers import ANONYMOUS, Call
from core.frame.content import MOST_IN_ANSWER
from core.frame.types import JsonObject
from core.services.jobs.kind import JobFiles
from core.services.jobs.service import JobService, job_service
from core.services.jobs.waiting import wait_for_end
from core.services.parts import Parts
from core.services.scoring.job import KIND, MOST_ROWS, SCORES, dataset_rows, read_scores
from core.services.scoring.scorers import FunctionLookup, FunctionScorers, dump_params
from core.stores.connect import BLOBS
from core.stores.jobs.port import ENDED, Job

WAIT: Final = 50.0
"""Seconds that a request waits for its job, where there is as much time: clients of 0.2 give up after 60."""
MARGIN: Final = 5.0
LOOKED_AT: Final = 20  # jobs of before, for one that is the same


class JobUnderWay(UpstreamTimeout):
    code = "job_under_way"

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"Job `{job_id}` scores the dataset, and goes on. The same request waits for it again; GET /v1/jobs/{job_id} says how far it is.",
            headers={"retry-after": "1"},
        )


class ScoringRouter:
    """Answers `core.apis.scoring.Scoring`."""

    def __init__(self, parts: Parts, lookup: FunctionLookup, call: Call | None) -> None:
        self._parts = parts
        self._lookup = lookup
        self._call = call or Call(ANONYMOUS)

    async def score(self, request: ScoreRequest) -> ScoreAnswer:
        scorers = await self._lookup.prepare(dump_params(request.scoring_functions))
        scorers.check(request.input_rows)
        results = await scorers.score_all(request.input_rows)
        self._call.add_tokens(0)  # where no model was asked, it is known that none were used
        return {"results": results}

    async def score_batch(self, request: ScoreBatchRequest) -> ScoreBatchAnswer:
        scorers = await self._lookup.prepare(dump_params(request.scoring_functions))
        rows = dataset_rows(self._parts, self._call)
        count = await rows.count(request.dataset_id)
        if count > MOST_ROWS:
            raise InvalidRequest(
                f"The dataset has {count:,} rows; a job scores {MOST_ROWS:,} at most. Register them as several datasets, and score each.",
                param="dataset_id",
            )
        scorers.check(await rows.read(request.dataset_id, 0, 1))
        if count == 0:
            return {"dataset_id": None, "results": await scorers.score_all([])}
        jobs = job_service(self._parts)
        job = await self._wait(jobs, await self._job(jobs, _job_request(request, scorers, count)))
        if job.status != "completed":
            raise Conflict(f"Job `{job.id}`, which scored the dataset, ended as {job.status}. {job.reason}".rstrip())
        return await self._answer(job, scorers)

    async def _job(self, jobs: JobService, request: JsonObject) -> Job:
        """One of the caller's that does the same and has not ended, or a new one: clients whose time is over ask again."""
        page = await jobs.page(KIND, self._call.principal, after=None, limit=LOOKED_AT)
        same = [job for job in page.jobs if job.status not in ENDED and job.request == request]
        return same[0] if same else await jobs.create(KIND, self._call, request)

    async def _wait(self, jobs: JobService, job: Job) -> Job:
        """Raises JobUnderWay where the time ends before the job."""
        limit = asyncio.get_running_loop().time() + WAIT
        limit = limit if self._call.until is None else min(limit, self._call.until - MARGIN)
        job = await wait_for_end(jobs.jobs, job, limit)
        if job.status not in ENDED:
            raise JobUnderWay(job.id)
        return job

    async def _answer(self, job: Job, scorers: FunctionScorers) -> ScoreBatchAnswer:
        files = JobFiles(self._parts.stores.get(BLOBS), job.id)
        blob = await files.blobs.head(files.key(SCORES))
        if blob is not None and blob.size > MOST_IN_ANSWER:
            raise InvalidRequest(
                f"The scores of job `{job.id}` are more than one answer holds. With `save_results_dataset` they are a dataset.",
                param="save_results_dataset",
            )
        rows: dict[str, list[ScoreRow]] = {name: [] for name in scorers.ids}
        async for line in read_scores(files):
            for name, row in json.loads(line).items():
                rows[name].append(row)
        results = {name: scorers.result(name, part) for name, part in rows.items()}
        return {"dataset_id": (job.result or {}).get("dataset_id"), "results": results}


def _job_request(request: ScoreBatchRequest, scorers: FunctionScorers, count: int) -> JsonObject:
    return {
        "dataset_id": request.dataset_id,
        "rows": count,
        "functions": dump_params(request.scoring_functions),
        "aggregations": {name: scorers.aggregations(name) for name in scorers.ids},
        "save": bool(request.save_results_dataset),
    }
