"""Whoever works on jobs: a loop over the queue on a machine, or the events of SQS on Lambda.

A message is kept from others for two minutes, and again each minute while it is worked on: after a crash it is delivered
soon, whatever the queue's own visibility is, which Lambda wants to be as long as a function may run.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
import gc
import json
import logging
import time
from typing import Any, Final, Protocol, cast

from core.errors import StateUnavailable
from core.frame.tracing import REQUEST_ID, new_id
from core.platform.json_values import to_object
from core.services.jobs.messages import Again, GiveBack, Outcome
from core.services.jobs.timing import Turn
from core.stores.queue.port import Delivery, WorkQueue

log = logging.getLogger(__name__)

VISIBILITY: Final = 120
EXTEND_SECONDS: Final = 60.0
WAIT_SECONDS: Final = 2.0  # for a message: as long as a worker that is to end may wait for nothing
GRACE_SECONDS: Final = 10.0  # of a worker that is to end, to leave its messages to others
PAUSE_SECONDS: Final = 2.0  # after the queue could not be reached
MOST_LIGHT: Final = 32  # messages beside those that take a place, which wait for others
BROKEN_SECONDS: Final = 30  # until a message that a bug of ours gave back is delivered again
YOUNG_OBJECTS: Final = 10_000
"""More than these before garbage is looked for: the rows in flight have as many, which are none."""

type Run = Callable[[Delivery, Turn], Awaitable[Outcome]]


class Worker:
    """Takes messages, of which it works on `at_once`, until it is stopped."""

    def __init__(
        self,
        queue: WorkQueue,
        run: Run,
        *,
        at_once: int = 2,
        visibility: int = VISIBILITY,
        grace: float = GRACE_SECONDS,
    ) -> None:
        """`visibility` and `grace` are in seconds."""
        self._queue = queue
        self._run = run
        self._visibility = visibility
        self._grace = grace
        self._places = asyncio.Semaphore(at_once)
        self._stopping = asyncio.Event()
        self._turns: dict[asyncio.Task[None], Turn] = {}
        self._light = 0

    async def work(self) -> None:
        """Until `stop` was called and what was under way is done, or left to others."""
        while not self._stopping.is_set():
            await self._places.acquire()
            deliveries = () if self._stopping.is_set() else await self._take()
            if not deliveries:
                self._places.release()
            for delivery in deliveries:
                turn = Turn(relieve=self._relieve)
                task = asyncio.create_task(self._handle(delivery, turn))
                self._turns[task] = turn
                task.add_done_callback(self._ended)
        if self._turns:
            await asyncio.wait(self._turns)

    def stop(self) -> None:
        """Take no more, and let what is under way be left within the grace."""
        self._stopping.set()
        for turn in self._turns.values():
            turn.end(time.time() + self._grace)

    async def _take(self) -> Sequence[Delivery]:
        try:
            return await self._queue.take(most=1, wait=WAIT_SECONDS, visibility=self._visibility, ending=self._stopping)
        except StateUnavailable as failure:
            log.warning("no messages: %s", failure)
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_SECONDS):
                    await self._stopping.wait()
            return ()

    def _relieve(self) -> bool:
        """Whether a message gives its place to another, since it waits for others."""
        if self._light >= MOST_LIGHT:
            return False
        self._light += 1
        self._places.release()
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._turns.pop(task).is_light:
            self._light -= 1
        else:
            self._places.release()
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("a message was not settled", exc_info=failure)

    async def _handle(self, delivery: Delivery, turn: Turn) -> None:
        REQUEST_ID.set(new_id())  # of this task alone
        outcome = await run_kept(self._queue, self._run, delivery, turn, visibility=self._visibility)
        try:
            await settle(self._queue, delivery, outcome)
        except StateUnavailable as failure:
            log.warning("a message is delivered again: %s", failure)


def spare_garbage() -> None:
    """Look for garbage seldom, and never among what the process is made of by now: it took some hundredths of a fast row's time."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


async def run_kept(
    queue: WorkQueue, run: Run, delivery: Delivery, turn: Turn, *, visibility: int = VISIBILITY
) -> Outcome:
    """Work on a message while it is kept from others; a bug of ours gives it back, logged."""
    keeping = asyncio.ensure_future(_keep(queue, delivery, visibility))
    try:
        # Gathered, so that whatever is raised is a value; a cancellation of this task still cancels it.
        outcome = (await asyncio.gather(run(delivery, turn), return_exceptions=True))[0]
    finally:
        keeping.cancel()
        await asyncio.wait((keeping,))
    if isinstance(outcome, BaseException):
        log.error("a message failed: %s of a job", delivery.body.get("do"), exc_info=outcome)
        return GiveBack(BROKEN_SECONDS)
    return outcome


async def _keep(queue: WorkQueue, delivery: Delivery, visibility: int) -> None:
    while True:
        with suppress(StateUnavailable):
            await queue.extend(delivery, seconds=visibility)
        await asyncio.sleep(min(EXTEND_SECONDS, visibility / 2))


async def settle(queue: WorkQueue, delivery: Delivery, outcome: Outcome) -> None:
    """Let the message go, after another took its place where one must; or give it back.

    Raises:
        StateUnavailable: it is delivered again, once nobody keeps it.
    """
    if isinstance(outcome, GiveBack):
        await queue.extend(delivery, seconds=outcome.seconds)
        return
    if isinstance(outcome, Again):
        await queue.send([outcome.task.to_message(outcome.owner)], delay=outcome.seconds)
    await queue.done(delivery)


class LambdaContext(Protocol):
    """What AWS's runtimes tell a handler."""

    def get_remaining_time_in_millis(self) -> int:
        """Until Lambda kills the function."""
        ...


async def handle_event(queue: WorkQueue, run: Run, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """An event of SQS: `{"batchItemFailures": [...]}` names the messages that Lambda must not delete.

    Raises:
        ValueError: it is no event of SQS.
    """
    records = event.get("Records")
    if not isinstance(records, list):
        raise ValueError("the worker is invoked by its queue alone")  # noqa: TRY004 - one kind for what is no such event
    deliveries = [to_object(record) for record in cast("list[object]", records)]
    deadline = time.time() + context.get_remaining_time_in_millis() / 1000
    failed = await asyncio.gather(*(_handle_record(queue, run, record, Turn(deadline)) for record in deliveries))
    ids = [record["messageId"] for record, failure in zip(deliveries, failed, strict=True) if failure]
    return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in ids]}


async def _handle_record(queue: WorkQueue, run: Run, record: dict[str, Any], turn: Turn) -> bool:
    """Whether it is delivered again."""
    delivery = delivery_of(record)
    outcome = await run_kept(queue, run, delivery, turn)
    try:
        if isinstance(outcome, Again):
            await queue.send([outcome.task.to_message(outcome.owner)], delay=outcome.seconds)
        if isinstance(outcome, GiveBack):
            await queue.extend(delivery, seconds=outcome.seconds)
    except StateUnavailable as failure:
        log.warning("a message is delivered again: %s", failure)
        return True
    return isinstance(outcome, GiveBack)


def delivery_of(record: dict[str, Any]) -> Delivery:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html; what is no message of ours has an empty body."""
    try:
        body = to_object(json.loads(record["body"]))
    except (ValueError, RecursionError):
        body = {}
    receives = record.get("attributes", {}).get("ApproximateReceiveCount", "1")
    return Delivery(body, record["receiptHandle"], int(receives))
