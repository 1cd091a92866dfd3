"""What the calls of jobs have used, told to whoever writes it down: as a request has a line, so has each of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from core.frame.callers import Call, Charge, Principal, UsageRow
from core.frame.observed import Observed
from core.frame.types import JsonObject
from core.services.jobs.admission import Admission, Ticket

type Tell = Callable[[Call, UsageRow], None]
"""Gets each row of usage, once; it must not raise."""
type Note = Callable[[Observed, Principal], None]


@dataclass(frozen=True, slots=True)
class ToldAdmission:
    """The `admission`, with what its calls have used told to `tell`; `note` says in a call's `observed` who made it."""

    admission: Admission
    tell: Tell
    note: Note | None = None

    async def admit(self, call: Call, tokens: int | None, requests: int = 1, order: Any = None) -> Ticket:  # noqa: ANN401 - services know no quota
        """As Admission.admit."""
        ticket = await self.admission.admit(call, tokens, requests, order)
        return _ToldTicket(ticket, call, self)

    async def charge(self, call: Call, rows: Sequence[UsageRow], once: str = "") -> None:
        """As Admission.charge; what is asked again is told when it is counted."""
        await self.admission.charge(call, rows, once)
        self.tell_all(call, rows)

    async def release(self, handle: JsonObject) -> None:
        """As Admission.release."""
        await self.admission.release(handle)

    def tell_all(self, call: Call, rows: Sequence[UsageRow]) -> None:
        """Of answers alone: a row of requests has used nothing."""
        if self.note is not None:
            self.note(call.observed, call.principal)
        for row in rows:
            if row.answers:
                self.tell(call, row)


@dataclass(frozen=True, slots=True)
class _ToldTicket:
    ticket: Ticket
    call: Call
    admission: ToldAdmission

    async def settle(self, charge: Charge) -> None:
        self.admission.tell_all(self.call, charge.rows)
        await self.ticket.settle(charge)

    def hand_over(self) -> JsonObject | None:
        return self.ticket.hand_over()
