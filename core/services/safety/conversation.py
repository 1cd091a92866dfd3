"""A conversation as shields' providers get it: users' and assistants' messages, with all their text in their content. Pure.

Whatever is in a message is judged: its name, its tool calls, fields that nobody knows. A part that no shield reads (audio,
a file, an image that is elsewhere) is an obstacle, which a strict shield refuses.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from core.apis.safety import INPUT, OUTPUT
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.services.safety.readings import further_readings
from core.services.safety.turns import Obstacle, Part, Turn, read_turn

MOST_CHARACTERS: Final = 25_000  # of one judgement; ApplyGuardrail of Bedrock takes 25 units of 1,000
BETWEEN: Final = 2  # characters that a provider puts between two texts
OVERLAP: Final = 1_000  # characters that two pieces share: what is forbidden must not hide in the cut
MOST_PIECES: Final = 40
APART: Final = frozenset({"tool", "function", "ipython"})  # templates put something between the results of two tools


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a provider is asked at once: of INPUT it judges all messages, of OUTPUT the last."""

    messages: list[JsonObject]
    source: str


@dataclass(frozen=True, slots=True)
class Conversation:
    judgements: list[Judgement]
    obstacles: list[Obstacle]


def read_conversation(messages: Sequence[JsonObject], source: object) -> Conversation:
    """What to ask about `messages`: of OUTPUT the last is judged, else all. An answer that ends them is judged as OUTPUT.

    Raises:
        InvalidRequest: a message has no role, or a content that is none; or there is more text than is judged.
    """
    turns = [read_turn(message, f"messages[{number}]") for number, message in enumerate(messages)]
    has_answer = source == OUTPUT or (source is None and turns[-1].role == "assistant")
    before, answer = (turns[:-1], turns[-1:]) if has_answer else (turns, [])
    question = [] if source == OUTPUT else before
    judgements = [Judgement(piece, INPUT) for piece in _split(question)]
    judgements += [Judgement([*_context(before), *piece], OUTPUT) for piece in _split(answer)]
    return Conversation(judgements, [obstacle for turn in (*question, *answer) for obstacle in turn.obstacles])


def _split(turns: Sequence[Turn]) -> list[list[JsonObject]]:
    """Messages that one judgement takes, as often as it takes for all of their text."""
    pieces: list[list[JsonObject]] = [[]] if turns else []
    room = MOST_CHARACTERS
    for turn, parts in zip(turns, _readings(turns), strict=True):
        content: list[Part] = []
        for part in parts:
            rest = part
            while isinstance(rest, str) and len(rest) > room:
                pieces[-1].append(_message(turn, [*content, rest[:room]]))
                pieces.append([])
                rest, room, content = rest[max(room - OVERLAP, 0) :], MOST_CHARACTERS, []
                if len(pieces) > MOST_PIECES:
                    most = MOST_PIECES * (MOST_CHARACTERS - OVERLAP)
                    raise InvalidRequest(
                        f"There is more text than a shield judges: {most} characters.", param="messages"
                    )
            content.append(rest)
            room = max(room - len(rest) - BETWEEN, 0) if isinstance(rest, str) else room
        pieces[-1].append(_message(turn, content))
    return pieces


def _readings(turns: Sequence[Turn]) -> Iterator[list[Part]]:
    """Each turn's parts, with the other readings of its texts; the last of several in a row has them run together too."""
    run: list[str] = []
    for turn, following in zip_longest(turns, turns[1:]):
        parts: list[Part] = []
        for part in turn.content:
            if not isinstance(part, str):
                parts += [*_run_together(run), part]
                run = []
                continue
            run.append(part)
            parts += [part, *further_readings(part)]
        if following is None or following.role != turn.role or turn.role in APART:
            parts += _run_together(run)
            run = []
        yield parts + [reading for text in turn.fields for reading in _with_readings(text)]


def _run_together(texts: Sequence[str]) -> list[str]:
    return _with_readings("".join(texts)) if len(texts) > 1 else []


def _with_readings(text: str) -> list[str]:
    return [text, *further_readings(text)] if text else []


def _context(turns: Sequence[Turn]) -> list[JsonObject]:
    """What was said before an answer, the newest of it: no more than one judgement takes."""
    messages: list[JsonObject] = []
    room = MOST_CHARACTERS
    for turn in reversed(turns):
        texts = [part if isinstance(part, str) else "<image>" for part in (*turn.content, *turn.fields)]
        text = " ".join(filter(None, texts))[-room:]
        messages.insert(0, _message(turn, [text]))
        room -= len(text)
        if room <= 0:
            break
    return messages


def _message(turn: Turn, parts: Sequence[Part]) -> JsonObject:
    """Content is a string where it is one text."""
    role = "assistant" if turn.role == "assistant" else "user"
    match parts:
        case [] | [""]:
            return {"role": role, "content": ""}
        case [str(text)]:
            return {"role": role, "content": text}
        case _:
            content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
            return {"role": role, "content": content}
