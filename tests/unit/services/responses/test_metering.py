"""The quota of a run that a worker does: no request is counted again, tokens are taken for each round, and who has none waits."""

from dataclasses import dataclass
from typing import override

import pytest

from core.apis.inference import ChatRequest
from core.errors import QuotaExceeded
from core.frame.callers import Call, Charge, UsageRow
from core.frame.types import JsonObject, JsonStream, Wire
from core.services.responses.background.metering import Meter, MeteredInference, RunPaused
from core.stores.counters.port import Counts
from tests.unit.quota.fakes import EVENING, Bench, bench, user
from tests.unit.quota.test_bindings import ASKED, CENT, Costs, Limited, row

REQUEST = ChatRequest(model="m", messages=[{"role": "user", "content": "Hi"}])


@dataclass
class Model:
    """Uses so many tokens each time it is asked."""

    call: Call
    tokens: int

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        del request
        self.call.add_tokens(self.tokens)
        return _nothing()


class Asked(Costs):
    """What may cost so much, and what it was asked about."""

    def __init__(self, nanos: int) -> None:
        super().__init__(nanos)
        self.bodies: list[Wire] = []

    @override
    async def most_nanos(self, model: str, body: Wire, tokens: int, requests: int = 1) -> int:
        assert (model, tokens) == ("m", 100)
        self.bodies.append(body)
        return self.nanos


async def _nothing() -> JsonStream:
    for chunk in list[JsonObject]():
        yield chunk


async def run(place: Bench, rounds: int, tokens: int) -> list[int]:
    """What each round of a worker's run came to; its request is counted as a POST does it."""
    call, used = user(), list[int]()
    await (await place.quota.admit(user(), None)).settle(Charge(0))
    meter = Meter(place.quota, call, 100, used.append)
    inference = MeteredInference(Model(call, tokens), meter)
    try:
        await meter.begin()
        for _ in range(rounds):
            await inference.stream_chat_completion(REQUEST)
            assert not call.is_spent
    finally:
        await meter.end()
    return used


async def test_rounds_take_tokens_and_no_request() -> None:
    place = bench(authenticated_max_requests=1, authenticated_max_tokens=1000)
    assert await run(place, 3, 70) == [70, 70, 70]
    assert place.counters.total() == Counts(1, 210)


async def test_a_run_whose_tokens_are_used_up_waits_for_the_next_window_and_is_charged_what_it_used() -> None:
    place = bench(authenticated_max_requests=5, authenticated_max_tokens=250)
    with pytest.raises(RunPaused) as pause:
        await run(place, 4, 90)
    assert pause.value.seconds == EVENING
    assert place.counters.total() == Counts(1, 180)


@pytest.mark.parametrize("shards", [1, 4])
async def test_a_run_goes_on_though_its_owner_has_no_request_left(shards: int) -> None:
    place = bench(authenticated_max_requests=1, authenticated_max_tokens=10_000, shards=shards)
    assert await run(place, 2, 50) == [50, 50]


async def test_a_run_that_never_asked_is_charged_nothing() -> None:
    place = bench(authenticated_max_requests=5, authenticated_max_tokens=250)
    assert await run(place, 0, 50) == [0]
    assert place.counters.total() == Counts(1, 0)


async def test_each_round_is_asked_for_its_money_before_the_model_is_and_waits_where_there_is_none() -> None:
    place, call, used = Limited(row(money="0.025")), user(), list[int]()
    place.costs = asked = Asked(CENT)
    meter = Meter(place.quota, call, 100, used.append, ASKED.body)
    await meter.begin("m")
    meter.require()
    inference = MeteredInference(Model(call, 7), meter)
    held = [place.counters.total().nanos]
    for _ in range(2):
        await inference.stream_chat_completion(REQUEST)
        held.append(place.counters.total().nanos)
        call.note_use(UsageRow("m", "vllm", answers=1), 9_000_000_000)  # of the cent it takes 0.9
    with pytest.raises(RunPaused):
        await inference.stream_chat_completion(REQUEST)
    await meter.end()
    assert (held, place.counters.total().nanos) == ([CENT, CENT, CENT + 9_000_000], 18_000_000)
    assert used == [7, 7]
    assert asked.bodies == [ASKED.body, REQUEST, REQUEST]


async def test_what_no_window_has_room_for_is_a_refusal_and_no_pause() -> None:
    place, call = Limited(row(money="0.005")), user()
    place.costs = Asked(CENT)
    meter = Meter(place.quota, call, 100, list[int]().append, ASKED.body)
    await meter.begin("m")
    with pytest.raises(QuotaExceeded):
        meter.require()
    place.costs.nanos = 1
    meter = Meter(place.quota, call, 100, list[int]().append, ASKED.body)
    await meter.begin("m")
    meter.require()
    await meter.next_round(REQUEST)
    place.costs.nanos = CENT
    with pytest.raises(QuotaExceeded) as refusal:
        await meter.next_round(REQUEST)
    assert refusal.value.final
    await meter.end()


async def test_what_shields_and_tools_used_for_a_round_is_its_too_and_so_is_what_nobody_said() -> None:
    place, call, used = bench(authenticated_max_requests=5, authenticated_max_tokens=10_000), user(), list[int]()
    meter = Meter(place.quota, call, 100, used.append)
    await meter.begin()
    call.add_tokens(50)
    call.cause().add_tokens(7)
    await meter.next_round(REQUEST)
    await meter.next_round(REQUEST)
    call.add_unsaid(30)
    call.cause().add_tokens(7)
    await meter.end()
    assert used == [57, 37]
