"""The rows of a dataset as the input of a batch: they become lines by its template, once, in a blob of the job.

So the lines are what they were, whatever becomes of the dataset meanwhile, and are read as those of a file are.
"""

from collections.abc import AsyncIterator
from typing import Final

from pydantic_core import to_json

from core.apis.batches import MOST_BYTES, MOST_LINE, MOST_LINES
from core.apis.datasets import DatasetRows
from core.errors import Conflict, InvalidRequest, NotFound, StateUnavailable
from core.frame.types import JsonObject
from core.services.batches.job import faults
from core.services.batches.job.faults import Faults, failure_of
from core.services.batches.job.template import ColumnMissing, LineTooLong, Template
from core.services.jobs.kind import PrepareRun
from core.services.parts import Parts, surface_for

PAGE: Final = 200  # rows, of at most 1 MB each
ROW: Final = "row"
"""Of a line whose answer goes to a dataset too: what it was made of."""


async def keep_lines(parts: Parts, run: PrepareRun, name: str) -> None:
    """Write the lines to the blob `name` of the job.

    Raises:
        JobFailed: the dataset is no input of this batch; its result has the faults.
        StateUnavailable: its rows are still being imported.
    """
    rows = _rows(parts, run)
    dataset_id: str = run.job.request["input_dataset_id"]
    try:
        await _check_output(rows, run.job.request)
        lines = _Lines(rows, run.job.request, await rows.count(dataset_id))
        await run.files.put(name, lines.read(dataset_id))
    except NotFound:
        raise failure_of([faults.no_dataset(dataset_id)]) from None
    except Conflict as refusal:  # it is being imported: prepared again, later
        raise StateUnavailable(refusal.message) from None
    except InvalidRequest as refusal:  # its import failed
        raise failure_of([faults.unusable_dataset(refusal.message)]) from None


def _rows(parts: Parts, run: PrepareRun) -> DatasetRows:
    rows: DatasetRows | None = surface_for(parts, "dataset_rows", run.call)
    if rows is None:
        raise failure_of([faults.no_datasets()])
    return rows


async def _check_output(rows: DatasetRows, request: JsonObject) -> None:
    """Before anything is asked: a dataset is not written over."""
    name = request.get("output_dataset_id")
    if name is None:
        return
    try:
        await rows.purpose(name)
    except NotFound:
        return
    raise failure_of([faults.dataset_exists(name)])


class _Lines:
    """One for each row, in their order; `custom_id` is the number of the row, unless the template has one."""

    def __init__(self, rows: DatasetRows, request: JsonObject, count: int) -> None:
        self._rows = rows
        self._count = count
        self._template = Template(request["template"])
        self._default = {"method": "POST", "url": request["endpoint"]}
        self._keeps_rows = "output_dataset_id" in request
        self._faults = Faults()
        self._size = 0

    async def read(self, dataset_id: str) -> AsyncIterator[bytes]:
        """Raises JobFailed at the end, or where it makes no sense to read on."""
        self._check_count()
        async for number, row in self._enumerate(dataset_id):
            line = self._line(number, row)
            self._size += len(line)
            if self._size > MOST_BYTES:
                self._faults.add(faults.dataset_too_large(MOST_BYTES))
            if self._faults.is_full or self._size > MOST_BYTES:
                break
            if not self._faults:
                yield line
        if self._faults:
            raise failure_of(self._faults.listed)

    def _check_count(self) -> None:
        if not self._count:
            raise failure_of([faults.empty_dataset()])
        if self._count > MOST_LINES:
            raise failure_of([faults.too_many_rows(self._count, MOST_LINES)])

    async def _enumerate(self, dataset_id: str) -> AsyncIterator[tuple[int, JsonObject]]:
        for start in range(0, self._count, PAGE):
            rows = await self._rows.read(dataset_id, start, min(PAGE, self._count - start))
            for number, row in enumerate(rows, start):
                yield number, row

    def _line(self, number: int, row: JsonObject) -> bytes:
        """Empty where the row has a fault."""
        try:
            line = self._template.fill(row, MOST_LINE)
        except ColumnMissing as missing:
            self._faults.add(faults.no_column(number + 1, missing.name))
            return b""
        except LineTooLong as failure:
            self._faults.add(faults.too_long(number + 1, failure.size, MOST_LINE))
            return b""
        line = {"custom_id": str(number), **self._default, **line}
        if self._keeps_rows:
            line[ROW] = row
        return to_json(line, inf_nan_mode="null") + b"\n"
