"""What many callers take from together: the limits of teams, roles and models. Each is an account, or as many as it is spread over."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
import hashlib
import logging
import time
from typing import Final
from urllib.parse import quote

from core.config.limits import Per, QuotaRow
from core.errors import PermissionDenied, QuotaUnavailable
from core.frame.callers import Call, Charge
from core.quota.bindings import REQUESTS, Binding, Refusal, Wish, bind, bindings_of, refusals_of
from core.quota.identity import LONGEST
from core.quota.windows import counters
from core.stores.counters.port import AccountKey, Counter, CounterStore, Counts, Scope, Take

MOST_POOLS: Final = 25  # of one call: a transaction of DynamoDB has at most 100 items
LOOK_SECONDS: Final = 30.0  # between two reads of what a pool has, for warnings
MOST_LOOKS: Final = 1000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pool:
    """What all callers of a team, of a role or of a `model` take from in the windows that are now. `model` is "" for the others."""

    client: str
    model: str
    shards: int
    counters: tuple[Counter, ...]
    bindings: tuple[Binding, ...]

    def key(self, shard: int) -> AccountKey:
        return AccountKey(self.client, None if self.shards == 1 else shard)

    def scope(self, shard: int, amount: Counts, wish: Wish | None = None) -> Scope:
        """Without a `wish` nothing bounds it."""
        bound = self.counters if wish is None else bind(self.counters, self.bindings, wish, shard, self.shards)
        return Scope(self.key(shard), Take(bound, amount))

    def spent(self, charge: Charge, total: Counts, reserved: Counts) -> Counts:
        """What of a call's `total` is this pool's; of an answer that does not say it, tokens are at least those `reserved`."""
        if not self.model:
            return total
        rows = [row for row in charge.rows if row.model == self.model]
        least = reserved.tokens if charge.tokens is None else 0
        return Counts(0, max(least, sum(row.tokens for row in rows)), sum(row.nanos for row in rows))


class Pools:
    """The rows of `server.quota.limits` that are not of each caller alone."""

    def __init__(
        self, rows: Iterable[QuotaRow], store: CounterStore, *, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` gives Unix seconds."""
        self._rows: dict[Per, list[QuotaRow]] = {}
        for row in rows:
            self._rows.setdefault(row.per, []).append(row)
        self._store = store
        self._clock = clock
        self._looks: dict[tuple[str, str], tuple[float, tuple[Counts, ...]]] = {}

    @property
    def limits_models(self) -> bool:
        return "model" in self._rows

    def find(self, call: Call, asked: str = "", model: tuple[str, str] | None = None) -> tuple[Pool, ...]:
        """Those that a call takes from which asks a model by the name `asked`: its id and its provider's name for it are `model`, None for none.

        Raises PermissionDenied where there are more than one call can be charged to.
        """
        attributes = call.principal.attributes
        names: dict[Per, Sequence[str]] = {"team": attributes.get("teams", ()), "role": attributes.get("roles", ())}
        matches = [self._pool(per, name) for per in names for name in dict.fromkeys(names[per])]
        if model is not None:
            own_name, provider_name = model
            is_of_place = any(row.is_of(provider_name) for row in self._rows.get("model", ()))
            # a provider's name is that of every alias: none of them has a budget of its own beside it
            matches.append(self._pool("model", provider_name if is_of_place else own_name, asked, own_name))
        pools = [pool for pool in matches if pool is not None]
        if len(pools) > MOST_POOLS:
            raise PermissionDenied(
                f"You are in {len(pools)} teams and roles that have limits; a call can be charged to {MOST_POOLS} at most."
            )
        return tuple(pools)

    def find_models(self, charge: Charge) -> list[Pool]:
        """Those of the models that answered."""
        models = dict.fromkeys(row.model for row in charge.rows if row.model)
        return [pool for name in models if (pool := self._pool("model", name)) is not None]

    async def look(self, pool: Pool) -> tuple[Counts, ...]:
        """What each of its counters has, all shards together, as of `LOOK_SECONDS` ago at the earliest; nothing where the store fails."""
        now, place = self._clock(), (pool.client, " ".join(counter.window.name for counter in pool.counters))
        since, counts = self._looks.get(place, (-LOOK_SECONDS, ()))
        if 0 <= now - since < LOOK_SECONDS:
            return counts
        if len(self._looks) >= MOST_LOOKS:
            self._looks.clear()
        self._looks[place] = now, counts  # who comes meanwhile does not look too
        try:
            counts = await self.read(pool)
        except QuotaUnavailable:
            return counts
        self._looks[place] = now, counts
        return counts

    async def read(self, pool: Pool) -> tuple[Counts, ...]:
        """What each of its counters has now, all shards together; raises QuotaUnavailable."""
        keys = map(pool.key, range(pool.shards))
        states = await asyncio.gather(*(self._store.read(key, pool.counters) for key in keys))
        return tuple(sum(counts, Counts()) for counts in zip(*(state.counts for state in states), strict=True))

    async def charge(self, pools: Iterable[Pool], charge: Charge) -> None:
        """Count what models used that a call was not admitted for, as its guards; where the store fails, it is not counted."""
        for pool in pools:
            spent = pool.spent(charge, Counts(), Counts())
            try:
                await self._store.take(pool.key(0), Take(pool.counters, spent))
            except QuotaUnavailable as failure:
                log.warning(
                    "quota: %d tokens of %s were used, and are not counted: %s", spent.tokens, pool.client, failure
                )

    def _pool(self, per: Per, name: str, asked: str = "", alias: str = "") -> Pool | None:
        rows = [row for row in self._rows.get(per, ()) if row.is_of(name) or (alias and row.is_of(alias))]
        if not rows:
            return None
        now = self._clock()
        allowances = tuple(row.allowance for row in rows)
        current = counters(rows[0].window, now, tuple(dict.fromkeys(row.window for row in rows)))
        return Pool(
            client_of(per, name),
            (asked or name) if per == "model" else "",
            max(row.shards for row in rows),
            current,
            bindings_of(allowances, now, f"{per} {name}"),
        )


