"""The quota that rows of a job take from, as its owner's own calls do."""

from typing import Protocol

from core.frame.callers import Call


class Ticket(Protocol):
    """One admitted call; see `core.quota.ticket.Ticket`."""

    async def settle(self, tokens: int | None, further: int = 0, least: int = 0) -> None:
        """Correct what was reserved to the tokens used, or, where they are None, to at least `least`; add the `further` ones."""
        ...


class Admission(Protocol):
    """The owner's quota, which a row takes from as a request does; see `core.quota.quota.Quota`."""

    async def admit(self, call: Call, tokens: int | None, requests: int = 1) -> Ticket:
        """Count so many `requests`, 0 for what was counted before.

        Raises QuotaExceeded, after which the shard pauses until the window ends, or QuotaUnavailable.
        """
        ...

    async def charge(self, call: Call, tokens: int) -> None:
        """Count tokens that were used elsewhere, as in a batch at a provider's own side; see `core.quota.quota.Quota`."""
        ...


class Unlimited:
    """The admission of a stack without quota."""

    class _Ticket:
        async def settle(self, tokens: int | None, further: int = 0, least: int = 0) -> None:
            del tokens, further, least

    async def admit(self, call: Call, tokens: int | None, requests: int = 1) -> Ticket:
        del call, tokens, requests
        return self._Ticket()

    async def charge(self, call: Call, tokens: int) -> None:
        del call, tokens
