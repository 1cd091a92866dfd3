"""A run of the foreground goes to a worker where its call has no more time: when, and what is written then."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from core.frame.callers import ANONYMOUS, Call
from core.services.jobs.service import job_service
from core.services.responses.background.creating import LATE, has_jobs
from core.services.responses.background.job import KIND, SECONDS
from core.services.responses.background.requests import seal_request
from core.services.responses.contract import Event, Events, RunQueued
from core.services.responses.engine.failures import Alarm
from core.services.responses.history import Session
from core.services.responses.recording.records import RunRecord
from core.services.responses.recording.writing import Recorder
from core.services.responses.settings import settings_of

if TYPE_CHECKING:
    from core.apis.response_settings import ResponseSettings
    from core.apis.responses import ResponseRequest
    from core.services.responses.wiring import Wiring

STEP_SECONDS: Final = 60.0
"""Before the end of the call, from which on a step is where it stops; of a shorter call, half of it."""
LEAST_SECONDS: Final = 15.0
"""Before the end, at which it stops wherever it is; of a shorter call, a quarter."""


class Handover:
    """Of one run: at the first step from `at_step` on, or `at_once`, in the loop's time."""

    def __init__(self, wiring: "Wiring", times: tuple[float, float], request: str) -> None:
        """`request` is sealed."""
        self.request = request
        self._wiring = wiring
        self._at_step, self._at_once = times
        self._timer: asyncio.TimerHandle | None = None
        self.is_due = False

    async def begin(self, events: Events, alarm: Alarm) -> Event | None:
        """The first event, None where it is time before there is one; `alarm` rings when it is."""
        self._timer = asyncio.get_running_loop().call_at(self._at_once, self._ring, alarm)
        alarm.waiting = asyncio.current_task()
        try:
            return await anext(events)
        except asyncio.CancelledError:
            if not alarm.stop():
                raise
            return None
        finally:
            alarm.waiting = None

    def look(self, alarm: Alarm) -> None:
        """At a step: the alarm rings if one is all that was waited for."""
        if asyncio.get_running_loop().time() >= self._at_step:
            self._ring(alarm)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _ring(self, alarm: Alarm) -> None:
        self.is_due = True
        alarm.ring()

    async def carry_out(self, recorder: Recorder, session: Session) -> RunQueued:
        """All that was told is in the log, and a job has the run, when this returns. Raises RunLost, StateUnavailable."""
        event = RunQueued()
        recorder.note(event)
        await recorder.flush()
        await recorder.stop()
        jobs = job_service(self._wiring.parts)
        document = recorder.document
        request = {"response": document.id}
        call = self._wiring.call or Call(ANONYMOUS)
        job = jobs.draft(KIND, call, request, seconds=SECONDS)
        record = replace(RunRecord.read(document.body), job=job.id)
        await recorder.log.store.put(document, record.body())
        await session.lend(document.id, int(job.deadline) + LATE)
        await jobs.submit(job, data=call.provider_data)
        return event


async def find_handover(wiring: "Wiring", request: "ResponseRequest") -> Handover | None:
    """For a run that begins now; None where its call may last as long as it likes, or the stack has no jobs."""
    times = times_of(wiring.call, settings_of(wiring.parts))
    if times is None or not has_jobs(wiring.parts):
        return None
    return Handover(wiring, times, await seal_request(request, wiring.sealer()))


def times_of(call: Call | None, settings: "ResponseSettings") -> tuple[float, float] | None:
    """From when on a step is where the run stops, and when it stops wherever it is, in the loop's time."""
    now = asyncio.get_running_loop().time()
    steps, ends = list[float](), list[float]()
    if call is not None and call.until is not None:
        seconds = max(0.0, call.until - now)
        steps.append(call.until - min(STEP_SECONDS, seconds / 2))
        ends.append(call.until - min(LEAST_SECONDS, seconds / 4))
    if settings.foreground_seconds is not None:
        steps.append(now + settings.foreground_seconds)
        ends.append(now + settings.foreground_seconds + LEAST_SECONDS)
    return (min(steps), min(ends)) if steps else None