def client_of(per: str, name: str) -> str:
    """The name of the account: of at most 400 bytes, and no caller's."""
    client = f"{per}:{quote(name, safe='', errors='surrogatepass')}"
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest
    return client if len(client) <= LONGEST else f"{per}:sha256:{digest()}"


@dataclass(slots=True, eq=False)
class Drawing:
    """What one call takes from its pools: from one shard of each, or, where it is more requests than that has, from all.

    `reserved` is what it takes of each. `refusals` are of those pools that have no room in any shard.
    """

    pools: tuple[Pool, ...]
    wish: Wish
    reserved: Counts
    choose: Callable[[int], int]
    refusals: list[Refusal] = field(default_factory=list[Refusal])
    _shards: list[int] = field(init=False)
    _tried: list[dict[int, list[Refusal]]] = field(init=False)

    def __post_init__(self) -> None:
        self._shards = [self.choose(pool.shards) for pool in self.pools]
        self._tried = [{} for _ in self.pools]

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """Those of all pools."""
        return tuple(binding for pool in self.pools for binding in pool.bindings)

    @property
    def unbound(self) -> tuple[Scope, ...]:
        """The scopes, which nothing bounds."""
        return tuple(pool.scope(part, amount) for pool, parts in self._all() for part, amount in parts)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """For the store, in their order."""
        return tuple(
            pool.scope(part, amount, self._wish(place, amount))
            for pool, parts in self._all()
            for place, (part, amount) in enumerate(parts)
        )

    def move(self, counts: Sequence[tuple[Counts, ...]]) -> bool:
        """Whether other shards may have the room that these scopes did not, by the counts that the store says."""
        rest, moved = list(counts), False
        for place, (pool, shard) in enumerate(zip(self.pools, list(self._shards), strict=True)):
            parts = list(self._split(pool, shard))
            mine, rest = rest[: len(parts)], rest[len(parts) :]
            refusals = [
                refusal
                for at, ((part, amount), counted) in enumerate(zip(parts, mine, strict=False))
                for refusal in refusals_of(
                    pool.counters, counted, pool.bindings, self._wish(at, amount), part, pool.shards
                )
            ]
            if not refusals:
                continue
            self._tried[place][shard] = refusals
            if len(parts) == 1 and len(self._tried[place]) < pool.shards:
                self._shards[place] = (shard + 1) % pool.shards
                moved = True
            else:
                self.refusals += self._sum(self._tried[place].values())
        return moved and not self.refusals

    def corrections(self, charge: Charge, total: Counts) -> list[Counts]:
        """Of each scope, where `total` is what the whole call is charged."""
        corrections: list[Counts] = []
        for pool, parts in self._all():
            spent = pool.spent(charge, total, self.reserved)
            tokens, nanos = spent.tokens - self.reserved.tokens, spent.nanos - self.reserved.nanos
            corrections += [Counts(0, tokens, nanos), *([Counts()] * (len(parts) - 1))]
        return corrections

    def charges(self, charge: Charge, total: Counts) -> list[Scope]:
        """The scopes of what was used already, whatever they have room for."""
        return [
            pool.scope(shard, pool.spent(charge, total, Counts()))
            for pool, shard in zip(self.pools, self._shards, strict=True)
        ]

    def give_back(self) -> list[Counts]:
        """What makes each scope as it was."""
        return [-amount for _, parts in self._all() for _, amount in parts]

    def _all(self) -> Iterator[tuple[Pool, list[tuple[int, Counts]]]]:
        """Each pool, with what is taken from which of its shards."""
        for pool, shard in zip(self.pools, self._shards, strict=True):
            yield pool, self._split(pool, shard)

    def _wish(self, place: int, amount: Counts) -> Wish:
        """Of the parts of one pool the first has tokens and money."""
        return (amount.requests, None, None) if place else (amount.requests, *self.wish[1:])

    def _split(self, pool: Pool, shard: int) -> list[tuple[int, Counts]]:
        """The shards that it takes from, the first of which has the tokens and the money, with how much."""
        requests = self.wish[0]
        shares = [b.share(shard, pool.shards) for b in pool.bindings if b.unit == REQUESTS and b.hard]
        if pool.shards == 1 or requests <= max(1, min(shares, default=requests)):
            return [(shard, self.reserved)]
        order = [(shard + step) % pool.shards for step in range(pool.shards)]
        parts = [(at, requests // pool.shards + (step < requests % pool.shards)) for step, at in enumerate(order)]
        first = replace(self.reserved, requests=parts[0][1])
        return [(shard, first), *((at, Counts(part)) for at, part in parts[1:] if part)]

    @staticmethod
    def _sum(tried: Iterable[list[Refusal]]) -> list[Refusal]:
        """One refusal of each limit, with what is used in all shards that were tried."""
        sums: dict[Binding, Refusal] = {}
        for refusal in (refusal for refusals in tried for refusal in refusals):
            before = sums.get(refusal.binding)
            used = (refusal.used or 0) + (0 if before is None else before.used or 0)
            sums[refusal.binding] = replace(refusal, used=used)
        return list(sums.values())
