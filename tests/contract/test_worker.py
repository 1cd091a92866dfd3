"""Whoever works on jobs: the loop over a real queue, the events of SQS on Lambda, and what stops them."""

import asyncio
from collections.abc import AsyncGenerator
import json
from pathlib import Path
import time
from typing import Any

import pytest

from core.errors import StateUnavailable
from core.frame.callers import ANONYMOUS, Call, Principal
from core.resolution.jobs import StackOwners
from core.runtime.log_format import JsonFormatter
from core.runtime.worker import Worker, delivery_of, handle_event, run_kept, settle
from core.services.jobs.messages import DONE, Again, GiveBack, Outcome, Task
from core.services.jobs.timing import Timing, Turn
from core.stores.jobs.port import Counts
from core.stores.queue.port import Delivery, Message, WorkQueue
from core.stores.queue.sqlite import connect
from core.stores.registry.key_format import issue
from tests.fakes import MemoryStore
from tests.parts.job_bench import Bench, close_all
from tests.parts.toy_jobs import row_kind

TASK = Task("job_1", "shard", 3)


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncGenerator[WorkQueue]:
    queue = connect(str(tmp_path / "queue.db"))
    yield queue
    await queue.close()


@pytest.fixture
async def closing() -> AsyncGenerator[None]:
    yield
    await close_all()


class Context:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


async def take(queue: WorkQueue, visibility: int = 30) -> Delivery:
    [delivery] = await queue.take(most=1, wait=1, visibility=visibility)
    return delivery


async def left(queue: WorkQueue) -> list[dict[str, Any]]:
    return [delivery.body for delivery in await queue.take(most=10, wait=0, visibility=60)]


@pytest.mark.parametrize(
    ("outcome", "bodies"),
    [
        (DONE, []),
        (Again(TASK.again(), "ada"), [{"job": "job_1", "do": "shard", "number": 3, "tries": 1}]),
        (Again(TASK, "ada", 600), []),
        (GiveBack(0), [{"n": 1}]),
        (GiveBack(60), []),
    ],
)
async def test_a_message_goes_is_replaced_or_is_given_back(
    queue: WorkQueue, outcome: Outcome, bodies: list[dict[str, Any]]
) -> None:
    await queue.send([Message({"n": 1})])
    await settle(queue, await take(queue), outcome)
    assert await left(queue) == bodies


async def test_a_message_is_kept_from_others_while_it_is_worked_on(queue: WorkQueue) -> None:
    await queue.send([Message({"n": 1})])
    delivery = await take(queue, visibility=1)

    async def work(_: Delivery, __: Turn) -> Outcome:
        await asyncio.sleep(2.5)
        assert await left(queue) == []
        return DONE

    assert await run_kept(queue, work, delivery, Turn(), visibility=2) == DONE


