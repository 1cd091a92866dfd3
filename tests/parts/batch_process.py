"""A worker of a run config as a process of its own, which a test kills: `python -m tests.parts.batch_process SETTINGS`.

As `llambda worker`, but for times that suit a test, a queue that may be the worst of its sort, and a clock that may be wrong.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
import json
import logging
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

from core.config.load import interpret
from core.resolution.jobs import engine_of
from core.resolution.resolve import resolve
from core.resolution.stack import routed_apis
from core.runtime.fast_loop import fast_loop
from core.runtime.worker import Worker, spare_garbage
from core.services.jobs.timing import Timing
from tests.parts.job_process import UnreliableQueue, peak_megabytes

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Settings:
    """`config` is the path of a run config; `timing` is empty for that of production. See `tests.parts.job_process.Settings`."""

    config: str
    shards: int = 1
    visibility: int = 8
    offset: float = 0.0
    unreliable: bool = False
    timing: dict[str, float] = field(default_factory=lambda: {"lease": 6.0, "checkpoint": 0.25, "tick": 5, "sweep": 2})

    def start(self, log: Path) -> "subprocess.Popen[bytes]":
        command: Sequence[str] = [sys.executable, "-m", "tests.parts.batch_process", json.dumps(asdict(self))]
        with log.open("ab") as output:
            return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)


async def main(settings: Settings, document: dict[str, Any]) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(process)d %(message)s")
    loaded = interpret(document, {})
    assert loaded.config is not None, loaded.problems
    stack = await resolve(loaded, routed_apis(loaded.config), version="1")
    engine = engine_of(stack, Timing(**settings.timing))  # type: ignore[arg-type]
    queue: Any = UnreliableQueue(engine.queue) if settings.unreliable else engine.queue
    engine = replace(engine, queue=queue, clock=lambda: time.time() + settings.offset)
    worker = Worker(queue, engine.run_message, at_once=settings.shards, visibility=settings.visibility)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    spare_garbage()
    await worker.work()
    await stack.close()
    print("rss", peak_megabytes(), "MB", flush=True)


if __name__ == "__main__":
    SETTINGS = Settings(**json.loads(sys.argv[1]))
    asyncio.run(main(SETTINGS, json.loads(Path(SETTINGS.config).read_text())), loop_factory=fast_loop())
