"""What DynamoDB Local never answers: silence, lost answers, lost parts; and what each call costs."""

import asyncio
from collections.abc import AsyncGenerator
import json
from typing import Any
import zlib

from aiohttp import web
from aiohttp.test_utils import TestServer
import pytest

from core.errors import IdempotencyUnavailable
from core.platform.dynamodb_table import Table
from core.stores.answers.dynamodb import DynamoAnswers
from core.stores.answers.port import Answer, Earlier, Lease

type Reply = tuple[int, dict[str, Any]] | None
pytestmark = pytest.mark.usefixtures("aws_credentials")

LEASE = Lease("k", "h")
ANSWER = Answer(200, "a/b", b"data: yes\n\n" * 1000)
DONE: Reply = (200, {})


def failure(code: str, status: int = 400, **more: Any) -> Reply:
    return status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "arn:aws:secret", **more}


def refused(holder: str = "other", **more: Any) -> Reply:
    item = {"fingerprint": {"S": "f"}, "holder": {"S": holder}, "expires": {"N": "900"}, **more}
    return failure("ConditionalCheckFailedException", Item=item)


class Scripted:
    """A DynamoDB that gives the answers it was told to, the last one for ever; None is silence, after doing as asked."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.over = asyncio.Event()
        self.echo_holder = False

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.headers["x-amz-target"].partition(".")[2], json.loads(await request.text())))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if reply is None:
            await self.over.wait()
            return web.Response()
        if self.echo_holder and "Item" in reply[1]:
            reply[1]["Item"]["holder"] = self.asked[0][1]["Item"]["holder"]
        return web.json_response(reply[1], status=reply[0], content_type="application/x-amz-json-1.0")


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
async def endpoint(script: Scripted) -> AsyncGenerator[str]:
    app = web.Application(client_max_size=10**8)
    app.router.add_post("/", script.answer)
    async with TestServer(app) as server:
        yield str(server.make_url(""))
        script.over.set()


def connect(endpoint: str, *, patience: float = 60, answer_seconds: float = 60, most_part: int = 1000) -> DynamoAnswers:
    table = Table("answers", region=None, endpoint_url=endpoint, answer_seconds=answer_seconds)
    return DynamoAnswers(table, namespace="", patience=patience, most_part=most_part)


@pytest.fixture
async def store(endpoint: str) -> AsyncGenerator[DynamoAnswers]:
    store = connect(endpoint)
    yield store
    await store.close()


async def begin(store: DynamoAnswers) -> Lease | Earlier:
    return await store.begin("k", "f", now=100, until=1000)


async def test_a_key_is_taken_with_one_conditional_write(store: DynamoAnswers, script: Scripted) -> None:
    script.replies = [DONE]
    assert isinstance(await begin(store), Lease)
    ((operation, request),) = script.asked
    assert operation == "PutItem"
    assert (request["Item"]["pk"], request["Item"]["sk"]) == ({"S": "idempotency#k"}, {"S": "answer"})
    assert request["Item"]["expires"] == {"N": "1000"}
    assert "attribute_not_exists(pk)" in request["ConditionExpression"]


async def test_what_is_there_comes_with_the_refusal_and_costs_no_read(store: DynamoAnswers, script: Scripted) -> None:
    script.replies = [refused()]
    assert await begin(store) == Earlier("f", None)
    assert len(script.asked) == 1


async def test_a_lost_answer_is_asked_for_again_and_the_key_is_still_ours(endpoint: str, script: Scripted) -> None:
    store = connect(endpoint, answer_seconds=0.1)
    script.replies, script.echo_holder = [None, refused()], True
    assert isinstance(await begin(store), Lease)
    assert len(script.asked) == 2
    await store.close()


async def test_an_answer_is_one_deflated_write_while_it_fits(store: DynamoAnswers, script: Scripted) -> None:
    script.replies = [DONE]
    assert await store.finish(LEASE, ANSWER, expires=5000)
    ((operation, request),) = script.asked
    assert (operation, request["ConditionExpression"]) == ("UpdateItem", "holder = :holder")
    assert len(request["ExpressionAttributeValues"][":body"]["B"]) < 300


async def test_parts_are_there_before_the_answer_and_outlive_it(endpoint: str, script: Scripted) -> None:
    script.replies = [DONE]
    store = connect(endpoint, most_part=40)
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
    script.replies = [refused(**kept), (200, {"Item": {"body": {"B": "eJw="}}}), DONE]
    with pytest.raises(IdempotencyUnavailable, match="has lost a part"):
        await begin(store)
    assert [request["ConsistentRead"] for operation, request in script.asked if operation == "GetItem"] == [True] * 2


async def test_silence_is_unavailable_for_every_call(endpoint: str, script: Scripted) -> None:
    store = connect(endpoint, patience=0.1)
    script.replies = [None]
    for work in (begin(store), store.finish(LEASE, ANSWER, expires=1), store.release(LEASE)):
        with pytest.raises(IdempotencyUnavailable, match=r"`answers` did not answer in 0.1 s"):
            await work
    await store.close()


async def test_a_refusal_of_the_store_is_unavailable_and_tells_nothing_of_the_account(
    store: DynamoAnswers, script: Scripted
) -> None:
    for code in ("ResourceNotFoundException", "AccessDeniedException", "ValidationException"):
        script.replies = [failure(code)]
        with pytest.raises(IdempotencyUnavailable) as raised:
            await begin(store)
        assert "secret" not in raised.value.message