async def test_a_bug_gives_the_message_back_and_the_loop_goes_on(
    queue: WorkQueue, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    async def work(delivery: Delivery, _: Turn) -> Outcome:
        seen.append(delivery.body["n"])
        if delivery.body["n"] == 1:
            raise RuntimeError("bug")
        return DONE

    worker = Worker(queue, work, at_once=1)
    await queue.send([Message({"n": 1}), Message({"n": 2})])
    caplog.handler.setFormatter(JsonFormatter())
    working = asyncio.create_task(worker.work())
    while len(seen) < 2:  # noqa: ASYNC110 - what it waits for is a list
        await asyncio.sleep(0.01)
    worker.stop()
    await working
    assert seen == [1, 2]
    line = json.loads(caplog.text)
    assert line["request_id"].startswith("req_")
    assert line["exception"].startswith("RuntimeError: bug (at ")


async def test_stopping_lets_what_is_under_way_be_left_and_takes_no_more(queue: WorkQueue) -> None:
    began, turns = asyncio.Event(), list[Turn]()

    async def work(_: Delivery, turn: Turn) -> Outcome:
        turns.append(turn)
        began.set()
        await turn.stopping.wait()
        return Again(TASK, "ada")

    worker = Worker(queue, work, at_once=1, grace=7)
    await queue.send([Message({"n": 1}), Message({"n": 2})])
    working = asyncio.create_task(worker.work())
    await began.wait()
    worker.stop()
    await working
    assert len(turns) == 1
    assert turns[0].deadline == pytest.approx(time.time() + 7, abs=2)
    assert sorted(await left(queue), key=str) == [{"job": "job_1", "do": "shard", "number": 3, "tries": 0}, {"n": 2}]


async def test_a_queue_that_is_down_is_asked_again_and_left_at_once_by_who_is_to_end(
    queue: WorkQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.runtime.worker.PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("core.runtime.worker.WAIT_SECONDS", 20)
    take_, failures = queue.take, [StateUnavailable("down"), StateUnavailable("down")]

    async def take_or_fail(**how: Any) -> list[Delivery]:
        if failures:
            raise failures.pop()
        return await take_(**how)

    monkeypatch.setattr(queue, "take", take_or_fail)
    seen = asyncio.Event()

    async def work(_: Delivery, __: Turn) -> Outcome:
        seen.set()
        return DONE

    worker = Worker(queue, work)
    await queue.send([Message({"n": 1})])
    working = asyncio.create_task(worker.work())
    await asyncio.wait_for(seen.wait(), 10)
    await asyncio.sleep(0.1)
    worker.stop()
    await asyncio.wait_for(working, 10)


@pytest.mark.usefixtures("closing")
async def test_a_job_goes_from_worker_to_worker_as_each_is_stopped(tmp_path: Path, queue: WorkQueue) -> None:
    asked: list[int] = []

    async def ask(row: Any, call: Call) -> Any:
        from tests.parts.toy_jobs import echo

        del call
        asked.append(row.index)
        await asyncio.sleep(0.05)
        return echo(row)

    bench = Bench(tmp_path, row_kind(ask, per_shard=40, at_once=2), Timing(checkpoint=0.1))
    engine, service = bench.engine, bench.service
    object.__setattr__(engine, "queue", queue)
    object.__setattr__(engine, "clock", time.time)
    object.__setattr__(service, "queue", queue)
    job = await bench.create(40)
    for _ in range(20):
        worker = Worker(queue, engine.run_message)
        working = asyncio.create_task(worker.work())
        await asyncio.sleep(0.4)
        worker.stop()
        await working
        if (await bench.job(job)).status == "completed":
            break
    assert (await bench.job(job)).counts == Counts(40, 0, {"m": 80})
    assert sorted(asked) == list(range(40))


def record(body: str, number: int = 1, receives: str = "2") -> dict[str, Any]:
    return {
        "messageId": f"m{number}",
        "receiptHandle": f"r{number}",
        "body": body,
        "attributes": {"ApproximateReceiveCount": receives},
    }


async def test_on_lambda_what_could_not_be_done_is_named_and_the_deadline_is_the_functions(queue: WorkQueue) -> None:
    turns: list[Turn] = []

    async def work(delivery: Delivery, turn: Turn) -> Outcome:
        turns.append(turn)
        match delivery.body["n"]:
            case 1:
                return DONE
            case 2:
                return GiveBack()
            case 3:
                return Again(TASK, "ada")
            case _:
                raise RuntimeError("bug")

    records = [record(json.dumps({"n": n}), n) for n in (1, 2, 3, 4)]
    answer = await handle_event(queue, work, {"Records": records}, Context(600))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m2"}, {"itemIdentifier": "m4"}]}
    assert await left(queue) == [{"job": "job_1", "do": "shard", "number": 3, "tries": 0}]
    assert turns[0].deadline == pytest.approx(time.time() + 600, abs=5)


async def test_on_lambda_a_message_that_could_not_be_replaced_is_delivered_again(
    queue: WorkQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise StateUnavailable("down")

    async def work(_: Delivery, __: Turn) -> Outcome:
        return Again(TASK, "ada")

    monkeypatch.setattr(queue, "send", fail)
    answer = await handle_event(queue, work, {"Records": [record("{}")]}, Context(600))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}


@pytest.mark.parametrize("event", [{}, {"Records": None}, {"httpMethod": "GET"}])
async def test_the_worker_answers_no_other_event(queue: WorkQueue, event: dict[str, Any]) -> None:
    async def work(_: Delivery, __: Turn) -> Outcome:
        raise AssertionError

    with pytest.raises(ValueError, match="queue"):
        await handle_event(queue, work, event, Context(1))


def test_a_record_is_a_delivery_whatever_its_body_is() -> None:
    assert delivery_of(record('{"job": "j"}')) == Delivery({"job": "j"}, "r1", 2)
    for body in ("", "[]", "no json", "[" * 100_000):
        assert delivery_of(record(body)).body == {}


async def test_an_owner_is_the_key_as_it_is_now() -> None:
    store = MemoryStore()
    token, key = issue("laptop", ["admin"], expires=None, now=0)
    assert token
    await store.create(key)
    owners = StackOwners(lambda: store, clock=lambda: 100.0)
    then = Principal(key.identifier, {"roles": ("user",)}, "api_key")
    now = await owners.current(then)
    assert now is not None
    assert (now.id, now.attributes, now.vouched_by) == (key.identifier, {"roles": ("admin",)}, "api_key")
    await store.delete("api_key", key.identifier)
    assert await owners.current(then) is None
    _, late = issue("late", [], expires=50, now=0)
    await store.create(late)
    assert await owners.current(Principal(late.identifier, {}, "api_key")) is None
    for principal in (ANONYMOUS, Principal("ada", {"teams": ("x",)}, "cognito")):
        assert await owners.current(principal) is principal
