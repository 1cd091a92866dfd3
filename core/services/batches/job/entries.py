"""The rows of a shard: its lines out of the input file, each read when its turn comes, so that one that cannot be read fails alone."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
import json
from typing import Any

from pydantic import ValidationError, create_model
from pydantic_core import from_json, to_json

from core.apis.files import OpenFile
from core.apis.parsing import parse
from core.errors import ApiError, NotFound
from core.frame.types import Query, Wire
from core.platform.json_values import to_object
from core.services.batches.job.endpoints import Endpoint
from core.services.batches.job.output import InputGone, request_id_of
from core.services.batches.job.spans import Span, lines_in, row_numbers, spans_of
from core.services.jobs.kind import JobFiles, Row
from core.services.jobs.shard_run import ShardRun
from core.services.parts import Parts, surface_for
from core.stores.jobs.port import Shard


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a line says, right or wrong."""

    custom_id: object
    url: object
    model: object
    request: Any


class Entry:
    """A line, or of one that is not to be read its `custom_id` alone; `request_id` is of the try under way."""

    def __init__(self, line_id: str, endpoint: Endpoint, content: bytes, custom_id: str | None = None) -> None:
        self.line_id = line_id
        self.request_id = ""
        self._endpoint = endpoint
        self._content = content
        self._custom_id = custom_id

    @property
    def custom_id(self) -> str | None:
        """None of a line that is no request: the input file is another than it was."""
        name = self._parts.custom_id if self._content else self._custom_id
        return name if isinstance(name, str) else None

    @property
    def agent_id(self) -> str:
        """Of a turn."""
        return self._endpoint.agent_of(str(self._parts.url))

    @property
    def model(self) -> str:
        """As the body names it, "" where it does not."""
        return self._parts.model if isinstance(self._parts.model, str) else ""

    @property
    def request(self) -> Any:  # noqa: ANN401 - of the type that the operation's row names
        """As the endpoint takes it, or the ApiError that says what is wrong with it: the same as of a live request."""
        return self._parts.request

    @cached_property
    def _parts(self) -> "_Parts":
        """Nothing else stays of the line's JSON, which may take twenty times its bytes."""
        kind: type[Wire] | None = self._endpoint.operation.request_type()
        if kind is None:
            raise LookupError(self._endpoint.path)
        return _read_whole(kind, self._content) or _read_apart(kind, self._content)


@cache
def _line_of(kind: type[Wire]) -> Any:  # noqa: ANN401 - a model made here
    """A line whose body is of this type."""
    return create_model("Line", __base__=Query, custom_id=(Any, None), url=(Any, None), body=(kind, ...))


def _read_whole(kind: type[Wire], content: bytes) -> _Parts | None:
    """A line with nothing wrong in it, as nearly all are, is read once; None of another."""
    try:
        line = _line_of(kind).model_validate_json(content)
        line.body.check_body()
    except (ValidationError, ApiError):
        return None
    return _Parts(line.custom_id, line.url, getattr(line.body, "model", None), line.body)


def _read_apart(kind: type[Wire], content: bytes) -> _Parts:
    """What a line says, and what a live request would be told of its body."""
    try:
        value = to_object(from_json(content))
    except ValueError:
        value = {}
    body: object = value.get("body")
    request: object
    try:
        request = parse(kind, to_json(body, inf_nan_mode="constants"))
    except ApiError as failure:
        failure.__context__ = None  # which has the body
        request = failure.with_traceback(None)
    return _Parts(value.get("custom_id"), value.get("url"), to_object(body).get("model"), request)


async def _read_input(parts: Parts, run: ShardRun, start: int, stop: int) -> AsyncIterator[bytes]:
    """Bytes of the input file as its owner may read it now, or of the lines of a dataset; raises InputGone where that is no more."""
    if (name := run.shard.source.get("input")) is not None:
        return JobFiles(run.blobs, run.job.id).read(name, start=start, stop=stop)
    files = surface_for(parts, "files", run.call)
    try:
        file: OpenFile = await files.open(run.job.request["input_file_id"])
    except NotFound:
        raise InputGone from None
    return file.content.read(start, stop)


async def read_entries(parts: Parts, endpoint: Endpoint, run: ShardRun) -> Sequence[Row]:
    """The rows of the run's shard, of those that are done without what they ask; raises InputGone."""
    spans = await spans_of(JobFiles(run.blobs, run.job.id), run.shard)
    contents = [content async for content in read_contents(parts, run, spans)]
    entries = [Entry("", endpoint, content) for content in contents]
    return _rows(run, spans, entries)


async def read_contents(parts: Parts, run: ShardRun, spans: Sequence[Span]) -> AsyncIterator[bytes]:
    """The lines of a shard in their order, empty in the place of one that is done; raises InputGone."""
    chunks, position = await _read_input(parts, run, spans[0].start, spans[-1].stop), 0
    try:
        async for line in lines_in(chunks, [(span.start, span.stop) for span in spans]):
            if position == run.shard.rows:
                return
            yield b"" if run.shard.done >> position & 1 else line.content or b""
            position += 1
    except NotFound:
        raise InputGone from None


async def read_ids(endpoint: Endpoint, run: ShardRun) -> Sequence[Row]:
    """The rows of the run's shard without what they ask."""
    files = JobFiles(run.blobs, run.job.id)
    names = await custom_ids(files, run.shard)
    return _rows(run, await spans_of(files, run.shard), [Entry("", endpoint, b"", name) for name in names])


def _rows(run: ShardRun, spans: Sequence[Span], entries: Sequence[Entry]) -> list[Row]:
    for place, entry in enumerate(entries):
        entry.line_id = request_id_of(run.job.id, run.shard.number, place)
    return [Row(number, entry) for number, entry in zip(row_numbers(spans), entries, strict=False)]


async def custom_ids(files: JobFiles, shard: Shard) -> list[str]:
    """Of the lines of a shard, in their order."""
    spans = await spans_of(files, shard)
    ranges = [(span.ids_start, span.ids_stop) for span in spans]
    chunks = files.read(shard.source["ids"]["name"], start=ranges[0][0], stop=ranges[-1][1])
    return [json.loads(line.content or b"") async for line in lines_in(chunks, ranges)]
