"""What moto's SQS never answers: messages of a batch that fail alone, an endpoint without groups, silence."""

import asyncio
from collections.abc import AsyncGenerator
import json
from typing import Any

import pytest

from core.errors import StateUnavailable
from core.stores.queue.port import MOST_RECEIVES, Delivery, Message
from core.stores.queue.sqs import SqsQueue, connect
from tests.contract.dynamodb_script import AT_ONCE, DONE, TRIES, Scripted, failure
from tests.parts.moto import SqsQueue as Urls
from tests.parts.moto import aws_client

pytestmark = pytest.mark.usefixtures("aws_credentials")

URL = "http://localhost/123456789012/work"
MINE = Delivery({}, "receipt")


def queue_at(endpoint: str, answer_seconds: float = 60, namespace: str = "") -> SqsQueue:
    return SqsQueue(
        URL,
        region=None,
        endpoint_url=endpoint,
        namespace=namespace,
        answer_seconds=answer_seconds,
        backoff=AT_ONCE,
    )


@pytest.fixture
async def queue(script_url: str) -> AsyncGenerator[SqsQueue]:
    queue = queue_at(script_url)
    yield queue
    await queue.close()


def messages(count: int, group: str = "g") -> list[Message]:
    return [Message({"n": number}, group) for number in range(count)]


def failed(*names: str, fault: bool = False) -> tuple[int, dict[str, Any]]:
    return 200, {"Failed": [{"Id": name, "SenderFault": fault, "Code": "InternalError"} for name in names]}


def sent(script: Scripted) -> list[list[int]]:
    return [
        [json.loads(entry["MessageBody"])["n"] for entry in request["Entries"]]
        for operation, request in script.asked
        if operation == "SendMessageBatch"
    ]


async def test_messages_go_ten_at_a_time_with_their_delay_and_their_group(queue: SqsQueue, script: Scripted) -> None:
    script.answers = [DONE]
    await queue.send(messages(23), delay=7)
    assert [len(numbers) for numbers in sent(script)] == [10, 10, 3]
    entries = [entry for _, request in script.asked for entry in request["Entries"]]
    assert {entry["DelaySeconds"] for entry in entries} == {7}
    assert len({entry["MessageGroupId"] for entry in entries}) == 1
    await queue.send(messages(1, "h"))
    assert script.asked[-1][1]["Entries"][0]["MessageGroupId"] != entries[0]["MessageGroupId"]


async def test_large_messages_go_in_batches_that_fit(queue: SqsQueue, script: Scripted) -> None:
    script.answers = [DONE]
    await queue.send([Message({"n": number, "x": "y" * 60_000}) for number in range(10)])
    assert sent(script) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_messages_that_fail_alone_are_sent_again_and_no_others(queue: SqsQueue, script: Scripted) -> None:
    script.answers = [failed("1", "3"), failed("1"), DONE]
    await queue.send(messages(4))
    assert sent(script) == [[0, 1, 2, 3], [1, 3], [3]]


async def test_messages_that_always_fail_are_given_up(queue: SqsQueue, script: Scripted) -> None:
    script.answers = [failed("0")]
    with pytest.raises(StateUnavailable, match=f"`work` did not take messages in {TRIES} tries"):
        await queue.send(messages(1))
    assert len(script.asked) == TRIES


async def test_a_message_that_is_refused_is_not_sent_again(queue: SqsQueue, script: Scripted) -> None:
    script.answers = [failed("0", fault=True)]
    with pytest.raises(StateUnavailable, match="`work` refused a message: InternalError"):
        await queue.send(messages(2))
    assert len(script.asked) == 1


async def test_an_endpoint_that_takes_no_group_gets_none(queue: SqsQueue, script: Scripted) -> None:
    refusal = failure("InvalidParameterValue")
    refusal[1]["message"] = "Value g for parameter MessageGroupId is invalid."
    script.answers = [refusal, DONE]
    await queue.send(messages(1))
    await queue.send(messages(1))
    groups = ["MessageGroupId" in request["Entries"][0] for _, request in script.asked]
    assert groups == [True, False, False]
    script.answers = [refusal]
    with pytest.raises(StateUnavailable, match="InvalidParameterValue"):
        await queue.send(messages(1))


