"""Running somebody else's code: whatever it raises, and however long it takes, becomes a sentence."""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import Future
from importlib import import_module
import logging
from threading import Thread
from traceback import format_tb
from types import ModuleType, TracebackType
from typing import Final, Self

from core.config.redact import MASK, redact_text
from core.platform.environment import PROVIDER_SECONDS, provider_seconds
from core.resolution.external.finder import install as install_finder
from core.resolution.external.finder import unmet_need

log = logging.getLogger(__name__)

MOST_MESSAGE: Final = 300  # characters
LEAST_SECRET: Final = 4  # characters; masking a shorter one would only garble the message
OR_WAIT: Final = f"or set {PROVIDER_SECONDS} to more seconds"
INTERRUPTS: Final = (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError)


class Unusable(Exception):
    """Somebody else's code that cannot be used; each reason says what to do."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class Foreign:
    """`with` it, all that is raised becomes Unusable, but for interrupts.

    The one place that catches everything at start-up, as core/web/failures.py does for calls.
    """

    def __init__(self, what: str, secrets: Collection[str] = ()) -> None:
        """`what` runs; the values of `secrets` are taken out of what it says."""
        self._what = what
        self._secrets = sorted((secret for secret in secrets if len(secret) >= LEAST_SECRET), key=len, reverse=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, (*INTERRUPTS, Unusable)):
            return
        if (need := unmet_need(error)) is not None:
            raise Unusable(need) from None
        message = self._clean(" ".join(str(error).split()))
        summary = f"{type(error).__name__}: {message}" if message else type(error).__name__
        log.debug("%s raised %s", self._what, summary)
        for frame in format_tb(trace):
            log.debug("%s", " ".join(frame.split()))
        raise Unusable(f"{self._what} raised {summary}; mend it (LLAMBDA_LOGGING=all=debug shows where)") from None

    def _clean(self, message: str) -> str:
        for secret in self._secrets:
            message = message.replace(secret, MASK)
        return redact_text(message)[:MOST_MESSAGE]


def run[R](what: str, call: Callable[[], R], seconds: float | None = None) -> R:
    """The result of `call`, which must have it in time; it has a thread of its own, since nothing else can leave it.

    None is as long as LLAMBDA_PROVIDER_SECONDS says.

    Raises:
        Unusable: it raised, or took longer.
    """
    answer: Future[R] = Future()

    def report() -> None:
        try:
            with Foreign(what):
                answer.set_result(call())
        except Unusable as reason:
            answer.set_exception(reason)

    Thread(target=report, daemon=True).start()
    limit = provider_seconds() if seconds is None else seconds
    try:
        return answer.result(limit)
    except TimeoutError:
        raise Unusable(
            f"{what} took longer than {limit:g} s; do what takes long at the first call, {OR_WAIT}"
        ) from None


def import_package(name: str, install: str) -> ModuleType:
    """The module; `install` says how to get what is missing.

    Raises:
        Unusable: it is not installed, or its import raised or took too long.
    """
    install_finder()

    def load() -> ModuleType:
        try:
            return import_module(name)
        except ModuleNotFoundError as missing:
            if unmet_need(missing) is not None:
                raise
            raise Unusable(_missing(name, missing.name or "", install)) from None

    return run(f"the import of `{name}`", load)


def _missing(name: str, missing: str, install: str) -> str:
    if not f"{name}.".startswith(f"{missing}."):
        return f"`{name}` imports `{missing}`, which is not installed; {install}"
    package, _, last = missing.rpartition(".")
    return f"`{package}` has no module `{last}`; {install}" if package else f"`{missing}` is not installed; {install}"
