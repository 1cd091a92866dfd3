"""What a scripted model says, round by round, as a user's message orders it: for tests, and for programs in environments of their own.

It imports nothing but the standard library. The server that speaks it is tests/parts/scripted_model.py.
"""

from dataclasses import asdict, dataclass, fields
import json
from typing import Any, Final, Literal

HEAD: Final = "script: "

type Ending = Literal["", "unfinished", "error", "cut", "hang"]


@dataclass(frozen=True)
class Call:
    """Of a tool by its name, or by a part of it that no other has; `arguments` that are a text are said as they stand."""

    name: str
    arguments: dict[str, Any] | str = "{}"

    @property
    def text(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True)
class Round:
    """One answer of the model.

    In `text`, `{quote}` is what tools answered since the user's last message, `{mark}` and `{marks}` the first and all of the marks of documents
    in it, `{link}` the first address in it. `summaries` are parts of what is told of `reasoning` as OpenRouter tells it. `ends`: "unfinished" without a finish, "error" by an event of an error, "cut" by the loss of the
    connection, "hang" not before the caller goes: each after half of it. A `status` is answered before anything is said. `piece` is how many
    characters a chunk has, `pause` the seconds before each. What is `held` is streamed when the model's `release` is set.
    """

    text: str = ""
    calls: tuple[Call, ...] = ()
    reasoning: str = ""
    summaries: tuple[str, ...] = ()
    refusal: str = ""
    finish: str = ""
    ends: Ending = ""
    status: int = 0
    piece: int = 4
    pause: float = 0
    interleaved: bool = False
    held: bool = False
    reasoning_field: str = "reasoning_content"


DEFAULTS: Final = {field.name: field.default for field in fields(Round)}


def write_script(*rounds: Round) -> str:
    """A user's message that orders these rounds, the last one for ever."""
    told = [
        {name: value for name, value in asdict(each).items() if value and value != DEFAULTS[name]} for each in rounds
    ]
    return HEAD + json.dumps(told)


def read_script(text: str) -> tuple[Round, ...]:
    """The rounds that a message orders, none where it is no script."""
    if not text.startswith(HEAD):
        return ()
    found: list[dict[str, Any]] = json.loads(text.removeprefix(HEAD))
    return tuple(_read_round(each) for each in found)


def _read_round(told: dict[str, Any]) -> Round:
    calls = tuple(Call(**call) for call in told.get("calls", ()))
    return Round(**told | {"calls": calls, "summaries": tuple(told.get("summaries", ()))})


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]
