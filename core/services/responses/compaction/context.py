"""Items of the type `compaction`: what is sealed in one, and a context whose compactions are opened.

One that `replaces` stands for all before it, and has with it the `items` that are told beside its summary; one of `POST /responses/compact`
stands for what its caller left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import from_json, to_json

from core.errors import InvalidRequest
from core.services.responses.contract import Item
from core.services.sealing.envelope import Broken
from core.services.sealing.sealer import MOST_CONTENT, Sealer

COMPACTION: Final = "compaction"
PREFIX: Final = (
    "What follows is a summary of the conversation so far, which takes the place of its messages. It was made to go on from: rely on what it "
    "says was done and decided, and do not do it again."
)
NOT_OURS: Final = (
    "{place}: this compaction was not made here for you, or is not as it was. Send the items of it as `POST /v1/responses/compact` answered "
    "them, with the same credentials; without it, send the messages that it stood for."
)


@dataclass(frozen=True, slots=True)
class Compacted:
    """What is sealed. `items` are told around the summary: those at its end come after it, where `summary_first`."""

    summary: str
    items: Sequence[Item] = ()
    replaces: bool = False
    summary_first: bool = True

    def print(self) -> bytes:
        return to_json(
            {
                "summary": self.summary,
                "items": list(self.items),
                "replaces": self.replaces,
                "summary_first": self.summary_first,
            }
        )

    @classmethod
    def read(cls, content: bytes) -> "Compacted":
        """What a later release adds is passed over. Raises Broken for what is none: earlier ones sealed thoughts alike."""
        try:
            body: dict[str, Any] = from_json(content)
            return cls(body["summary"], body["items"], body["replaces"], body["summary_first"])
        except (ValueError, LookupError, TypeError):
            raise Broken from None

    def tell(self, prefix: str) -> list[Item]:
        """As messages: the summary is its model's own words about what callers and tools said, so it is no system message."""
        text = f"{prefix or PREFIX}\n\n{self.summary}"
        summary: Item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        return [summary, *self.items] if self.summary_first else [*self.items, summary]


@dataclass(frozen=True, slots=True)
class OpenContext:
    """`items` are all that a model is told, of which the first `kept_count` come from the state; `statements` are those that somebody said, and not a summary."""

    items: Sequence[Item] = ()
    kept_count: int = 0
    statements: Sequence[Item] = field(default=(), repr=False)


async def seal_compaction(sealer: Sealer, compacted: Compacted) -> Item | None:
    """The item, without an id; None where it would be too large to be sealed."""
    content = compacted.print()
    if len(content) > MOST_CONTENT:
        return None
    return {"type": COMPACTION, "encrypted_content": await sealer.seal(content)}


async def open_context(sealer: Sealer, items: Sequence[Item], *, kept_count: int = 0, prefix: str = "") -> OpenContext:
    """The context with messages in the place of its compactions. The first `kept_count` items are from the state, the others the caller's.

    A compaction of the state that does not open is left out, as what has expired is: it may be of another who added to the same conversation, and
    whoever goes on there could not take it away. What it replaced is told instead.

    Raises:
        InvalidRequest: one of the caller's is not of this stack, is another caller's, or was changed.
    """
    if not any(item.get("type") == COMPACTION for item in items):
        return OpenContext(items, kept_count, items)
    opened, statements, new = list[Item](), list[Item](), 0
    for place in reversed(range(len(items))):
        item = items[place]
        if item.get("type") != COMPACTION:
            more, words, is_start = [item], list[Item]([item]), False
        elif (compacted := await _open(sealer, item)) is not None:
            more, words, is_start = compacted.tell(prefix), list(compacted.items), compacted.replaces
        elif place < kept_count:
            continue
        else:
            raise _refusal(f"input[{place - kept_count}]")
        opened += reversed(more)
        statements += reversed(words)
        new += len(more) * (place >= kept_count)
        if is_start:
            break
    return OpenContext(opened[::-1], len(opened) - new, statements[::-1])


async def check_compactions(sealer: Sealer, items: Sequence[Item], path: str) -> None:
    """Raises InvalidRequest for one of the items, which are the list `path` of a request, that is a compaction and does not open."""
    for place, item in enumerate(items):
        if item.get("type") == COMPACTION and await _open(sealer, item) is None:
            raise _refusal(f"{path}[{place}]")


async def _open(sealer: Sealer, item: Item) -> Compacted | None:
    """None for what was not sealed here for this caller."""
    content: object = item.get("encrypted_content")
    try:
        return Compacted.read(await sealer.unseal(content)) if isinstance(content, str) else None
    except Broken:
        return None


def _refusal(path: str) -> InvalidRequest:
    path = f"{path}.encrypted_content"
    return InvalidRequest(NOT_OURS.format(place=path), param=path)
