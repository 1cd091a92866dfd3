"""The kind of job `batch`: a row is a line of the input file.

request   the fields of core.apis.batches.NewBatch
result    {"output_file_id"?, "error_file_id"?, "usage"?, "model"?, "errors"?: [BatchFault]}
"""

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Final

from core.errors import ApiError
from core.frame.types import JsonObject
from core.services.batches.job.endpoints import ENDPOINTS, Endpoint
from core.services.batches.settings import settings_of
from core.services.jobs.kind import Elsewhere, FinishRun, JobKind, PrepareRun, Slice
from core.services.jobs.rows import RowWork
from core.services.jobs.service import RETRIED_FROM
from core.services.jobs.shard_run import ShardRun
from core.services.parts import Parts
from core.stores.jobs.port import Job, Shard

if TYPE_CHECKING:
    from core.services.batches.native.shard import NativeShard

KIND: Final = "batch"


def batch_job(parts: Parts) -> JobKind:
    """Rows run as the batch's owner."""
    batch = _Batch(parts)

    async def prepare(run: PrepareRun) -> Sequence[Slice]:
        from core.services.batches.job.preparing import (
            prepare,
            take_slot,
        )  # late, as below: a worker may have other jobs

        if RETRIED_FROM in run.job.request:  # by the API of jobs, which knows no slots
            await take_slot(parts, run.job)
        return await prepare(parts, run, _endpoint(run.job))

    async def finish(run: FinishRun) -> JsonObject:
        from core.services.batches.job.finishing import finish

        return await finish(parts, run)

    async def ended(job: Job) -> None:
        from core.services.webhooks.announcing import announce

        await announce(parts, job, f"batch.{job.status}", job.id)

    outside_work = Elsewhere(is_native, batch.wind_up)
    return JobKind(KIND, prepare, batch.work, finish, batch.abandon, ended, outside_work)


def is_native(shard: Shard) -> bool:
    """Whether its rows run at their model's provider."""
    return "engine" in shard.source


class _Batch:
    """The work on a shard."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._asking = cache(self._make_asking)

    async def work(self, run: ShardRun) -> None:
        """For JobKind.work."""
        from core.services.batches.job.output import InputGone

        ask_rows = self._asking(_endpoint(run.job)).work
        try:
            await ((await self._native(run)).work(ask_rows) if is_native(run.shard) else ask_rows(run))
        except InputGone as gone:
            await self.abandon(run, gone)

    async def wind_up(self, run: ShardRun) -> None:
        """For Elsewhere.wind_up."""
        await (await self._native(run)).wind_up()

    async def _native(self, run: ShardRun) -> "NativeShard":
        from core.services.batches.native.shard import NativeShard  # late: few models have it
        from core.services.batches.native.state import NativeState

        return NativeShard(self._parts, _endpoint(run.job), run, await NativeState.load(run))

    async def abandon(self, run: ShardRun, failure: ApiError) -> None:
        """For JobKind.abandon: the lines are known by their ids alone, and none is asked."""
        from core.services.batches.job.asking import LineAsker
        from core.services.batches.job.entries import read_ids

        if is_native(run.shard):
            await (await self._native(run)).settle()
        endpoint = _endpoint(run.job)
        asker = LineAsker(self._parts, endpoint)
        await RowWork(partial(read_ids, endpoint), asker.ask, asker.fail).abandon(run, failure)

    def _make_asking(self, endpoint: Endpoint) -> RowWork:
        from core.services.batches.job.asking import LineAsker
        from core.services.batches.job.entries import read_entries

        asker, read = LineAsker(self._parts, endpoint), partial(read_entries, self._parts, endpoint)
        return RowWork(
            read, asker.ask, asker.fail, asker.bound, asker.requests, asker.order, settings_of(self._parts).at_once
        )


def _endpoint(job: Job) -> Endpoint:
    return ENDPOINTS[job.request["endpoint"]]
