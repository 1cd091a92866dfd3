"""What the stack asks of providers by itself: whatever one raises, gives or takes of time is that provider's mistake alone.

A task of its own has each question, because the loop ends with a SystemExit that leaves a task, and because what catches its
cancellation must not be waited for. Code that never gives the loop its turn holds up everybody; nothing here can help that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from inspect import isawaitable
import logging
from typing import Final, NamedTuple, cast

from core.errors import ApiError
from core.platform.log_records import to_line
from core.platform.outcome import Outcome

log = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 5.0
MOST_REASON: Final = 500  # characters
LEAST_SECRET: Final = 4  # characters; masking a shorter one would only garble the reason
_ABANDONED: Final[set[asyncio.Task[None]]] = set()
"""Those that do not end when they are cancelled: the loop itself holds tasks weakly."""

type Question = Callable[[], object]
type Secrets = Callable[[], Collection[str]]
"""Of a provider's config: what no reason may have in it."""


class ProviderMistake(Exception):
    """What a provider did, in a sentence without an end that the log and the operator may see."""

    def __init__(self, reason: str, cause: BaseException | None = None) -> None:
        """`cause` is what it raised."""
        super().__init__(reason)
        self.cause = cause


async def ask_apart(question: Question, seconds: float, secrets: Secrets = tuple) -> object:
    """What the question, which may be anything, gives when it is awaited.

    Raises:
        ApiError: as the provider raised it.
        TimeoutError: it took longer; it is cancelled, and not waited for.
        ProviderMistake: it raised anything else, or cannot be awaited.
    """
    outcome = Outcome()
    task = asyncio.create_task(_answer(question, outcome))
    try:
        done, _ = await asyncio.wait((task,), timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            _ABANDONED.add(task)
            task.add_done_callback(_ABANDONED.discard)
    error = outcome.error
    if not done:
        raise TimeoutError
    if isinstance(error, ApiError):
        raise error
    if isinstance(error, ProviderMistake):
        raise error
    if error is not None:
        raise ProviderMistake(f"raised {describe(error, secrets())}", error)
    return outcome.answer


async def _answer(question: Question, outcome: Outcome) -> None:
    with outcome:
        outcome.answer = await await_answer(question())


async def await_answer(coming: object) -> object:
    """What it gives; raises ProviderMistake where it cannot be awaited."""
    if not isawaitable(coming):
        raise ProviderMistake(f"gave {type(coming).__name__} where an `async def` was to be awaited")
    return await cast("Awaitable[object]", coming)


def method_of(provider: object, name: str) -> Question | None:
    """A method of a provider, None where it has none; one that cannot be looked up raises when it is called."""
    with (lookup := Outcome()):
        lookup.answer = getattr(provider, name, None)
    if lookup.error is None:
        return cast("Question | None", lookup.answer)

    def fail(error: BaseException = lookup.error) -> object:
        raise error

    return fail


def describe(error: BaseException, secrets: Collection[str] = (), *, most: int = MOST_REASON) -> str:
    """The kind of an exception and what it says: one line, bounded, without secrets and what looks like one."""
    kind = type(error).__name__
    with (reading := Outcome()):  # somebody else's __str__, which may raise
        reading.answer = str(error)
    text = reading.answer if isinstance(reading.answer, str) else ""
    cleaned = clean_reason(text, secrets, most=most).rstrip(". ")
    return f"{kind}: {cleaned}" if cleaned else kind


def clean_reason(text: str, secrets: Collection[str] = (), *, guess: bool = True, most: int = MOST_REASON) -> str:
    """One line, bounded, without secrets and, with `guess`, what looks like one, as a long path may too."""
    from core.config.redact import MASK, redact_keys, redact_text

    for secret in sorted((secret for secret in secrets if len(secret) >= LEAST_SECRET), key=len, reverse=True):
        text = text.replace(secret, MASK)
    flat = to_line(" ".join(text[: 4 * most].split()))
    plain = redact_text(flat)
    return (redact_keys(plain) if guess else plain)[:most]


class KnownProvider(NamedTuple):
    """A provider, with what says whose mistake it is."""

    provider_id: str
    provider: object
    secrets: Secrets


async def close_apart(providers: Iterable[KnownProvider]) -> None:
    """Close each that has a `close`, all at the same time; one that fails or takes longer than CLOSE_SECONDS is logged."""
    await asyncio.gather(*map(_close, providers))


async def _close(source: KnownProvider) -> None:
    try:
        close = method_of(source.provider, "close")
        if close is not None:
            await ask_apart(close, CLOSE_SECONDS, source.secrets)
    except (ApiError, ProviderMistake, TimeoutError) as failure:
        _log_mistake("closing", source, failure_of(failure, CLOSE_SECONDS))


def warm_apart(providers: Iterable[KnownProvider]) -> None:
    """Warm each that has a `warm`; a failure is logged."""
    for source in providers:
        warm = method_of(source.provider, "warm")
        with (outcome := Outcome()):
            outcome.answer = None if warm is None else warm()
        if outcome.error is not None:
            _log_mistake("warming", source, f"It raised {describe(outcome.error, source.secrets())}.")


def _log_mistake(what: str, source: KnownProvider, why: str) -> None:
    facts = {"provider": source.provider_id, "reason": why}
    log.warning("%s provider `%s`: %s", what, source.provider_id, why, extra=facts)


def failure_of(failure: ApiError | ProviderMistake | TimeoutError, seconds: float) -> str:
    """What `ask_apart` raised, as a sentence for the operator."""
    match failure:
        case ApiError():
            return " ".join(filter(None, (failure.message, failure.fault)))
        case ProviderMistake():
            return f"It {failure}."
        case _:
            return f"It did not answer within {seconds:g} seconds."
