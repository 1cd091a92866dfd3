"""The quota that rows of a job take from, as its owner's own calls do."""

from collections.abc import Sequence
from typing import Any, Protocol

from core.frame.callers import Call, Charge, UsageRow


class Ticket(Protocol):
    """One admitted call; see `core.quota.ticket.Ticket`."""

    async def settle(self, charge: Charge) -> None:
        """Correct what was reserved to what was used."""
        ...


class Admission(Protocol):
    """The owner's quota, which a row takes from as a request does; see `core.quota.quota.Quota`."""

    async def admit(self, call: Call, tokens: int | None, requests: int = 1, order: Any = None) -> Ticket:  # noqa: ANN401 - services know no quota
        """Count so many `requests`, 0 for what was counted before. `order` is a `core.quota.order.Order`, where it is known what a model is asked.

        Raises QuotaExceeded, after which the shard pauses until the window ends, or QuotaUnavailable.
        """
        ...

    async def charge(self, call: Call, rows: Sequence[UsageRow]) -> None:
        """Count what was used elsewhere, as in a batch at a provider's own side; see `core.quota.quota.Quota`."""
        ...


class Unlimited:
    """The admission of a stack with neither quota nor usage."""

    class _Ticket:
        async def settle(self, charge: Charge) -> None:
            del charge

    async def admit(self, call: Call, tokens: int | None, requests: int = 1, order: Any = None) -> Ticket:  # noqa: ANN401 - services know no quota
        del call, tokens, requests, order
        return self._Ticket()

    async def charge(self, call: Call, rows: Sequence[UsageRow]) -> None:
        del call, rows
