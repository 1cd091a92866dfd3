"""What DynamoDB Local never answers: silence, lost answers, refusals; and what each call costs."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
import json
import re
from typing import Any, Literal

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
import pytest

from core.errors import QuotaExceeded, QuotaUnavailable
from core.frame.callers import Charge
from core.platform.dynamodb_table import Table
from core.quota.quota import Quota
from core.stores.counters.dynamodb import LOOK, MOST_STALE, DynamoCounters
from core.stores.counters.marks import STALE, Mark, Marks
from core.stores.counters.port import AccountKey, CounterStore, Counts, Limit, Reservation, Take
from tests.contract.counters import DAY, LATER, MONTH, counted, reservation_of, taken, taking
from tests.contract.dynamodb_script import Answer, Scripted, failure
from tests.fakes import Clock
from tests.unit.quota.fakes import quota_config, user

pytestmark = pytest.mark.usefixtures("aws_credentials")

ITEM = {"d46296r": {"N": "4"}, "d46296t": {"N": "70"}}
OLDER = {"pk": {"S": "quota:k:day:46296"}, "requests": {"N": "3"}, "tokens": {"N": "40"}, "expires": {"N": str(LATER)}}


def connect_to(table: str, endpoint: str, *, answer_seconds: float = 60) -> DynamoCounters:
    place = Table(table, region=None, endpoint_url=endpoint, answer_seconds=answer_seconds)
    return DynamoCounters(place, namespace="", patience=60)


def connect(endpoint: str, *, patience: float = 60, answer_seconds: float = 60) -> DynamoCounters:
    table = Table("counters", region=None, endpoint_url=endpoint, answer_seconds=answer_seconds)
    return DynamoCounters(table, namespace="", patience=patience)


@pytest.fixture
async def store(script_url: str) -> AsyncGenerator[DynamoCounters]:
    store = connect(script_url)
    yield store
    await store.close()


async def take(store: CounterStore, below: Limit | None = None) -> tuple[bool, Counts]:
    return await taken(store, "k", taking(30, below or Limit(10, 100)))


async def test_an_admitted_call_costs_one_write(store: DynamoCounters, script: Scripted) -> None:
    script.answers = [(200, {"Attributes": ITEM})]
    assert await take(store) == (True, Counts(4, 70))
    ((operation, request),) = script.asked
    assert operation == "UpdateItem"
    assert request["Key"] == {"pk": {"S": "acct:k"}}
    assert request["ConditionExpression"].count("attribute_not_exists") == 3


async def test_a_call_that_is_settled_costs_two_writes_in_however_many_windows(
    store: DynamoCounters, script: Scripted
) -> None:
    script.answers = [(200, {"Attributes": ITEM})]
    windows = (replace(DAY, below=Limit(10, 100)), replace(MONTH, below=Limit(nanos=5)))
    admission = await store.take(AccountKey("k"), Take(windows, Counts(1, 30, 7), holds=True))
    await store.settle(reservation_of(admission), Counts(tokens=-3))
    assert [operation for operation, _ in script.asked] == ["UpdateItem"] * 2


async def test_an_answer_is_the_whole_item_now_and_then_and_else_what_was_written(
    store: DynamoCounters, script: Scripted
) -> None:
    script.answers = [(200, {"Attributes": ITEM})]
    for _ in range(LOOK + 1):
        await take(store)
    wanted = [request["ReturnValues"] for _, request in script.asked]
    assert wanted == ["ALL_NEW", *["UPDATED_NEW"] * (LOOK - 1), "ALL_NEW"]


async def test_a_refused_call_costs_one_write_and_no_read(store: DynamoCounters, script: Scripted) -> None:
    script.answers = [failure("ConditionalCheckFailedException", Item=ITEM)]
    assert await take(store) == (False, Counts(4, 70))
    assert len(script.asked) == 1


async def test_a_call_without_bounds_has_no_condition_but_that_it_counts_once_and_is_kept_long_enough(
    store: DynamoCounters, script: Scripted
) -> None:
    script.answers = [(200, {"Attributes": ITEM})]
    await take(store, Limit())
    condition = script.asked[0][1]["ConditionExpression"]
    once = r"attribute_exists\(pk\) AND \(attribute_not_exists\((#\d)\) OR \1 < :\d\)"
    assert re.fullmatch(rf"{once} AND #(\d) >= :\d", condition)
    assert script.asked[0][1]["ExpressionAttributeNames"][f"#{condition[-7]}"] == "expires"


async def test_an_account_that_has_gone_is_not_settled(store: DynamoCounters, script: Scripted) -> None:
    script.answers = [failure("ConditionalCheckFailedException")]
    await store.settle(Reservation(AccountKey("k"), (DAY,), "m:a0", 7), Counts(tokens=-3))
    ((operation, request),) = script.asked
    assert operation == "UpdateItem"
    assert request["ConditionExpression"].endswith(" AND attribute_exists(#1)")
    assert request["ExpressionAttributeNames"]["#1"] == "r:a0"


async def test_the_first_call_takes_over_what_an_older_llambda_has_counted_and_costs_two_writes(
    store: DynamoCounters, script: Scripted
) -> None:
    missing = failure("ConditionalCheckFailedException")
    script.answers = [missing, (200, {"Item": OLDER}), (200, {"Attributes": ITEM})]
    assert await take(store) == (True, Counts(4, 70))
    assert [operation for operation, _ in script.asked] == ["UpdateItem", "GetItem", "TransactWriteItems"]
    assert script.asked[1][1]["Key"] == {"pk": {"S": "quota:k:day:46296"}}
    account, listing = (write["Update"] for write in script.asked[2][1]["TransactItems"])
    assert account["ConditionExpression"].startswith("attribute_not_exists(pk)")
    assert listing["Key"] == {"pk": {"S": "open:k"}}
    values = account["ExpressionAttributeValues"].values()
    assert {"4", "70"} <= {value["N"] for value in values}


@pytest.mark.parametrize("shard", [None, 3])
async def test_a_window_that_an_older_llambda_began_has_its_counts_and_no_more_is_let_through(
    quota_table: str, dynamodb_endpoint: str, shard: int | None
) -> None:
    store, key = connect_to(quota_table, dynamodb_endpoint), AccountKey("k", shard)
    older = OLDER | {"pk": {"S": key.counter_name(DAY)}}
    async with Table(quota_table, region=None, endpoint_url=dynamodb_endpoint).client() as client:
        await client.put_item(TableName=quota_table, Item=older)
        assert (await store.read(key, (DAY, MONTH))).counts == (Counts(3, 40), Counts())
        refused = await store.take(key, taking(1, Limit(3)))
        assert (refused.admitted, refused.counts) == (False, (Counts(3, 40),))
        bounded = (replace(DAY, below=Limit(4)), MONTH)
        work = [store.take(key, Take(bounded, Counts(1, 5), holds=True)) for _ in range(6)]
        outcomes = await asyncio.gather(*work)
        assert sum(each.admitted for each in outcomes) == 1
        assert (await store.read(key, (DAY, MONTH))).counts == (Counts(4, 45), Counts(1, 5))
        assert len((await store.read(key)).unsettled) == 1
        assert await store.erase("k") == 2
        await store.close()


async def test_reading_is_strongly_consistent(store: DynamoCounters, script: Scripted) -> None:
    script.answers = [(200, {})]
    assert await counted(store, "k") == Counts()
    assert [(operation, request["ConsistentRead"]) for operation, request in script.asked] == [("GetItem", True)] * 2


@pytest.mark.parametrize(
    "trouble", [failure("ThrottlingException"), failure("InternalServerError", 500)], ids=["throttled", "broken"]
)
async def test_a_passing_trouble_is_tried_again(store: DynamoCounters, script: Scripted, trouble: Answer) -> None:
    script.answers = [trouble, (200, {"Attributes": ITEM})]
    assert (await take(store))[0]


async def test_a_lost_answer_is_asked_for_again_within_the_patience(script_url: str, script: Scripted) -> None:
    store = connect(script_url, answer_seconds=0.1, patience=4)
    script.answers = [None, (200, {"Attributes": ITEM})]
    assert (await take(store))[0]
    assert len(script.asked) == 2
    await store.close()


async def test_silence_is_unavailable_for_every_call(script_url: str, script: Scripted) -> None:
    store = connect(script_url, patience=0.1)
    script.answers = [None]
    settling = store.settle(Reservation(AccountKey("k"), (DAY,), "m:a0", 7), Counts())
    for work in (take(store), take(store, Limit(0)), settling, counted(store, "k")):
        with pytest.raises(QuotaUnavailable, match=r"`counters` did not answer in 0.1 s"):
            await work
    await store.close()


type Lost = Literal["answers", "requests"]


@asynccontextmanager
async def losing(endpoint: str, lost: Lost) -> AsyncGenerator[str]:
    """In front of DynamoDB: each request is carried out, but its first answer never arrives, or only after the second."""
    bodies: dict[str, asyncio.Event] = {}
    over = asyncio.Event()

    async def relay(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        key, is_first = f"{headers['X-Amz-Target']} {body!r}", False
        if "UpdateItem" in key or "TransactWriteItems" in key:
            is_first = key not in bodies
            bodies.setdefault(key, asyncio.Event())
        if is_first and lost == "requests":
            await bodies[key].wait()
        async with aiohttp.ClientSession() as session, session.post(endpoint, data=body, headers=headers) as answer:
            content = await answer.read()
        if is_first:
            await over.wait()
        elif key in bodies:
            bodies[key].set()
        return web.Response(body=content, status=answer.status, content_type="application/x-amz-json-1.0")

    app = web.Application()
    app.router.add_post("/", relay)
    async with TestServer(app) as server:
        try:
            yield str(server.make_url(""))
        finally:
            over.set()


@pytest.mark.parametrize("lost", ["answers", "requests"])
async def test_calls_whose_first_answers_are_lost_count_once_and_are_settled_once(
    quota_table: str, dynamodb_endpoint: str, lost: Lost
) -> None:
    async with losing(dynamodb_endpoint, lost) as url:
        stores = [connect_to(quota_table, url, answer_seconds=0.8) for _ in range(2)]
        quotas = [
            Quota(quota_config(authenticated_max_requests=21, max_tokens=10**6), store, clock=lambda: 4e9)
            for store in stores
        ]
        tickets = await asyncio.gather(*(quota.admit(user(), 10, requests=2) for quota in quotas for _ in range(5)))
        await asyncio.gather(*(ticket.settle(Charge(7)) for ticket in tickets))
        left = await quotas[0].remaining(user())
        assert (await stores[0].read(AccountKey("user:issuer:ada"))).unsettled == ()
        with pytest.raises(QuotaExceeded, match="2 requests, and 1 of 21"):
            await quotas[0].admit(user(), 10, requests=2)
        for store in stores:
            await store.close()
    assert (left["requests"]["used"], left["tokens"]["used"]) == (20, 70)


async def test_what_is_stale_is_removed_in_one_write_for_many(store: DynamoCounters, script: Scripted) -> None:
    def answer(request: dict[str, Any]) -> Answer:
        now = max(int(value["N"]) for value in request["ExpressionAttributeValues"].values())
        day, hour, minute = (now // (1000 * seconds) for seconds in (86_400, 3600, 60))
        old = {f"m:old{n}": {"N": str(now - STALE - 1)} for n in range(MOST_STALE + 1)}
        ended = {name: {"N": "1"} for name in (f"d{day - 3}r", f"d{day - 3}c", f"h{hour - 4}t", "o2025-01r", "n9t")}
        kept = {name: {"N": "1"} for name in (f"d{day - 2}r", f"h{hour - 2}t", "o2096-01r", f"n{minute - 5}c")}
        held = {"m:held": {"N": "1"}, "r:held": {"S": "1:1:1:1"}}
        return 200, {"Attributes": {**ITEM, **old, **ended, **kept, **held, "m:new": {"N": str(now - 10)}}}

    script.answers = [answer]
    assert (await take(store))[0]
    (_, written), (_, removal) = script.asked
    names = {name for name in removal["ExpressionAttributeNames"].values() if name[0] == "m"}
    assert names == {f"m:old{n}" for n in range(MOST_STALE + 1)}
    windows = {name[0] for name in removal["ExpressionAttributeNames"].values()} - {"m"}
    assert windows == set("dhon")
    assert len(removal["ExpressionAttributeNames"]) == MOST_STALE + 1 + 5
    assert removal["UpdateExpression"].startswith("REMOVE #0, #1")
    assert removal["ConditionExpression"].count(" = ") == MOST_STALE + 1
    assert removal["Key"] == written["Key"]


@pytest.mark.parametrize("refusal", ["InternalServerError", "ConditionalCheckFailedException"])
async def test_where_what_is_stale_cannot_be_removed_the_call_is_admitted(
    store: DynamoCounters, script: Scripted, refusal: str
) -> None:
    marks = {f"m:{n}": {"N": "1"} for n in range(MOST_STALE + 1)}
    script.answers = [(200, {"Attributes": {**ITEM, **marks}}), failure(refusal)]
    assert (await take(store))[0]
    assert len(script.asked) == 2


def test_each_call_under_way_has_a_name_of_its_own_and_a_greater_number_than_those_before() -> None:
    clock = Clock()
    clock.now = 1000
    marks = Marks(clock)
    first, second = marks.begin(), marks.begin()
    assert first.name != second.name
    clock.now = 10  # set back
    third = marks.begin()
    for mark in (third, second, first):
        marks.end(mark)
    again, elsewhere = marks.begin(), Marks(clock).begin()
    assert again.name == first.name
    assert elsewhere.name not in {first.name, second.name, third.name}
    marks.end(elsewhere)
    assert marks.begin().name == second.name
    assert first.number < second.number < third.number < again.number
    assert len(first.name) <= 16
    item = json.loads(json.dumps({first.name: {"N": str(first.number)}}))
    assert first.is_in(item)
    assert not Mark(first.name, first.number + 1).is_in(item)


def test_a_call_that_ends_a_second_time_takes_no_lane_from_who_has_it_now() -> None:
    marks = Marks()
    first = marks.begin()
    marks.end(first)
    second = marks.begin()
    marks.end(first)
    assert marks.begin().name != second.name == first.name


async def test_a_lane_whose_call_may_hold_something_is_nobody_elses(script_url: str, script: Scripted) -> None:
    store = connect(script_url, patience=0.1)
    script.answers = [None]
    for holds in (True, False, False):
        with pytest.raises(QuotaUnavailable):
            await store.take(AccountKey("k"), taking(holds=holds))
    lanes = [
        next(n for n in request["ExpressionAttributeNames"].values() if n[:2] == "m:") for _, request in script.asked
    ]
    assert [lane[-1] for lane in lanes] == ["0", "1", "1"]
    await store.close()
