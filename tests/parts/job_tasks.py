"""The worker of a stack's jobs, as tasks of this process."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol

from core.config.load import interpret
from core.runtime.job_worker import JobTasks, make_runner
from core.services.jobs.timing import Timing

GRACE: Final = 4.0  # seconds, of which three are for the last checkpoint


class World(Protocol):
    def document(self, **how: Any) -> dict[str, Any]: ...


@asynccontextmanager
async def job_tasks(
    document: dict[str, Any], timing: Timing | None = None, *, at_once: int = 4
) -> AsyncGenerator[JobTasks]:
    """It leaves what is under way to others as it ends."""
    tasks = JobTasks(await make_runner(interpret(document, {}), timing), at_once=at_once, grace=GRACE)
    tasks.start()
    try:
        yield tasks
    finally:
        await tasks.close()


def job_worker(world: World, timing: Timing | None = None, **how: Any) -> AbstractAsyncContextManager[JobTasks]:
    """That of a world's run config."""
    return job_tasks(world.document(**how), timing)
