"""What the stack adds to a request and its upstream refuses: sent once more without, and remembered."""

from collections.abc import Awaitable, Callable, Iterable
import time
from typing import Final

from core.apis.additions import Addition
from core.errors import InvalidRequest
from core.platform.ttl_cache import TtlCache

REMEMBERED_SECONDS: Final = 3600.0  # upstreams are updated
MOST_REMEMBERED: Final = 1000  # pairs of a model and a field

type Send[Answer] = Callable[[tuple[Addition, ...]], Awaitable[Answer]]
"""Sends a request in which these additions are replaced."""


class RefusedAdditions:
    """Of one provider; by model, since a vendor may have many upstreams behind it."""

    def __init__(self, always: frozenset[str] = frozenset(), clock: Callable[[], float] = time.monotonic) -> None:
        """`always` are fields that the vendor is known to refuse."""
        self._always = always
        self._refused: TtlCache[tuple[str, str], bool] = TtlCache(REMEMBERED_SECONDS, clock=clock, most=MOST_REMEMBERED)

    async def send[Answer](self, model: str, additions: Iterable[Addition], send: Send[Answer]) -> Answer:
        """What `send` returns; where it is refused for an addition, once more without it.

        Only what is answered then is remembered: words of the caller's own that an upstream quotes prove nothing.
        """
        replacements, remaining = list[Addition](), list[Addition]()
        for addition in additions:
            is_refused = addition.field in self._always or self._refused.peek((model, addition.field))
            (replacements if is_refused else remaining).append(addition)
        attempts = list[Addition]()
        while True:
            try:
                answer = await send((*replacements, *attempts))
            except InvalidRequest as refusal:
                text = f"{refusal.param or ''} {refusal.message}"
                culprit = next((addition for addition in remaining if addition.is_named_in(text)), None)
                if culprit is None:
                    raise
                remaining.remove(culprit)
                attempts.append(culprit)
            else:
                for addition in attempts:
                    self._refused.put((model, addition.field), value=True)
                return answer
