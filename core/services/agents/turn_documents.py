"""Turns as they are kept: in parts, each of which is made once, in the transaction of the response that it came of.

The first part is the document TURN; what a resume adds is TURN.0001 and so on, whose parent is TURN. So two resumes cannot both make the next
part, and a turn never says that it awaits what the conversation has.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.services.agents.records import TURN, TurnRecord, TurnStatus
from core.stores.documents.port import Document, DocumentStore

MOST_PARTS: Final = 500
"""Of one turn, which is resumed so often at most."""
TOO_LONG: Final = f"A turn is resumed {MOST_PARTS - 1} times at most. Begin another turn."
ADDED: Final = ("steps", "output_message", "output_attachments", "completed_at")
"""What a part says of its turn that is not the first."""


@dataclass(frozen=True, slots=True)
class KeptTurn:
    """`turn` is whole, as on the wire; `state` is that of its last part, `parts` how many it has."""

    document: Document = field(repr=False)
    turn: JsonObject
    status: TurnStatus
    parts: int
    state: JsonObject = field(default_factory=dict[str, Any], repr=False)


async def read_turn(store: DocumentStore, document: Document) -> KeptTurn:
    """The turn whose first part is `document`."""
    records = [TurnRecord.read(document.body)]
    if records[0].status == "awaiting_input":  # else nothing follows it
        page = await store.page(TURN, document.id, limit=MOST_PARTS)
        records += [TurnRecord.read(part.body) for part in page.documents]
    last, turn = records[-1], records[0].turn
    if len(records) > 1:
        steps = [step for record in records for step in record.turn["steps"]]
        turn = turn | {name: last.turn[name] for name in ADDED if name in last.turn} | {"steps": steps}
    return KeptTurn(document, turn, last.status, len(records), last.state)


def first_part(record: TurnRecord, created: int, owner: JsonObject | None, expires: int | None) -> Document:
    """The document that a new turn is made by, begun at `created`; `expires` is when what is added now to its conversation is gone."""
    turn = record.turn
    return Document(TURN, turn["turn_id"], record.body(), turn["session_id"], owner, created, expires=expires)


def next_part(kept: KeptTurn, record: TurnRecord, owner: JsonObject | None, expires: int | None) -> Document:
    """The document that a resume is made by; `record.turn` has what it adds, with its own steps alone. Raises InvalidRequest for one too many."""
    if kept.parts >= MOST_PARTS:
        raise InvalidRequest(TOO_LONG, param="turn_id")
    turn = kept.document.id
    return Document(TURN, f"{turn}.{kept.parts:04x}", record.body(), turn, owner, expires=expires)
