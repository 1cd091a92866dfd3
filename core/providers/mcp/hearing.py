"""What a server sends while it answers: progress, questions of its own, and at last the result."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from core.apis.tools import Progress
from core.frame.types import JsonObject
from core.platform.json_values import to_object
from core.providers.mcp.wire import Denied, Question, Refusal, RpcError, answer_of, is_request, number_of

type Reply = Callable[[JsonObject], Awaitable[None]]
"""Answers a request that the server makes."""


async def hear(
    messages: AsyncIterator[JsonObject], request_id: int, question: Question, reply: Reply | None = None
) -> JsonObject | None:
    """The result of the request, None where the messages end before it; raises RpcError and Unusable.

    Answers to other requests are passed over, and so is what the server asks where there is no `reply`.
    """
    async for message in messages:
        if (result := answer_of(message, request_id)) is not None:
            return result
        if message.get("method") == "notifications/progress" and question.on_progress is not None:
            if (progress := _progress_of(message, request_id)) is not None:
                await question.on_progress(progress)
        elif reply is not None and is_request(message):
            with suppress(Denied, Refusal, RpcError):  # no reason to leave the answer, and none to make the call again
                await reply(message)
    return None


def _progress_of(message: JsonObject, token: int) -> Progress | None:
    """None for that of another request, and for what is no number."""
    params = to_object(message.get("params"))
    own, done = params.get("progressToken"), number_of(params.get("progress"))
    if type(own) is not int or own != token or done is None:
        return None
    progress = Progress(progress=done)
    if (total := number_of(params.get("total"))) is not None:
        progress["total"] = total
    if isinstance(text := params.get("message"), str):
        progress["message"] = text
    return progress
