"""What of a conversation a model is told where it cannot be told all of it (`truncation: auto`). Pure.

Source: https://platform.openai.com/docs/api-reference/responses/create.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from core.frame.types import JsonObject
from core.services.responses.counting import estimate
from core.services.responses.engine.messages import is_question

SHARE: Final = 0.5
"""Of what was too much for a model, as much is told next: its provider does not say how much it takes."""


def shorten(messages: Sequence[JsonObject]) -> list[JsonObject] | None:
    """Without the oldest turns, so that at most SHARE of the tokens are left; None where all that is left must be told.

    A turn is a user's message and what follows it. Instructions stay, and the last turn.
    """
    turns = [*_turns(messages)]
    sizes = [estimate(turn) for turn in turns]
    most, begin = sum(sizes) * SHARE, 0
    while begin < len(turns) - 1 and sum(sizes[begin:]) > most:
        begin += 1
    if not begin:
        return None
    dropped = [message for turn in turns[:begin] for message in turn if message["role"] == "system"]
    return [*dropped, *(message for turn in turns[begin:] for message in turn)]


def _turns(messages: Sequence[JsonObject]) -> Iterator[list[JsonObject]]:
    """What is before the first user's message goes with it: it has the instructions."""
    turn: list[JsonObject] = []
    for message in messages:
        if is_question(message) and any(is_question(earlier) for earlier in turn):
            yield turn
            turn = []
        turn.append(message)
    yield turn
