"""What one client has in one window: its counters, their bounds, and the headers that say what is left."""

from dataclasses import dataclass

from core.quota.bindings import REQUESTS, Binding, Refusal, Wish, bind, refusals_of
from core.quota.limits import Limits
from core.stores.counters.port import AccountKey, Counter, Counts, Limit, Take, Use, Window, counters_of


@dataclass(frozen=True, slots=True)
class Account:
    """The `limits` hold in the first of the `counters`, `bindings` in those of their windows; all are spread over `shards` accounts of the store."""

    client: str
    limits: Limits
    counters: tuple[Counter, ...]
    resets_in: int
    shards: int
    bindings: tuple[Binding, ...] = ()

    @property
    def window(self) -> Window:
        """That which the limits hold in."""
        return self.counters[0].window

    @property
    def name(self) -> str:
        """That of the client in the window."""
        return f"{counters_of(self.client)}{self.counters[0].period}:{self.window.name}"

    def key(self, shard: int) -> AccountKey:
        """Of the account with this number."""
        return AccountKey(self.client, None if self.shards == 1 else shard)

    def take(
        self, amount: Counts, counters: tuple[Counter, ...] = (), *, holds: bool = False, use: Use | None = None
    ) -> Take:
        """What counts so much in every window, where these `counters` are below their bounds."""
        return Take(counters or self.counters, amount, holds, use)

    def bound(self, shard: int, wish: Wish) -> tuple[Counter, ...]:
        """The counters of the account with this number, with the bounds of so much more."""
        first, *others = self.counters
        counters = (Counter(first.period, first.window, self.below(shard, wish[1], wish[0])), *others)
        return bind(counters, self.bindings, wish, shard, self.shards) if self.bindings else counters

    def refusals(self, shard: int, counts: tuple[Counts, ...], wish: Wish) -> list[Refusal]:
        """Of the `bindings`, which had no room in that account."""
        return refusals_of(self.counters, counts, self.bindings, wish, shard, self.shards)

    def most_requests(self, shard: int) -> int:
        """Which that account has room for where it is empty."""
        most = self.share(shard).requests
        for binding in self.bindings:
            if binding.unit == REQUESTS and binding.hard:
                most = min(most, binding.share(shard, self.shards))
        return most

    def share(self, shard: int) -> Limits:
        """What the counter with this number admits."""
        return self.limits if self.shards == 1 else self.limits.share(shard, self.shards)

    def below(self, shard: int, reserved: int | None, requests: int = 1) -> Limit:
        """The bounds of so many requests more, which reserve `reserved` tokens, or make none.

        With several shards the reservation is not part of the bound, else one that no single shard has room for could
        never be made: each shard may pass its share of the tokens by one reservation. What is no request is bound by tokens alone.
        """
        share = self.share(shard)
        below = share.requests - requests + 1 if requests else None
        if share.tokens is None or reserved is None:
            return Limit(below)
        return Limit(below, share.tokens if self.shards > 1 else share.tokens - reserved + 1)

    def over(self, shard: int, counts: Counts) -> bool:
        share = self.share(shard)
        return counts.requests > share.requests or (share.tokens is not None and counts.tokens > share.tokens)

    def remaining(self, shard: int, counts: Counts) -> Limits:
        """What remains; with several shards an estimate from the counter of one."""
        share, limits = self.share(shard), self.limits
        requests = self._scale(limits.requests, share.requests - counts.requests)
        if limits.tokens is None or share.tokens is None:
            return Limits(requests, None)
        return Limits(requests, self._scale(limits.tokens, share.tokens - counts.tokens))

    def headers(self, remaining: Limits) -> dict[str, str]:
        """The RateLimit headers; `remaining.tokens` is None where it is not known."""
        headers = {
            "ratelimit-limit": str(self.limits.requests),
            "ratelimit-remaining": str(remaining.requests),
            "ratelimit-reset": str(self.resets_in),
        }
        if self.limits.tokens is not None:
            headers["x-ratelimit-limit-tokens"] = str(self.limits.tokens)
            if remaining.tokens is not None:
                headers["x-ratelimit-remaining-tokens"] = str(remaining.tokens)
        return headers

    def _scale(self, limit: int, of_share: int) -> int:
        return max(0, min(limit, of_share * self.shards))
