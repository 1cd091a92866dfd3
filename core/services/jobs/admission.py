"""The quota that rows of a job take from, as its owner's own calls do."""

from collections.abc import Sequence
from typing import Any, Protocol

from core.frame.callers import Call, Charge, UsageRow
from core.frame.dotted import load
from core.frame.types import JsonObject, Wire


class Ticket(Protocol):
    """One admitted call; see `core.quota.ticket.Ticket`."""

    async def settle(self, charge: Charge) -> None:
        """Correct what was reserved to what was used."""
        ...

    def hand_over(self) -> JsonObject | None:
        """The reservation, for `Admission.release` by whichever process; None where there is none."""
        ...


class Admission(Protocol):
    """The owner's quota, which a row takes from as a request does; see `core.quota.quota.Quota`."""

    async def admit(self, call: Call, tokens: int | None, requests: int = 1, order: Any = None) -> Ticket:  # noqa: ANN401 - services know no quota
        """Count so many `requests`, 0 for what was counted before. `order` is a `core.quota.order.Order`, where it is known what a model is asked.

        Raises QuotaExceeded, after which the shard pauses until the window ends, or QuotaUnavailable.
        """
        ...

    async def charge(self, call: Call, rows: Sequence[UsageRow], once: str = "") -> None:
        """Count what was used elsewhere, as in a batch at a provider's own side, with a name `once`; see `core.quota.quota.Quota`.

        Raises QuotaUnavailable: the same name asks again, however often.
        """
        ...

    async def release(self, handle: JsonObject) -> None:
        """End a reservation that was handed over, once; raises QuotaUnavailable."""
        ...


def order_of(admission: Admission, model: str, body: Wire) -> Any:  # noqa: ANN401 - services know no quota
    """What is asked of a model, as a `core.quota.order.Order`; None where nobody wants to know."""
    return None if isinstance(admission, Unlimited) else load("core.quota.order:Order")(model, body)


class Unlimited:
    """The admission of a stack with neither quota nor usage."""

    class _Ticket:
        async def settle(self, charge: Charge) -> None:
            del charge

        def hand_over(self) -> None:
            return None

    async def admit(self, call: Call, tokens: int | None, requests: int = 1, order: Any = None) -> Ticket:  # noqa: ANN401 - services know no quota
        del call, tokens, requests, order
        return self._Ticket()

    async def charge(self, call: Call, rows: Sequence[UsageRow], once: str = "") -> None:
        del call, rows, once

    async def release(self, handle: JsonObject) -> None:
        del handle
