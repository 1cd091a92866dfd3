"""Answers to `POST /responses/compact` and `POST /responses/input_tokens`."""

import time
from typing import TYPE_CHECKING

from core.apis.response_items import check_input
from core.apis.response_queries import CompactRequest, InputTokensRequest
from core.apis.responses import ResponseRequest
from core.frame.types import JsonObject
from core.services.responses.compaction.compactor import Compactor
from core.services.responses.counting import estimate, tell
from core.services.responses.items import read_input
from core.services.responses.output import Output, make_id
from core.services.responses.printing.objects import show_usage

if TYPE_CHECKING:
    from core.services.responses.router import Pieces


async def compact(pieces: "Pieces", compactor: Compactor, request: CompactRequest) -> JsonObject:
    """One `response.compaction` object. It is kept nowhere: its output is what the next request has as its input."""
    check_input(request.input)
    context = await pieces.read_context(request.previous_response_id, None)
    items = [*context, *read_input(request.input, context)]
    shorter = await compactor.compact(request.model, items, kept_count=len(context), instructions=request.instructions)
    Output().add(shorter.compaction)
    return {
        "id": make_id("resp_"),
        "object": "response.compaction",
        "created_at": int(time.time()),
        "output": [*shorter.items, shorter.compaction],
        "usage": show_usage(shorter.usage),
    }


async def count_input(pieces: "Pieces", compactor: Compactor, request: InputTokensRequest) -> JsonObject:
    """An estimate. Of a server of MCP those tools count that the context has a list of: nobody is asked for others."""
    check_input(request.input)
    context = await pieces.read_context(request.previous_response_id, request.conversation)
    opened = await compactor.open([*context, *read_input(request.input, context)], kept_count=len(context))
    asked = ResponseRequest.model_construct(model="", input=request.input, tools=request.tools)  # it was checked
    tools = await pieces.tools(asked)
    messages = tell(request.instructions, opened.items)
    return {"object": "response.input_tokens", "input_tokens": estimate(messages, tools.definitions)}
