"""The account of a native shard: what it takes from its owner's quota before it is submitted, and what it is charged at its end.

No worker waits for the batch, so that both are known by the state: each part that is reserved, until it is given back, and the name
under which the shard is charged once, by whoever comes to it. Where a worker dies between a reservation and the state, that stays
counted, and is listed as unsettled.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from core.apis.batch_engine import NativeRow
from core.errors import QuotaExceeded, QuotaUnavailable
from core.services.batches.job.endpoints import Endpoint
from core.services.batches.native.state import NativeState
from core.services.batches.native.usage import row_of
from core.services.jobs.shard_run import ShardRun

QUOTA_DOWN_SECONDS: Final = 30


class NativeAccount:
    """`of` is the source's `engine`."""

    def __init__(self, endpoint: Endpoint, run: ShardRun, state: NativeState, of: dict[str, str]) -> None:
        self._endpoint = endpoint
        self._run = run
        self._state = state
        self._of = of

    async def admit(self, rows: Callable[[], AsyncIterator[NativeRow]]) -> bool:
        """Take all requests, in pieces where a window has less; False where the shard waits for more."""
        state, run = self._state, self._run
        requests = await self._requests(rows)
        piece = requests
        while state.admitted < requests:
            piece = min(piece, requests - state.admitted)
            try:
                ticket = await run.admission.admit(run.call, 0, piece)
            except (QuotaExceeded, QuotaUnavailable) as full:
                if piece > 1 and isinstance(full, QuotaExceeded):
                    piece //= 2
                    continue
                seconds = full.headers.get("retry-after", "")
                run.halt.set("quota", pause=int(seconds) if seconds.isdecimal() else QUOTA_DOWN_SECONDS)
                return False
            if (reservation := ticket.hand_over()) is not None:
                state.reservations.append(reservation)
            state.admitted += piece
            state.requests += piece
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

    async def _requests(self, rows: Callable[[], AsyncIterator[NativeRow]]) -> int:
        """How many the rows count as, as their live requests would."""
        count, kind = self._endpoint.operation.part_count(), self._endpoint.operation.request_type()
        if count is None or kind is None:
            return self._run.shard.rows
        total = 0
        async for row in rows():
            request: Any = kind.model_construct(**row.body)
            total += count(request)
        return total
