"""What WorkQueue promises, over both adapters, in one process; test_job_processes.py has several."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path
import sqlite3
import time
from typing import Any

from aiohttp.test_utils import unused_port
import pytest

from core.errors import InvalidRequest, StateUnavailable
from core.stores.queue import sqlite as sqlite_queue
from core.stores.queue.codec import MOST_BODY
from core.stores.queue.port import MOST_RECEIVES, Delivery, Message, WorkQueue
from tests.contract.queues import KINDS, Queue
from tests.parts.moto import aws_client


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Queue:
    return Queue.make(request, request.param, tmp_path)


@pytest.fixture
async def queue(place: Queue) -> AsyncGenerator[WorkQueue]:
    async with place.opened() as queue:
        yield queue


def messages(count: int, group: str = "") -> list[Message]:
    return [Message({"n": number}, group) for number in range(count)]


async def take(queue: WorkQueue, most: int = 10, wait: float = 0, visibility: int = 60) -> list[Delivery]:
    return await queue.take(most=most, wait=wait, visibility=visibility)


async def take_one(queue: WorkQueue, visibility: int = 60) -> Delivery:
    (delivery,) = await take(queue, 1, 10, visibility)
    return delivery


async def drain(queue: WorkQueue) -> list[dict[str, Any]]:
    bodies: list[dict[str, Any]] = []
    while deliveries := await take(queue):
        for delivery in deliveries:
            await queue.done(delivery)
            bodies.append(delivery.body)
    return bodies


def count_dead(place: Queue) -> int:
    if place.endpoint is None:
        with closing(sqlite3.connect(place.place)) as connection:
            count: int = connection.execute("SELECT count(*) FROM queue_dead_letters").fetchone()[0]
            return count
    with aws_client("sqs", place.endpoint) as sqs:
        name = "ApproximateNumberOfMessages"
        attributes = sqs.get_queue_attributes(QueueUrl=place.dead_letters, AttributeNames=[name])["Attributes"]
        return int(attributes[name])


async def test_an_empty_queue_has_nothing_and_waits_for_it(queue: WorkQueue) -> None:
    start = time.monotonic()
    assert await take(queue) == []
    assert await take(queue, wait=1) == []
    assert time.monotonic() - start > 0.9


async def test_what_was_sent_is_delivered_as_it_was_and_to_one_alone(queue: WorkQueue) -> None:
    body = {"job": "j", "text": "ü🦙 \ud83d\x00", "n": [1.5, None, {"x": True}]}
    await queue.send([Message(body, "tenant/ü\ud800")])
    delivery = await take_one(queue)
    assert (delivery.body, delivery.receives) == (body, 1)
    assert await take(queue) == []


async def test_many_are_sent_at_once_and_at_most_ten_taken(queue: WorkQueue) -> None:
    await queue.send([])
    await queue.send(messages(23))
    first = await take(queue, 3)
    assert len(first) == 3
    assert all([await queue.extend(delivery, seconds=0) for delivery in first])
    assert Counter(body["n"] for body in await drain(queue)) == dict.fromkeys(range(23), 1)


async def test_what_is_waited_for_is_delivered_when_it_comes(place: Queue, queue: WorkQueue) -> None:
    async with place.opened() as other:
        taking = asyncio.ensure_future(take(queue, wait=20))
        await asyncio.sleep(0.3)
        start = time.monotonic()
        await other.send(messages(1))
        assert [delivery.body for delivery in await taking] == [{"n": 0}]
        assert time.monotonic() - start < 5


async def test_whoever_waits_at_a_file_hears_of_what_this_process_sends(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_queue, "FIRST_PAUSE", 600.0)
    monkeypatch.setattr(sqlite_queue, "LONGEST_PAUSE", 600.0)
    async with Queue.make(request, "sqlite", tmp_path).opened() as queue:
        taking = asyncio.ensure_future(take(queue, wait=600))
        await asyncio.sleep(0.3)
        await queue.send(messages(1))
        async with asyncio.timeout(60):
            assert [delivery.body for delivery in await taking] == [{"n": 0}]


async def test_a_delayed_message_comes_no_sooner(queue: WorkQueue) -> None:
    start = time.monotonic()
    await queue.send(messages(1), delay=2)
    assert await take(queue) == []
    assert (await take_one(queue)).body == {"n": 0}
    assert time.monotonic() - start >= 1.5  # SQS counts in whole seconds


async def test_what_is_not_done_is_delivered_again_and_counted(queue: WorkQueue) -> None:
    await queue.send(messages(1))
    first = await take_one(queue, visibility=1)
    again = await take_one(queue)
    assert (again.body, again.receives) == (first.body, 2)
    assert again.receipt != first.receipt
    await queue.done(again)
    assert await take(queue) == []


async def test_what_is_extended_is_kept_and_what_is_given_back_comes_at_once(queue: WorkQueue) -> None:
    await queue.send(messages(1))
    mine = await take_one(queue, visibility=1)
    assert await queue.extend(mine, seconds=60)
    assert await take(queue, wait=2) == []
    assert await queue.extend(mine, seconds=0)
    assert (await take_one(queue)).receives == 2


async def test_what_is_done_is_of_no_use_any_more(queue: WorkQueue) -> None:
    await queue.send(messages(1))
    mine = await take_one(queue)
    await queue.done(mine)
    await queue.done(mine)
    assert not await queue.extend(mine, seconds=9)
    for receipt in ("", "never-was"):
        unknown = Delivery({}, receipt)
        assert not await queue.extend(unknown, seconds=9)
        await queue.done(unknown)


async def test_what_was_delivered_as_often_as_it_may_be_is_a_dead_letter(place: Queue, queue: WorkQueue) -> None:
    await queue.send(messages(2))
    for count in range(1, MOST_RECEIVES + 1):
        deliveries = await take(queue, wait=5)
        assert {delivery.receives for delivery in deliveries} == {count}
        for delivery in deliveries:
            assert await queue.extend(delivery, seconds=0)
    assert count_dead(place) == 0
    assert await take(queue) == []
    assert count_dead(place) == 2


async def test_a_message_that_is_too_large_is_refused_with_all_that_came_with_it(queue: WorkQueue) -> None:
    full = {"x": "y" * (MOST_BODY - len('{"x":""}'))}
    with pytest.raises(InvalidRequest, match="takes 65537 bytes as JSON, more than 65536"):
        await queue.send([Message({}), Message({"x": full["x"] + "y"})])
    with pytest.raises(InvalidRequest, match="must be JSON"):
        await queue.send([Message({}), Message({"x": float("inf")})])
    assert await take(queue) == []
    await queue.send([Message(full)] * 11)
    assert await drain(queue) == [full] * 11


async def test_what_one_queue_sends_another_takes_but_for_another_namespace(place: Queue) -> None:
    async with place.opened() as one, place.opened() as two, place.opened("other #/ä") as other:
        await one.send(messages(1))
        assert await take(other, visibility=0) == []
        assert (await take_one(two)).body == {"n": 0}
        await other.send(messages(1))
        assert (await take_one(other)).body == {"n": 0}


async def test_a_closed_queue_opens_again(queue: WorkQueue) -> None:
    queue.warm()
    await queue.send(messages(1))
    await queue.close()
    await queue.close()
    assert (await take_one(queue)).body == {"n": 0}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("aws_credentials")
async def test_a_queue_that_cannot_be_reached_is_unavailable_for_every_call(kind: str, tmp_path: Path) -> None:
    if kind == "sqlite":
        (tmp_path / "queue.db").mkdir()
        place = Queue(str(tmp_path / "queue.db"))
    else:
        endpoint = f"http://127.0.0.1:{unused_port()}"
        place = Queue(f"{endpoint}/123456789012/work", endpoint)
    async with place.opened() as queue:
        delivery = Delivery({}, "r")
        calls = [queue.send(messages(1)), take(queue), queue.extend(delivery, seconds=1), queue.done(delivery)]
        for failure in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(failure, StateUnavailable)
            assert "cannot be" in failure.message
            assert failure.headers["retry-after"] == "5"


async def test_groups_take_turns(place: Queue, queue: WorkQueue) -> None:
    """Of SQS this is a promise of its own, which moto does not keep; that it hears of the groups is shown elsewhere."""
    await queue.send(messages(6, "many"))
    await queue.send(messages(2, "few"))
    bodies = [(await take_one(queue)).body["n"] for _ in range(8)]
    assert sorted(bodies) == [0, 0, 1, 1, 2, 3, 4, 5]
    if place.endpoint is None:
        assert bodies == [0, 0, 1, 1, 2, 3, 4, 5]
