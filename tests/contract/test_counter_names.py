"""What is counted once under a name, by whichever process: what CounterStore promises of it, over both adapters."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
import json
import multiprocessing
import os
from pathlib import Path
import signal

import pytest

from core.frame.callers import UsageRow
from core.quota.lasting import dump, load
from core.stores.counters.dynamodb import MOST_ROWS
from core.stores.counters.port import AccountKey, CounterStore, Counts, Limit, Scope, Take, Use
from core.stores.usage.port import UsageQuery
from tests.contract.counters import CALLERS, DAY, KINDS, LATER, MONTH, Counting, counted, reservation_of, taking
from tests.contract.crew import Crew, together

ADA, RED = AccountKey("user:issuer:ada"), AccountKey("team:red")
TODAY = LATER // 86_400
NAME = "batch_1/plan/0"


@pytest.fixture(params=KINDS)
def counting(request: pytest.FixtureRequest, tmp_path: Path) -> Counting:
    return Counting.fresh(request, request.param, tmp_path, "quota_table")


@pytest.fixture
async def store(counting: Counting) -> AsyncGenerator[CounterStore]:
    async with counting.opened() as store:
        yield store


def use(*models: str) -> Use:
    rows = tuple(UsageRow(model, "vllm", "batches", "batch", 1, 1, 30) for model in models or ("small",))
    return Use(TODAY, rows, expires=LATER + 86_400)


def named(name: str = NAME, tokens: int = 30) -> Take:
    return replace(taking(tokens), use=use(), once=name)


async def used(counting: Counting) -> dict[str, int]:
    """Prompt tokens by model."""
    async with counting.reading() as usage:
        return {each.key[0]: each.row.prompt_tokens for each in await usage.sum(UsageQuery(TODAY, TODAY, ("model",)))}


async def test_what_has_a_name_is_counted_once_in_all_that_it_is_counted_in(
    counting: Counting, store: CounterStore
) -> None:
    for _ in range(3):
        admission = await store.take(ADA, named(), [Scope(RED, taking(30))])
        assert (admission.admitted, admission.reservation) == (True, None)
    assert [await counted(store, each.client) for each in (ADA, RED)] == [Counts(1, 30)] * 2
    await store.take(AccountKey(ADA.client, 3), named())  # a name is the client's, not that of one of its accounts
    assert await store.read(AccountKey(ADA.client, 3), (DAY,)) == await store.read(AccountKey("nobody"), (DAY,))
    await store.take(ADA, named("batch_1/plan/1"))
    await store.take(AccountKey("user:issuer:bob"), named())
    assert [await counted(store, each) for each in (ADA.client, "user:issuer:bob")] == [Counts(2, 60), Counts(1, 30)]
    assert await used(counting) == {"small": 90}


async def test_what_is_refused_may_be_counted_later_under_its_name(store: CounterStore) -> None:
    await store.take(ADA, taking(5))
    for scopes in ([], [Scope(RED, taking(1, Limit(tokens=9)))]):
        name = f"n{len(scopes)}"
        await store.take(RED, taking(9))
        full = replace(named(name), counters=(replace(DAY, below=Limit(tokens=5)),)) if not scopes else named(name)
        assert not (await store.take(ADA, full, scopes)).admitted
        assert (await store.take(ADA, named(name))).admitted
    assert await counted(store, ADA.client) == Counts(3, 65)


async def test_many_rows_under_one_name_are_counted_once_wherever_somebody_died(
    counting: Counting, store: CounterStore
) -> None:
    models = [f"m{number:02}" for number in range(2 * MOST_ROWS + 3)]
    whole = Take((DAY, MONTH), Counts(0, 7), use=use(*models), once=NAME)
    await store.take(ADA, replace(whole, use=use(*models[:MOST_ROWS])))  # and no further
    for _ in range(2):
        assert (await store.take(ADA, whole)).admitted
    assert await counted(store, ADA.client) == Counts(0, 7)
    found = await used(counting)
    if counting.endpoint is None:  # one transaction has all of them, so that whoever dies has counted none
        assert found == dict.fromkeys(models[:MOST_ROWS], 30)
    else:
        assert found == dict.fromkeys(models, 30)


async def test_of_many_that_count_the_same_at_once_one_does(store: CounterStore) -> None:
    admissions = await asyncio.gather(*(store.take(ADA, named()) for _ in range(8)))
    assert [admission.admitted for admission in admissions] == [True] * 8
    assert await counted(store, ADA.client) == Counts(1, 30)


async def test_a_name_goes_with_its_client_and_is_no_account(store: CounterStore) -> None:
    await store.take(ADA, replace(named(), use=None))
    assert await store.erase(ADA.client, dry=True) == 1
    assert await store.erase(ADA.client) == 1
    assert await store.erase(ADA.client, dry=True) == 0
    await store.take(ADA, named())
    assert await counted(store, ADA.client) == Counts(1, 30)


def rush(counting: Counting) -> None:
    """In a worker: when all workers are ready, the same names, each as often as there are callers."""
    asyncio.run(_rush(counting))


async def _rush(counting: Counting) -> None:
    async with counting.opened() as store:
        await store.read(AccountKey("warm"))
        await together()
        takes = [store.take(ADA, named(f"n{number % 3}")) for number in range(CALLERS)]
        assert all(admission.admitted for admission in await asyncio.gather(*takes))


async def test_what_is_held_is_given_back_by_another_process_that_knows_it_as_json(
    counting: Counting, store: CounterStore
) -> None:
    taken = await store.take(AccountKey(ADA.client, 2), taking(30, holds=True, nanos=5), [Scope(RED, taking(30))])
    handle = json.dumps(dump(reservation_of(taken), Counts(0, 30, 5)))
    async with counting.opened() as another:
        for _ in range(2):
            reservation, amount = load(json.loads(handle))
            scopes = [Counts(0, -scope.take.amount.tokens) for scope in reservation.scopes]
            await another.settle(reservation, -amount, scopes=scopes)
    account = await store.read(AccountKey(ADA.client, 2), (DAY,))
    assert (account.counts, account.unsettled) == ((Counts(1),), ())
    assert await counted(store, RED.client) == Counts(1)


@pytest.mark.exact
async def test_processes_that_count_the_same_names_count_each_once(counting: Counting, crew: Crew) -> None:
    await crew.work(rush, *((counting,) for _ in range(crew.size)))
    async with counting.opened() as store:
        assert await counted(store, ADA.client) == Counts(3, 90)


def take_and_die(counting: Counting) -> None:
    """In a process of its own, which is killed before it can say that it has counted."""
    asyncio.run(_take_and_die(counting))


async def _take_and_die(counting: Counting) -> None:
    async with counting.opened() as store:
        await store.take(ADA, named())
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.exact
async def test_what_a_process_has_counted_that_died_is_not_counted_again(counting: Counting) -> None:
    process = multiprocessing.get_context("spawn").Process(target=take_and_die, args=(counting,))
    process.start()
    await asyncio.to_thread(process.join, 120)
    assert process.exitcode == -signal.SIGKILL
    async with counting.opened() as store:
        await store.take(ADA, named())
        assert await counted(store, ADA.client) == Counts(1, 30)
        assert (await store.read(ADA)).unsettled == ()
