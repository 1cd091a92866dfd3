"""What DynamoDB Local never answers: lost answers, conflicts, half a transaction; and what each call costs."""

import base64
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from core.errors import StateUnavailable
from core.platform.dynamodb_table import Table
from core.platform.dynamodb_values import to_attributes
from core.stores.jobs import records
from core.stores.jobs.dynamodb import DynamoJobs
from core.stores.jobs.port import Counts, Job, Shard
from tests.contract.dynamodb_script import AT_ONCE, DONE, TRIES, Scripted, cancelled, failure
from tests.contract.dynamodb_script import Answer as Reply
from tests.contract.jobs import ADA, NOW, UNTIL, Clock, job, shards_of

pytestmark = pytest.mark.usefixtures("aws_credentials")

HEAD = records.head_values(job(plan="p1", shards=2, left=2, status="running"))
KEYS = records.Keys("")
REQUEST = {"sk": {"S": "job#request"}, "body": {"S": '{"n":1}'}}
(SHARD,) = [Shard("job_1", "p1", 0, {}, 8, "leased", "me", UNTIL)]


def connect(endpoint: str, *, answer_seconds: float = 60) -> DynamoJobs:
    table = Table("jobs", region=None, endpoint_url=endpoint, answer_seconds=answer_seconds, failure=StateUnavailable)
    return DynamoJobs(table, namespace="", backoff=AT_ONCE, clock=Clock())


@pytest.fixture
async def store(script_url: str) -> AsyncGenerator[DynamoJobs]:
    store = connect(script_url)
    yield store
    await store.close()


def head(**more: Any) -> dict[str, Any]:
    return to_attributes({"pk": "job#job_1", "sk": "job"} | HEAD | more)


def shard_item(shard: Shard = SHARD, **more: Any) -> dict[str, Any]:
    item = to_attributes({"expires": job().expires} | records.shard_values(shard) | more)
    return KEYS.shard("job_1", "p1", 0) | item | {"done": {"B": base64.b64encode(item["done"]["B"]).decode()}}


def items(*rows: dict[str, Any]) -> Reply:
    return 200, {"Items": list(rows)}


def refused(item: dict[str, Any]) -> Reply:
    return failure("ConditionalCheckFailedException", Item=item)


def operations(script: Scripted) -> list[str]:
    return [operation for operation, _ in script.asked]


def updates(request: dict[str, Any]) -> list[dict[str, Any]]:
    return [write["Update"] for write in request["TransactItems"]]


async def test_a_job_is_made_in_one_transaction_with_its_lists_and_its_key(store: DynamoJobs, script: Scripted) -> None:
    script.answers = [DONE]
    assert await store.create(job(), key="k") == job()
    ((operation, request),) = script.asked
    assert operation == "TransactWriteItems"
    puts = [write["Put"] for write in request["TransactItems"]]
    assert [put["Item"]["pk"]["S"].partition("#")[0] for put in puts] == ["job", "job", "jobs", "jobs", "jobkey"]
    assert {put["Item"]["expires"]["N"] for put in puts} == {str(job().expires)}
    assert "ada" not in str([put["Item"]["pk"] for put in puts])


async def test_a_key_whose_job_is_not_to_be_seen_yet_is_asked_for_again(store: DynamoJobs, script: Scripted) -> None:
    taken = cancelled("None", "None", "None", "None", "ConditionalCheckFailed")
    taken[1]["CancellationReasons"][-1]["Item"] = to_attributes({"job": "job_1"})
    script.answers = [taken, items(), taken, items(head()), items(head(), REQUEST)]
    there = await store.create(job(2), key="k")
    assert (there.id, there.status) == ("job_1", "running")


async def test_half_of_a_transaction_is_never_read(store: DynamoJobs, script: Scripted) -> None:
    ended = head(status="completed", holder="me", ended=NOW + 1, counts={"completed": 1, "failed": 0, "tokens": {}})
    result = to_attributes({"sk": records.result_sort("me", NOW + 1), "body": '{"r":1}'})
    other = to_attributes({"sk": records.result_sort("you", NOW + 1), "body": '{"r":2}'})
    script.answers = [items(ended, REQUEST, other), items(ended, REQUEST, result, other)]
    one = await store.get("job_1")
    assert one is not None
    assert (one.result, one.counts) == ({"r": 1}, Counts(1))
    script.answers = [items(head())]
    with pytest.raises(StateUnavailable, match="`jobs` is busy"):
        await store.get("job_1")


async def test_a_job_of_a_newer_llambda_is_left_to_it(store: DynamoJobs, script: Scripted) -> None:
    script.answers = [items(head(v=2), REQUEST)]
    with pytest.raises(StateUnavailable, match="whose jobs have version 2; this one knows 1"):
        await store.get("job_1")


async def test_a_lost_answer_leaves_the_lease_ours(script_url: str, script: Scripted) -> None:
    store = connect(script_url, answer_seconds=0.2)
    script.answers = [
        None,
        refused(head(status="queued")),
        items(head(status="queued", holder="me", until=UNTIL), REQUEST),
    ]
    one = await store.lease("job_1", "me", now=NOW, until=UNTIL)
    assert one is not None
    assert (one.holder, one.attempts) == ("me", 0)
    script.answers = [None, refused(shard_item())]
    assert await store.lease_shard(one, 0, "me", now=NOW, until=UNTIL) == SHARD
    await store.close()


