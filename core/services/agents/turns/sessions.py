"""The session of one run of a turn: what it comes to is kept in the transaction of its response."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.errors import ApiError
from core.frame.types import JsonObject
from core.platform.json_values import to_object
from core.services.agents.turns.printing import METADATA, TurnPrinter
from core.services.responses.contract import Item
from core.services.responses.state.conversation_sessions import ConversationSession
from core.stores.documents.port import Document

if TYPE_CHECKING:
    from core.services.responses.recording.codec import Beginning
    from core.services.responses.recording.writing import LogEnd, Recorder


@dataclass(slots=True)
class TurnSession:
    """Keeps `core.services.responses.history.Session`, over that of the conversation. `document` makes what is kept of a turn.

    `turn` is there once the run has ended well, `failure` where what it came to could not be kept.
    """

    inner: ConversationSession = field(repr=False)
    printer: TurnPrinter = field(repr=False)
    document: Callable[[JsonObject], Document] = field(repr=False)
    turn: JsonObject | None = None
    failure: ApiError | None = None

    @property
    def context(self) -> Sequence[Item]:
        return self.inner.context

    @property
    def conversation_id(self) -> str:
        return self.inner.conversation_id

    @property
    def tail(self) -> str:
        return self.inner.tail

    def record_run(self, beginning: "Beginning", new_items: Sequence[Item], request: str = "") -> "Recorder":
        return self.inner.record_run(beginning, new_items, request)

    async def finish(
        self, response: JsonObject, new_items: Sequence[Item], output: Sequence[Item], log: "LogEnd | None" = None
    ) -> None:
        """Nothing is kept of a turn whose run failed, but its response. What a shield has stopped is in the turn alone: no model is told it later."""
        turn: JsonObject | None = None
        self.failure, self.inner.beside, self.inner.apart = None, (), self.printer.is_refused
        try:
            if response["status"] in {"completed", "incomplete"}:
                reason = to_object(response.get("incomplete_details")).get("reason", "")
                turn = self.printer.end(response["status"], reason)
                self.inner.beside = [self.document(turn)]
            await self.inner.finish(response, new_items, [_without_metadata(item) for item in output], log)
        except ApiError as failure:
            self.failure = failure
            raise
        self.turn = turn

    async def lend(self, response_id: str, until: int) -> None:
        await self.inner.lend(response_id, until)

    async def close(self) -> None:
        await self.inner.close()


def _without_metadata(item: Item) -> Item:
    """As it is kept: the turn has what a tool said for programs."""
    if item.get("type") != "mcp_call" or METADATA not in item:
        return item
    return {name: value for name, value in item.items() if name != METADATA}
