"""Ids and bodies of turns: an item says which turn it is in, and what a later version has written is read."""

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.frame.callers import KeepLimits
from core.services.responses.output import PREFIXES, make_id
from core.services.responses.state.conversation_sessions import rename_items
from core.services.responses.state.keeping import DAY, Keeper, move
from core.services.responses.state.records import (
    DELETED,
    Place,
    ResponseRecord,
    Turn,
    place_of_item,
    tail_of,
)
from tests.contract.documents import Clock, MemoryDocuments

NUMBERS = st.integers(0, 2**32 - 1)
KINDS = st.sampled_from([*PREFIXES, "function_call_output", "unheard_of"])


@given(NUMBERS, KINDS)
def test_an_item_of_a_conversation_says_where_it_is(number: int, kind: str) -> None:
    [item] = rename_items([{"type": kind, "id": "given"}], tail_of(number))
    assert place_of_item("conv_1", item["id"]) == Place("conv_1", number)
    assert rename_items([item], tail_of(number)) == [item]
    assert place_of_item("conv_1", make_id("msg_", tail_of(number))) == Place("conv_1", number)


@pytest.mark.parametrize("other", ["", "msg_1", "msg_" + "g" * 48, "msg_" + "0" * 47, "MSG_" + "0" * 48, "0" * 48])
def test_what_no_item_is_called_is_nowhere(other: str) -> None:
    assert place_of_item("conv_1", other) is None


@given(st.lists(NUMBERS, unique=True))
def test_turns_are_in_the_order_of_their_places(numbers: list[int]) -> None:
    assert sorted(Place("t", number).id for number in numbers) == [Place("t", n).id for n in sorted(numbers)]


def test_bodies_are_read_as_they_were_written_and_what_is_unknown_is_left_out() -> None:
    mark = {"type": DELETED, "id": "b"}
    turn = Turn([{"id": "a", "type": "message"}, mark, {"id": "c", "type": "message"}], 2, "resp_1")
    assert Turn.read({**turn.body(), "rounds": 3}) == turn
    assert ([item["id"] for item in turn.input], [item["id"] for item in turn.output]) == (["a"], ["c"])
    record = ResponseRecord({"id": "resp_1"}, [Place("resp_0", 3), Place("resp_1", 0)])
    assert ResponseRecord.read({**record.body(), "status": "queued"}).places == record.places


def test_what_moves_to_another_day_changes_the_days_alone() -> None:
    keeper = Keeper(MemoryDocuments(Clock()), "o", KeepLimits(responses=1), Clock())
    one, two = keeper.tallies_of("response", DAY), keeper.tallies_of("response", 2 * DAY - 1)
    assert move("response", one, two) == ()
    later = keeper.tallies_of("response", 2 * DAY)
    assert [(tally.id, tally.changes) for tally in move("response", one, later)] == [
        ("day:o:1", {"count": -1}),
        ("day:o:2", {"count": 1}),
    ]
    assert keeper.tallies_of("response", None) == ["owner:o"]
    assert keeper.tallies_of("conversation", None) == []
