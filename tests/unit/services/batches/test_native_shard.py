"""One run of a native shard after another: what is submitted, when it is looked at again, what is recorded, charged and left to the queue."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
import json
from typing import Any

import pytest

from core.apis.batch_engine import BatchLimits, BatchProgress, NativeBatch, NativeResult, NativeRow
from core.apis.inference import ChatRequest
from core.apis.prices import Price
from core.apis.prompt_bounds import bound_prompt
from core.errors import (
    ApiError,
    InvalidRequest,
    NotFound,
    PriceUnknown,
    QuotaExceeded,
    QuotaUnavailable,
    UpstreamFailed,
    UpstreamThrottled,
)
from core.frame.callers import ANONYMOUS, Call, Charge, UsageRow
from core.frame.types import JsonObject
from core.services.batches.job.endpoints import ENDPOINTS
from core.services.batches.job.output import InputGone
from core.services.batches.native.results import KEPT_AT
from core.services.batches.native.shard import LOST_SECONDS, NativeShard
from core.services.batches.native.state import NativeState
from core.services.jobs.admission import Unlimited
from core.services.jobs.shard_run import RunParts, ShardRun
from core.services.jobs.spending import cost_in
from core.services.jobs.timing import Timing, Turn
from core.stores.jobs.port import Job, Shard
from tests.parts.memory_blobs import MemoryBlobs

ROWS = 6
ANSWER = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, "model": "theirs"}


@dataclass
class Engine:
    """`fails` is raised by the next call of what it names; `progress` and `given` are what it says of a batch."""

    progress: BatchProgress = field(default_factory=lambda: BatchProgress(ended=False))
    given: list[NativeResult] = field(default_factory=list[NativeResult])
    fails: dict[str, BaseException] = field(default_factory=dict[str, BaseException])
    calls: list[str] = field(default_factory=list[str])
    rows: list[NativeRow] = field(default_factory=list[NativeRow])
    tokens: set[str] = field(default_factory=set[str])
    limits: BatchLimits = field(default_factory=BatchLimits)

    def refusal(self, endpoint: str, model: str, body: JsonObject) -> str | None:
        del endpoint, model, body
        return None

    async def submit(self, batch: NativeBatch, rows: AsyncIterator[NativeRow]) -> JsonObject:
        self.rows = [row async for row in rows]
        self._note("submit")
        self.tokens.add(batch.token)
        return {"name": batch.token}

    async def poll(self, handle: JsonObject) -> BatchProgress:
        assert handle["name"] in self.tokens
        self._note("poll")
        return self.progress

    async def results(self, handle: JsonObject) -> AsyncIterator[NativeResult]:
        assert handle["name"] in self.tokens
        self._note("results")
        for result in self.given:
            yield result
        if (failure := self.fails.pop("third", None)) is not None:
            raise failure

    async def stop(self, handle: JsonObject) -> None:
        assert handle["name"] in self.tokens
        self._note("stop")

    async def discard(self, handle: JsonObject) -> None:
        assert handle["name"] in self.tokens
        self._note("discard")

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if call in self.fails:
            raise self.fails.pop(call)


class Killed(BaseException):
    """As a worker ends that nobody asks."""


class Admission:
    """Of a quota with `left` requests, of which `held` are reserved; `deaths` are after how many writes a worker dies, or fails so."""

    def __init__(self) -> None:
        self.left = 1000
        self.held: dict[int, int] = {}
        self.names: dict[str, UsageRow] = {}
        self.deaths: dict[int, BaseException] = {}
        self.orders: list[tuple[int | None, Any]] = []
        self.refusals: list[ApiError] = []
        self.writes = 0

    @property
    def charged(self) -> list[int]:
        return [row.tokens for row in self.names.values()]

    async def admit(self, call: Call, tokens: int | None, requests: int = 1, order: object = None) -> "Ticket":
        del call
        self.orders.append((tokens, order))
        if self.refusals:
            raise self.refusals.pop(0)
        if requests > self.left:
            raise QuotaExceeded(retry_after=40)
        self.left -= requests
        self.held[len(self.held)] = requests
        self._write()
        return Ticket(len(self.held) - 1)

    async def charge(self, call: Call, rows: Sequence[UsageRow], once: str = "") -> None:
        del call
        (row,) = rows
        assert self.names.setdefault(once, row) == row  # whoever comes again knows the same
        self._write()

    async def release(self, handle: JsonObject) -> None:
        self.held.pop(handle["number"], None)
        self._write()

    def _write(self) -> None:
        self.writes += 1
        if (death := self.deaths.pop(self.writes, None)) is not None:
            raise death


@dataclass
class Ticket:
    number: int

    def hand_over(self) -> JsonObject:
        return {"number": self.number}

    async def settle(self, charge: Charge) -> None:
        raise AssertionError(charge)


def input_of(bodies: Sequence[JsonObject]) -> bytes:
    lines = [json.dumps({"custom_id": f"c{n}", "body": {"model": "mine", **body}}) for n, body in enumerate(bodies)]
    return "".join(f"{line}\n" for line in lines).encode()


class World:
    """The parts of a stack as far as a native shard asks for them, and its shard, run after run; `now` is the clock."""

    def __init__(self) -> None:
        self.input: bytes | None = input_of([{"messages": [n]} for n in range(ROWS)])
        self.engine: Engine | None = Engine()
        self.surfaces = {"native_batches": lambda _: self, "files": lambda _: self}
        self.blobs, self.admission = MemoryBlobs(), Admission()
        self.now = 1000.0
        self.is_lost = False
        self.unlimited: Unlimited | None = None
        self.price: Price | None = None
        self.asked: list[int] = []
        ids = "".join(f'"c{n}"\n' for n in range(ROWS)).encode()
        self.blobs.contents["jobs/batch_1/ids"] = ids
        source = {
            "start": 0,
            "stop": len(self.input),
            "first": 0,
            "ids": {"name": "ids", "start": 0, "stop": len(ids)},
            "model": "mine",
            "engine": {"provider_id": "p", "model": "theirs", "public": "mine"},
        }
        self.shard = Shard("batch_1", "plan", 0, source, ROWS, holder="h")

    def set_bodies(self, bodies: Sequence[JsonObject]) -> None:
        self.input = input_of(bodies)
        self.shard.source["stop"] = len(self.input)

    async def price_at(self, model: str, provider_id: str) -> Price | None:
        assert (model, provider_id) == ("mine", "p")
        return self.price

    def at(self, provider_id: str) -> Engine | None:
        assert provider_id == "p"
        return self.engine

    async def open(self, file_id: str) -> Any:
        assert file_id == "file-1"
        if self.input is None:
            raise NotFound("gone")
        blobs = MemoryBlobs({"f": self.input})
        return type(
            "Open", (), {"content": type("C", (), {"read": lambda _, a, b: blobs.read("f", start=a, stop=b)})()}
        )()

    async def checkpoint(self, shard: Shard) -> bool:
        self.shard = self.shard if self.is_lost else shard
        return not self.is_lost

    async def run(self, *, wind_up: bool = False) -> ShardRun:
        """One run; what it asked row by row is in `asked`."""
        job = Job("batch_1", "batch", ANONYMOUS, {"input_file_id": "file-1"}, 0.0, 9e9, 9)
        jobs: Any = self
        admission = self.unlimited or self.admission
        parts = RunParts(jobs, self.blobs, admission, Timing(), lambda: self.now)
        run = ShardRun(parts, job, Call(ANONYMOUS), self.shard, Turn())
        stack: Any = self
        native = NativeShard(stack, ENDPOINTS["/v1/chat/completions"], run, await NativeState.load(run))

        async def ask_rows(run: ShardRun) -> None:
            self.asked = [row for row in range(ROWS) if not run.shard.done >> row & 1]

        await (native.wind_up() if wind_up else native.work(ask_rows))
        return run

    async def submitted(self) -> Engine:
        await self.run()
        assert self.engine is not None
        self.now += 1000
        return self.engine

    async def lines(self) -> dict[int, JsonObject]:
        found: dict[int, JsonObject] = {}
        for key in self.shard.parts:
            for line in self.blobs.contents[key].splitlines():
                position, _, content = line.partition(b"\t")
                found[int(position)] = json.loads(content[1:])
        return found


@pytest.fixture
def world() -> World:
    return World()


async def test_a_shard_is_submitted_and_looked_at_later_each_time(world: World) -> None:
    run = await world.run()
    assert (run.halt.reason, run.halt.pause) == ("later", 10)
    engine = world.engine
    assert engine is not None
    assert [(row.row, row.body["messages"]) for row in engine.rows] == [(n, [n]) for n in range(ROWS)]
    assert engine.tokens == {"batch-1-plan-0"}
    pauses = []
    for _ in range(4):
        world.now += 900
        pauses.append((await world.run()).halt.pause)
    assert pauses == [90, 180, 270, 300]
    assert engine.calls == ["submit", *["poll"] * 4]
    assert world.admission.left == 1000 - ROWS


async def test_a_message_that_comes_before_its_time_goes_and_asks_nobody(world: World) -> None:
    engine = await world.submitted()
    await world.run()
    assert (await world.run()).halt.reason == "early"
    assert engine.calls == ["submit", "poll"]


async def test_results_are_recorded_charged_and_removed_and_the_rest_is_asked(world: World) -> None:
    engine = await world.submitted()
    engine.progress = BatchProgress(ended=True)
    refusal, throttled = InvalidRequest("no"), UpstreamThrottled("later")
    engine.given = [
        NativeResult(3, dict(ANSWER), request_id="r"),
        NativeResult(0, dict(ANSWER)),
        NativeResult(1, failure=refusal),
        NativeResult(2, failure=throttled),
        NativeResult(77, dict(ANSWER)),
    ]
    run = await world.run()
    assert (run.halt.reason, world.asked) == (None, [2, 4, 5])
    lines = await world.lines()
    assert {row: line["custom_id"] for row, line in lines.items()} == {0: "c0", 1: "c1", 3: "c3"}
    assert lines[3]["response"] == {"status_code": 200, "request_id": "r", "body": {**ANSWER, "model": "mine"}}
    assert (lines[1]["response"]["status_code"], lines[1]["error"]["message"]) == (400, "no")
    counts = world.shard.counts
    assert (counts.completed, counts.failed, counts.tokens["mine"], world.admission.charged) == (2, 1, 10, [10])
    assert engine.calls == ["submit", "poll", "results", "discard"]
    await world.run()  # as after a crash: nothing is recorded or charged again
    assert (world.asked, world.admission.charged, engine.calls[-1]) == ([2, 4, 5], [10], "discard")


async def test_many_results_are_kept_in_pieces_and_charged_together(world: World) -> None:
    engine = await world.submitted()
    assert (world.admission.names, world.admission.held) == ({}, {0: ROWS})
    engine.progress = BatchProgress(ended=True)
    engine.given = [NativeResult(row, {**ANSWER, "system_fingerprint": "x" * (KEPT_AT // 2)}) for row in range(ROWS)]
    await world.run()
    assert (world.shard.counts.completed, world.shard.counts.tokens["mine"]) == (ROWS, 5 * ROWS)
    assert len(world.shard.parts) == 3
    whole = UsageRow("mine", "p", "", "", ROWS, ROWS, 3 * ROWS, completion_tokens=2 * ROWS, unpriced=ROWS)
    assert (world.admission.names, world.admission.held) == ({"batch_1/plan/0": whole}, {})


async def test_what_the_answers_cost_is_in_the_usage_of_the_batch_and_of_the_owner(world: World) -> None:
    """Of a token of the prompt 0.7 nano-USD: rows are rounded together."""
    engine = await world.submitted()
    engine.progress = BatchProgress(ended=True)
    engine.given = [NativeResult(row, dict(ANSWER)) for row in range(3)] + [
        NativeResult(3, failure=InvalidRequest("no"))
    ]
    world.price = Price(input=700, output=0)
    await world.run()
    (row,) = world.admission.names.values()
    assert (row.answers, row.nanos, row.unpriced) == (3, 7, 0)
    assert cost_in(world.shard.counts.tokens) == 7e-9


@pytest.mark.parametrize("write", [2, 3])
@pytest.mark.parametrize("death", [Killed(), QuotaUnavailable("down")])
async def test_whoever_dies_over_the_charge_is_followed_by_who_charges_no_more_and_no_less(
    world: World, write: int, death: BaseException
) -> None:
    """After the charge was written, and after what was reserved was given back."""
    engine = await world.submitted()
    engine.progress = BatchProgress(ended=True)
    engine.given = [NativeResult(row, dict(ANSWER)) for row in range(ROWS - 1)]
    world.admission.deaths[write] = death
    if isinstance(death, Killed):
        with pytest.raises(Killed):
            await world.run()
    else:
        assert (await world.run()).halt.reason == "later"
    assert (engine.calls[-1], world.asked) == ("results", [])
    assert (await world.run()).halt.reason is None
    assert (world.admission.charged, world.admission.held) == ([5 * (ROWS - 1)], {})
    assert (engine.calls[-2:], world.asked) == (["results", "discard"], [ROWS - 1])
    writes = world.admission.writes
    await world.run()
    assert world.admission.writes == writes


async def test_a_worker_that_dies_between_a_checkpoint_and_the_end_of_the_results_loses_no_charge(world: World) -> None:
    engine = await world.submitted()
    engine.progress = BatchProgress(ended=True)
    engine.given = [NativeResult(row, {**ANSWER, "system_fingerprint": "x" * KEPT_AT}) for row in range(2)]
    engine.fails["third"] = Killed()
    with pytest.raises(Killed):
        await world.run()
    assert (world.shard.counts.completed, world.admission.names) == (2, {})
    engine.given.append(NativeResult(2, dict(ANSWER)))
    await world.run()
    assert (world.admission.charged, world.asked) == ([15], [3, 4, 5])


async def test_a_worker_that_dies_over_a_reservation_leaves_it_and_another_is_made(world: World) -> None:
    world.admission.deaths[1] = Killed()
    with pytest.raises(Killed):
        await world.run()
    engine = await world.submitted()
    engine.progress = BatchProgress(ended=True)
    await world.run()
    assert world.admission.held == {0: ROWS}
    assert [(row.requests, row.answers) for row in world.admission.names.values()] == [(ROWS, 0)]


async def test_what_a_shard_has_used_that_is_given_up_is_charged_before_the_rest_is_asked(world: World) -> None:
    engine = await world.submitted()
    engine.progress = BatchProgress(ended=True)
    engine.given = [NativeResult(0, {**ANSWER, "system_fingerprint": "x" * KEPT_AT})]
    engine.fails["third"] = NotFound("no such file")
    await world.run()
    assert (world.admission.charged, world.admission.held, world.asked) == ([5], {}, [1, 2, 3, 4, 5])


@pytest.mark.parametrize("is_down", [True, False])
async def test_what_a_shard_has_used_that_did_not_stop_in_time_is_charged_as_long_as_somebody_can(
    world: World, *, is_down: bool
) -> None:
    engine = await world.submitted()
    engine.progress = BatchProgress(ended=True)
    engine.given = [NativeResult(0, {**ANSWER, "system_fingerprint": "x" * KEPT_AT})]
    engine.fails["third"] = UpstreamFailed("broke off")
    assert (await world.run(wind_up=True)).halt.reason == "later"
    assert (world.admission.names, cost_in(world.shard.counts.tokens)) == ({}, None)
    world.now += Timing().winding + 1
    engine.fails["poll"] = UpstreamFailed("down")
    world.admission.deaths = {2: QuotaUnavailable("down")} if is_down else {}
    assert (await world.run(wind_up=True)).halt.reason is None
    assert (world.admission.charged, world.admission.held) == ([5], {0: ROWS} if is_down else {})


async def test_a_shard_that_is_another_s_by_now_is_not_charged(world: World) -> None:
    engine = await world.submitted()
    engine.progress = BatchProgress(ended=True)
    world.is_lost = True
    run = await world.run()
    assert (run.halt.reason, world.admission.names, engine.calls[-1], world.asked) == ("lost", {}, "results", [])


async def test_results_that_break_off_are_read_again_and_counted_once(world: World) -> None:
    engine = await world.submitted()
    engine.progress = BatchProgress(ended=True)
    engine.given = [NativeResult(0, dict(ANSWER))]
    engine.fails["results"] = UpstreamFailed("broke off")
    assert (await world.run()).halt.reason == "later"
    world.now += 1000
    await world.run()
    assert (world.shard.counts.completed, world.admission.charged) == (1, [5])


async def test_a_quota_is_taken_in_pieces_and_nothing_is_submitted_before_all_of_it(world: World) -> None:
    world.admission.left = 4
    run = await world.run()
    assert (run.halt.reason, run.halt.pause) == ("quota", 40)
    engine = world.engine
    assert engine is not None
    assert (engine.calls, world.admission.left) == ([], 0)
    world.admission.left = 4
    assert (await world.run()).halt.reason == "later"
    assert (engine.calls, world.admission.left) == (["submit"], 2)


def message(number: int) -> JsonObject:
    return {"role": "user", "content": "x" * number}


async def test_limits_know_what_all_rows_may_use_before_they_are_submitted(world: World) -> None:
    bodies: list[JsonObject] = [
        {"messages": [message(0)], "max_tokens": 100},
        {"messages": [message(10)], "max_completion_tokens": 30, "n": 2},
        {"messages": [message(20)]},
        {"messages": [message(20)], "n": 3},
        {"messages": "none"},
        {"messages": [message(20)], "max_tokens": "many"},
    ]
    world.set_bodies(bodies)
    await world.run()
    ((tokens, order),) = world.admission.orders
    requests = [ChatRequest.model_validate({"model": "mine", **body}) for body in bodies[:4]]
    assert (order.model, order.batch.provider_id) == ("mine", "p")
    assert order.prompt_tokens() == sum(bound_prompt(request).tokens for request in requests)
    assert (tokens, order.batch.unbound) == (-(100 + 2 * 30 + 1 + 1), 2)  # what is wrong makes none


def limited(unit: str, *, is_final: bool = False) -> QuotaExceeded:
    refusal = QuotaExceeded(retry_after=77, headers={"x-llambda-limit": f"caller; day; {unit}; limit=1; resets=then"})
    refusal.final = is_final
    return refusal


async def test_what_has_no_room_for_its_tokens_or_money_waits_as_a_whole_and_holds_nothing(world: World) -> None:
    for unit in ("money", "tokens"):
        world.admission.refusals = [limited(unit)]
        run = await world.run()
        assert (run.halt.reason, run.halt.pause, world.admission.held) == ("quota", 77, {})
    assert len(world.admission.orders) == 2
    world.admission.refusals = [limited("requests"), limited("requests", is_final=True)]
    assert (await world.run()).halt.reason == "later"
    assert world.admission.held == dict(enumerate([1] * ROWS))


@pytest.mark.parametrize("refusal", [limited("money", is_final=True), PriceUnknown("Nobody knows.", param="model")])
async def test_what_no_window_has_room_for_or_nobody_knows_the_price_of_is_asked_row_by_row(
    world: World, refusal: ApiError
) -> None:
    world.admission.refusals = [refusal]
    run = await world.run()
    assert (run.halt.reason, world.asked, world.admission.names) == (None, list(range(ROWS)), {})
    assert world.engine is not None
    assert world.engine.calls == []


async def test_where_nothing_is_limited_or_counted_a_shard_is_submitted_too(world: World) -> None:
    world.unlimited = Unlimited()
    engine = await world.submitted()
    engine.progress = BatchProgress(ended=True)
    engine.given = [NativeResult(row, dict(ANSWER)) for row in range(ROWS)]
    assert (await world.run()).halt.reason is None
    assert (engine.calls[-1], world.shard.counts.completed, world.admission.orders) == ("discard", ROWS, [])


@pytest.mark.parametrize(("failure", "tries"), [(InvalidRequest("no"), 1), (UpstreamFailed("down"), 5)])
async def test_what_cannot_be_submitted_is_asked_row_by_row(world: World, failure: Exception, tries: int) -> None:
    engine = world.engine
    assert engine is not None
    for count in range(1, tries + 1):
        engine.fails["submit"] = failure
        run = await world.run()
        assert run.halt.reason == (None if count == tries else "later")
        assert world.asked == (list(range(ROWS)) if count == tries else [])
    assert world.admission.left == 1000 - ROWS  # once


async def test_a_batch_that_is_lost_is_asked_row_by_row_and_one_whose_provider_is_down_is_waited_for(
    world: World,
) -> None:
    engine = await world.submitted()
    engine.fails["poll"] = UpstreamFailed("down")
    assert ((await world.run()).halt.reason, world.asked) == ("later", [])
    world.now += LOST_SECONDS + 1
    engine.fails["poll"] = UpstreamFailed("down")
    assert ((await world.run()).halt.reason, world.asked) == (None, list(range(ROWS)))


async def test_a_batch_that_its_provider_does_not_know_or_whose_provider_is_gone_is_asked_row_by_row(
    world: World,
) -> None:
    engine = await world.submitted()
    before = world.shard
    engine.fails["poll"] = NotFound("no such job")
    await world.run()
    assert world.asked == list(range(ROWS))
    other = World()
    await other.submitted()
    other.engine = None
    await other.run()
    assert (other.asked, before.done) == (list(range(ROWS)), 0)


async def test_a_batch_that_is_stopped_records_what_there_is_once_it_has_ended(world: World) -> None:
    engine = await world.submitted()
    run = await world.run(wind_up=True)
    assert (run.halt.reason, engine.calls[-3:]) == ("later", ["poll", "stop", "poll"])
    engine.progress = BatchProgress(ended=True)
    engine.given = [NativeResult(0, dict(ANSWER)), NativeResult(1, failure=UpstreamThrottled("later"))]
    run = await world.run(wind_up=True)
    assert (run.halt.reason, world.asked, sorted(await world.lines())) == (None, [], [0])
    assert engine.calls[-1] == "discard"


async def test_a_provider_that_does_not_stop_is_waited_for_for_a_time(world: World) -> None:
    engine = await world.submitted()
    engine.fails["poll"] = UpstreamFailed("down")
    assert (await world.run(wind_up=True)).halt.reason == "later"
    world.now += Timing().winding + 1
    engine.fails["stop"] = UpstreamFailed("down")
    assert (await world.run(wind_up=True)).halt.reason is None


async def test_a_shard_that_is_stopped_before_it_is_submitted_asks_nobody(world: World) -> None:
    assert (await world.run(wind_up=True)).halt.reason is None
    assert world.engine is not None
    assert (world.engine.calls, world.admission.left) == ([], 1000)


async def test_what_a_shard_holds_that_is_stopped_before_it_is_submitted_is_given_back_as_soon_as_it_can_be(
    world: World,
) -> None:
    world.admission.left = 4
    assert (await world.run()).halt.reason == "quota"
    world.admission.deaths = {world.admission.writes + 1: QuotaUnavailable("down")}
    assert (await world.run(wind_up=True)).halt.reason == "later"
    assert sum(world.admission.held.values()) == 4
    assert (await world.run(wind_up=True)).halt.reason is None
    assert world.admission.held == {}
    assert [(row.requests, row.answers) for row in world.admission.names.values()] == [(4, 0)]


async def test_an_input_that_is_gone_is_not_submitted(world: World) -> None:
    world.input = None
    with pytest.raises(InputGone):
        await world.run()
    assert world.engine is not None
    assert world.engine.calls == []
