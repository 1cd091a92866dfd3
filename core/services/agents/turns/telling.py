"""A run under way as the events of its turn, up to the last one, which tells of a turn that is kept; a failure ends it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from core.errors import ApiError, Conflict, InvalidRequest, UpstreamFailed, UpstreamThrottled
from core.frame.types import JsonObject
from core.services.agents.turns.printing import TurnPrinter
from core.services.agents.turns.sessions import TurnSession
from core.services.agents.turns.shields import TurnShields
from core.services.agents.turns.steps import end_turn
from core.services.responses.answer import Answer
from core.services.responses.contract import RunEnded

CANCELLED: Final = "The turn was cancelled. Begin another one."
RATE_LIMIT: Final = "rate_limit_exceeded"
SERVER: Final = "server_error"


async def tell(
    answer: Answer,
    printer: TurnPrinter,
    session: TurnSession,
    shields: TurnShields | None,
    earlier: Sequence[JsonObject],
) -> AsyncGenerator[JsonObject]:
    """`earlier` are the steps of the turn before this run. Raises ApiError for what a run fails with, once its steps are told."""
    end: RunEnded | None = None
    _judge(printer, shields)
    printer.begin()
    for chunk in printer.flush():
        yield chunk
    async with aclosing(answer.events()) as events:
        async for event in events:
            if shields is not None and shields.judgements:
                _judge(printer, shields)
            if isinstance(event, RunEnded):
                end = event
            for chunk in printer.print(event):
                yield chunk
    printer.close()
    for chunk in printer.flush():
        yield chunk
    if session.turn is None:
        raise session.failure or failure_of(end)
    yield end_turn({**session.turn, "steps": [*earlier, *session.turn["steps"]]})


def failure_of(end: RunEnded | None) -> ApiError:
    """What a run that did not end well has failed with, by the code of its error."""
    if end is not None and end.status == "cancelled":
        return Conflict(CANCELLED)
    error = {} if end is None else end.error or {}
    code, message = str(error.get("code", SERVER)), str(error.get("message", "The turn failed."))
    if code == SERVER:
        return UpstreamFailed(message)
    return UpstreamThrottled(message) if code == RATE_LIMIT else InvalidRequest(message).quote(code=code)


def _judge(printer: TurnPrinter, shields: TurnShields | None) -> None:
    for judgement in shields.take() if shields is not None else ():
        printer.judge(judgement)
