"""Transactions over shared accounts in DynamoDB: lost answers, what is in the way of them, and what they cost."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from core.errors import QuotaUnavailable
from core.platform.dynamodb_table import Table
from core.stores.counters.dynamodb import DynamoCounters
from core.stores.counters.port import AccountKey, Counts, Limit, Scope
from tests.contract.counters import counted, reservation_of, taking
from tests.contract.dynamodb_script import Answer, Scripted, failure
from tests.contract.test_counters_dynamodb import Lost, connect, connect_to, losing

pytestmark = pytest.mark.usefixtures("aws_credentials")

ADA = AccountKey("user:issuer:ada")
TEAMS = [Scope(AccountKey(f"team:{name}"), taking(30)) for name in ("red", "green", "blue")]


@pytest.fixture
async def store(script_url: str) -> AsyncGenerator[DynamoCounters]:
    store = connect(script_url)
    yield store
    await store.close()


def cancelled(*codes: str) -> Answer:
    return failure("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


async def test_a_call_with_scopes_is_one_transaction_and_so_is_its_settling(
    store: DynamoCounters, script: Scripted
) -> None:
    script.answers = [(200, {})]
    held = reservation_of(await store.take(ADA, taking(30, holds=True), TEAMS))
    await store.settle(held, Counts(tokens=-3), scopes=[Counts(tokens=-3)] * 3)
    writes = [(name, len(asked["TransactItems"])) for name, asked in script.asked if name != "GetItem"]
    assert writes == [("TransactWriteItems", 4)] * 2


async def test_where_no_scope_is_corrected_settling_is_one_write(store: DynamoCounters, script: Scripted) -> None:
    script.answers = [(200, {})]
    held = reservation_of(await store.take(ADA, taking(30, holds=True), TEAMS))
    await store.settle(held, Counts(tokens=-3), scopes=[Counts()] * 3)
    assert script.asked[-1][0] == "UpdateItem"


async def test_a_transaction_that_meets_another_is_tried_again(store: DynamoCounters, script: Scripted) -> None:
    conflict = cancelled("TransactionConflict", "None")
    script.answers = [conflict, cancelled("None", "ThrottlingError"), (200, {})]
    assert (await store.take(ADA, taking(30), TEAMS[:1])).admitted
    assert [name for name, _ in script.asked][:3] == ["TransactWriteItems"] * 3


async def test_others_that_are_always_in_the_way_end_with_the_patience_and_what_is_held_stays(
    script_url: str, script: Scripted
) -> None:
    store = connect(script_url, patience=0.3)
    script.answers = [(200, {})]
    held = reservation_of(await store.take(ADA, taking(30, holds=True), TEAMS[:1]))
    script.answers = [cancelled("TransactionConflict", "None")]
    with pytest.raises(QuotaUnavailable, match=r"did not answer in 0.3 s"):
        await store.settle(held, Counts(), scopes=[Counts(tokens=1)])
    await store.close()


async def test_a_transaction_that_is_refused_for_another_reason_is_unavailable(
    store: DynamoCounters, script: Scripted
) -> None:
    script.answers = [cancelled("None", "ValidationError")]
    with pytest.raises(QuotaUnavailable, match="refused a write: ValidationError"):
        await store.take(ADA, taking(30), TEAMS[:1])


@pytest.mark.parametrize("lost", ["answers", "requests"])
async def test_transactions_whose_first_answers_are_lost_count_once_and_are_settled_once(
    quota_table: str, dynamodb_endpoint: str, lost: Lost
) -> None:
    async with losing(dynamodb_endpoint, lost) as url:
        store = connect_to(quota_table, url, answer_seconds=0.8)
        scopes = [Scope(team.account, taking(30, Limit(4))) for team in TEAMS[:2]]
        for _ in range(3):
            held = reservation_of(await store.take(ADA, taking(30, holds=True), scopes))
            await store.settle(held, Counts(tokens=-9), scopes=[Counts(tokens=-9), Counts(tokens=-10)])
        assert [await counted(store, name) for name in (ADA.client, "team:red", "team:green")] == [
            Counts(3, 63),
            Counts(3, 63),
            Counts(3, 60),
        ]
        assert (await store.read(ADA)).unsettled == ()
        await store.close()


@pytest.mark.parametrize(("scopes", "units"), [(0, (1, 1)), (1, (4, 4))])
async def test_write_units_of_a_call(
    quota_table: str, dynamodb_endpoint: str, scopes: int, units: tuple[float, float]
) -> None:
    store = connect_to(quota_table, dynamodb_endpoint)
    shares = [replace(team) for team in TEAMS[:scopes]]
    await store.take(ADA, taking(30), shares)  # which makes the accounts
    seen: list[Any] = []

    def ask(params: dict[str, Any], **_: object) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"

    def note(parsed: dict[str, Any], **_: object) -> None:
        seen.append(parsed["ConsumedCapacity"])

    async with Table(quota_table, region=None, endpoint_url=dynamodb_endpoint, answer_seconds=60).client() as client:
        for operation in ("UpdateItem", "TransactWriteItems"):
            client.meta.events.register(f"before-parameter-build.dynamodb.{operation}", ask)
            client.meta.events.register(f"after-call.dynamodb.{operation}", note)
        held = reservation_of(await store.take(ADA, taking(30, holds=True), shares))
        await store.settle(held, Counts(tokens=-3), scopes=[Counts(tokens=-3)] * scopes)
        await asyncio.sleep(0)
    assert tuple((each[0] if scopes else each)["CapacityUnits"] for each in seen) == units
    await store.close()
