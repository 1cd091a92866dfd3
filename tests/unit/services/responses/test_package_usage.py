"""What an answer of a package is charged with: what it reports, or what the stack's models used for it, and never both."""

from typing import Any

import pytest

from core.frame.callers import ANONYMOUS, Call, UsageRow
from core.frame.types import JsonObject, JsonStream
from core.services.responses.contract import Usage
from core.services.responses.native.charging import PackageMeter, acting, charging

LAST: JsonObject = {
    "type": "response.completed",
    "response": {"usage": {"input_tokens": 7, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 2}}},
}
PLACE = "m", "package"


async def told(*events: JsonObject) -> JsonStream:
    for event in events:
        yield event


async def read(call: Call | None, *events: JsonObject) -> list[JsonObject]:
    return [event async for event in charging(acting(told(*events), call), PackageMeter.begin(call, *PLACE))]


def ask_a_model(call: Call, prompt: int, completion: int) -> None:
    """As a model of the stack does that a package asks."""
    call.cause().add_tokens(prompt + completion)
    call.observed.add_usage({"prompt_tokens": prompt, "completion_tokens": completion})


async def test_what_it_reports_is_charged_once_and_noted() -> None:
    call = Call(ANONYMOUS)
    call.ledger.further = 100  # of a shield before it
    events = [{"type": "response.created"}, LAST]
    assert await read(call, *events) == events
    charge = call.end()
    assert (charge.tokens, charge.further) == (11, 100)
    (row,) = call.ledger.list_rows()
    assert row == UsageRow(*PLACE, answers=1, prompt_tokens=7, cached_tokens=2, completion_tokens=4, unpriced=1)
    assert call.observed.tokens == {"prompt": 7, "completion": 4}
    assert PackageMeter.begin(Call(ANONYMOUS), *PLACE).charge(Usage(7, 2, 4)) == Usage(7, 2, 4)


async def test_what_the_stacks_models_used_for_it_is_charged_alone() -> None:
    call = Call(ANONYMOUS)
    ask_a_model(call, 1, 1)
    meter = PackageMeter.begin(call, *PLACE)
    ask_a_model(call, 30, 5)
    assert meter.charge(Usage(7, 0, 4)) == Usage(7, 0, 4)
    assert meter.charge(None) == Usage(30, 0, 5)
    charge = call.end()
    assert (charge.tokens, charge.further) == (0, 37)
    assert call.ledger.list_rows() == []
    assert call.observed.tokens == {"prompt": 31, "completion": 6}
    meter = PackageMeter.begin(first := Call(ANONYMOUS), *PLACE)
    ask_a_model(first, 30, 5)
    assert meter.charge(None) == Usage(30, 0, 5)


@pytest.mark.parametrize("last", [{"type": "response.completed", "response": {}}, {**LAST, "type": "response.created"}])
async def test_what_reports_nothing_leaves_its_reservation_taken(last: Any) -> None:
    call = Call(ANONYMOUS)
    await read(call, last)
    assert call.end().tokens is None
    assert call.observed.tokens == {}


async def test_nobody_is_charged_for_a_call_of_nobody() -> None:
    assert await read(None, LAST) == [LAST]
    assert PackageMeter.begin(None, *PLACE).charge(Usage(7, 0, 4)) == Usage(7, 0, 4)
    assert PackageMeter.begin(None, *PLACE).charge(None) == Usage()
