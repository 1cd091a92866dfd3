"""Which lines of a batch have a lane at their model's provider, and what is said of those that may have no other."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
import json
from typing import Any

import pytest

from core.apis.batch_engine import BatchLimits, NativePlace
from core.errors import NotFound
from core.services.batches.job.endpoints import ENDPOINTS
from core.services.batches.job.lines import Line
from core.services.batches.job.planning import QUEUE, Lane
from core.services.batches.job.preparing import InputReading
from core.services.batches.native.choosing import MOST_LANES, NativeLanes
from core.services.jobs.kind import JobFailed

CHAT = "/v1/chat/completions"


@dataclass
class Natives:
    """Models by their names: `queue`, `native-N`, `auto-N`, and `guarded`; their engine takes no tools, and at least 2 rows."""

    limits: BatchLimits = field(default_factory=lambda: BatchLimits(least_rows=2, most_rows=9))
    asked: list[str] = field(default_factory=list[str])

    async def find(self, model: str) -> NativePlace | None:
        self.asked.append(model)
        if model == "unknown":
            raise NotFound("no")
        mode: Any = model.partition("-")[0]
        if mode == "guarded":
            return NativePlace("native", fault="It is guarded by shields")
        engine: Any = self
        return None if mode == "queue" else NativePlace(mode, "p", f"{model}-there", engine)

    def refusal(self, endpoint: str, model: str, body: dict[str, Any]) -> str | None:
        assert (endpoint, model.endswith("-there")) == (CHAT, True)
        return "It takes no tools." if "tools" in body else None

    def at(self, provider_id: str) -> Any:
        del provider_id
        return self

    async def price_at(self, model: str, provider_id: str) -> None:
        raise NotImplementedError


@pytest.fixture
def lanes() -> NativeLanes:
    return NativeLanes(Natives(), CHAT)


def line(**body: Any) -> Line:
    return Line(7, 0, 10, json.dumps({"custom_id": "a", "body": body}).encode())


async def test_each_model_has_a_lane_with_what_its_shards_say_of_it(lanes: NativeLanes) -> None:
    auto, native = await lanes.lane_of(line(), "auto-1"), await lanes.lane_of(line(), "native-1")
    assert auto == Lane(1, {"provider_id": "p", "model": "auto-1-there", "public": "auto-1"}, 2, 9, 48 * 1024 * 1024)
    assert isinstance(native, Lane)
    assert (native.number, await lanes.lane_of(line(), "auto-1")) == (2, auto)
    assert [await lanes.lane_of(line(), name) for name in ("queue", "unknown")] == [QUEUE, QUEUE]


async def test_a_line_that_the_engine_does_not_take_is_the_queues_or_a_fault(lanes: NativeLanes) -> None:
    assert await lanes.lane_of(line(tools=[1]), "auto-1") == QUEUE
    fault = await lanes.lane_of(line(tools=[1]), "native-1")
    assert isinstance(fault, dict)
    assert (fault["code"], fault["line"], fault["param"]) == ("invalid_request", 7, "body")
    assert fault["message"].endswith("(`batch: native`): It takes no tools.")
    guarded = await lanes.lane_of(line(), "guarded")
    assert isinstance(guarded, dict)
    assert "guarded by shields" in guarded["message"]


async def test_too_few_lines_are_a_fault_of_a_model_that_runs_nowhere_else(lanes: NativeLanes) -> None:
    for name in ("auto-1", "native-1", "native-2", "native-2"):
        await lanes.lane_of(line(), name)
    (fault,) = lanes.shortages()
    assert (fault["line"], fault["param"]) == (None, "body.model")
    assert "no fewer than 2 lines: the file has 1 for it" in fault["message"]


async def test_more_models_than_lanes_are_the_queues_and_each_is_looked_up_once() -> None:
    natives = Natives()
    lanes = NativeLanes(natives, CHAT)
    found = [await lanes.lane_of(line(), f"auto-{number % 25}") for number in range(50)]
    assert [lane == QUEUE for lane in found[:25]] == [number >= MOST_LANES for number in range(25)]
    assert len(natives.asked) == 25
    assert isinstance(await lanes.lane_of(line(), "native-1"), dict)


async def test_of_models_that_are_not_there_no_provider_is_asked() -> None:
    class NoModels:
        async def get(self, identifier: str) -> object:
            raise NotFound(identifier)

    async def chunks() -> AsyncIterator[bytes]:
        body = {"model": "auto-1", "messages": list[object]()}
        yield json.dumps({"custom_id": "a", "method": "POST", "url": CHAT, "body": body}).encode()

    natives = Natives()
    reading = InputReading(ENDPOINTS[CHAT], NoModels(), "ids", NativeLanes(natives, CHAT))
    with pytest.raises(JobFailed, match="auto-1"):
        async for _ in reading.read(chunks()):
            pass
    assert natives.asked == []
