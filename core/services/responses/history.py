"""What was said before a response, and where what becomes of it is kept: the seam between the router and the state."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from core.apis.responses import ResponseRequest
from core.frame.types import JsonObject
from core.services.responses.contract import Item

if TYPE_CHECKING:
    from core.services.responses.recording.codec import Beginning
    from core.services.responses.recording.writing import LogEnd, Recorder


class Session(Protocol):
    """What one response begins with. Of a conversation it holds the lock, until it is closed or its lease ends."""

    @property
    def context(self) -> Sequence[Item]:
        """What was said before, the oldest first; at most MOST_ITEMS."""
        ...

    @property
    def conversation_id(self) -> str | None: ...

    @property
    def tail(self) -> str:
        """What the ids of the run's output end with, so that they are found in the conversation; "" where nothing is looked for by them."""
        ...

    def record_run(self, beginning: "Beginning", new_items: Sequence[Item], request: str = "") -> "Recorder | None":
        """Who writes the log of the run that begins so, and its record, with the sealed `request` where a worker may go on; None where nothing is kept."""
        ...

    async def finish(
        self, response: JsonObject, new_items: Sequence[Item], output: Sequence[Item], log: "LogEnd | None" = None
    ) -> None:
        """Keep the `response` object (without `output`), with the `new_items` of its input and the output, in one transaction; nothing where `store` is false.

        The end of the run's `log` is in it too. Items have ids; those of a conversation's `new_items` are replaced by its own. Nothing of a run that
        `failed`, or was `cancelled`, comes into its conversation. Raises Conflict where the conversation was deleted, or another run took it over, or
        where the log is another's by now, StateUnavailable; then nothing was kept, and it may be called again.
        """
        ...

    async def lend(self, response_id: str, until: int) -> None:
        """Leave the conversation to whoever goes on with the response, until this time in Unix seconds. Raises Conflict where it is lost."""
        ...

    async def close(self) -> None:
        """Let the conversation go; called once, whatever became of the run."""
        ...


class History(Protocol):
    """Where responses and conversations are kept, for one caller."""

    async def open(self, request: ResponseRequest) -> Session:
        """Raises NotFound for a response or a conversation that is not there or is another's, Conflict `conversation_locked`, InvalidRequest."""
        ...
