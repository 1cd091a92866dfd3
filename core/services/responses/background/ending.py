"""Runs that are ended with their jobs, by nobody who makes them."""

from typing import Final

from core.frame.callers import Call
from core.frame.types import JsonObject
from core.services.parts import Parts
from core.services.responses.contract import RunEnded, Status
from core.services.responses.recording.codec import Ending
from core.services.responses.recording.ending import keep_ended, log_of
from core.services.responses.recording.folding import read_state
from core.services.responses.recording.log import RunLost
from core.services.responses.recording.records import RUN
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import RESPONSE
from core.stores.documents.port import Document
from core.stores.jobs.port import Job

NOT_DONE: Final = "The response was not done: {reason}"
NO_REASON: Final = "its job has ended."
GONE: Final = "gone"


async def end_run(state: StatePlace, run: Document, status: Status, error: JsonObject | None = None) -> None:
    """End it here and now, whoever has it, unless it has ended. `error` is of a run that `failed`."""
    log = log_of(state, run.id)
    try:
        await log.take()
        now = await read_state(log)
        await log.append([*now.break_off(), Ending(RunEnded(status, now.usage, error=error))])
    except RunLost:
        pass
    now = await read_state(log)
    if now.ending is not None:
        await keep_ended(state, run, now)


def error_by(reason: str) -> JsonObject:
    """The `error` of a response whose job has ended for this reason: `code: message`, as jobs have it."""
    code, _, message = reason.partition(": ")
    return {"code": "server_error", "message": NOT_DONE.format(reason=message or code or NO_REASON)}


async def end_job(parts: Parts, call: Call, job: Job, reason: str) -> str:
    """End the run of a job that has come to its end, unless that has ended itself: how it did."""
    state, response_id = StatePlace.of(parts, call), job.request["response"]
    if (run := await state.store.get(RUN, response_id)) is not None:
        is_cancelled = job.outcome == "cancelled"
        status: Status = "cancelled" if is_cancelled else "failed"
        await end_run(state, run, status, None if is_cancelled else error_by(reason))
    response = await state.store.get(RESPONSE, response_id)
    return GONE if response is None else str(response.body["response"]["status"])
