"""A batch is prepared: its input file is read once, from its first line to its last, and all that is wrong with it is told together."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
import hashlib
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

from core.apis.batches import INPUT_PURPOSE, MOST_BYTES, MOST_LINE, MOST_LINES
from core.apis.files import OpenFile
from core.errors import InvalidRequest, LimitReached, NotFound
from core.frame.types import JsonObject
from core.services.batches.job import faults
from core.services.batches.job.endpoints import Endpoint
from core.services.batches.job.faults import Faults, failure_of
from core.services.batches.job.lines import Line, read_batches
from core.services.batches.job.planning import QUEUE, Lane, Planner
from core.services.batches.job.spans import keep_spans
from core.services.batches.job.validation import LONGEST_MODEL, Request, check_line
from core.services.jobs.kind import PrepareRun, Slice
from core.services.parts import Parts, surface_for
from core.stores.jobs.port import Job

if TYPE_CHECKING:
    from core.services.batches.native.choosing import NativeLanes

DIGEST: Final = 16  # bytes of a custom_id's: 50,000 of them are in memory


class Models(Protocol):
    """The models that the owner of a batch may use."""

    async def get(self, identifier: str) -> object:
        """Raises NotFound."""
        ...


async def prepare(parts: Parts, run: PrepareRun, endpoint: Endpoint) -> Sequence[Slice]:
    """The shards.

    Raises:
        JobFailed: the file is no input of a batch; its result has the faults.
    """
    if endpoint.surface not in parts.surfaces:
        raise failure_of([faults.not_served(endpoint.path)])
    own = uuid4().hex  # whoever prepares at the same time has another; with the parts it goes in the end
    name, chunks, about = f"parts/ids-{own}", *await _read_input(parts, run, f"parts/input-{own}")
    models = parts.registries["model"](run.call) if endpoint.names_model else None
    reading = InputReading(endpoint, models, name, _lanes(parts, run, endpoint))
    await run.files.put(name, reading.read(chunks))
    slices = reading.planner.slices
    sources = [await keep_spans(run.files, part.source, f"{name}-spans-{at}") for at, part in enumerate(slices)]
    return [replace(part, source=source | about) for part, source in zip(slices, sources, strict=True)]


async def _read_input(parts: Parts, run: PrepareRun, name: str) -> tuple[AsyncIterator[bytes], JsonObject]:
    """The lines, and what a shard has to know of where they are: those of a dataset are kept in the blob `name` first."""
    if "input_dataset_id" not in run.job.request:
        file = await _open(parts, run)
        return file.content.read(0, file.content.size), {}
    from core.services.batches.job.dataset_input import keep_lines  # late: most batches are of files

    await keep_lines(parts, run, name)
    return run.files.read(name), {"input": name}


async def take_slot(parts: Parts, job: Job) -> None:
    """Raises JobFailed where its owner has as many batches under way as it may."""
    from core.services.batches.slots import claim_slot  # late: few have a limit

    try:
        await claim_slot(parts, job)
    except LimitReached as limit:
        raise failure_of([faults.no_slot(limit)], limit.code) from None


def _lanes(parts: Parts, run: PrepareRun, endpoint: Endpoint) -> "NativeLanes | None":
    """None where no line can run at a provider."""
    natives = surface_for(parts, "native_batches", run.call) if endpoint.names_model else None
    if natives is None:
        return None
    from core.services.batches.native.choosing import NativeLanes

    return NativeLanes(natives, endpoint.path)


class InputReading:
    """Of one file; `planner` has the shards once it was read."""

    def __init__(self, endpoint: Endpoint, models: Models | None, ids: str, lanes: "NativeLanes | None" = None) -> None:
        """`models` is None where a line names none of the registry; see Planner for `ids`."""
        self.planner = Planner(ids)
        self._lanes = lanes
        self._endpoint = endpoint
        self._models = models
        self._faults = Faults()
        self._seen: set[bytes] = set()
        self._known: dict[str, bool] = {}
        self._count = 0

    async def read(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The list of the lines' ids; raises JobFailed at its end, or where it makes no sense to read on."""
        async for lines in read_batches(chunks, MOST_LINE):
            if entries := await self._take_all(lines):
                yield entries
            if self._is_enough:
                break
        if not self._count:
            self._faults.add(faults.empty_file())
        if self._lanes is not None and not self._faults:
            self._faults.add(*self._lanes.shortages())
        if self._faults:
            raise failure_of(self._faults.listed)
        self.planner.end()

    @property
    def _is_enough(self) -> bool:
        """Whether it makes no sense to read on."""
        return self._faults.is_full or self._count > MOST_LINES

    async def _take_all(self, lines: Iterable[Line]) -> bytes:
        entries = list[bytes]()
        for line in lines:
            entries.append(await self._take(line))
            if self._is_enough:
                break
        return b"".join(entries)

    async def _take(self, line: Line) -> bytes:
        self._count += 1
        if self._count > MOST_LINES:
            self._faults.add(faults.too_many_lines(line.number, MOST_LINES))
            return b""
        request = check_line(line, self._endpoint)
        self._faults.add(*request.faults)
        if not self._is_new(request.custom_id):
            self._faults.add(faults.duplicate(line.number, request.custom_id))
        lane = QUEUE
        if await self._is_known(request.model):
            lane = await self._lane_of(line, request)
        else:
            self._faults.add(faults.no_model(line.number, request.model))
        return b"" if self._faults else self.planner.add(line, request, lane)

    async def _lane_of(self, line: Line, request: Request) -> Lane:
        if self._lanes is None or not request.model or request.faults:
            return QUEUE
        lane = await self._lanes.lane_of(line, request.model)
        if isinstance(lane, Lane):
            return lane
        self._faults.add(lane)
        return QUEUE

    def _is_new(self, custom_id: str) -> bool:
        """Whether no line before has it; of those that have none each is."""
        digest = hashlib.blake2b(custom_id.encode(), digest_size=DIGEST).digest()
        is_new = not custom_id or digest not in self._seen
        self._seen.add(digest)
        return is_new

    async def _is_known(self, model: str) -> bool:
        """Each is looked up once: of those that are unknown there are never more than faults."""
        if self._models is None or not model:
            return True
        if len(model) > LONGEST_MODEL:
            return False
        if model not in self._known:
            try:
                await self._models.get(model)
                self._known[model] = True
            except NotFound:
                self._known[model] = False
        return self._known[model]


async def _open(parts: Parts, run: PrepareRun) -> OpenFile:
    file_id: str = run.job.request["input_file_id"]
    try:
        file: OpenFile = await surface_for(parts, "files", run.call).open(file_id)
    except NotFound:
        raise failure_of([faults.no_file(file_id)]) from None
    except InvalidRequest as refusal:  # its bytes have not come
        raise failure_of([faults.unusable_file(refusal.message)]) from None
    if file.purpose != INPUT_PURPOSE:
        raise failure_of([faults.wrong_purpose(file_id, file.purpose)])
    if file.content.size > MOST_BYTES:
        raise failure_of([faults.file_too_large(file.content.size, MOST_BYTES)])
    return file
