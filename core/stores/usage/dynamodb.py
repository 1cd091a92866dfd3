"""Usage in the table of the counters: rows in accounts' items, and in the parts that were filed of them (see `core.stores.counters.filing`).

Of each client it is a snapshot: an account is read first, consistently, then the parts that it had made by then. Whose parts these
are and how many is in its item, so that a client's own usage is read by keys; all clients' by the index `by_day`, in 16 queries a day.
Pages are summed as they come.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from functools import partial
import json
import math
import time
from typing import Final

from core.platform.concurrency import run_all
from core.platform.dynamodb_table import Table, namespace_prefix
from core.stores.counters import filing, items
from core.stores.counters.erasing import ERASED
from core.stores.counters.items import BUCKETS, FILED_AT, FIRST, LATELY, NEXT, Item, held_of
from core.stores.counters.port import Counts, Held
from core.stores.counters.rows import rows_in
from core.stores.usage.port import Unsettled, UsageQuery, UsageStore, UsageSum
from core.stores.usage.reading import MOST_KEYS, Reading
from core.stores.usage.totals import Totals

AT_ONCE: Final = 16  # requests
MOST_DIRECT: Final = 8  # clients that are read by keys
MOST_SHARDS: Final = 100  # as `server.quota.shards`
PAUSES: Final = (0.0, 0.05, 0.2, 0.5)  # seconds before each look for parts that should be there
SKEW: Final = 300_000  # milliseconds that a clock may be wrong

type Dead = tuple[str, list[int]]
"""A client, and what a call of its has held: Unix milliseconds, requests, tokens and nano-units."""


class DynamoUsage:
    def __init__(self, reading: Reading, *, namespace: str) -> None:
        self._reading = reading
        self._prefix = namespace_prefix(namespace)

    async def sum(self, query: UsageQuery) -> list[UsageSum]:
        """Raises QuotaUnavailable too where the table has no index, and the query is about more than a few clients."""
        totals = Totals(query)
        clients = query.among.get("client")
        if clients is not None and len(clients) <= MOST_DIRECT and ERASED not in clients:
            snapshot = await self._read_accounts(self._names(clients), totals)
            await self._read_parts(snapshot.every_part(), snapshot, totals)
            return totals.list_sums()
        snapshot = await self._read_accounts(await self._list_names(), totals)
        buckets = [f"{day}#{number}" for day in range(query.first, query.last + 1) for number in range(BUCKETS)]
        await run_all([partial(self._sum_bucket, bucket, snapshot, totals) for bucket in buckets], at_once=AT_ONCE)
        await self._read_parts(snapshot.lately, snapshot, totals)
        return totals.list_sums()

    async def unsettled(self, client: str | None = None) -> list[Unsettled]:
        """Raises QuotaUnavailable too where the table has no index, and all are asked for."""
        totals = Totals(UsageQuery(0, -1))
        names = await self._list_names() if client is None else self._names([client])
        snapshot = await self._read_accounts(names, totals)
        if client is None:
            buckets = [f"{filing.DEAD}#{number}" for number in range(BUCKETS)]
            await run_all([partial(self._sum_bucket, each, snapshot, totals) for each in buckets], at_once=AT_ONCE)
            await self._read_parts(snapshot.lately, snapshot, totals)
        else:
            await self._read_parts(snapshot.every_part(), snapshot, totals)
        filed = [Unsettled(owner, Held(since / 1000, Counts(*numbers))) for owner, (since, *numbers) in snapshot.dead]
        return sorted((*snapshot.unsettled, *filed), key=lambda each: each.held.since)

    async def close(self) -> None:
        await self._reading.close()

    def _names(self, clients: Iterable[str]) -> dict[str, str]:
        """The accounts that clients may have, with whose they are."""
        return {
            name: client
            for client in clients
            for name in (client, *(f"{client}:{shard}" for shard in range(MOST_SHARDS)))
        }

    async def _list_names(self) -> dict[str, str]:
        """The accounts of all clients, by the directory."""
        names: dict[str, str] = {}
        begin = len(f"{self._prefix}open:")

        async def read(bucket: str) -> None:
            async for page in self._reading.query(f"{self._prefix}{bucket}"):
                names.update({item["pk"]["S"][begin:]: item["client"]["S"] for item in page})

        await run_all([partial(read, f"open#{number}") for number in range(BUCKETS)], at_once=AT_ONCE)
        return names

    async def _read_accounts(self, names: Mapping[str, str], totals: Totals) -> "_Snapshot":
        """Count what is in the accounts of these names, which have their clients."""
        snapshot = _Snapshot(self._prefix)
        keys = [f"{self._prefix}{items.PREFIX}{name}" for name in names]
        begin = len(f"{self._prefix}{items.PREFIX}")
        async for page in self._get_all(keys):
            for item in page:
                name = item["pk"]["S"][begin:]
                client = names[name]
                for day, rows in filing.rows_by_day(rows_in(item)).items():
                    totals.add(day, client, rows)
                snapshot.add(name, client, item)
        return snapshot

    async def _read_parts(self, keys: Iterable[str], snapshot: "_Snapshot", totals: Totals) -> None:
        """Of those made lately that are not there the transaction is not over: what reads one item sees it before another."""
        missing = list(keys)
        for pause in PAUSES:
            await asyncio.sleep(pause)
            async for page in self._get_all(missing):
                for item in page:
                    snapshot.count(item, totals)
            missing = [key for key in missing if key in snapshot.lately]
            if not missing:
                return

    async def _sum_bucket(self, bucket: str, snapshot: "_Snapshot", totals: Totals) -> None:
        async for page in self._reading.query(f"{self._prefix}{bucket}"):
            for item in page:
                snapshot.count(item, totals)

    async def _get_all(self, keys: list[str]) -> AsyncGenerator[list[Item]]:
        """By pages, those of some at once."""
        groups = [keys[start : start + MOST_KEYS] for start in range(0, len(keys), MOST_KEYS)]
        for start in range(0, len(groups), AT_ONCE):
            work = [partial(self._reading.get_all, group) for group in groups[start : start + AT_ONCE]]
            for page in await run_all(work, at_once=AT_ONCE):
                yield page


class _Snapshot:
    """What accounts had made when they were read. `lately` are the keys of parts that an index may not have yet."""

    def __init__(self, prefix: str) -> None:
        self.lately = set[str]()
        self.unsettled: list[Unsettled] = []
        self.dead: list[Dead] = []
        self._begin = f"{prefix}{filing.PREFIX}"
        self._day = len(prefix)
        self._ends: dict[str, tuple[int, int]] = {}
        self._now = time.time() * 1000

    def add(self, name: str, client: str, item: Item) -> None:
        first, end = items.number_in(item, FIRST), items.number_in(item, NEXT)
        self._ends[name] = first, end
        self.unsettled += [Unsettled(client, held) for held in held_of(item)]
        if items.number_in(item, FILED_AT) > self._now - filing.LAG - SKEW:
            self.lately |= {self._key(name, number) for number in range(items.number_in(item, LATELY), end)}

    def every_part(self) -> list[str]:
        """The keys of all that were made."""
        return [self._key(name, number) for name, (first, end) in self._ends.items() for number in range(first, end)]

    def count(self, item: Item, totals: Totals) -> None:
        """A part that was made by then, which is not counted again."""
        pk = item["pk"]["S"]
        name, _, number = pk[len(self._begin) :].rpartition(":")
        if int(number) >= self._ends.get(name, (0, math.inf))[1]:
            return
        self.lately.discard(pk)
        client, *rows = json.loads(item["p"]["S"])
        day = item["bucket"]["S"][self._day :].partition("#")[0]
        if day == filing.DEAD:
            self.dead += [(client, row) for row in rows]
        else:
            totals.add(int(day), client, rows)

    def _key(self, name: str, number: int) -> str:
        return f"{self._begin}{name}:{number}"


def connect(table: str, *, region: str | None, endpoint_url: str | None, namespace: str | None) -> UsageStore:
    """What was counted in `table`, whose key is the string `pk`, by `core.stores.counters.dynamodb`."""
    place = Table(table, region=region, endpoint_url=endpoint_url)
    return DynamoUsage(Reading(place, region=region, endpoint_url=endpoint_url), namespace=namespace or "")
