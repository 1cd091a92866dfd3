"""One response on its way: its object, what is whole of its output, and what must be let go of whatever becomes of it."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from core.errors import ApiError, Conflict
from core.frame.types import JsonObject
from core.platform.concurrency import undoing
from core.services.responses.contract import Event, Events, Item, ItemDone, RunEnded, StepRecorded, Usage
from core.services.responses.engine.failures import Alarm, error_of
from core.services.responses.history import Session
from core.services.responses.printing.objects import end_response
from core.services.responses.recording.codec import Ending
from core.services.responses.recording.log import RunCancelled, RunLost

if TYPE_CHECKING:
    from core.services.responses.background.handing import Handover
    from core.services.responses.printing.events import EventPrinter
    from core.services.responses.recording.writing import Recorder

WEIGHTY: Final = frozenset({ItemDone, StepRecorded, RunEnded})
"""Events of which more is done than to write and to tell them."""
STOPPED: Final[JsonObject] = {
    "code": "server_error",
    "message": "The run was stopped before its end. Send the request again.",
}
LOST: Final = "This response was deleted, or ended by another, while it was made. Get it to see what is there of it."


class Answer:
    """`response` is the object as it is now; it has ended once RunEnded was given out.

    `recorder` writes its log, None for one that has none; `printer` knows how a stream of it broke.
    """

    def __init__(
        self,
        response: JsonObject,
        session: Session,
        new_items: Sequence[Item],
        events: Events,
        recorder: "Recorder | None" = None,
        handover: "Handover | None" = None,
    ) -> None:
        self.response = response
        self.printer: EventPrinter | None = None
        self._session = session
        self._new_items = new_items
        self._run = events
        self._recorder = recorder
        self._handover = handover
        self._first: Event | None = None
        self._output: dict[int, Item] = {}
        self._has_ended = False
        self._is_left = False
        self._is_closed = False

    @property
    def is_recorded(self) -> bool:
        """Whether it goes on without its client: others find it by its id."""
        return self._recorder is not None

    async def begin(self) -> None:
        """Ask the model. Raises what is wrong before it has answered; then everything is let go."""
        async with undoing(self.close):
            if self._handover is None or self._recorder is None:
                self._first = await anext(self._run)
            else:
                self._first = await self._handover.begin(self._run, self._recorder.alarm)

    async def events(self) -> Events:
        """All of them, up to RunEnded, which tells of a response that is kept."""
        recorder, event = self._recorder, self._first
        alarm = Alarm() if recorder is None else recorder.alarm
        try:
            try:
                while event is not None:  # written out, as there is one for each token
                    if event.__class__ in WEIGHTY:
                        event = await self._note(event)
                    elif recorder is not None:
                        recorder.note(event)
                    yield event
                    if alarm.rings:
                        break
                    alarm.waiting = asyncio.current_task()
                    event = await anext(self._run, None)
                    alarm.waiting = None
            except (asyncio.CancelledError, GeneratorExit) as end:
                if isinstance(end, GeneratorExit) or alarm.waiting is None or not alarm.stop():
                    self._is_left = True
                    raise
            alarm.waiting = None
            for event in await self._stop():
                yield event
        finally:
            alarm.waiting = None
            await self.close()

    async def _stop(self) -> Sequence[Event]:
        """What is still told of a run that goes no further here."""
        if (event := await self._hand_over()) is not None:
            return [event]
        return [await self._note(event) for event in await self._break_off()]

    async def _hand_over(self) -> Event | None:
        """Where its time is up the run goes on by a worker, and has ended here."""
        if self._handover is None or self._recorder is None or not self._handover.is_due or self._has_ended:
            return None
        await self._run.aclose()
        return await self._carry_out(self._handover, self._recorder)

    async def _carry_out(self, handover: "Handover", recorder: "Recorder") -> Event | None:
        try:
            event = await handover.carry_out(recorder, self._session)
        except RunLost:  # or somebody has cancelled it
            return None
        output = [self._output[place] for place in sorted(self._output)]
        self.response |= {"status": "queued", "background": True, "output": output}
        self._has_ended = True
        return event

    async def close(self) -> None:
        """Stop what is under way, and let the conversation go; called again it does nothing.

        A run with a log that has not ended goes to a worker where it may, and else has failed: whoever follows it learns that.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if self._handover is not None:
            self._handover.stop()
        try:
            await self._run.aclose()
            if self._is_left and self._handover is not None and self._recorder is not None and not self._has_ended:
                with suppress(ApiError):
                    await self._carry_out(self._handover, self._recorder)
            if self._recorder is not None and self._recorder.has_noted and not self._has_ended:
                failure = None if self.printer is None else self.printer.failure
                error = STOPPED if failure is None else error_of(failure)
                await self._end(RunEnded("failed", Usage(), error=error))
        finally:
            await self._session.close()

    async def _break_off(self) -> Sequence[Event]:
        """What is still told of a run that somebody cancelled.

        Raises:
            Conflict: it is another's.
            LimitReached: nothing of it can be kept.
        """
        recorder = self._recorder
        if recorder is None or self._has_ended:
            return ()
        if recorder.refusal is not None:
            await self._run.aclose()
            raise recorder.refusal
        if recorder.loss is None:
            return ()
        await self._run.aclose()
        if not isinstance(recorder.loss, RunCancelled):
            raise Conflict(LOST)
        state = await recorder.state()
        return [*state.break_off(), RunEnded("cancelled", state.usage)]

    async def _note(self, event: Event) -> Event:
        if isinstance(event, RunEnded):
            return await self._end(event)
        if isinstance(event, ItemDone):
            self._output[event.slot.place] = event.item
        if self._recorder is None:
            return event
        if isinstance(event, StepRecorded):
            with suppress(RunLost):  # of which the alarm tells
                await self._recorder.keep(event)
            if self._handover is not None:
                self._handover.look(self._recorder.alarm)
        else:
            self._recorder.note(event)
        return event

    async def _end(self, event: RunEnded) -> RunEnded:
        """Keep the response before anybody is told of its end; one that cannot be kept has failed."""
        self._has_ended = True
        output = [self._output[place] for place in sorted(self._output)]
        try:
            return await self._keep(event, output)
        except ApiError as failure:
            event = replace(event, status="failed", reason="", error=error_of(failure))
            end_response(self.response, event, output)
            if self._recorder is not None:
                await self._recorder.abandon(Ending(event))
            return event

    async def _keep(self, event: RunEnded, output: Sequence[Item]) -> RunEnded:
        """Cancelled in the last moment it is kept as that."""
        if self._recorder is None:
            await self._finish(event, output)
            return event
        await self._recorder.stop()
        if self._recorder.loss is not None:
            event = self._end_lost(self._recorder.loss, event)
        try:
            await self._finish(event, output)
        except Conflict:
            loss = await self._recorder.find_loss()
            if loss is None:
                raise
            event = self._end_lost(loss, event)
            await self._finish(event, output)
        return event

    @staticmethod
    def _end_lost(loss: RunLost, event: RunEnded) -> RunEnded:
        if not isinstance(loss, RunCancelled):
            raise Conflict(LOST)
        return RunEnded("cancelled", event.usage)

    async def _finish(self, event: RunEnded, output: Sequence[Item]) -> None:
        end_response(self.response, event, output)
        record = {name: value for name, value in self.response.items() if name != "output"}
        log = None if self._recorder is None else self._recorder.end(Ending(event, self.response["completed_at"]))
        await self._session.finish(record, self._new_items, output, log)


async def drain(events: Events) -> None:
    """Run to the end, for who wants the whole alone."""
    async with aclosing(events):
        async for _ in events:
            pass
