"""A run as one worker has it: from where its log ends to its end, or as far as the worker's turn goes.

Nothing here is written anywhere but in the log, and with the response itself: whoever dies leaves what the next one goes on from.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import replace
import json
from typing import TYPE_CHECKING, Final

from core.apis.responses import ResponseRequest, most_tokens
from core.errors import ApiError, Conflict, NotFound, StateUnavailable
from core.frame.callers import CURRENT_CALL
from core.services.jobs.shard_run import ShardRun
from core.services.parts import Parts
from core.services.responses.background.metering import Meter, RunPaused
from core.services.responses.background.requests import unseal_request
from core.services.responses.background.taking import RunGone, RunHold, adopt_session
from core.services.responses.contract import Events, RunEnded, StepRecorded
from core.services.responses.engine.failures import error_of, observe_failure
from core.services.responses.history import Session
from core.services.responses.recording.log import RunCancelled, RunLost, RunOver
from core.services.responses.recording.records import RUN, RunRecord
from core.services.responses.recording.removing import remove_run
from core.services.responses.requests import Context, build_run
from core.services.responses.router import make_run
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import RESPONSE
from core.services.responses.wiring import Wiring, pieces_of
from core.services.sealing.envelope import Broken
from core.stores.documents.port import Document
from core.stores.jobs.port import Counts

if TYPE_CHECKING:
    from core.apis.sealing import DataKeys

NO_KEY: Final = {
    "code": "server_error",
    "message": "The key that the request was sealed with is no more. Send the request again.",
}
MOST_TAKES: Final = 5
"""Of a run by workers that had to leave it, or died, without another step: each asks the model for the same again."""
STUCK: Final = {
    "code": "server_error",
    "message": f"{MOST_TAKES} workers in a row came to the end of their time, or died, before a step of it was done. Ask for less in one answer, as by "
    "`max_output_tokens`, or of a tool in one call.",
}


class Worker:
    """Goes on with the run of one shard; `data_keys` are the stack's."""

    def __init__(self, parts: Parts, data_keys: "Callable[[], DataKeys]", run: ShardRun) -> None:
        self._run = run
        self._model = ""
        self._state = StatePlace.of(parts, run.call)
        self._wiring = Wiring(parts, run.call, data_keys)

    async def work(self) -> None:
        """Until the run has ended, or is another's, or the shard halts. Raises StateUnavailable: it is tried again."""
        CURRENT_CALL.set(self._run.call)
        self._run.lighten()
        hurrying = asyncio.create_task(self._hurry())
        try:
            await self._work()
        finally:
            hurrying.cancel()

    async def _hurry(self) -> None:
        """A job that is stopped lets nothing come to its end."""
        halt = self._run.halt
        while halt.reason != "stopping":
            await halt.changed.wait()
            halt.changed.clear()
        halt.over.set()

    async def _work(self) -> None:
        document = await self._state.store.get(RUN, self._run.job.request["response"])
        if document is None:  # it has ended, or was deleted
            self._record("ended")
            return
        record, request = RunRecord.read(document.body), None
        self._model = record.response["model"]
        with suppress(Broken):
            request = await unseal_request(record.request, record.input, self._wiring.sealer())
        bound = 0 if request is None else most_tokens(request)
        meter = Meter(self._run.admission, self._run.call, bound, self._count, request)
        try:
            await meter.begin(self._model)
            await self._take(document, request, meter)
        except RunPaused as pause:
            self._run.halt.set("quota", pause=pause.seconds)
        finally:
            await meter.end()

    async def _take(self, document: Document, request: ResponseRequest | None, meter: Meter) -> None:
        """Have the log, and end what has come to its end."""
        try:
            hold = await RunHold.take(self._state, document, self._run.shard.holder)
            session = await adopt_session(self._state, hold.record)
            if (ended := await self._go_on(hold, session, request, meter)) is not None:
                await self._end(hold, session, ended)
        except RunLost:
            self._record("ended")
        except (RunGone, NotFound, Conflict):  # its conversation was deleted, and all that is in it
            await remove_run(self._state.store, document, self._state.clock())
            self._record("gone")

    async def _end(self, hold: RunHold, session: Session, ended: RunEnded) -> None:
        await hold.end(session, ended)
        self._record(ended.status)

    async def _go_on(
        self, hold: RunHold, session: Session, request: ResponseRequest | None, meter: Meter
    ) -> RunEnded | None:
        """How the run has ended; None where it halts. What was told is in the log by then."""
        if hold.progress.is_cancelled:
            return RunEnded("cancelled", hold.progress.usage)
        if request is None:
            return RunEnded("failed", hold.progress.usage, error=NO_KEY)
        if hold.progress.takes > MOST_TAKES:
            return RunEnded("failed", hold.progress.usage, error=STUCK)
        hold.recorder.start()
        hold.break_off()
        try:
            meter.require()
            events = await self._open(hold, session, request, meter)
            return await self._read(hold, events)
        except RunCancelled:
            return RunEnded("cancelled", hold.progress.usage)
        except StateUnavailable:
            raise
        except ApiError as failure:  # what a request is refused for, had it been in the foreground
            observe_failure(self._run.call, failure)
            return RunEnded("failed", hold.progress.usage, error=error_of(failure))
        finally:
            await self._leave(hold)

    async def _open(self, hold: RunHold, session: Session, request: ResponseRequest, meter: Meter) -> Events:
        self._state.require_create(RESPONSE)
        pieces, record = pieces_of(replace(self._wiring, meter=meter)), hold.record
        tools = await pieces.tools(request)
        engine = await pieces.engine(request)
        context = Context([*session.context, *record.input], len(session.context), session.tail)
        if (
            hold.progress.steps
        ):  # they have what the model was told, of files and a prompt that may be gone, and of a summary
            run = build_run(request, context, tools, pieces.max_rounds)
        else:
            prompt = () if request.prompt is None else await pieces.prompt(request.prompt)
            run = await make_run(pieces, request, prompt, context, tools)
        run.id, run.records = record.response["id"], True
        run.steps, run.output = hold.progress.steps, hold.progress.output
        return engine.run(run)

    async def _read(self, hold: RunHold, events: Events) -> RunEnded | None:
        async with aclosing(hold.read(events)) as source:
            async for event in source:
                if isinstance(event, RunEnded):
                    return event
                hold.note(event)
                if isinstance(event, StepRecorded):
                    await hold.recorder.flush()
                    self._run.get_on()
                    if self._run.halt.reason is not None:
                        return None
        raise RunOver

    async def _leave(self, hold: RunHold) -> None:
        """Write what was told, also where the worker has to go."""
        try:
            await hold.recorder.flush()
        except (RunLost, ApiError):  # who goes on does so from what is there
            return
        finally:
            await hold.recorder.stop()

    def _record(self, status: str) -> None:
        self._run.record(0, json.dumps({"status": status}).encode(), ok=True, tokens={})

    def _count(self, tokens: int) -> None:
        if tokens:
            self._run.count(Counts(tokens={self._model: tokens}))
