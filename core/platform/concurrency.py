"""Several pieces of work at once, and work that is undone where it does not come to its end."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager


async def run_all[T](jobs: Iterable[Callable[[], Awaitable[T]]], *, at_once: int) -> list[T]:
    """The results in order, with at most `at_once` under way; the first failure cancels the others, and is raised."""
    places = asyncio.Semaphore(at_once)

    async def run(job: Callable[[], Awaitable[T]]) -> T:
        async with places:
            return await job()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(job)) for job in jobs]
    except ExceptionGroup as failures:
        first = failures.exceptions[0]
        raise first from first.__cause__
    return [task.result() for task in tasks]


@asynccontextmanager
async def undoing(undo: Callable[[], Awaitable[object]]) -> AsyncGenerator[None]:
    """Where what is inside fails, or is cancelled, `undo` is called; what it raises takes the failure's place."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(undo)
        yield
        stack.pop_all()
