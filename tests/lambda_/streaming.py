"""A function in the streaming runtime, in a process of its own, as `infra/stream` starts it."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
from typing import Any, Final

from tests.lambda_.runtime_api import Outcome, RuntimeApiDouble, listening
from tests.parts.secrets import hear_file

WRAPPER: Final = Path(__file__).resolve().parents[2] / "infra" / "stream"
PATIENCE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Streamed:
    """A function that is up, like `emulator.Function`; `process` is for those who end it."""

    double: RuntimeApiDouble
    loop: asyncio.AbstractEventLoop
    process: subprocess.Popen[bytes]
    log: Path

    def invoke(self, event: object) -> dict[str, Any]:
        """The function's answer, in the form that the buffered runtime gives it."""
        outcome = self.answered(event)
        assert outcome.error is None, f"{outcome.error}\n{self.log.read_text(encoding='utf-8')[-2000:]}"
        assert outcome.trailer is None
        return outcome.prelude | {"body": outcome.body.decode(), "isBase64Encoded": False}

    def answered(self, event: object, seconds: float = PATIENCE_SECONDS) -> Outcome:
        """What became of it."""
        return self.in_loop(self.begun(event, seconds).whole())

    def begun(self, event: object, seconds: float = PATIENCE_SECONDS) -> Outcome:
        """What is becoming of it."""

        async def invoke() -> Outcome:
            return self.double.invoke(event, seconds=seconds)

        return self.in_loop(invoke())

    def in_loop[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Where the double is, and all that it fills."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_SECONDS)


@contextmanager
def in_thread(double: RuntimeApiDouble | None = None) -> Iterator[tuple[RuntimeApiDouble, asyncio.AbstractEventLoop]]:
    """A double on a loop of its own."""
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    up = list[RuntimeApiDouble]()

    async def serve() -> None:
        async with listening(double) as listens:
            up.append(listens)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield up[0], loop
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def started(
    package: Path, handler: str, address: str, environment: Mapping[str, str], log: Path, python: str = sys.executable
) -> Any:
    """The wrapper as Lambda starts it, with nothing of this checkout on its path."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    variables = {"LAMBDA_TASK_ROOT": str(package), "_HANDLER": handler, "AWS_LAMBDA_RUNTIME_API": address}
    with log.open("wb") as output:
        return subprocess.Popen(
            [str(WRAPPER), python, "/var/runtime/bootstrap.py"],
            cwd="/",
            env={**kept, **variables, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def stop(process: "subprocess.Popen[bytes]", log: Path) -> int:
    """The exit code after SIGTERM."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    finally:
        hear_file(log)


@contextmanager
def streaming(
    package: Path, handler: str, environment: Mapping[str, str], log: Path, python: str = sys.executable
) -> Iterator[Streamed]:
    """`handler`'s app of the built `package`."""
    with in_thread() as (double, loop):
        process = started(package, handler, double.address, environment, log, python)
        try:
            yield Streamed(double, loop, process, log)
        finally:
            code = stop(process, log)
        assert code == 0, log.read_text(encoding="utf-8")
