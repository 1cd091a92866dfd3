"""A line is asked as its owner would ask it: the operation of its endpoint, with the owner's call, and no HTTP between."""

from contextlib import suppress
from typing import Any, Final

from core.errors import ApiError, NotFound
from core.frame.callers import Call
from core.frame.dotted import load
from core.frame.tracing import REQUEST_ID, new_id
from core.frame.types import JsonObject
from core.platform.concurrency import undoing
from core.services.batches.job.endpoints import Endpoint
from core.services.batches.job.entries import Entry
from core.services.batches.job.output import error_line, output_line
from core.services.batches.job.usage import tokens_of
from core.services.jobs.kind import Result, Row
from core.services.parts import Parts, surface_for

ONE: Final = 1


class LineAsker:
    """What RowWork needs of the lines for one endpoint."""

    def __init__(self, parts: Parts, endpoint: Endpoint) -> None:
        self._parts = parts
        self._endpoint = endpoint
        self._operation = endpoint.operation

    async def ask(self, row: Row, call: Call) -> Result:
        entry: Entry = row.value
        entry.request_id = new_id()
        REQUEST_ID.set(entry.request_id)  # of this try's task alone
        if isinstance(entry.request, ApiError):
            raise entry.request
        answer = await self._answer(entry, call)
        line = output_line(entry.line_id, entry.custom_id, self._operation.success, entry.request_id, answer)
        named = entry.model if self._endpoint.names_model else ""  # elsewhere a caller may write anything there
        model = named or call.observed.model or self._endpoint.path
        return Result(line, tokens=tokens_of(answer, model, call.tokens, call.observed.tokens))

    def fail(self, row: Row, failure: ApiError) -> bytes:
        entry: Entry = row.value
        return error_line(entry.line_id, entry.custom_id, entry.request_id, failure)

    def bound(self, row: Row) -> int | None:
        """Of tokens, as its live request has it: one that is wrong is counted, and reserves none."""
        bound = self._operation.token_bound()
        return None if bound is None or isinstance(row.value.request, ApiError) else bound(row.value.request)

    def requests(self, row: Row) -> int:
        """How many the line counts as."""
        count = self._operation.part_count()
        return ONE if count is None or isinstance(row.value.request, ApiError) else count(row.value.request)

    def order(self, row: Row) -> Any:  # noqa: ANN401 - a core.quota.order.Order
        """What limits of money and of models go by; None of a line that is wrong, or whose endpoint names no model."""
        name, request = self._operation.model_name(), row.value.request
        if name is None or isinstance(request, ApiError):
            return None
        return load("core.quota.order:Order")(name(request) or "", request)  # by its name: only where there is a quota

    async def _answer(self, entry: Entry, call: Call) -> JsonObject:
        surface: Any = surface_for(self._parts, self._endpoint.surface, call)
        if surface is None:
            raise NotFound(f"This stack does not serve {self._endpoint.path} any more.")
        if self._endpoint.has_agent:
            return await _make_turn(surface, entry)
        answer: JsonObject = await getattr(surface, self._operation.call)(entry.request)
        return answer


async def _make_turn(agents: Any, entry: Entry) -> JsonObject:  # noqa: ANN401 - the surface `agents`
    """In a session of its own, which stays where there is a turn in it."""
    from core.apis.agents import NewSession  # late: few batches are of turns

    agent_id = entry.agent_id
    session = await agents.create_session(NewSession(session_name=entry.line_id), agent_id)
    session_id: str = session["session_id"]

    async def forget() -> None:
        with suppress(ApiError):  # what the turn failed by is what is told
            await agents.delete_session(agent_id, session_id)

    async with undoing(forget):
        turn: JsonObject = await agents.create_turn(entry.request, agent_id=agent_id, session_id=session_id)
    return turn
