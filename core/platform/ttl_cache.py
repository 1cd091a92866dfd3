"""Values remembered for a bounded time; of equal reads at a time one is made, for all who wait for it."""

import asyncio
from collections.abc import Callable, Coroutine
import time
from typing import Any, Final, cast

from core.errors import ApiError, ServerStopping

MOST: Final = 10_000  # values

type Read[Value] = Callable[[], Coroutine[Any, Any, Value]]


def copy_failure(failure: ApiError) -> ApiError:
    """The same for one more caller, who may say in it what was asked: what is remembered or shared stays as it is."""
    twin = type(failure).__new__(type(failure), *failure.args)
    vars(twin).update(vars(failure), headers=dict(failure.headers))
    return twin.with_traceback(failure.__traceback__)


class TtlCache[Key, Value]:
    """`seconds` count from before a read begins, so no value is older. A failure is not remembered, nor is None: nothing there.

    A read is a task of its own: a caller who gives up takes the answer from nobody. Whoever owns the cache closes it: a read
    that outlives what it reads with would open that again, for nobody to close.
    """

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic, most: int = MOST) -> None:
        """Start empty; beyond `most` values, what was read first is forgotten first."""
        self._seconds = seconds
        self._clock = clock
        self._most = most
        self._values: dict[Key, tuple[float, Value]] = {}
        self._reads: dict[Key, asyncio.Task[Value]] = {}
        self._tasks: set[asyncio.Task[Value]] = set()  # of all reads under way, disowned ones too
        self._closed = False

    def peek(self, key: Key) -> Value | None:
        """What is remembered, or None."""
        until, value = self._values.get(key, (0.0, None))
        return value if self._clock() < until else None

    def put(self, key: Key, value: Value) -> None:
        self._put(key, value, self._clock() + self._seconds)

    async def get(self, key: Key, read: Read[Value]) -> Value:
        """What is remembered, or what `read` returns."""
        value = self.peek(key)
        return await self.refresh(key, read) if value is None else value

    async def refresh(self, key: Key, read: Read[Value]) -> Value:
        """What `read` returns, or the same read that is under way, whatever is remembered."""
        joined = self._under_way(key)
        if joined is not None and (value := await self._join(joined)) is not None:
            return value
        # It began before this call, so it may have missed what was stored since; a later one cannot have.
        reading = self._under_way(key)
        if reading is None or reading is joined:
            reading = self._begin(key, read)
        return await self._join(reading)

    async def close(self) -> None:
        """Forget everything and end the reads of this event loop; they, and later ones, raise ServerStopping."""
        self._closed = True
        self.forget_where(lambda _: True)
        tasks = [task for task in self._tasks if task.get_loop() is asyncio.get_running_loop()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def is_reading(self, key: Key) -> bool:
        """Whether a read is under way, which `refresh` would join."""
        return self._under_way(key) is not None

    def forget(self, *keys: Key) -> None:
        """Forget these, and disown reads of them under way, which may have seen the state before."""
        for key in keys:
            self._values.pop(key, None)
            self._reads.pop(key, None)

    def forget_where(self, stale: Callable[[Value], bool]) -> None:
        """Forget the values that are `stale`, and disown every read under way."""
        self._reads.clear()
        self.forget(*[key for key, (_, value) in self._values.items() if stale(value)])

    def _under_way(self, key: Key) -> asyncio.Task[Value] | None:
        task = self._reads.get(key)
        # Another loop's task will never be done: its loop is closed, or frozen while this one runs.
        return task if task is not None and task.get_loop() is asyncio.get_running_loop() else None

    async def _join(self, reading: asyncio.Task[Value]) -> Value:
        try:
            return await asyncio.shield(reading)
        except ApiError as failure:
            raise copy_failure(failure) from failure.__cause__
        except asyncio.CancelledError:
            if self._closed and not cast("asyncio.Task[Any]", asyncio.current_task()).cancelling():
                raise ServerStopping from None
            raise

    def _begin(self, key: Key, read: Read[Value]) -> asyncio.Task[Value]:
        if self._closed:
            raise ServerStopping
        until = self._clock() + self._seconds
        task = self._reads[key] = asyncio.create_task(read())
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._end(key, done, until))
        return task

    def _end(self, key: Key, task: asyncio.Task[Value], until: float) -> None:
        self._tasks.discard(task)
        failed = task.cancelled() or task.exception() is not None  # looked at, else asyncio logs what nobody waited for
        if self._reads.get(key) is not task:
            return
        del self._reads[key]
        if not failed and task.result() is not None:
            self._put(key, task.result(), until)

    def _put(self, key: Key, value: Value, until: float) -> None:
        self._values.pop(key, None)  # else it would keep its place among the oldest
        self._values[key] = (until, value)
        while len(self._values) > self._most:
            del self._values[next(iter(self._values))]
