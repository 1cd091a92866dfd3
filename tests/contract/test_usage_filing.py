"""Usage that is filed, read and erased in DynamoDB: nothing is counted twice or not at all, whatever meets."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
import json
import time
from typing import Any

import pytest

from core.errors import QuotaUnavailable
from core.frame.callers import UsageRow
from core.platform.dynamodb_table import Table
from core.stores.counters import items
from core.stores.counters.dynamodb import DynamoCounters
from core.stores.counters.filing import Filing
from core.stores.counters.port import AccountKey, Counts, Take, Use
from core.stores.counters.rows import rows_in
from core.stores.usage import dynamodb as usage_dynamodb
from core.stores.usage.port import UsageQuery, UsageStore, UsageSum
from infra.local import dynamodb as local
from infra.monitoring import UNSETTLED
from tests.contract.counters import DAY as WINDOW
from tests.contract.counters import reservation_of, taking
from tests.contract.test_counters_dynamodb import Lost, losing
from tests.contract.test_usage_dynamodb import item_of, row

TODAY = int(time.time()) // 86_400
EXPIRES = (TODAY + 400) * 86_400
ADA, BOB = AccountKey("user:issuer:ada"), AccountKey("user:issuer:bob", 3)


class World:
    """A table, with its counters and what reads its usage."""

    def __init__(self, name: str, endpoint: str, namespace: str = "") -> None:
        self.name, self.endpoint, self.namespace = name, endpoint, namespace
        self.table = Table(name, region=None, endpoint_url=endpoint)
        self.store = DynamoCounters(self.table, namespace=namespace, patience=60)
        self.usage: UsageStore = usage_dynamodb.connect(
            name, region=None, endpoint_url=endpoint, namespace=namespace or None
        )

    async def use(self, account: AccountKey, day: int, *models: str) -> None:
        counted = tuple(row(model, prompt_tokens=2, nanos=3) for model in models or ("small",))
        await self.store.take(account, Take((), Counts(), use=Use(day, counted, "red", EXPIRES - TODAY + day)))

    async def file(self, account: AccountKey = ADA) -> bool:
        async with self.table.client() as client:
            return await Filing(self.table, "", account, int(time.time() * 1000)).run(client)

    async def sum(
        self, *by: Any, first: int = TODAY - 2, last: int = TODAY, **among: frozenset[str]
    ) -> dict[Any, UsageRow]:
        sums = await self.usage.sum(UsageQuery(first, last, by, among))  # type: ignore[arg-type] # names as text
        return {each.key: each.row for each in sums}

    async def rows(self, account: AccountKey = ADA) -> list[str]:
        return [entry.row.model for entry in rows_in(await item_of(self.name, self.endpoint, f"acct:{account.name}"))]

    async def close(self) -> None:
        await self.store.close()
        await self.usage.close()
        await self.table.close()


@pytest.fixture
async def world(quota_table: str, dynamodb_endpoint: str) -> AsyncGenerator[World]:
    world = World(quota_table, dynamodb_endpoint)
    yield world
    await world.close()


async def test_rows_of_days_gone_by_are_filed_by_the_next_call_and_every_sum_stays(world: World) -> None:
    for day in (TODAY - 2, TODAY - 1):
        await world.use(ADA, day, "small", "large")
        await world.use(BOB, day)
    before = await world.sum("day", "client", "teams", "model", "provider", "api", "operation")
    again = World(world.name, world.endpoint)  # a process that sees the accounts for the first time
    await again.use(ADA, TODAY, "small")
    assert await world.rows() == ["small"]
    await again.close()
    after = await world.sum("day", "client", "teams", "model", "provider", "api", "operation")
    new = (str(TODAY), ADA.client, "red", "small", "vllm", "inference", "chat")
    assert after == before | {new: UsageRow(requests=1, answers=1, prompt_tokens=2, nanos=3)}
    assert await world.sum("model", client=frozenset({ADA.client})) == await world.sum(
        "model", client=frozenset({ADA.client, *map(str, range(9))})
    )
    assert (await world.sum("day", first=TODAY - 1, last=TODAY - 1))[(str(TODAY - 1),)].requests == 3
    part = await item_of(world.name, world.endpoint, await part_of(world))
    assert int(part["expires"]["N"]) == EXPIRES - 2 * 86_400
    assert part["bucket"]["S"].startswith(f"{TODAY - 2}#")


async def part_of(world: World) -> str:
    """The key of ADA's first part."""
    item = await item_of(world.name, world.endpoint)
    return f"part:{ADA.name}:{item[items.FIRST]['N']}"


