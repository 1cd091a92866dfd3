"""Rows of usage in DynamoDB: what is written, once, whatever is lost; and how large it gets."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.frame.callers import UsageRow
from core.platform.dynamodb_table import Table
from core.stores.counters import rows
from core.stores.counters.dynamodb import MOST_ROWS, DynamoCounters
from core.stores.counters.port import AccountKey, Counts, Take, Use
from core.stores.counters.rows import entries_of, rows_in
from tests.contract.counters import LATER, counted, reservation_of, taking

DAY = 20_787
KEY = AccountKey("user:issuer:ada")
NUMBERS = st.integers(0, 10**12)
ROWS = st.builds(UsageRow, *[st.text(max_size=4)] * 4, *[NUMBERS] * 10)


def row(model: str = "small", **numbers: int) -> UsageRow:
    return UsageRow(model, "vllm", "inference", "chat", **({"requests": 1, "answers": 1} | numbers))


def use(*counted: UsageRow, day: int = DAY, teams: str = "red", expires: int = LATER) -> Use:
    return Use(day, counted or (row(prompt_tokens=3, completion_tokens=4, nanos=500),), teams, expires)


@pytest.fixture
async def store(quota_table: str, dynamodb_endpoint: str) -> AsyncGenerator[DynamoCounters]:
    store = DynamoCounters(Table(quota_table, region=None, endpoint_url=dynamodb_endpoint), namespace="", patience=60)
    yield store
    await store.close()


async def item_of(quota_table: str, endpoint: str, pk: str = f"acct:{KEY.name}") -> Mapping[str, Any]:
    table = Table(quota_table, region=None, endpoint_url=endpoint)
    async with table.client() as client:
        answer = await client.get_item(TableName=quota_table, Key={"pk": {"S": pk}}, ConsistentRead=True)
    await table.close()
    return answer.get("Item", {})


@given(counted=st.lists(ROWS, max_size=4), day=st.integers(0, 60_000), teams=st.text(max_size=5))
def test_what_is_added_to_an_item_is_read_as_what_it_was(counted: list[UsageRow], day: int, teams: str) -> None:
    item: dict[str, Any] = {}
    for entry in entries_of(Use(day, tuple(counted), teams)):
        item[entry.attribute(rows.TEXT)] = {"S": entry.text}
        for letter, number in entry.numbers.items():
            assert number or letter == rows.TOUCH
            item[entry.attribute(letter)] = {"N": str(number)}
    expected: dict[Any, UsageRow] = {}
    for each in counted:
        expected[each.key] = expected[each.key] + each if each.key in expected else each
    read = rows_in(item)
    assert {entry.row.key: entry.row for entry in read} == expected
    assert {(entry.day, entry.teams) for entry in read} <= {(day, teams)}
    assert sorted(item) == sorted(name for entry in read for name in entry.attributes)


async def test_a_take_counts_use_in_its_write_and_alone_where_nothing_limits(
    store: DynamoCounters, quota_table: str, dynamodb_endpoint: str
) -> None:
    await store.take(KEY, replace(taking(7), use=use()))
    await store.take(KEY, Take((), Counts(), use=use()))
    await store.take(KEY, Take((), Counts(), use=use(teams="")))
    read = rows_in(await item_of(quota_table, dynamodb_endpoint))
    both = row(requests=2, answers=2, prompt_tokens=6, completion_tokens=8, nanos=1000)
    assert {entry.teams: entry.row for entry in read} == {"red": both, "": use().rows[0]}
    assert await counted(store, KEY.client) == Counts(1, 7)


async def test_a_settled_call_counts_its_use_once_and_no_refused_one_does(
    store: DynamoCounters, quota_table: str, dynamodb_endpoint: str
) -> None:
    reservation = reservation_of(await store.take(KEY, taking(7, holds=True)))
    for _ in range(2):
        await store.settle(reservation, Counts(tokens=-1), use())
    bounded = taking(below=replace(taking().counters[0].below, requests=1))
    assert not (await store.take(KEY, replace(bounded, use=use()))).admitted
    assert [entry.row for entry in rows_in(await item_of(quota_table, dynamodb_endpoint))] == list(use().rows)


async def test_many_rows_of_one_call_are_counted_once_each(
    store: DynamoCounters, quota_table: str, dynamodb_endpoint: str
) -> None:
    counted = tuple(row(f"m{number}|%", prompt_tokens=number + 1) for number in range(2 * MOST_ROWS + 3))
    reservation = reservation_of(await store.take(KEY, taking(7, holds=True)))
    for _ in range(2):
        await store.settle(reservation, Counts(tokens=-1), use(*counted))
    await store.take(AccountKey("b"), Take((), Counts(), use=use(*counted)))
    for pk in (f"acct:{KEY.name}", "acct:b"):
        read = rows_in(await item_of(quota_table, dynamodb_endpoint, pk))
        assert sorted(entry.row.key for entry in read) == sorted(each.key for each in counted)
        assert sum(entry.row.prompt_tokens for entry in read) == sum(each.prompt_tokens for each in counted)
    assert (await store.read(KEY)).unsettled == ()
    assert (await store.take(KEY, taking(7, holds=True))).admitted


async def test_rows_that_would_have_the_same_name_have_two(
    store: DynamoCounters, quota_table: str, dynamodb_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meet(text: str, salt: int) -> str:
        return f"{salt:04}" if text else ""

    monkeypatch.setattr(rows, "_hash", meet)
    for model in ("a", "b", "c", "a", "b"):
        await store.take(KEY, Take((), Counts(), use=use(row(model))))
    reservation = reservation_of(await store.take(KEY, taking(holds=True)))
    await store.settle(reservation, Counts(), use(row("c"), row("d"), row("a")))
    read = rows_in(await item_of(quota_table, dynamodb_endpoint))
    assert {entry.row.model: entry.row.requests for entry in read} == {"a": 3, "b": 2, "c": 2, "d": 1}


async def test_an_item_expires_no_earlier_for_a_call_that_adds_no_use(
    store: DynamoCounters, quota_table: str, dynamodb_endpoint: str
) -> None:
    async def expires(pk: str = f"acct:{KEY.name}") -> int:
        return int((await item_of(quota_table, dynamodb_endpoint, pk))["expires"]["N"])

    windows = taking().expires
    await store.take(KEY, taking())
    assert await expires() == windows
    await store.take(KEY, replace(taking(), use=use(expires=windows + 900)))
    await store.take(KEY, taking())
    assert await expires() == windows + 900
    reservation = reservation_of(await store.take(KEY, taking(holds=True)))
    await store.settle(reservation, Counts(), use(expires=5))
    assert await expires() == windows
    assert await expires(f"open:{KEY.name}") > windows
    later = replace(taking().counters[0], window=replace(taking().counters[0].window, end=windows + 10**6))
    assert (await store.take(KEY, Take((later,), Counts(1)))).admitted
    assert await expires() > windows + 10**6
