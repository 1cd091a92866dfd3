"""The tools of a run whose context was made shorter."""

from collections.abc import AsyncGenerator, Sequence

from core.frame.types import JsonObject
from core.services.responses.contract import Item, RunTool, RunTools, Step, StepAdded, StepDone, StepPhase, Steps


class CompactedTools:
    """The `compaction` is told in the first of the run's output; `tools` look at the whole `context`, as it was before."""

    def __init__(self, tools: RunTools, compaction: Item, context: Sequence[Item]) -> None:
        self._tools = tools
        self._compaction = compaction
        self._context = context

    @property
    def definitions(self) -> Sequence[JsonObject]:
        return self._tools.definitions

    @property
    def compacting(self) -> Sequence[Step]:
        """The steps of the compaction alone."""
        whole = self._compaction
        return StepAdded({**whole, "encrypted_content": ""}), StepPhase("compacting"), StepDone(dict(whole))

    def prepare(self, context: Sequence[Item], done: Sequence[Item] = (), run_id: str = "") -> Steps:
        del context  # approvals are of what was said there, and is left out
        return self._prepare(done, run_id)

    def find(self, name: str) -> RunTool | None:
        return self._tools.find(name)

    def choose(self, tool_choice: object) -> object:
        return self._tools.choose(tool_choice)

    async def _prepare(self, done: Sequence[Item], run_id: str) -> AsyncGenerator[Step]:
        for step in () if has_compaction(done) else self.compacting:
            yield step
        steps = self._tools.prepare(self._context, done, run_id)
        try:
            async for step in steps:
                yield step
        finally:
            await steps.aclose()


def has_compaction(items: Sequence[Item]) -> bool:
    return any(item["type"] == "compaction" for item in items)