async def test_an_account_of_many_models_has_few_rows(world: World) -> None:
    for number in range(0, 90, 6):
        await world.use(ADA, TODAY, *(f"m{model}" for model in range(number, number + 6)), "small")
    for _ in range(13):
        await world.use(ADA, TODAY)
    assert len(await world.rows()) <= items.MOST_ROWS
    assert (await world.sum())[()].requests == 118
    assert (await world.sum("model"))[("small",)].requests == 28


async def test_calls_that_died_are_listed_and_leave_the_account_after_a_day(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.store.take(ADA, taking(5, holds=True))
    old = int(time.time() * 1000) - 2 * 86_400_000
    async with world.table.client() as client:
        for number in range(items.MOST_DEAD + 1):
            await client.update_item(
                TableName=world.name,
                Key={"pk": {"S": f"acct:{ADA.name}"}},
                UpdateExpression="SET #r = :r",
                ExpressionAttributeNames={"#r": f"r:dead{number}"},
                ExpressionAttributeValues={":r": {"S": f"{old + number}:1:7:9"}},
            )
    before = await world.usage.unsettled()
    assert len(before) == items.MOST_DEAD + 2
    assert await world.file()
    assert len((await world.store.read(ADA)).unsettled) == 1
    assert await world.usage.unsettled() == await world.usage.unsettled(ADA.client) == before
    assert before[0].held.amount == Counts(1, 7, 9)
    assert [each.getMessage() for each in caplog.records] == [
        f"{UNSETTLED}: {items.MOST_DEAD + 1}, which stay charged as reserved"
    ]
    assert await world.sum() == {}


async def test_filing_settling_and_reading_at_once_lose_nothing_and_no_sum_falls(world: World) -> None:
    await world.use(ADA, TODAY - 1)
    sums, over = [0], asyncio.Event()

    async def settle(day: int) -> None:
        reservation = reservation_of(await world.store.take(ADA, taking(1, holds=True)))
        await world.store.settle(reservation, Counts(), Use(day, (row("small"), row("large")), "red", EXPIRES))

    async def file() -> int:
        filed = 0
        while not over.is_set():
            filed += await world.file()
        return filed

    async def read() -> None:
        among: dict[str, Any] = {} if len(sums) % 2 else {"client": frozenset({ADA.client})}
        while not over.is_set():
            sums.append((await world.sum(**among))[()].requests)

    async def work() -> None:
        try:
            for _ in range(8):
                await asyncio.gather(*(settle(TODAY - day) for day in (0, 1, 1, 2)))
        finally:
            over.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        filing = group.create_task(file())
        reader = group.create_task(read())
    assert filing.result()
    assert reader.done()
    assert (await world.sum())[()].requests == 65
    assert max(sums) <= 65


async def test_successive_sums_of_one_reader_never_fall(world: World) -> None:
    sums: list[int] = []
    for number in range(6):
        await asyncio.gather(world.use(ADA, TODAY - 1, "small", f"m{number}"), world.file())
        sums.append((await world.sum(client=frozenset({ADA.client})))[()].requests)
    assert sums == [2, 4, 6, 8, 10, 12]


@pytest.mark.parametrize("lost", ["answers", "requests"])
async def test_what_is_lost_on_the_way_is_counted_once(world: World, lost: Lost) -> None:
    async with losing(world.endpoint, lost) as url:
        table = Table(world.name, region=None, endpoint_url=url, answer_seconds=0.8)
        store = DynamoCounters(table, namespace="", patience=60)
        reservation = reservation_of(await store.take(ADA, taking(1, holds=True)))
        counted = tuple(row(f"m{number}") for number in range(20))
        await store.settle(reservation, Counts(tokens=2), Use(TODAY - 1, counted, "", EXPIRES))
        await store.take(ADA, Take((), Counts(), use=Use(TODAY - 1, counted[:1], "", EXPIRES)))
        async with table.client() as client:
            assert await Filing(table, "", ADA, int(time.time() * 1000)).run(client)
        await store.close()
    assert await world.rows() == []
    assert (await world.sum())[()].requests == 21
    assert (await world.store.read(ADA, (WINDOW,))).counts == (Counts(1, 3),)


async def test_a_filing_that_was_lost_to_another_write_takes_nothing(world: World) -> None:
    await world.use(ADA, TODAY - 1)
    stale = await item_of(world.name, world.endpoint)
    await world.use(ADA, TODAY - 1)
    filing = Filing(world.table, "", ADA, int(time.time() * 1000))

    class Stale:
        """A client whose reads are late."""

        def __init__(self, client: Any) -> None:
            self.exceptions, self.transact_write_items = client.exceptions, client.transact_write_items

        async def get_item(self, **_: object) -> Any:
            return {"Item": stale}

    async with world.table.client() as client:
        assert not await filing.run(Stale(client))  # type: ignore[arg-type] # as much of one as it asks
    assert (await world.sum())[()].requests == 2
    assert await world.rows() == ["small"]


async def test_a_table_without_the_index_counts_and_a_client_reads_its_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "BY_DAY", {})
    name = f"{world.name}-bare"
    local.create_table(world.endpoint, name)
    bare = World(name, world.endpoint)
    await bare.use(ADA, TODAY - 1)
    await bare.use(ADA, TODAY)
    assert await bare.file()
    assert (await bare.sum(client=frozenset({ADA.client})))[()].requests == 2
    assert await bare.usage.unsettled(ADA.client) == []
    for work in (bare.sum(), bare.usage.unsettled()):
        with pytest.raises(QuotaUnavailable, match=r"no index `by_day` that can be read.*add it"):
            await work
    await bare.close()