async def test_a_lost_answer_is_known_by_its_token_its_plan_or_its_holder(script_url: str, script: Scripted) -> None:
    store = connect(script_url, answer_seconds=0.2)

    def with_token(_: dict[str, Any]) -> Reply:
        return refused(head(tick=1, ticker=script.asked[-1][1]["ExpressionAttributeValues"][":ticker"]["S"]))

    script.answers = [None, with_token]
    assert await store.advance_tick("job_1", 0)
    script.answers = [refused(head(tick=1, ticker="another's"))]
    assert not await store.advance_tick("job_1", 0)
    mine = job(holder="me")
    script.answers = [DONE, None, refused(head(started=NOW))]
    assert await store.start(mine, shards_of(mine, 1), now=NOW)
    script.answers = [DONE, None, refused(head(ended=NOW, holder="me"))]
    assert await store.end(mine, "failed", reason="", counts=Counts(), result={}, now=NOW)
    await store.close()


async def test_every_write_of_a_conflict_is_tried_again_until_it_is_given_up(
    store: DynamoJobs, script: Scripted
) -> None:
    conflict = failure("TransactionConflictException")
    script.answers = [conflict, conflict, (200, {"Attributes": shard_item()})]
    assert await store.checkpoint(SHARD)
    script.answers, script.asked = [conflict], []
    with pytest.raises(StateUnavailable, match="`jobs` is busy"):
        await store.checkpoint(SHARD)
    assert len(script.asked) == TRIES


async def test_a_shard_but_the_last_is_counted_in_one_transaction(store: DynamoJobs, script: Scripted) -> None:
    script.answers = [cancelled("None", "TransactionConflict"), DONE, (200, {"Item": head(left=1)})]
    assert await store.finish_shard(SHARD) == 1
    assert operations(script) == ["TransactWriteItems", "TransactWriteItems", "GetItem"]
    shard, one = updates(script.asked[0][1])
    assert shard["ConditionExpression"] == "#expires > :clock AND #state = :leased AND #holder = :holder"
    assert one["ConditionExpression"] == "#expires > :clock AND #plan = :plan AND #left > :one"
    assert "#status" not in one["UpdateExpression"]
    assert script.asked[2][1]["ConsistentRead"] is True


async def test_the_last_shard_makes_the_job_finishing_in_the_same_transaction(
    store: DynamoJobs, script: Scripted
) -> None:
    script.answers = [cancelled("None", "ConditionalCheckFailed"), DONE]
    assert await store.finish_shard(SHARD) == 0
    assert operations(script) == ["TransactWriteItems"] * 2
    _, one = updates(script.asked[1][1])
    assert one["ConditionExpression"] == "#expires > :clock AND #plan = :plan AND #left = :one"
    assert one["UpdateExpression"] == "SET #left = :zero, #status = :finishing, #finishing = :clock"
    assert {write["ClientRequestToken"] for _, write in script.asked} != {None}


async def test_a_shard_of_a_job_that_is_gone_counts_for_nothing(store: DynamoJobs, script: Scripted) -> None:
    script.answers = [cancelled("None", "ConditionalCheckFailed")]
    assert await store.finish_shard(SHARD) is None
    assert await store.close_shard(SHARD, now=NOW) is None
    assert len(script.asked) == 4


async def test_a_shard_that_was_finished_by_a_lost_call_is_not_counted_again(
    store: DynamoJobs, script: Scripted
) -> None:
    done = cancelled("ConditionalCheckFailed", "None", item=shard_item(state="done"))
    script.answers = [done, (200, {"Item": head(left=1)})]
    assert await store.finish_shard(SHARD) == 1
    script.answers = [cancelled("ConditionalCheckFailed", "None", item=shard_item(state="done", holder="you"))]
    assert await store.finish_shard(SHARD) is None


async def test_shards_are_written_only_where_they_are_not_and_in_transactions_that_fit(
    store: DynamoJobs, script: Scripted
) -> None:
    mine: Job = job(holder="me")
    large = [Shard("job_1", "p1", number, {"x": "y" * 250_000}, 1) for number in range(5)]
    script.answers = [DONE]
    await store.start(mine, large + shards_of(mine, 320)[5:], now=NOW)
    *transactions, (last, _) = script.asked
    assert last == "UpdateItem"
    sizes = [len(request["TransactItems"]) for _, request in transactions]
    assert sizes == [3, 100, 100, 100, 17]
    puts = [write["Put"] for _, request in transactions for write in request["TransactItems"]]
    assert [put["Item"]["sk"]["S"] for put in puts] == [f"shard#p1#{number:05}" for number in range(320)]
    assert {put["ConditionExpression"] for put in puts} == {"attribute_not_exists(pk)"}


async def test_a_lease_is_one_write_and_a_checkpoint_another(store: DynamoJobs, script: Scripted) -> None:
    script.answers = [(200, {"Attributes": shard_item()})]
    assert await store.lease_shard(job(plan="p1"), 0, "me", now=NOW, until=UNTIL) == SHARD
    assert await store.checkpoint(SHARD)
    assert await store.release_shard(SHARD)
    assert operations(script) == ["UpdateItem"] * 3


async def test_every_read_is_strongly_consistent_and_none_is_a_scan(store: DynamoJobs, script: Scripted) -> None:
    script.answers = [items(head(), REQUEST)]
    one = await store.get("job_1")
    assert one is not None
    script.answers = [items()]
    await store.page("batch", owner=ADA.identity, after=None, limit=9)
    await store.shards(one)
    assert [(name, body["ConsistentRead"]) for name, body in script.asked] == [("Query", True)] * 3
    assert script.asked[1][1]["ScanIndexForward"] is False
