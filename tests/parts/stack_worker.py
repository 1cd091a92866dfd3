"""The worker of a run config as a process of its own, which a test kills: `python -m tests.parts.stack_worker RUN_CONFIG`."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
import json
from pathlib import Path
import subprocess
import sys

from core.config.load import interpret
from core.runtime.job_worker import make_runner
from core.runtime.worker import Worker
from core.services.jobs.timing import Timing

ROOT = Path(__file__).parents[2]
TIMING = Timing(lease=4.0, checkpoint=0.3, first_tick=1, tick=2, stop=1, poll=0.0, longest_poll=0.0)
VISIBILITY = 3


async def work(document: str) -> None:
    runner = await make_runner(interpret(json.loads(document), {}), TIMING)
    await Worker(runner.queue, runner.run, at_once=4, visibility=VISIBILITY).work()


@contextmanager
def working(run_config: Path, log: Path) -> Generator["subprocess.Popen[bytes]"]:
    """A process, which is killed at the end if it was not before."""
    with log.open("ab") as output:
        command = [sys.executable, "-m", "tests.parts.stack_worker", str(run_config)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]).read_text("utf-8")))
