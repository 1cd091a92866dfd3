"""What is remembered of refused additions, and for how long; the wire is in tests/contract/test_refused_additions.py."""

import pytest

from core.apis.additions import USAGE, Addition, bound_addition
from core.errors import InvalidRequest
from core.providers.openai.refused import MOST_REMEMBERED, REMEMBERED_SECONDS, RefusedAdditions


class Asked:
    """Counts what it is sent, and refuses what has the field of `refuses`."""

    def __init__(self, refuses: Addition = USAGE) -> None:
        self.replaced: list[tuple[str, ...]] = []
        self._refuses = refuses

    async def send(self, replaced: tuple[Addition, ...]) -> str:
        self.replaced.append(tuple(addition.field for addition in replaced))
        if self._refuses not in replaced:
            raise InvalidRequest(f"Unknown field {self._refuses.field}.")
        return "answer"


async def test_it_is_asked_again_when_upstreams_may_have_been_updated() -> None:
    now, asked = 0.0, Asked()
    refused = RefusedAdditions(clock=lambda: now)
    for moment, times in ((0.0, 2), (REMEMBERED_SECONDS - 1, 3), (REMEMBERED_SECONDS + 1, 5)):
        now = moment
        assert await refused.send("m", (USAGE,), asked.send) == "answer"
        assert len(asked.replaced) == times


async def test_no_more_is_remembered_than_so_much() -> None:
    refused, asked = RefusedAdditions(), Asked()
    for number in range(MOST_REMEMBERED + 1):
        await refused.send(f"m{number}", (USAGE,), asked.send)
    before = len(asked.replaced)
    await refused.send("m0", (USAGE,), asked.send)
    await refused.send("m5", (USAGE,), asked.send)
    assert len(asked.replaced) == before + 3  # the first was forgotten


async def test_what_a_vendor_is_known_to_refuse_is_never_sent() -> None:
    asked = Asked()
    await RefusedAdditions(frozenset({USAGE.field})).send("m", (USAGE,), asked.send)
    assert asked.replaced == [(USAGE.field,)]


async def test_a_refusal_that_stays_is_raised_and_not_remembered() -> None:
    refused, asked = RefusedAdditions(), Asked(bound_addition("max_tokens", 9))
    for _ in range(2):
        with pytest.raises(InvalidRequest, match="max_tokens"):
            await refused.send("m", (USAGE,), asked.send)
    assert asked.replaced == [(), ()]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("stream_options: Extra inputs are not permitted", True),
        ("body.stream_options.include_usage", True),
        ("('body', 'stream_options')", True),
        ("Unknown field `include_usage`", True),
        ("my_stream_options is no field", False),
        ("stream_options_v2", False),
        ("stream options", False),
        ("", False),
    ],
)
def test_an_addition_is_named_by_its_word_alone(text: str, *, named: bool) -> None:
    assert USAGE.is_named_in(text) == named
