"""The worker of a run config: the stack of every API that it serves, which moves with its configuration."""

from core.runtime import coldstart  # first: it shortens what follows

# isort: split

import asyncio
from collections.abc import Callable
from functools import partial
import signal
from typing import Any, Final

from core.config.load import Loaded
from core.config.problems import ConfigInvalid, Problem
from core.errors import ApiError
from core.frame.tracing import REQUEST_ID
from core.frame.version import VERSION
from core.platform.environment import environ
from core.platform.log_records import hold_back
from core.resolution.jobs import engine_of, has_jobs
from core.resolution.resolve import resolve
from core.resolution.stack import Stack, routed_apis
from core.runtime import job_lines, snapshot
from core.runtime.function import check_files, load_config
from core.runtime.log_format import log_as_json
from core.runtime.loop import process_loop
from core.runtime.worker import GRACE_SECONDS, Worker, handle_event, spare_garbage
from core.services.jobs.messages import GiveBack, Outcome
from core.services.jobs.timing import Timing, Turn
from core.services.jobs.told import Tell
from core.stores.connect import QUEUE
from core.stores.queue.port import Delivery, WorkQueue

NO_JOBS: Final = Problem(
    "apis",
    "no API that is served has jobs, or storage.stores has no place for jobs, queue and blobs: there is nothing to do",
)

type Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


class JobRunner:
    """Runs messages over the stack in force: a message goes to its end by what held when it began."""

    def __init__(self, stack: Stack, timing: Timing | None = None, tell: Tell | None = None) -> None:
        """`stack` is what the run config alone was resolved to; `tell` gets what its calls have used."""
        self.queue: WorkQueue = stack.stores.get(QUEUE)
        self._stack = stack
        make_engine = partial(engine_of, timing=timing, tell=tell)
        self._engine = make_engine(stack)
        self._reloader: Any = None
        if stack.poller is not None:
            from core.resolution.live.reloader import StackReloader

            self._reloader = StackReloader(routed_apis(stack.config), stack, stack.poller, make_engine)

    async def run(self, delivery: Delivery, turn: Turn) -> Outcome:
        """As Engine.run_message; the message is given back where nobody can tell which configuration is in force."""
        if self._reloader is None:
            return await self._engine.run_message(delivery, turn)
        try:
            current = await self._reloader.acquire()
        except ApiError:
            return GiveBack()
        try:
            outcome: Outcome = await current.endpoints.run_message(delivery, turn)
            return outcome
        finally:
            await self._reloader.release(current)

    async def close(self) -> None:
        await (self._stack if self._reloader is None else self._reloader).close()


async def make_runner(loaded: Loaded, timing: Timing | None = None, tell: Tell | None = None) -> JobRunner:
    """For every API with jobs that the run config serves.

    Raises:
        ConfigInvalid: the run config has problems, or no jobs.
    """
    if loaded.config is None or not has_jobs(loaded.config):
        raise ConfigInvalid("run config", loaded.problems or [NO_JOBS])
    stack = await resolve(loaded, routed_apis(loaded.config), version=VERSION)
    check_files(loaded, stack)
    stack.warm()
    return JobRunner(stack, timing, tell)


class JobTasks:
    """The worker as tasks of a process that does something else too, on its loop."""

    def __init__(self, runner: JobRunner, *, at_once: int = 2, grace: float = GRACE_SECONDS) -> None:
        """Nothing is taken before `start`; `at_once` is how many messages are worked on together, `grace` is in seconds."""
        self._runner = runner
        self._worker = Worker(runner.queue, runner.run, at_once=at_once, grace=grace)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._worker.work())

    async def close(self) -> None:
        """Leave what is under way to others, within some seconds."""
        self._worker.stop()
        if self._task is not None:
            await self._task
        await self._runner.close()


def work_alone(*, at_once: int, ready: Callable[[], None]) -> None:
    """Work on the jobs of the run config that LLAMBDA_CONFIG names, until SIGINT or SIGTERM; raises ConfigInvalid."""
    loop = process_loop()

    async def work() -> None:
        runner = await make_runner(load_config())
        worker = Worker(runner.queue, runner.run, at_once=at_once)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, worker.stop)
        ready()
        spare_garbage()
        await worker.work()
        await runner.close()

    loop.run_until_complete(work())


def lambda_worker() -> Handler:
    """The handler of functions/worker.py, for AWS's own runtime.

    Raises:
        ConfigInvalid: the run config has problems. That it has no jobs, its first message tells: nobody sends one.
    """
    name = environ().get("AWS_LAMBDA_FUNCTION_NAME")
    if name:
        log_as_json()
    hold_back()
    loop, loaded = process_loop(), load_config()
    runner = None
    if loaded.config is not None and has_jobs(loaded.config):
        tell = job_lines.to_cloudwatch(name) if name else None
        runner = loop.run_until_complete(make_runner(loaded, tell=tell))
    snapshot.keep_apart()
    coldstart.end()
    spare_garbage()

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - the runtime's own
        REQUEST_ID.set(getattr(context, "aws_request_id", ""))
        if runner is None:
            raise ConfigInvalid("run config", [NO_JOBS])
        return loop.run_until_complete(handle_event(runner.queue, runner.run, event, context))

    return handler
