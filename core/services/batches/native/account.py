"""The account of a native shard: what it takes from its owner's quota before it is submitted, and what it is charged at its end.

No worker waits for the batch, so that both are known by the state: each part that is reserved, until it is given back, and the name
under which the shard is charged once, by whoever comes to it. Where a worker dies between a reservation and the state, that stays
counted, and is listed as unsettled.
"""

from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Final

from pydantic import ValidationError

from core.apis.batch_engine import NativeRow
from core.apis.prompt_bounds import bound_prompt
from core.errors import ApiError, QuotaExceeded, QuotaUnavailable
from core.frame.dotted import load
from core.services.batches.job.endpoints import Endpoint
from core.services.batches.native.state import NativeState
from core.services.batches.native.usage import row_of
from core.services.jobs.admission import Unlimited
from core.services.jobs.shard_run import ShardRun

QUOTA_DOWN_SECONDS: Final = 30
MOST_TOKENS: Final = 10**12  # of one row


class NativeAccount:
    """`of` is the source's `engine`."""

    def __init__(self, endpoint: Endpoint, run: ShardRun, state: NativeState, of: dict[str, str]) -> None:
        self._endpoint = endpoint
        self._run = run
        self._state = state
        self._of = of

    async def admit(self, rows: Callable[[], AsyncIterator[NativeRow]]) -> bool:
        """Take all that the rows may use at most, in pieces where a window has fewer requests; False where the shard waits for more.

        Raises:
            QuotaExceeded: no window has room for their tokens or their money together.
            PermissionDenied: they would be charged to too many teams, or nobody knows what they cost (PriceUnknown).
        """
        state, run = self._state, self._run
        if isinstance(run.admission, Unlimited):
            return True
        weights = await self._weigh(rows)
        piece = weights.rows
        while state.admitted < weights.rows:
            piece = min(piece, weights.rows - state.admitted)
            requests, tokens, prompt, unbound = weights.sum(state.admitted, piece)
            order = load("core.quota.order:batch_order")(self._of["public"], self._of["provider_id"], prompt, unbound)
            try:
                ticket = await run.admission.admit(run.call, -tokens, requests, order)
            except (QuotaExceeded, QuotaUnavailable) as full:
                if piece > 1 and _is_of_requests(full):
                    piece //= 2
                    continue
                if isinstance(full, QuotaExceeded) and full.final:
                    raise
                seconds = full.headers.get("retry-after", "")
                run.halt.set("quota", pause=int(seconds) if seconds.isdecimal() else QUOTA_DOWN_SECONDS)
                return False
            if (reservation := ticket.hand_over()) is not None:
                state.reservations.append(reservation)
            state.admitted += piece
            state.requests += requests
            await state.save(run)
        return True

    async def settle(self) -> bool:
        """Charge what is recorded, once, and give back what is reserved; False where the shard is another's by now.

        Raises QuotaUnavailable: whoever comes again does the rest.
        """
        run, state = self._run, self._state
        if not await run.checkpoint():
            return False
        observed, shard = run.call.observed, run.shard
        place = (self._of["public"], self._of["provider_id"], observed.api, observed.operation)
        row = row_of(shard.counts.tokens, place, state.requests)
        if row.requests or row.answers:
            await run.admission.charge(run.call, [row], f"{shard.job}/{shard.plan}/{shard.number}")
        for reservation in state.reservations:
            await run.admission.release(reservation)
        return True

    async def _weigh(self, rows: Callable[[], AsyncIterator[NativeRow]]) -> "_Weights":
        operation = self._endpoint.operation
        kind, count, bound = operation.request_type(), operation.part_count(), operation.token_bound()
        weights = _Weights()
        async for row in rows():
            request: Any = None
            with suppress(ValidationError, ApiError):  # what the provider refuses
                request = None if kind is None else kind.model_validate({**row.body})
            if request is None:
                weights.add(1, 1, 0)
            else:
                parts = 1 if count is None else count(request)
                weights.add(parts, 0 if bound is None else bound(request), bound_prompt(request).tokens)
        return weights


class _Weights:
    """Of each row how many requests it is, what it bounds its tokens by (see `Quota.admit`), and how many its prompt has at most."""

    def __init__(self) -> None:
        self._requests = array("q")  # of 50,000 rows
        self._bounds = array("q")
        self._prompts = array("q")

    @property
    def rows(self) -> int:
        return len(self._requests)

    def add(self, requests: int, bound: int, prompt: int) -> None:
        self._requests.append(requests)
        self._bounds.append(max(-MOST_TOKENS, min(bound, MOST_TOKENS)))
        self._prompts.append(prompt)

    def sum(self, first: int, rows: int) -> tuple[int, int, int, int]:
        """Of so many rows their requests, their bounds, their prompts, and how many of them have no bound."""
        piece = slice(first, first + rows)
        bounds = self._bounds[piece]
        unbound = sum(bound <= 0 for bound in bounds)
        return sum(self._requests[piece]), sum(map(abs, bounds)), sum(self._prompts[piece]), unbound


def _is_of_requests(refusal: ApiError) -> bool:
    """Whether fewer rows may have room: of tokens and money a part is as good as none, as all of it is needed in one window."""
    limit = refusal.headers.get("x-llambda-limit")
    return isinstance(refusal, QuotaExceeded) and (limit is None or "; requests; " in limit)
