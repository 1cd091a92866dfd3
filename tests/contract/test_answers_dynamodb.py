"""What DynamoDB Local never answers: silence, lost answers, lost parts; and what each call costs."""

from collections.abc import AsyncGenerator
from typing import Any
import zlib

import pytest

from core.errors import IdempotencyUnavailable
from core.platform.dynamodb_table import Table
from core.stores.answers.dynamodb import DynamoAnswers
from core.stores.answers.port import Answer, Earlier, Lease
from tests.contract.dynamodb_script import DONE, Scripted, failure
from tests.contract.dynamodb_script import Answer as Reply

pytestmark = pytest.mark.usefixtures("aws_credentials")

LEASE = Lease("k", "h")
ANSWER = Answer(200, "a/b", b"data: yes\n\n" * 1000)


def refused(holder: str = "other", **more: Any) -> Reply:
    item = {"fingerprint": {"S": "f"}, "holder": {"S": holder}, "expires": {"N": "900"}, **more}
    return failure("ConditionalCheckFailedException", Item=item)


def connect(endpoint: str, *, patience: float = 60, answer_seconds: float = 60, most_part: int = 1000) -> DynamoAnswers:
    table = Table("answers", region=None, endpoint_url=endpoint, answer_seconds=answer_seconds)
    return DynamoAnswers(table, namespace="", patience=patience, most_part=most_part)


@pytest.fixture
async def store(script_url: str) -> AsyncGenerator[DynamoAnswers]:
    store = connect(script_url)
    yield store
    await store.close()


async def begin(store: DynamoAnswers) -> Lease | Earlier:
    return await store.begin("k", "f", now=100, until=1000)


async def test_a_key_is_taken_with_one_conditional_write(store: DynamoAnswers, script: Scripted) -> None:
    script.answers = [DONE]
    assert isinstance(await begin(store), Lease)
    ((operation, request),) = script.asked
    assert operation == "PutItem"
    assert (request["Item"]["pk"], request["Item"]["sk"]) == ({"S": "idempotency#k"}, {"S": "answer"})
    assert request["Item"]["expires"] == {"N": "1000"}
    assert "attribute_not_exists(pk)" in request["ConditionExpression"]


async def test_what_is_there_comes_with_the_refusal_and_costs_no_read(store: DynamoAnswers, script: Scripted) -> None:
    script.answers = [refused()]
    assert await begin(store) == Earlier("f", None)
    assert len(script.asked) == 1


async def test_a_lost_answer_is_asked_for_again_and_the_key_is_still_ours(script_url: str, script: Scripted) -> None:
    store = connect(script_url, answer_seconds=0.1)
    script.answers = [None, lambda asked: refused(asked["Item"]["holder"]["S"])]
    assert isinstance(await begin(store), Lease)
    assert len(script.asked) == 2
    await store.close()


async def test_an_answer_is_one_deflated_write_while_it_fits(store: DynamoAnswers, script: Scripted) -> None:
    script.answers = [DONE]
    assert await store.finish(LEASE, ANSWER, expires=5000)
    ((operation, request),) = script.asked
    assert (operation, request["ConditionExpression"]) == ("UpdateItem", "holder = :holder")
    assert len(request["ExpressionAttributeValues"][":body"]["B"]) < 300


async def test_parts_are_there_before_the_answer_and_outlive_it(script_url: str, script: Scripted) -> None:
    script.answers = [DONE]
    store = connect(script_url, most_part=40)
    parts = -(-len(zlib.compress(ANSWER.body, 1)) // 40)
    assert await store.finish(LEASE, ANSWER, expires=5000)
    assert [operation for operation, _ in script.asked] == ["PutItem"] * parts + ["UpdateItem"]
    assert all(int(request["Item"]["expires"]["N"]) > 5000 for _, request in script.asked[:-1])
    assert script.asked[-1][1]["ExpressionAttributeValues"][":parts"] == {"N": str(parts)}
    await store.close()


async def test_an_answer_with_a_lost_part_is_unavailable_and_not_half_an_answer(
    store: DynamoAnswers, script: Scripted
) -> None:
    kept: dict[str, Any] = {
        "status": {"N": "200"},
        "content_type": {"S": "a/b"},
        "parts": {"N": "2"},
        "body": {"B": ""},
    }
    script.answers = [refused(**kept), (200, {"Item": {"body": {"B": "eJw="}}}), DONE]
    with pytest.raises(IdempotencyUnavailable, match="has lost a part"):
        await begin(store)
    assert [request["ConsistentRead"] for operation, request in script.asked if operation == "GetItem"] == [True] * 2


async def test_silence_is_unavailable_for_every_call(script_url: str, script: Scripted) -> None:
    store = connect(script_url, patience=0.1)
    script.answers = [None]
    for work in (begin(store), store.finish(LEASE, ANSWER, expires=1), store.release(LEASE)):
        with pytest.raises(IdempotencyUnavailable, match=r"`answers` did not answer in 0.1 s"):
            await work
    await store.close()
