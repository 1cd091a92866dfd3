"""What is kept of responses, of threads and of conversations: the bodies of their documents.

    response            id resp_HEX        parent OWNER           ResponseRecord
    thread_turn         id THREAD.PLACE    parent THREAD          Turn
    conversation        id conv_HEX        parent OWNER           ConversationRecord
    conversation_lease  id CONVERSATION    parent CONVERSATION    {}: whoever has made it may add to the conversation
    conversation_guest  id CONVERSATION:DIGEST  parent OWNER      {}: who has added to a conversation of somebody else's
    response_day        id OWNER:DAY       parent OWNER           {}: see `keeping`

THREAD is the id of the response that began it, or of a conversation. PLACE counts its turns from 0, in eight digits of hex; all turns have the
same `created`, so that their order is that of their places. A place is used once: what is deleted of a chain leaves an empty turn.
Turns have no owner: they are reached through what they belong to alone. Every reader leaves out what it does not know.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import re
from typing import Final, NamedTuple, override

from core.frame.types import JsonObject
from core.services.responses.contract import Item
from core.stores.documents.bodies import TolerantBody
from core.stores.documents.port import Document

RESPONSE: Final = "response"
TURN: Final = "thread_turn"
CONVERSATION: Final = "conversation"
LEASE: Final = "conversation_lease"
GUEST: Final = "conversation_guest"
COLLECTIONS: Final = (RESPONSE, TURN, CONVERSATION, LEASE, GUEST, "response_day")
DIGITS: Final = 8
CONVERSATION_ID: Final = re.compile("conv_[0-9a-f]{48}")
TAIL: Final = re.compile(f"[a-z_]+_[0-9a-f]{{40}}([0-9a-f]{{{DIGITS}}})")
DELETED: Final = "deleted"
"""The type of what stands in the place of an item that was deleted."""


class Place(NamedTuple):
    """A turn's: in which thread, and where in it."""

    thread: str
    number: int

    @property
    def id(self) -> str:
        """Of the turn's document."""
        return f"{self.thread}.{tail_of(self.number)}"


@dataclass(frozen=True, slots=True)
class ResponseRecord(TolerantBody):
    """A response: its object without `output`, and where its turn is.

    `path` is how its context is read, as [thread, place]: the last turn of each thread that counts, its own at the end. `counted` are
    the tallies that it is in. Its `response.status` is final; what runs in the background has others.
    """

    response: JsonObject
    path: Sequence[Sequence[str | int]]
    counted: Sequence[str] = ()

    @property
    def places(self) -> list[Place]:
        return [Place(str(thread), int(number)) for thread, number in self.path]

    @override
    def body(self) -> JsonObject:  # `asdict` would copy every item
        return {"response": self.response, "path": [[*place] for place in self.path], "counted": [*self.counted]}


@dataclass(frozen=True, slots=True)
class Turn(TolerantBody):
    """The items of a turn, of which the first `inputs` are what was put in, and the others the output of `response`.

    `context` is what was said before, where that is not in turns before it. `owner` is who added it to a conversation of somebody else's.
    """

    items: Sequence[Item]
    inputs: int
    response: str = ""
    context: Sequence[Item] = ()
    owner: JsonObject | None = None

    @override
    def body(self) -> JsonObject:
        body: JsonObject = {"items": [*self.items], "inputs": self.inputs, "response": self.response}
        if self.context:
            body["context"] = [*self.context]
        return body if self.owner is None else {**body, "owner": self.owner}

    @property
    def input(self) -> list[Item]:
        return live(self.items[: self.inputs])

    @property
    def output(self) -> list[Item]:
        return live(self.items[self.inputs :])

    @property
    def context_items(self) -> list[Item]:
        """What a model is told of it."""
        return [*self.context, *live(self.items)]


EMPTY: Final[JsonObject] = {"items": [], "inputs": 0, "response": ""}
"""What is left of a turn that was deleted."""


@dataclass(frozen=True, slots=True)
class ConversationRecord(TolerantBody):
    """A conversation; what is `deleting` is hidden: its turns are being removed, by whoever deletes it again. `agent` is whose session it is, "" for one that is none."""

    metadata: JsonObject
    deleting: bool = False
    counted: Sequence[str] = ()
    agent: str = ""


def show_conversation(document: Document) -> JsonObject:
    """The shape on the wire."""
    metadata = ConversationRecord.read(document.body).metadata
    return {"id": document.id, "object": "conversation", "created_at": document.created, "metadata": metadata}


def live(items: Sequence[Item]) -> list[Item]:
    """Those that were not deleted."""
    return [item for item in items if item.get("type") != DELETED]


def tail_of(number: int) -> str:
    """What the ids of a turn's items end with."""
    return f"{number:0{DIGITS}x}"


def place_of_item(conversation_id: str, item_id: str) -> Place | None:
    """Where the item of a conversation is, if it is there; None for what no item is called."""
    match = TAIL.fullmatch(item_id)
    return None if match is None else Place(conversation_id, int(match[1], 16))


def number_of(document: Document) -> int:
    """A turn's place in its thread."""
    return int(document.id[-DIGITS:], 16)


def is_conversation(thread: str) -> bool:
    return thread.startswith("conv_")
