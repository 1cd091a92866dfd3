"""The port of the work queue: messages that are delivered at least once, to one worker at a time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from core.frame.types import JsonObject

MOST_DELAY: Final = 900
"""Seconds, of SQS's DelaySeconds."""
MOST_RECEIVES: Final = 5
"""How often a message is delivered before it goes to the dead letters."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be done, in at most 64 KB of JSON; messages of one `group` (a tenant) share its turn with others."""

    body: JsonObject
    group: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that a worker has; `receipt` names this delivery, `receives` counts all of them."""

    body: JsonObject
    receipt: str
    receives: int = 1


class WorkQueue(Protocol):
    """Messages, shared by every process that names the same file or queue; they may come twice, late, or out of order.

    Every method raises StateUnavailable when the queue cannot be reached.
    """

    async def send(self, messages: Sequence[Message], *, delay: int = 0) -> None:
        """Add messages, which are delivered no sooner than in `delay` seconds (0 to MOST_DELAY).

        Raises:
            InvalidRequest: one takes more than 64 KB as JSON; none is added.
        """
        ...

    async def take(
        self, *, most: int, wait: float, visibility: int, ending: asyncio.Event | None = None
    ) -> list[Delivery]:
        """At most `most` (1 to 10) messages; waits up to `wait` seconds (0 to 20) for the first.

        Once `ending` is set it waits no longer, unless a service was asked already: what that gives would be lost.

        Nobody else gets them for `visibility` seconds; then they are delivered again, unless they are done. A message
        that was delivered MOST_RECEIVES times goes to the dead letters.
        """
        ...

    async def extend(self, delivery: Delivery, *, seconds: int) -> bool:
        """Keep the message for so long from now, or with 0 seconds give it back; False if it is another's by now."""
        ...

    async def done(self, delivery: Delivery) -> None:
        """Remove the message, unless it was delivered again since."""
        ...

    def warm(self) -> None:
        """Import and read what the first call would wait for; opens no connection."""
        ...

    async def close(self) -> None:
        """Close the connections; a later call opens others."""
        ...
