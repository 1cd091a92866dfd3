"""What a failure is called that a response ends with, and calls that end in time."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

from core.errors import ApiError, UpstreamTimeout
from core.frame.callers import Call
from core.frame.types import JsonObject

MARGIN: Final = 2.0  # seconds before the answer must have left, in which the run is ended and kept
CODES: Final = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
SERVER: Final = 500
NO_TIME: Final = "The response was not whole when the time for this call was over. Ask for less at once, or send the output that is there as input."
NO_FINISH: Final = "The model's answer broke off: its provider ended it without saying why."


def error_of(failure: ApiError) -> JsonObject:
    """A failure as the `error` of a response, by OpenAI's codes where one of them says it, else by ours.

    Source: https://platform.openai.com/docs/api-reference/responses/object.
    """
    code = "server_error" if failure.status >= SERVER else CODES.get(failure.status, failure.code)
    return {"code": code, "message": failure.message}


def observe_failure(call: Call | None, failure: ApiError) -> None:
    """For the request log: a run that failed has been answered all the same."""
    if call is not None:
        call.observed.failure = failure.status
        call.observed.note_failure(failure.code, failure.reason, failure.provider_id)


class Deadline:
    """Until when a call's run may go on, in the loop's time; None is without end."""

    __slots__ = ("_until",)

    def __init__(self, call: Call | None) -> None:
        self._until = None if call is None or call.until is None else call.until - MARGIN

    async def wait[T](self, work: Awaitable[T]) -> T:
        """Raises UpstreamTimeout, where `work` is cancelled."""
        if self._until is None:
            return await work
        limit = asyncio.timeout_at(self._until)
        try:
            async with limit:
                return await work
        except TimeoutError as slow:
            if limit.expired():
                raise UpstreamTimeout(NO_TIME) from slow
            raise

    def watch[T](self, values: AsyncGenerator[T]) -> AsyncGenerator[T]:
        """The same values, under one timer for all; closing it closes `values`."""
        return values if self._until is None else watch(values, Alarm(), _late, self._until)


class Alarm:
    """Cancels the task that waits when it rings, if one does."""

    __slots__ = ("rings", "waiting")

    def __init__(self) -> None:
        self.rings = False
        self.waiting: asyncio.Task[Any] | None = None

    def ring(self) -> None:
        self.rings = True
        if self.waiting is not None:
            self.waiting.cancel()

    def stop(self) -> bool:
        """Whether it was the alarm that cancelled the task under way, and nobody else beside it."""
        task = asyncio.current_task()
        return self.rings and task is not None and task.uncancel() == 0


async def watch[T](
    values: AsyncGenerator[T], alarm: Alarm, failure: Callable[[], Exception], until: float | None = None
) -> AsyncGenerator[T]:
    """The same values; once the alarm rings, at `until` by itself, raises the failure. `values` is closed then too."""
    timer = None if until is None else asyncio.get_running_loop().call_at(until, alarm.ring)
    try:
        while not alarm.rings:
            alarm.waiting = asyncio.current_task()
            try:
                value = await anext(values)
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                if alarm.stop():
                    raise failure() from None
                raise
            finally:
                alarm.waiting = None
            yield value
        raise failure()
    finally:
        if timer is not None:
            timer.cancel()
        await values.aclose()


def _late() -> Exception:
    return UpstreamTimeout(NO_TIME)
