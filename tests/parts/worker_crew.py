"""Workers that are processes, which a test kills in the middle of their work, and stores that go away meanwhile."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
import random
import signal
import sqlite3
import subprocess
import threading
from typing import Protocol

from core.services.jobs.timing import Timing
from tests.parts.cutting_proxy import CuttingProxy, proxying


class Startable(Protocol):
    """What a worker is started from."""

    def start(self, log: Path) -> "subprocess.Popen[bytes]":
        """The process, which writes to `log`."""
        ...


@dataclass
class Crew:
    """Workers of which any may be killed; each has settings of its own."""

    settings: Sequence[Startable]
    log: Path
    processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    kills: int = 0
    in_vain: int = 0
    """Kills since there was progress."""
    progress: int = -1

    def start(self) -> None:
        self.processes = [settings.start(self.log) for settings in self.settings]

    def kill_between(self, progress: int) -> None:
        """Kill one, but fewer than a step of a job is given up after where `progress`, in rows, has not grown since: as while it is finished."""
        if progress > self.progress:
            self.progress, self.in_vain = progress, 0
        if self.in_vain < Timing().takeovers - 1:
            self.in_vain += 1
            self.kill_one()

    def kill_one(self) -> None:
        number = random.randrange(len(self.processes))  # noqa: S311 - no secret
        self.processes[number].kill()
        self.processes[number].wait()
        self.processes[number] = self.settings[number].start(self.log)
        self.kills += 1

    def stop(self) -> list[int]:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(30) for process in self.processes]


@contextmanager
def interrupted(endpoint: str, file: Path | None) -> Generator[str]:
    """The address of the database at `endpoint`, which nobody can reach for six seconds, again and again; or `file`, which nobody can write to."""
    over = threading.Event()

    def lock(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as connection:
            while not over.wait(5):
                connection.execute("BEGIN IMMEDIATE")
                over.wait(7)
                connection.execute("ROLLBACK")

    def cut(proxy: CuttingProxy) -> None:
        while not over.wait(5):
            proxy.set_away(away=True)
            over.wait(6)
            proxy.set_away(away=False)

    with ExitStack() as stack:
        url = endpoint
        if file is None:
            proxy = stack.enter_context(proxying(endpoint))
            url, thread = proxy.url, threading.Thread(target=cut, args=(proxy,))
        else:
            thread = threading.Thread(target=lock, args=(file,))
        thread.start()
        try:
            yield url
        finally:
            over.set()
            thread.join()