async def test_what_an_erased_client_used_stays_counted_as_nobodys(world: World) -> None:
    await world.store.take(ADA, replace(taking(holds=True), use=None))
    for account in (ADA, replace(ADA, shard=2), BOB):
        await world.use(account, TODAY - 1, "small", "large")
        await world.file(account)
        await world.use(account, TODAY)
    before = await world.sum("day", "teams", "model")
    assert await world.store.erase(ADA.client, dry=True) == 2
    assert await world.store.erase(ADA.client) == 2
    assert await world.store.erase(ADA.client, dry=True) == 0
    assert await world.sum("day", "teams", "model") == before
    sums = await world.sum("client")
    assert {client: each.requests for (client,), each in sums.items()} == {"erased": 6, BOB.client: 3}
    assert await world.usage.unsettled() == []
    assert await world.sum(client=frozenset({ADA.client})) == {}
    assert (await world.sum(client=frozenset({"erased"})))[()].requests == 6
    async with world.table.client() as client:
        text = json.dumps((await client.scan(TableName=world.name))["Items"])
    assert "ada" not in text


async def test_namespaces_have_usage_of_their_own(world: World) -> None:
    other = World(world.name, world.endpoint, "a#b")
    await other.use(ADA, TODAY)
    await world.use(ADA, TODAY)
    await world.use(BOB, TODAY)
    assert ((await other.sum())[()].requests, (await world.sum())[()].requests) == (1, 2)
    assert await other.usage.sum(UsageQuery(TODAY, TODAY, ("client",))) == [
        UsageSum((ADA.client,), UsageRow(requests=1, answers=1, prompt_tokens=2, nanos=3))
    ]
    await other.close()


@asynccontextmanager
async def weighing(world: World) -> AsyncGenerator[list[float]]:
    """The write units of each UpdateItem and transaction inside."""
    units: list[float] = []
    async with world.table.client() as client:
        ask: Any = client.update_item

        async def weigh(**request: Any) -> Any:
            answer = await ask(**request, ReturnConsumedCapacity="TOTAL")
            units.append(answer["ConsumedCapacity"]["CapacityUnits"])
            return answer

        client.update_item = weigh  # type: ignore[method-assign] # of this table's alone
        yield units
        client.update_item = ask  # type: ignore[method-assign] # as it was


async def test_a_call_costs_one_write_unit_a_write_with_three_rows_of_usage(world: World) -> None:
    for model in ("small", "large", "huge"):
        await world.use(ADA, TODAY, f"llama-3.3-70b-{model}")
    async with weighing(world) as units:
        admission = await world.store.take(ADA, taking(9, holds=True))
        await world.store.settle(
            reservation_of(admission), Counts(), Use(TODAY, (row("llama-3.3-70b-small"),), "red", EXPIRES)
        )
        await world.store.take(ADA, replace(taking(), use=Use(TODAY, (row("llama-3.3-70b-small"),), "red", EXPIRES)))
    assert units == [1, 1, 1]
