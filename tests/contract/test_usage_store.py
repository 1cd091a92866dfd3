"""What calls are counted as, and how it is read: what CounterStore and UsageStore promise of usage, over the adapters of both."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
import uuid

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from core.frame.callers import UsageRow
from core.stores.counters.port import AccountKey, CounterStore, Counts, Limit, Reservation, Take, Use
from core.stores.usage.port import DIMENSIONS, Dimension, Unsettled, UsageQuery, UsageStore
from tests.contract.counters import DAY, LATER, MONTH, USAGE_KINDS, Counting, reservation_of, taking
from tests.unit.quota.fakes import MemoryCounters

TODAY = LATER // 86_400
ADA, EVE = "user:issuer:ada", "user:issuer:eve"
CHAT = UsageRow("small", "vllm", "inference", "chat", 1, 1, 30, 7, 2, 12, 5, 0, 900)
GUARD = UsageRow("guard", "vllm", "safety", "run", 0, 2, 9, 0, 0, 4, 0, 13, 0, 2)
PLAIN = UsageRow(api="files", operation="upload", requests=1)
NAMES = st.sampled_from(["m", "m|x", "M", "é", ""])
NUMBERS = st.sampled_from([0, 0, 1, 3, 10**12])
ROWS = st.builds(
    UsageRow, NAMES, st.sampled_from(["vllm", "p=q"]), st.sampled_from(["inference", "eval"]), NAMES, *[NUMBERS] * 10
)
USES = st.builds(
    Use,
    st.sampled_from([TODAY - 1, TODAY, TODAY + 1]),
    st.lists(ROWS, max_size=3).map(tuple),
    st.sampled_from(["", "red", "blue+red"]),
    st.just(LATER + 400 * 86_400),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "refused", "alone", "hold", "hold", "settle", "settle again", "settle without"]),
        st.builds(AccountKey, st.sampled_from([ADA, EVE]), st.sampled_from([None, 0, 11])),
        USES,
    ),
    max_size=20,
)
type Step = tuple[str, AccountKey, Use]
type Sums = dict[tuple[str, ...], UsageRow]


@pytest.fixture(params=USAGE_KINDS)
def counting(request: pytest.FixtureRequest, tmp_path: Path) -> Counting:
    return Counting.fresh(request, request.param, tmp_path, "quota_table")


@pytest.fixture
async def store(counting: Counting) -> AsyncGenerator[CounterStore]:
    async with counting.opened() as store:
        yield store


@pytest.fixture
async def usage(counting: Counting) -> AsyncGenerator[UsageStore]:
    async with counting.reading() as usage:
        yield usage


def use(*rows: UsageRow, day: int = TODAY, teams: str = "") -> Use:
    return Use(day, rows, teams, LATER + 400 * 86_400)


async def count(store: CounterStore, client: str, use: Use) -> None:
    """Where nothing limits the call."""
    await store.take(AccountKey(client), Take((), Counts(), use=use))


async def sums(usage: UsageStore, *by: Dimension, among: Mapping[Dimension, frozenset[str]] | None = None) -> Sums:
    """Of three days, by the values of their groups."""
    rows = await usage.sum(UsageQuery(TODAY - 1, TODAY + 1, by, among or {}))
    groups = {each.key: each.row for each in rows}
    assert len(groups) == len(rows)
    return groups


def total(*rows: UsageRow) -> UsageRow:
    """Under no name."""
    return sum((replace(row, model="", provider="", api="", operation="") for row in rows), UsageRow())


async def test_nothing_was_used_where_nobody_has_called(usage: UsageStore) -> None:
    assert await sums(usage) == await sums(usage, "client", "day") == {}
    assert await usage.unsettled() == await usage.unsettled(ADA) == []


async def test_a_call_is_counted_where_it_is_taken_or_settled_and_not_where_it_is_refused(
    store: CounterStore, usage: UsageStore
) -> None:
    key = AccountKey(ADA)
    await store.take(key, replace(taking(below=Limit(2)), use=use(PLAIN)))
    assert await sums(usage, "api") == {("files",): total(PLAIN)}
    admission = await store.take(key, taking(50, Limit(2), holds=True))
    assert await sums(usage, "api") == {("files",): total(PLAIN)}
    await store.settle(reservation_of(admission), Counts(tokens=-9), use(CHAT, GUARD))
    refused = await store.take(key, replace(taking(below=Limit(2)), use=use(PLAIN)))
    assert not refused.admitted
    expected = {("files",): total(PLAIN), ("inference",): total(CHAT), ("safety",): total(GUARD)}
    assert await sums(usage, "api") == expected
    assert await sums(usage) == {(): total(PLAIN, CHAT, GUARD)}
    assert (await store.read(key, (DAY,))).counts == (Counts(2, 41),)


async def test_a_reservation_that_was_settled_or_has_gone_counts_nothing_more(
    store: CounterStore, usage: UsageStore
) -> None:
    first, second = [reservation_of(await store.take(AccountKey(ADA), taking(5, holds=True))) for _ in range(2)]
    for _ in range(3):
        await store.settle(first, Counts(tokens=1), use(CHAT))
    assert await sums(usage) == {(): total(CHAT)}
    await store.erase(ADA)
    await store.settle(second, Counts(), use(CHAT))
    assert await sums(usage) == {(): total(CHAT)}


async def test_where_nothing_limits_a_call_it_is_counted_alone(store: CounterStore, usage: UsageStore) -> None:
    for _ in range(3):
        admission = await store.take(AccountKey(ADA), Take((), Counts(), use=use(CHAT)))
        assert (admission.admitted, admission.counts, admission.reservation) == (True, (), None)
    assert await sums(usage, "client", "model") == {(ADA, "small"): total(CHAT, CHAT, CHAT)}
    assert (await store.read(AccountKey(ADA), (DAY, MONTH))).counts == (Counts(), Counts())


async def test_it_is_read_by_each_dimension_among_some_values_and_within_days(
    store: CounterStore, usage: UsageStore
) -> None:
    await count(store, ADA, use(CHAT, GUARD, teams="red"))
    await count(store, ADA, use(CHAT, day=TODAY - 1, teams="blue+red"))
    await count(store, EVE, use(PLAIN))
    whole = {dimension: set(await sums(usage, dimension)) for dimension in DIMENSIONS}
    assert whole == {
        "day": {(str(TODAY),), (str(TODAY - 1),)},
        "client": {(ADA,), (EVE,)},
        "teams": {("red",), ("blue+red",), ("",)},
        "model": {("small",), ("guard",), ("",)},
        "provider": {("vllm",), ("",)},
        "api": {("inference",), ("safety",), ("files",)},
        "operation": {("chat",), ("run",), ("upload",)},
    }
    assert await sums(usage, "model", "day", among={"client": frozenset({ADA}), "teams": frozenset({"red"})}) == {
        ("small", str(TODAY)): total(CHAT),
        ("guard", str(TODAY)): total(GUARD),
    }
    assert await sums(usage, among={"client": frozenset({EVE, "user:nobody"})}) == {(): total(PLAIN)}
    assert await sums(usage, "api", among={"model": frozenset({"'", "SMALL", "%"})}) == {}
    assert await sums(usage, among={"client": frozenset()}) == {}
    one_day = await usage.sum(UsageQuery(TODAY - 1, TODAY - 1, ("client",)))
    assert {each.key: each.row for each in one_day} == {(ADA,): total(CHAT)}
    assert await usage.sum(UsageQuery(TODAY + 1, TODAY + 9)) == []


async def test_shards_of_a_client_are_one_client(store: CounterStore, usage: UsageStore) -> None:
    for shard in (None, 0, 1):
        await store.take(AccountKey(ADA, shard), replace(taking(), use=use(CHAT)))
        await store.take(AccountKey(ADA, shard), taking(3, holds=True))
    assert await sums(usage, "client") == {(ADA,): total(CHAT, CHAT, CHAT)}
    assert [each.client for each in await usage.unsettled()] == [ADA] * 3
    assert len(await usage.unsettled(ADA)) == 3


async def test_what_nobody_has_settled_is_listed_oldest_first_with_whose_it_is(
    store: CounterStore, usage: UsageStore
) -> None:
    reservations: list[Reservation] = []
    for tokens, client in enumerate((ADA, EVE, ADA, f"{ADA}m")):
        admission = await store.take(AccountKey(client), taking(tokens, holds=True, nanos=tokens))
        reservations.append(reservation_of(admission))
        await asyncio.sleep(0.002)
    await store.settle(reservations[0], Counts())
    listed = await usage.unsettled()
    assert [(each.client, each.held.amount) for each in listed] == [
        (EVE, Counts(1, 1, 1)),
        (ADA, Counts(1, 2, 2)),
        (f"{ADA}m", Counts(1, 3, 3)),
    ]
    state = await store.read(AccountKey(ADA))
    assert await usage.unsettled(ADA) == [Unsettled(ADA, held) for held in state.unsettled]


async def test_what_an_erased_client_used_stays_in_every_sum_but_under_its_name(
    store: CounterStore, usage: UsageStore
) -> None:
    for client in (ADA, EVE, "user:issuer:bob"):
        await count(store, client, use(CHAT, GUARD, teams="red"))
        await count(store, client, use(CHAT, day=TODAY - 1))
    before = await sums(usage, "day", "teams", "model")
    assert await store.erase(ADA, dry=True) >= 1
    assert ("erased",) not in await sums(usage, "client")
    assert await store.erase(ADA) >= 1
    assert await store.erase(EVE) >= 1
    assert await store.erase(ADA) == await store.erase(ADA, dry=True) == 0
    of_one = (CHAT, GUARD, CHAT)
    assert await sums(usage, "client") == {("erased",): total(*of_one, *of_one), ("user:issuer:bob",): total(*of_one)}
    assert await sums(usage, "day", "teams", "model") == before


async def test_namespaces_do_not_share_usage(counting: Counting, usage: UsageStore) -> None:
    async with counting.opened("a") as one, counting.reading("a") as other:
        await one.take(AccountKey(ADA), replace(taking(3, holds=True), use=use(CHAT)))
        await count(one, EVE, use(GUARD))
        assert await sums(other, "client") == {(ADA,): total(CHAT), (EVE,): total(GUARD)}
        assert [each.client for each in await other.unsettled()] == [ADA]
        assert await one.erase(ADA) == 1
    assert await sums(usage) == {}
    assert await usage.unsettled() == []


async def test_calls_at_once_are_all_counted_and_a_sum_never_falls(store: CounterStore, usage: UsageStore) -> None:
    admissions = [await store.take(AccountKey(ADA), taking(5, holds=True)) for _ in range(20)]
    work = [store.settle(reservation_of(each), Counts(tokens=-1), use(CHAT, GUARD)) for each in admissions]
    work += [count(store, EVE, use(PLAIN)) for _ in range(20)]
    running = asyncio.gather(*work)
    seen = [0]
    while not running.done():
        seen += [row.requests for row in (await sums(usage)).values()]
    await running
    assert seen == sorted(seen)
    assert await sums(usage, "client") == {
        (ADA,): total(*[CHAT, GUARD] * 20),
        (EVE,): total(*[PLAIN] * 20),
    }


class History:
    """What a sequence of calls comes to, in a store; reservations are settled in the order in which they were made."""

    def __init__(self, store: CounterStore) -> None:
        self.store = store
        self.open: list[Reservation] = []
        self.last: Reservation | None = None

    async def carry_out(self, step: Step) -> None:
        name, key, use = step
        takes = {
            "take": replace(taking(), use=use),
            "refused": replace(taking(below=Limit(0)), use=use),
            "alone": Take((), Counts(), use=use),
            "hold": taking(5, holds=True),
        }
        if name in takes:
            admission = await self.store.take(key, takes[name])
            self.open += [admission.reservation] if admission.reservation else []
            return
        if name != "settle again" and self.open:
            self.last = self.open.pop(0)
        if self.last is not None:
            await self.store.settle(self.last, Counts(tokens=-1), None if name == "settle without" else use)


def summed(memory: MemoryCounters, by: tuple[Dimension, ...], among: Mapping[Dimension, frozenset[str]]) -> Sums:
    """What a dict would give."""
    groups: Sums = {}
    for place, row in memory.usage.items():
        values = dict(zip(("day", "client", "teams", "model", "provider", "api", "operation"), place, strict=True))
        if all(values[dimension] in allowed for dimension, allowed in among.items()):
            key = tuple(str(values[dimension]) for dimension in by)
            groups[key] = groups.get(key, UsageRow()) + row
    return groups


BY = st.lists(st.sampled_from(DIMENSIONS), unique=True, max_size=4).map(tuple)
AMONG = st.dictionaries(
    st.sampled_from(["client", "teams", "model"]),
    st.frozensets(st.sampled_from([ADA, EVE, "", "red", "blue+red", "m", "é"])),
    max_size=2,
)


@asynccontextmanager
async def carried_out(counting: Counting, steps: list[Step]) -> AsyncGenerator[tuple[UsageStore, MemoryCounters]]:
    memory, namespace = MemoryCounters(), uuid.uuid4().hex
    async with counting.opened(namespace) as store, counting.reading(namespace) as usage:
        histories = History(store), History(memory)
        for step in steps:
            for history in histories:
                await history.carry_out(step)
        yield usage, memory


async def agree(counting: Counting, steps: list[Step], by: Any, among: Any) -> None:
    async with carried_out(counting, steps) as (usage, memory):
        assert without_zeros(await sums(usage, *by, among=among)) == without_zeros(summed(memory, by, among))
        assert without_zeros(await sums(usage, *DIMENSIONS)) == without_zeros(summed(memory, DIMENSIONS, {}))
        assert len(await usage.unsettled()) == len(memory.held)


def without_zeros(sums: Sums) -> Sums:
    """A row of zeros need not be kept."""
    return {key: row for key, row in sums.items() if row != UsageRow()}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS, by=BY, among=AMONG)
def test_sums_by_any_grouping_are_what_was_counted_once(
    counting: Counting, steps: list[Step], by: tuple[Dimension, ...], among: dict[Dimension, frozenset[str]]
) -> None:
    asyncio.run(agree(counting, steps, by, among))
