"""What a run begins with where compaction has to do with it: compactions opened, and a context that is too long made shorter."""

from collections.abc import Sequence

from core.apis.responses import ResponseRequest
from core.services.responses.compaction.compactor import MANAGEMENT, Compactor, Wanted, read_threshold
from core.services.responses.compaction.tools import CompactedTools
from core.services.responses.contract import Item, RunTools
from core.services.responses.requests import Context


async def check_for_run(compactor: Compactor, request: ResponseRequest, context: Context) -> Context:
    """The context with its compactions opened. Raises what `open_for_run` would, without asking a model."""
    read_threshold((request.model_extra or {}).get(MANAGEMENT), compactor.settings)
    opened = await compactor.open(context.items, kept_count=context.kept_count)
    return Context(opened.items, opened.kept_count, context.tail)


async def open_for_run(
    compactor: Compactor, request: ResponseRequest, context: Context, tools: RunTools
) -> tuple[Context, RunTools]:
    """What is told instead of `context`, and the tools, whose first step is the compaction if there is one.

    Raises:
        InvalidRequest: a compaction is none of this caller's, `context_management` is not of its shape; and what a summary fails with.
    """
    threshold = read_threshold((request.model_extra or {}).get(MANAGEMENT), compactor.settings)
    opened = await compactor.open(context.items, kept_count=context.kept_count)
    bound = Wanted(request.model, threshold, request.instructions, tools.definitions)
    shorter = await compactor.shorten(bound, opened)
    if shorter is None:
        return Context(opened.items, opened.kept_count, context.tail), tools
    items: Sequence[Item] = shorter.items
    return Context(items, len(items), context.tail), CompactedTools(tools, shorter.compaction, context.items)
