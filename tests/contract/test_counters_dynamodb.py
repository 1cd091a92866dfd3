"""What DynamoDB Local never answers: silence, lost answers, refusals; and what each call costs."""

from collections.abc import AsyncGenerator

import pytest

from core.errors import QuotaUnavailable
from core.platform.dynamodb_table import Table
from core.stores.counters.dynamodb import DynamoCounters
from core.stores.counters.port import Admission, CounterStore, Counts, Limit
from tests.contract.dynamodb_script import Answer, Scripted, failure

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
    assert request["ConditionExpression"].count("attribute_not_exists") == 2


async def test_a_refused_call_costs_one_write_and_no_read(store: DynamoCounters, script: Scripted) -> None:
    script.answers = [failure("ConditionalCheckFailedException", Item=ITEM)]
    assert await take(store) == Admission(admitted=False, counts=Counts(4, 70))
    assert len(script.asked) == 1


async def test_a_call_without_bounds_has_no_condition(store: DynamoCounters, script: Scripted) -> None:
    script.answers = [(200, {"Attributes": ITEM})]
    await take(store, Limit())
    assert "ConditionExpression" not in script.asked[0][1]


async def test_a_counter_that_has_gone_is_not_adjusted(store: DynamoCounters, script: Scripted) -> None:
    script.answers = [failure("ConditionalCheckFailedException")]
    await store.adjust("k", tokens=-3)
    ((operation, request),) = script.asked
    assert (operation, request["ConditionExpression"]) == ("UpdateItem", "attribute_exists(pk)")


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
