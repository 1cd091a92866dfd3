"""What DynamoDB Local never answers: silence, lost answers, refusals; and what each call costs."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
import json
from typing import Any, Literal

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
import pytest

from core.errors import QuotaExceeded, QuotaUnavailable
from core.platform.dynamodb_table import Table
from core.quota.quota import Quota
from core.stores.counters.dynamodb import DynamoCounters
from core.stores.counters.marks import MOST_MARKS, STALE, Mark, Marks
from core.stores.counters.port import Admission, CounterStore, Counts, Limit
from tests.contract.dynamodb_script import Answer, Scripted, failure
from tests.fakes import Clock
from tests.unit.quota.fakes import quota_config, user

pytestmark = pytest.mark.usefixtures("aws_credentials")

ITEM = {"requests": {"N": "4"}, "tokens": {"N": "70"}}


def connect(endpoint: str, *, patience: float = 60, answer_seconds: float = 60) -> DynamoCounters:
    table = Table("counters", region=None, endpoint_url=endpoint, answer_seconds=answer_seconds)
    return DynamoCounters(table, namespace="", patience=patience)


@pytest.fixture
async def store(script_url: str) -> AsyncGenerator[DynamoCounters]:
    store = connect(script_url)
    yield store
    await store.close()


async def take(store: CounterStore, below: Limit | None = None) -> Admission:
    return await store.take("k", tokens=30, below=below or Limit(10, 100), expires=500)


async def test_an_admitted_call_costs_one_write(store: DynamoCounters, script: Scripted) -> None:
    script.answers = [(200, {"Attributes": ITEM})]
    assert await take(store) == Admission(admitted=True, counts=Counts(4, 70))
    ((operation, request),) = script.asked
    assert operation == "UpdateItem"
    assert request["Key"] == {"pk": {"S": "k"}}
    assert request["ConditionExpression"].count("attribute_not_exists") == 3


async def test_a_refused_call_costs_one_write_and_no_read(store: DynamoCounters, script: Scripted) -> None:
    script.answers = [failure("ConditionalCheckFailedException", Item=ITEM)]
    assert await take(store) == Admission(admitted=False, counts=Counts(4, 70))
    assert len(script.asked) == 1


async def test_a_call_without_bounds_has_no_condition_but_that_it_counts_once(
    store: DynamoCounters, script: Scripted
) -> None:
    script.answers = [(200, {"Attributes": ITEM})]
    await take(store, Limit())
    assert script.asked[0][1]["ConditionExpression"] == "(attribute_not_exists(#mark) OR #mark < :mark)"


async def test_a_counter_that_has_gone_is_not_adjusted(store: DynamoCounters, script: Scripted) -> None:
    script.answers = [failure("ConditionalCheckFailedException")]
    await store.adjust("k", tokens=-3)
    ((operation, request),) = script.asked
    assert operation == "UpdateItem"
    assert request["ConditionExpression"].endswith(" AND attribute_exists(pk)")


async def test_reading_is_strongly_consistent(store: DynamoCounters, script: Scripted) -> None:
    script.answers = [(200, {})]
    assert await store.read("k") == Counts()
    assert [(operation, request["ConsistentRead"]) for operation, request in script.asked] == [("GetItem", True)]


@pytest.mark.parametrize(
    "trouble", [failure("ThrottlingException"), failure("InternalServerError", 500)], ids=["throttled", "broken"]
)
async def test_a_passing_trouble_is_tried_again(store: DynamoCounters, script: Scripted, trouble: Answer) -> None:
    script.answers = [trouble, (200, {"Attributes": ITEM})]
    assert (await take(store)).admitted


async def test_a_lost_answer_is_asked_for_again_within_the_patience(script_url: str, script: Scripted) -> None:
    store = connect(script_url, answer_seconds=0.1, patience=4)
    script.answers = [None, (200, {"Attributes": ITEM})]
    assert (await take(store)).admitted
    assert len(script.asked) == 2
    await store.close()


async def test_silence_is_unavailable_for_every_call(script_url: str, script: Scripted) -> None:
    store = connect(script_url, patience=0.1)
    script.answers = [None]
    for work in (take(store), take(store, Limit(0)), store.adjust("k", tokens=1), store.read("k")):
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
        if "UpdateItem" in key:
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
        stores = [
            DynamoCounters(
                Table(quota_table, region=None, endpoint_url=url, answer_seconds=0.4), namespace="", patience=60
            )
            for _ in range(2)
        ]
        quotas = [
            Quota(quota_config(authenticated_max_requests=21, max_tokens=10**6), store, clock=lambda: 4e9)
            for store in stores
        ]
        tickets = await asyncio.gather(*(quota.admit(user(), 10, requests=2) for quota in quotas for _ in range(5)))
        await asyncio.gather(*(ticket.settle(7) for ticket in tickets))
        left = await quotas[0].remaining(user())
        with pytest.raises(QuotaExceeded, match="2 requests, and 1 of 21"):
            await quotas[0].admit(user(), 10, requests=2)
        for store in stores:
            await store.close()
    assert (left["requests"]["used"], left["tokens"]["used"]) == (20, 70)


async def test_marks_of_processes_that_are_gone_are_removed_in_one_write_for_many(
    store: DynamoCounters, script: Scripted
) -> None:
    def answer(request: dict[str, Any]) -> Answer:
        now = int(request["ExpressionAttributeValues"][":mark"]["N"])
        old = {f"m:old{n}": {"N": str(now - STALE - 1)} for n in range(MOST_MARKS)}
        return 200, {"Attributes": {**ITEM, **old, "m:new": {"N": str(now - 10)}}}

    script.answers = [answer]
    assert (await take(store)).admitted
    (_, counted), (_, removal) = script.asked
    names = set(removal["ExpressionAttributeNames"].values())
    assert removal["UpdateExpression"].startswith("REMOVE #m0, #m1")
    assert names == {f"m:old{n}" for n in range(MOST_MARKS)}
    assert removal["Key"] == counted["Key"]


async def test_where_marks_cannot_be_removed_the_call_is_admitted(store: DynamoCounters, script: Scripted) -> None:
    marks = {f"m:{n}": {"N": "1"} for n in range(MOST_MARKS + 1)}
    script.answers = [(200, {"Attributes": {**ITEM, **marks}}), failure("InternalServerError", 400)]
    assert (await take(store)).admitted


def test_each_write_under_way_has_a_name_of_its_own_and_a_greater_number_than_those_before() -> None:
    clock = Clock()
    clock.now = 1000
    marks = Marks(clock)
    with marks.mark() as first, marks.mark() as second:
        assert first.name != second.name
        clock.now = 10  # set back
        with marks.mark() as third:
            pass
    with marks.mark() as again, Marks(clock).mark() as elsewhere:
        assert again.name == first.name
        assert elsewhere.name not in {first.name, second.name, third.name}
    assert first.number < second.number < third.number < again.number
    assert len(first.name) <= 16
    item = json.loads(json.dumps({first.name: {"N": str(first.number)}}))
    assert first.is_in(item)
    assert not Mark(first.name, first.number + 1).is_in(item)
