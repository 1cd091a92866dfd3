"""Assembles the services of responses, of conversations, of prompts and of agents; none is imported before it is asked."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.services.parts import Parts
from core.stores.connect import DOCUMENTS

if TYPE_CHECKING:
    from core.apis.sealing import DataKeys
    from core.services.agents.router import AgentsRouter
    from core.services.conversations.router import ConversationsRouter
    from core.services.prompts.router import PromptsRouter
    from core.services.responses.contract import Item
    from core.services.responses.router import ResponsesRouter


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"responses": ..., "conversations": ..., "prompts": ..., "agents": ...}`."""
    parts.stores.find(DOCUMENTS)  # connected here, it is warmed at init

    @cache
    def data_keys() -> "DataKeys":
        from core.services.sealing.sealer import keys_of

        return keys_of(parts, "responses")

    def responses(call: Call | None) -> "ResponsesRouter":
        from core.services.responses.wiring import responses_of

        return responses_of(parts, call, data_keys)

    def conversations(call: Call | None) -> "ConversationsRouter":
        from core.services.conversations.router import ConversationsRouter
        from core.services.responses.printing.shown import show_item
        from core.services.responses.state.place import StatePlace

        async def check(items: "Sequence[Item]") -> None:
            from core.services.responses.compaction.context import check_compactions
            from core.services.sealing.sealer import Sealer

            await check_compactions(Sealer(data_keys(), call), items, "items")

        return ConversationsRouter(StatePlace.of(parts, call), show_item, check)

    def prompts(call: Call | None) -> "PromptsRouter":
        from core.services.prompts.collection import PromptCollection
        from core.services.prompts.router import PromptsRouter

        return PromptsRouter(PromptCollection(parts, call))

    def agents(call: Call | None) -> "AgentsRouter":
        from core.services.agents.wiring import agents_of

        return agents_of(parts, call, data_keys)

    return {"responses": responses, "conversations": conversations, "prompts": prompts, "agents": agents}