async def test_taking_waits_whole_seconds_and_asks_how_often_it_came(queue: SqsQueue, script: Scripted) -> None:
    message = {"Body": '{"n":1}', "ReceiptHandle": "r", "Attributes": {"ApproximateReceiveCount": "4"}}
    script.answers = [(200, {"Messages": [message]})]
    assert await queue.take(most=3, wait=0.2, visibility=120) == [Delivery({"n": 1}, "r", 4)]
    ((operation, request),) = script.asked
    assert operation == "ReceiveMessage"
    assert (request["MaxNumberOfMessages"], request["WaitTimeSeconds"], request["VisibilityTimeout"]) == (3, 1, 120)


@pytest.mark.parametrize("code", ["AWS.SimpleQueueService.MessageNotInflight", "ReceiptHandleIsInvalid"])
async def test_a_receipt_that_is_of_no_use_is_no_failure(queue: SqsQueue, script: Scripted, code: str) -> None:
    script.answers = [failure(code)]
    assert not await queue.extend(MINE, seconds=9)
    await queue.done(MINE)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AWS.SimpleQueueService.NonExistentQueue", "`work` does not exist in this account and region"),
        ("QueueDoesNotExist", "`work` does not exist in this account and region"),
        ("AccessDeniedException", "`work` may not be used with this deployment's permissions"),
        ("ThrottlingException", "`work` is throttling"),
        ("SomethingNew", "`work` answered with an error: SomethingNew"),
    ],
)
async def test_an_error_of_the_service_is_unavailable_with_its_reason(
    queue: SqsQueue, script: Scripted, code: str, reason: str
) -> None:
    script.answers = [failure(code)]
    calls = (
        queue.send(messages(1)),
        queue.take(most=1, wait=0, visibility=1),
        queue.extend(MINE, seconds=1),
        queue.done(MINE),
    )
    for raised in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(raised, StateUnavailable)
        assert reason in raised.message
        assert "secret" not in raised.message


async def test_silence_is_unavailable(script_url: str, script: Scripted) -> None:
    queue = queue_at(script_url, answer_seconds=0.1)
    script.answers = [None]
    for call in (queue.send(messages(1)), queue.take(most=1, wait=0, visibility=1), queue.done(MINE)):
        with pytest.raises(StateUnavailable, match="`work` cannot be reached"):
            await call
    await queue.close()


async def test_an_endpoint_that_is_no_url_is_named_as_the_fault() -> None:
    queue = connect(URL, region=None, endpoint_url="not a url", namespace=None)
    with pytest.raises(StateUnavailable, match="its endpoint_url is not a URL"):
        await queue.done(MINE)


@pytest.mark.parametrize("body", ["no json", "[1]", "3", "null", "[" * 100_000, '{"@namespace":"other"}'])
async def test_what_is_not_ours_becomes_a_dead_letter_and_keeps_nothing_else_waiting(
    sqs_queue: Urls, moto_endpoint: str, body: str
) -> None:
    queue = connect(sqs_queue.url, region=None, endpoint_url=moto_endpoint, namespace=None)
    with aws_client("sqs", moto_endpoint) as sqs:
        sqs.send_message(QueueUrl=sqs_queue.url, MessageBody=body)
        await queue.send(messages(1))
        assert [delivery.body for delivery in await queue.take(most=10, wait=5, visibility=0)] == [{"n": 0}]
        for _ in range(MOST_RECEIVES):
            await queue.take(most=10, wait=0, visibility=0)
        (dead,) = [
            message["Body"]
            for message in sqs.receive_message(QueueUrl=sqs_queue.dead_letters, MaxNumberOfMessages=10)["Messages"]
            if message["Body"] != '{"n":0}'
        ]
    assert dead == body
    await queue.close()
