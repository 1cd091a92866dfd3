"""Answers `core.services.responses.contract.Engine` by what has Responses itself: a model's provider, or one of the API `responses`."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing

from core.apis.responses import ResponseRequest
from core.errors import ApiError, UpstreamFailed
from core.frame.callers import Call
from core.frame.types import JsonObject, JsonStream
from core.services.responses.compaction.tools import CompactedTools, has_compaction
from core.services.responses.contract import Event, Events, Run, RunEnded, Usage
from core.services.responses.engine.bounds import OutputBound
from core.services.responses.engine.failures import NO_FINISH, Deadline, error_of, observe_failure
from core.services.responses.engine.hosted import Steps
from core.services.responses.native.reading import NativeReader
from core.services.responses.native.writing import write_body
from core.services.responses.output import Output

type Ask = Callable[[JsonObject], Awaitable[JsonStream]]


class NativeEngine:
    """One round, of which all is the provider's: for a request whose tools its caller runs. There is no step in it: a run that is gone on with begins anew."""

    def __init__(
        self, request: ResponseRequest, ask: Ask, call: Call | None = None, *, output: Output | None = None
    ) -> None:
        self._request = request
        self._ask = ask
        self._call = call
        self._deadline = Deadline(call)
        self._output = output

    def run(self, run: Run) -> Events:
        return self._events(run, self._output or Output(len(run.output), run.tail))

    async def _events(self, run: Run, output: Output) -> Events:
        prepared = _prepare(run, output)
        events = await self._deadline.wait(self._ask(write_body(self._request, run)))
        reader = NativeReader(output)
        try:
            for event in prepared:
                yield event
            async with aclosing(self._deadline.watch(_read(events, reader))) as source:
                async for event in source:
                    yield event
        except ApiError as failure:
            observe_failure(self._call, failure)
            for event in reader.break_off():
                yield event
            yield RunEnded("failed", Usage(), error=error_of(failure))
        finally:
            await events.aclose()


def _prepare(run: Run, output: Output) -> list[Event]:
    """What tells of a context that was made shorter; all tools are the provider's, or the caller's."""
    steps = Steps(output)
    if has_compaction(run.output) or not isinstance(run.tools, CompactedTools):
        return []
    return [event for step in run.tools.compacting for event in steps.take(step)]


async def _read(events: JsonStream, reader: NativeReader) -> Events:
    """Up to the last; raises UpstreamFailed where there is none, or it is too much."""
    bound = OutputBound()
    async with aclosing(events):
        async for theirs in events:
            bound.check()
            for event in reader.feed(theirs):
                bound.take(event)
                yield event
            if reader.ended is not None:
                return
    raise UpstreamFailed(NO_FINISH)
