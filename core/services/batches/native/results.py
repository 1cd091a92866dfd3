"""The results of a native shard as lines of the batch: those that are final are kept, the others are left to the queue."""

from collections.abc import AsyncIterator
import logging
from typing import TYPE_CHECKING, Final

from core.apis.batch_engine import NativeResult
from core.apis.usage import read_report
from core.frame.types import JsonObject
from core.platform.json_values import to_object
from core.services.batches.job.entries import custom_ids
from core.services.batches.job.output import error_line, output_line, request_id_of
from core.services.batches.job.usage import tokens_of
from core.services.batches.native.usage import parts_of
from core.services.jobs.kind import JobFiles
from core.services.jobs.shard_run import ShardRun

if TYPE_CHECKING:
    from core.apis.prices import Price

KEPT_AT: Final = 4 * 1024 * 1024
"""Bytes of lines that are kept together."""
OK: Final = 200

log = logging.getLogger(__name__)


class ResultRecorder:
    """Of one run of a shard at a provider, by its id, for the model that its lines name."""

    def __init__(self, run: ShardRun, model: str, provider: str, price: "Price | None" = None) -> None:
        """`price` is that of a row."""
        self._run = run
        self._price = price
        self._model = model
        self._provider = provider
        self._size = 0
        self._ids: list[str] = []

    async def record(self, results: AsyncIterator[NativeResult]) -> bool:
        """Until there are no more; False where the shard is another's by now.

        Raises:
            ApiError: they cannot be read to their end, or not be kept; what was kept is.
        """
        run = self._run
        self._ids = await custom_ids(JobFiles(run.blobs, run.job.id), run.shard)
        async for result in results:
            if not 0 <= result.row < run.shard.rows:
                log.warning("job %s, shard %d: a result is of no row of it", run.job.id, run.shard.number)
            elif result.is_final and not run.shard.done >> result.row & 1:
                self._keep(result)
            if self._size >= KEPT_AT and not await self._flush():
                return False
        return await self._flush()

    def _keep(self, result: NativeResult) -> None:
        run, row = self._run, result.row
        line_id, custom_id = request_id_of(run.job.id, run.shard.number, row), self._ids[row]
        tokens: dict[str, int] = {}
        if result.failure is not None:
            line = error_line(line_id, custom_id, result.request_id, result.failure)
        else:
            answer: JsonObject = {**(result.answer or {}), "model": self._model}
            line = output_line(line_id, custom_id, OK, result.request_id, answer)
            usage, makes_text = to_object(answer.get("usage")), "choices" in answer
            use, for_an_hour = read_report(run.call, self._model, self._provider, usage, makes_text=makes_text)
            picos = None if self._price is None else self._price.picos(use, 1, for_an_hour)
            tokens = {**tokens_of(answer, self._model, use.tokens), **parts_of(use, picos)}
        run.record(row, line, ok=result.failure is None, tokens=tokens)
        self._size += len(line)

    async def _flush(self) -> bool:
        if not self._size:
            return True
        self._size = 0
        return await self._run.checkpoint()
