"""What starts once for a run, however many workers pytest-xdist has: the process that outlives them all starts it.

Without workers that is the process of the tests itself. With them it is the one that hands out the tests: a worker asks it
over a socket for a part by the function that makes it, which both can import, and its arguments. All end after the last test.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Client, Connection, Listener
import secrets
from threading import Lock, Thread
from typing import Any, Final

import pytest

KEY: Final = pytest.StashKey["SharedParts"]()

type SharedParts = Parts | RemoteParts


@dataclass
class Parts:
    """Those that this process has started; the first to ask starts one, others wait for the same."""

    threads: ThreadPoolExecutor = field(default_factory=ThreadPoolExecutor)
    lock: Lock = field(default_factory=Lock)
    stack: ExitStack = field(default_factory=ExitStack)
    parts: dict[Any, Future[Any]] = field(default_factory=dict[Any, Future[Any]])
    address: tuple[str, bytes] | None = None

    def get[T](self, make: Callable[..., AbstractContextManager[T]], *arguments: Any) -> T:
        """What `make(*arguments)` gives on entry; raises what it raised, each time."""
        key = (make, *arguments)
        with self.lock:
            if key not in self.parts:
                self.parts[key] = self.threads.submit(self._enter, make(*arguments))
        part: T = self.parts[key].result()
        return part

    def _enter[T](self, manager: AbstractContextManager[T]) -> T:
        part = manager.__enter__()
        with self.lock:
            self.stack.push(manager)
        return part

    def close(self) -> None:
        self.threads.shutdown()
        self.stack.close()

    def listen(self) -> tuple[str, bytes]:
        """Answer workers from now on; returns where, and the key that they need."""
        if self.address is None:
            authkey = secrets.token_bytes()
            listener = Listener(family="AF_UNIX", authkey=authkey)
            self.stack.callback(listener.close)
            Thread(target=self._accept, args=(listener,), daemon=True).start()
            self.address = (str(listener.address), authkey)
        return self.address

    def _accept(self, listener: Listener) -> None:
        with suppress(OSError):  # it is closed
            while True:
                Thread(target=self._answer, args=(listener.accept(),), daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with connection:
            try:
                make, *arguments = connection.recv()
                connection.send((True, self.get(make, *arguments)))
            except Exception as failure:  # noqa: BLE001 - whatever it is, the worker raises it
                connection.send((False, failure))


@dataclass(frozen=True)
class RemoteParts:
    """Those of the process that hands out the tests."""

    address: str
    authkey: bytes

    def get[T](self, make: Callable[..., AbstractContextManager[T]], *arguments: Any) -> T:
        with Client(self.address, authkey=self.authkey) as connection:
            connection.send((make, *arguments))
            good, answer = connection.recv()
        if not good:
            raise answer
        part: T = answer
        return part


def pytest_configure(config: pytest.Config) -> None:
    remote: tuple[str, bytes] | None = getattr(config, "workerinput", {}).get("parts")
    config.stash[KEY] = RemoteParts(*remote) if remote else Parts()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Before a worker starts, it is told where to ask."""
    node.workerinput["parts"] = node.config.stash[KEY].listen()


@pytest.hookimpl(trylast=True)  # but before the watch over secrets, a wrapper, looks at what the parts logged
def pytest_sessionfinish(session: pytest.Session) -> None:
    parts = session.config.stash[KEY]
    if isinstance(parts, Parts):
        parts.close()


@pytest.fixture(scope="session")
def parts(pytestconfig: pytest.Config) -> SharedParts:
    return pytestconfig.stash[KEY]
