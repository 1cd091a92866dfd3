"""Thoughts that a caller keeps itself, as it asks for by `include`: sealed, since they are the model's."""

from contextlib import aclosing
from typing import Final

from core.frame.types import JsonObject
from core.services.responses.contract import Engine, Events, Item, ItemDone, Run
from core.services.sealing.sealer import Sealer

PURPOSE: Final = "reasoning"
"""Thoughts are no summary: sent back as a compaction they would be read as one."""


class SealingEngine:
    """Answers `core.services.responses.contract.Engine` by another, whose reasoning gets its `encrypted_content`."""

    def __init__(self, engine: Engine, sealer: Sealer) -> None:
        self._engine = engine
        self._sealer = sealer

    async def run(self, run: Run) -> Events:
        async with aclosing(self._engine.run(run)) as events:
            async for event in events:
                if isinstance(event, ItemDone) and (text := _thoughts_of(event.item)):
                    event.item["encrypted_content"] = await self._sealer.seal(text.encode())
                yield event


def _thoughts_of(item: Item) -> str:
    """Nothing of what is no reasoning, or has its provider's own."""
    if item.get("type") != "reasoning" or item.get("encrypted_content"):
        return ""
    parts: list[JsonObject] = [*(item.get("content") or ()), *(item.get("summary") or ())]
    return "\n\n".join(part["text"] for part in parts)
