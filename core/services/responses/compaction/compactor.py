"""Contexts made shorter, on request and by themselves: a summary takes the place of what was said.

Sources: https://platform.openai.com/docs/api-reference/responses/compact, https://platform.openai.com/docs/guides/compaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from core.apis.response_settings import CompactionSettings
from core.errors import BodyTooLarge, InvalidRequest
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object
from core.services.responses.compaction.context import (
    COMPACTION,
    Compacted,
    OpenContext,
    open_context,
    seal_compaction,
)
from core.services.responses.compaction.summary import summarize
from core.services.responses.contract import Item, Usage
from core.services.responses.counting import estimate, tell
from core.services.sealing.envelope import MOST_SEALED
from core.services.sealing.sealer import Sealer

if TYPE_CHECKING:
    from core.apis.inference import Inference

LEAST: Final = 0.25
"""Of the bound: where a summary would take the place of less, a question alone is what is too long."""
MANAGEMENT: Final = "context_management"
SHAPE: Final = 'context_management: it is a list of {"type": "compaction", "compact_threshold": TOKENS}; the threshold is a whole number from 1.'


@dataclass(frozen=True, slots=True)
class Compactor:
    """Of one caller; `inference` is the caller's."""

    inference: "Inference"
    sealer: Sealer
    settings: CompactionSettings

    async def open(self, items: Sequence[Item], *, kept_count: int) -> OpenContext:
        """See `open_context`."""
        return await open_context(self.sealer, items, kept_count=kept_count, prefix=self.settings.prefix)

    async def compact(
        self, model: str, items: Sequence[Item], *, kept_count: int, instructions: str | None
    ) -> "Shorter":
        """The user's messages of the items, and a compaction for the rest.

        Raises:
            InvalidRequest: there is nothing to compact; and as `open_context`.
        """
        opened = await self.open(items, kept_count=kept_count)
        if not opened.items:
            raise InvalidRequest(
                "input: there is nothing to compact; send items, or a `previous_response_id`.", param="input"
            )
        summary, usage = await self._summarize(model, opened.items, instructions)
        item = await seal_compaction(self.sealer, Compacted(summary))
        if item is None:
            raise BodyTooLarge(MOST_SEALED)
        return Shorter([*filter(_is_users, opened.statements)], item, usage)

    async def shorten(self, run: "Wanted", context: OpenContext) -> "Shorter | None":
        """None where the context is within the bound, or there is nothing to leave out."""
        items = context.items
        if run.threshold is None or not items:
            return None
        if estimate(tell(run.instructions, items), run.definitions) <= run.threshold:
            return None
        last = max((place for place, item in enumerate(items) if _is_users(item)), default=None)
        if last is None or len(items) == 1:
            return None
        asks = last == len(items) - 1  # a new question: the summary is of what was before it
        rest = items[:last] if asks else items
        if estimate(tell(None, [item for item in rest if item is not items[last]])) < run.threshold * LEAST:
            return None
        summary, usage = await self._summarize(run.model, rest, run.instructions)
        compacted = Compacted(summary, [items[last]], replaces=True, summary_first=asks)
        item = await seal_compaction(self.sealer, compacted)
        return None if item is None else Shorter(compacted.tell(self.settings.prefix), item, usage)

    async def _summarize(self, model: str, items: Sequence[Item], instructions: str | None) -> tuple[str, Usage]:
        settings = self.settings
        return await summarize(
            self.inference, settings.model or model, items, instructions=instructions, ask=settings.prompt
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is known of a run before its context is looked at; `threshold` is in tokens, None for no bound."""

    model: str
    threshold: int | None
    instructions: str | None = None
    definitions: Sequence[JsonObject] = ()


@dataclass(frozen=True, slots=True)
class Shorter:
    """`items` are told from now on; `compaction` is the item for the output, without an id."""

    items: Sequence[Item]
    compaction: Item
    usage: Usage = field(default_factory=Usage)


def read_threshold(management: object, settings: CompactionSettings) -> int | None:
    """Of a request's `context_management`, or that of the run config.

    Raises:
        InvalidRequest: it is not of its shape.
    """
    if management is None:
        return settings.threshold
    entries: list[Any] = management if is_list(management) else [None]
    threshold = settings.threshold
    for entry in entries:
        fields: Mapping[str, Any] = entry if is_object(entry) else {}
        most = fields.get("compact_threshold")
        if fields.get("type") != COMPACTION or not (most is None or (type(most) is int and most > 0)):
            raise InvalidRequest(SHAPE, param=MANAGEMENT)
        threshold = most or threshold
    return threshold


def _is_users(item: Item) -> bool:
    return item.get("role") == "user" and (item.get("type") or "message") == "message"
