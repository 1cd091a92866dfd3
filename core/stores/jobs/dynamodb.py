"""Jobs in one DynamoDB table; `core.stores.jobs.records` says how they lie there.

Every change is one conditional write, or one transaction, and every read strongly consistent. The SDK may ask twice, and
then meets what it did itself: the holder, the plan or a token of the call says so. A transaction it repeats under one token.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html (idempotency),
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html (400 KB an item, 4 MB a transaction).
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
import time
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from core.errors import StateUnavailable
from core.frame.types import JsonObject
from core.platform.dynamodb_items import BACKOFF, CONDITION_FAILED, Change, Items, key_of
from core.platform.dynamodb_table import Table, namespace_prefix
from core.platform.dynamodb_values import from_attributes, to_attributes
from core.platform.retry import Backoff
from core.stores.jobs import codec, records
from core.stores.jobs.port import Counts, Job, JobPage, JobStore, Outcome, Shard
from core.stores.jobs.records import Item, Keys

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import PutTypeDef, TransactWriteItemTypeDef

THERE: Final = "#expires > :clock"
NOT_THERE: Final = "attribute_not_exists(pk) OR expires <= :clock"
HELD: Final = f"{THERE} AND #holder = :holder AND attribute_exists(#held) AND #status IN (:queued, :finishing)"
COUNTED: Final = "#attempts = #attempts + if_not_exists(#held, :zero), #held = :one"
FREED: Final = "#holder = :nobody, #until = :zero, #attempts = :zero REMOVE #held"
OURS: Final = f"{THERE} AND #state = :leased AND #holder = :holder"
FREE: Final = f"{THERE} AND (#state = :waiting OR (#state = :leased AND #until < :now))"
WORK: Final = "SET #done = :done, #parts = :parts, #counts = :counts, #attempts = :attempts, #until = :until"

LEASE: Final = Change(
    f"SET #holder = :holder, #until = :until, {COUNTED}",
    f"{THERE} AND #status IN (:queued, :finishing) AND (attribute_not_exists(#held) OR #until < :now)",
)
RENEW: Final = Change("SET #until = :until", HELD)
RELEASE: Final = Change("SET #holder = :nobody, #until = :zero REMOVE #held", HELD)
STARTED: Final = (
    "SET #status = :status, #plan = :plan, #shards = :shards, #left = :shards, #rows = :rows, #started = :now"
)
START: Final = Change(f"{STARTED}, {FREED}", f"{HELD} AND #status = :queued")
START_EMPTY: Final = Change(f"{STARTED}, #finishing = :now, {FREED}", START.condition)
HALT: Final = "SET #status = :next, #outcome = :outcome, #reason = :reason, #stopped = :clock"
STOPS: Final = {  # by the status before: the one after, and the change
    "queued": ("finishing", Change(f"{HALT}, #finishing = :clock, {FREED}", f"{THERE} AND #status = :status")),
    "running": ("stopping", Change(f"{HALT}, {FREED}", f"{THERE} AND #status = :status")),
}
END: Final = Change(
    "SET #status = :status, #outcome = :status, #reason = :reason, #counts = :counts, #ended = :now", HELD
)
ADVANCE: Final = Change(
    "SET #tick = #tick + :one, #ticker = :ticker",
    f"{THERE} AND #tick = :tick AND #status IN (:queued, :running, :stopping, :finishing)",
)
LEASE_SHARD: Final = Change(f"SET #state = :leased, #holder = :holder, #until = :until, {COUNTED}", FREE)
CHECKPOINT: Final = Change(WORK, OURS)
RELEASE_SHARD: Final = Change(f"{WORK}, #state = :waiting, #holder = :nobody REMOVE #held", OURS)
FINISH_SHARD: Final = Change(f"{WORK}, #state = :done_state REMOVE #held", OURS)
CLOSE_SHARD: Final = Change("SET #state = :done_state, #holder = :nobody REMOVE #held", FREE)
# `left` is the number of shards that are not done: while ours is not, it is at least 1, and only if it is 1 are we last.
COUNT_DOWN: Final = Change("SET #left = #left - :one", f"{THERE} AND #plan = :plan AND #left > :one")
COUNT_LAST: Final = Change(
    "SET #left = :zero, #status = :finishing, #finishing = :clock", f"{THERE} AND #plan = :plan AND #left = :one"
)
CONSTANTS: Final = {name: name for name in ("queued", "running", "stopping", "finishing", "waiting", "leased")} | {
    "done_state": "done",
    "nobody": "",
    "zero": 0,
    "one": 1,
}
VERSION: Final = 1
MOST_WRITES: Final = 100  # of a transaction
MOST_BYTES: Final = 900_000  # what aiohttp sends in one piece without a warning is 1 MiB
MOST_ITEMS: Final = 100  # of a job without its shards: attempts to end it leave some
MOST_OWN: Final = 1_000_000  # items that are removed with a job


class DynamoJobs:
    """A namespace of a table; `clock` says what has expired."""

    def __init__(
        self, table: Table, *, namespace: str, backoff: Backoff = BACKOFF, clock: Callable[[], float] = time.time
    ) -> None:
        self._items = Items(table, backoff)
        self._keys = Keys(namespace_prefix(namespace))
        self._clock = clock

    async def create(self, job: Job, *, key: str = "") -> Job:
        codec.check_id(job)
        writes = self._creation(job, key)
        for pause in self._items.backoff.pauses():
            await asyncio.sleep(pause)
            reasons = await self._items.transact(writes)
            if not reasons:
                return job
            taken = next((reason["Item"] for reason in reasons if "Item" in reason), None)
            current = None if taken is None else await self.get(from_attributes(taken).get("job", job.id))
            if current is not None:
                return current
        raise self._items.busy()

    async def get(self, job_id: str) -> Job | None:
        """One query reads head, request and result, which the transaction that writes them may show one after another."""
        if not codec.is_possible(job_id):
            return None
        values = {":pk": self._keys.job(job_id)["pk"], ":sort": {"S": records.HEAD}}
        for pause in self._items.backoff.pauses():
            await asyncio.sleep(pause)
            items = await self._items.query("pk = :pk AND begins_with(sk, :sort)", values, limit=MOST_ITEMS)
            if not items or items[0]["sk"]["S"] != records.HEAD or not self._is_there(items[0]):
                return None
            self._items.table.check_version(items[0], VERSION, "jobs", StateUnavailable)
            if job := records.to_job(items):
                return job
        raise self._items.busy()

    async def page(self, kind: str, *, owner: str | None, after: str | None, limit: int) -> JobPage:
        last = None if after is None else await self.get(after)
        codec.check_cursor(after, last, kind, owner)
        items = await self._items.query(
            "pk = :pk",
            to_attributes({":pk": self._keys.partition(kind, owner), ":clock": self._clock()}),
            limit=limit + 1,
            start=None if last is None else self._keys.listing(last, owner),
            forward=False,
            only="expires > :clock",
        )
        names = [item["sk"]["S"].partition("#")[2] for item in items[:limit]]
        jobs = await asyncio.gather(*map(self.get, names))
        return JobPage([job for job in jobs if job is not None], has_more=len(items) > limit)

    async def lease(self, job_id: str, holder: str, *, now: float, until: float) -> Job | None:
        if codec.is_possible(job_id):
            await self._change_job(job_id, LEASE, holder=holder, now=now, until=until)
        return await self.get(job_id)

    async def renew(self, job: Job, *, until: float) -> bool:
        held, _ = await self._change_job(job.id, RENEW, holder=job.holder, until=until)
        return held

    async def release(self, job: Job) -> None:
        await self._change_job(job.id, RELEASE, holder=job.holder)

    async def start(self, job: Job, shards: Sequence[Shard], *, now: float) -> bool:
        for writes in self._shard_writes(job, shards):
            await self._items.transact(writes)  # those of an earlier try, which may be under way by now, stay
        started, item = await self._change_job(
            job.id,
            START if shards else START_EMPTY,
            holder=job.holder,
            status="running" if shards else "finishing",
            plan=shards[0].plan if shards else "",
            shards=len(shards),
            rows=sum(shard.rows for shard in shards),
            now=now,
        )
        current = from_attributes(item or {})
        return started or (current.get("started") == now and current["plan"] == (shards[0].plan if shards else ""))

    async def stop(self, job_id: str, outcome: Outcome, reason: str = "") -> Job | None:
        values = {"outcome": outcome, "reason": codec.clean_reason(reason)}
        while (job := await self.get(job_id)) and job.status in STOPS:
            status, change = STOPS[job.status]
            await self._change_job(job_id, change, status=job.status, next=status, **values)
        return job

    async def end(
        self, job: Job, status: Outcome, *, reason: str, counts: Counts, result: JsonObject, now: float
    ) -> bool:
        """The result comes first, under a name that the head's fields make once it names them."""
        values = {"body": codec.encode("A job's result", result), "expires": job.expires}
        async with self._items.table.client() as client:
            await client.put_item(
                TableName=self._items.table.name,
                Item=self._keys.job(job.id, records.result_sort(job.holder, now)) | to_attributes(values),
            )
        ended, item = await self._change_job(
            job.id,
            END,
            holder=job.holder,
            status=status,
            reason=codec.clean_reason(reason),
            counts=asdict(counts),
            now=now,
        )
        current = from_attributes(item or {})
        return ended or (current.get("ended") == now and current["holder"] == job.holder)

    async def advance_tick(self, job_id: str, tick: int) -> bool:
        ticker = uuid4().hex
        advanced, item = await self._change_job(job_id, ADVANCE, tick=tick, ticker=ticker)
        return advanced or from_attributes(item or {}).get("ticker") == ticker

    async def shards(self, job: Job) -> list[Shard]:
        values = {":pk": self._keys.job(job.id)["pk"], ":sort": {"S": records.plan_prefix(job.plan)}}
        condition = "pk = :pk AND begins_with(sk, :sort)"
        items = await self._items.query(condition, values, limit=job.shards)
        return [records.to_shard(item) for item in items if self._is_there(item)]

    async def lease_shard(self, job: Job, number: int, holder: str, *, now: float, until: float) -> Shard | None:
        values = self._values(holder=holder, now=now, until=until)
        key = self._keys.shard(job.id, job.plan, number)
        _, item = await self._items.change(self._items.update(key, LEASE_SHARD, values))
        return records.to_shard(item) if item and self._is_there(item) else None

    async def checkpoint(self, shard: Shard) -> bool:
        ours, _ = await self._change_shard(shard, CHECKPOINT)
        return ours

    async def release_shard(self, shard: Shard) -> bool:
        ours, item = await self._change_shard(shard, RELEASE_SHARD)
        return ours or codec.is_released(None if item is None else records.to_shard(item), shard)

    async def finish_shard(self, shard: Shard) -> int | None:
        left, item = await self._count_down(shard, FINISH_SHARD, records.work_values(shard))
        current = None if item is None else records.to_shard(item)
        if current is not None and current.state == "done" and current.holder == shard.holder:
            return await self._left(shard)
        return left

    async def close_shard(self, shard: Shard, *, now: float) -> int | None:
        left, _ = await self._count_down(shard, CLOSE_SHARD, {"now": now})
        return left

    async def delete(self, job: Job) -> None:
        """What is cut off is found again: the head goes when nothing else is left, and after it the place in the owner's list."""
        own = await self._items.query("pk = :pk", {":pk": self._keys.job(job.id)["pk"]}, limit=MOST_OWN)
        key, values = self._keys.key(job.owner, "")["pk"], to_attributes({":job": job.id})
        keys = await self._items.query("pk = :pk", {":pk": key, **values}, limit=MOST_OWN, only="job = :job")
        head = self._keys.job(job.id)
        rest = [self._keys.listing(job, None), *map(key_of, keys)]
        rest += [place for place in map(key_of, own) if place != head]
        for doomed in (rest, [head], [self._keys.listing(job, job.owner)]):
            await self._items.delete_all(doomed)

    def warm(self) -> None:
        self._items.table.warm()

    async def close(self) -> None:
        await self._items.table.close()

    def _values(self, **values: Any) -> dict[str, Any]:  # noqa: ANN401 - DynamoDB's own types
        return {**CONSTANTS, "clock": self._clock(), **values}

    def _is_there(self, item: Item) -> bool:
        return int(item["expires"]["N"]) > self._clock()

    async def _change_job(self, job_id: str, change: Change, **values: Any) -> tuple[bool, Item | None]:  # noqa: ANN401
        return await self._items.change(self._items.update(self._keys.job(job_id), change, self._values(**values)))

    async def _change_shard(self, shard: Shard, change: Change) -> tuple[bool, Item | None]:
        values = self._values(holder=shard.holder, **records.work_values(shard))
        return await self._items.change(self._items.update(self._shard_key(shard), change, values))

    def _shard_key(self, shard: Shard) -> dict[str, Any]:
        return self._keys.shard(shard.job, shard.plan, shard.number)

    async def _count_down(self, shard: Shard, change: Change, work: dict[str, Any]) -> tuple[int | None, Item | None]:
        """How many shards are left once this one is done; or None, and the shard as it is.

        A transaction cannot branch on what it counts, so that there are two: one for any shard but the last, and one for
        the last, which makes the job `finishing` in the same write: it is never running with nothing left.
        """
        values = self._values(holder=shard.holder, plan=shard.plan, **work)
        update = self._items.update(self._shard_key(shard), change, values)
        for count in (COUNT_DOWN, COUNT_LAST):
            job = self._items.update(self._keys.job(shard.job), count, values)
            reasons = await self._items.transact([{"Update": update}, {"Update": job}])
            if not reasons:
                return 0 if count is COUNT_LAST else await self._left(shard), None
            if reasons[0].get("Code") == CONDITION_FAILED:
                return None, reasons[0].get("Item")
        return None, None

    async def _left(self, shard: Shard) -> int | None:
        item = await self._items.get(self._keys.job(shard.job))
        return int(item["left"]["N"]) if item and self._is_there(item) else None

    def _creation(self, job: Job, key: str) -> list["TransactWriteItemTypeDef"]:
        expires = {"expires": job.expires}
        request = {"body": codec.encode("A job's request", job.request)}
        writes = [
            self._put(self._keys.job(job.id), records.head_values(job), NOT_THERE),
            self._put(self._keys.job(job.id, records.REQUEST), expires | request),
            self._put(self._keys.listing(job, None), expires),
            self._put(self._keys.listing(job, job.owner), expires),
        ]
        if key:
            writes.append(self._put(self._keys.key(job.owner, key), expires | {"job": job.id}, NOT_THERE))
        return writes

    def _put(
        self, key: dict[str, Any], values: dict[str, Any], condition: str | None = None
    ) -> "TransactWriteItemTypeDef":
        put: PutTypeDef = {"TableName": self._items.table.name, "Item": key | to_attributes(values)}
        if condition == NOT_THERE:
            put["ExpressionAttributeValues"] = to_attributes({":clock": self._clock()})
        if condition is not None:
            put["ConditionExpression"] = condition
            put["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        return {"Put": put}

    def _shard_writes(self, job: Job, shards: Sequence[Shard]) -> Iterator[list["TransactWriteItemTypeDef"]]:
        """Transactions that write the shards, if they are not there: a repeated call takes none back that is under way."""
        expires = {"expires": job.expires}
        writes: list[TransactWriteItemTypeDef] = []
        size = 0
        for shard in shards:
            values = records.shard_values(shard)
            size += len(values["source"])
            if writes and (len(writes) == MOST_WRITES or size > MOST_BYTES):
                yield writes
                writes, size = [], len(values["source"])
            writes.append(self._put(self._shard_key(shard), expires | values, "attribute_not_exists(pk)"))
        if writes:
            yield writes


def connect(table: str, *, region: str | None, endpoint_url: str | None, namespace: str | None) -> JobStore:
    """The jobs in `table`, whose keys are the strings `pk` and `sk`."""
    place = Table(table, region=region, endpoint_url=endpoint_url, failure=StateUnavailable)
    return DynamoJobs(place, namespace=namespace or "")
