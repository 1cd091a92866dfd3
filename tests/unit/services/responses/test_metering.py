"""The quota of a run that a worker does: no request is counted again, tokens are taken for each round, and who has none waits."""

from dataclasses import dataclass

import pytest

from core.apis.inference import ChatRequest
from core.frame.callers import Call, Charge
from core.frame.types import JsonObject, JsonStream
from core.services.responses.background.metering import Meter, MeteredInference, RunPaused
from core.stores.counters.port import Counts
from tests.unit.quota.fakes import EVENING, Bench, bench, user

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


async def test_what_shields_and_tools_used_for_a_round_is_its_too_and_so_is_what_nobody_said() -> None:
    place, call, used = bench(authenticated_max_requests=5, authenticated_max_tokens=10_000), user(), list[int]()
    meter = Meter(place.quota, call, 100, used.append)
    await meter.begin()
    call.add_tokens(50)
    call.cause().add_tokens(7)
    await meter.next_round()
    await meter.next_round()
    call.add_unsaid(30)
    call.cause().add_tokens(7)
    await meter.end()
    assert used == [57, 37]
