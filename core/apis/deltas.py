"""What the deltas of a stream say once, as OpenAI's do: SDKs join the texts of all pieces, a role or an id that is repeated too. Pure.

Sources: Text Generation Inference and OpenRouter (a role in every delta), vLLM before 0.8 (another id with each piece of a
call), Gemini's OpenAI layer (every call of an answer has the index 0, or none).
"""

from collections.abc import Iterable
from typing import Any, Final

from core.frame.types import JsonObject

ONCE: Final = ("id", "type")


class Deltas:
    """Those of one choice, in their order."""

    __slots__ = ("_calls", "_places", "_speaks")

    def __init__(self) -> None:
        self._speaks = False
        self._calls: list[JsonObject] = []  # what has been said of each call, by its place
        self._places: dict[int | None, int] = {}  # of the call that an upstream's index stands for, at present

    @property
    def hold_calls(self) -> bool:
        """Whether there have been any."""
        return bool(self._calls)

    def clean(self, delta: JsonObject) -> None:
        """Leave out what an earlier one said; calls are numbered as they begin."""
        if self._speaks:
            delta.pop("role", None)
        self._speaks = self._speaks or "role" in delta
        calls: Iterable[JsonObject] = delta.get("tool_calls") or ()
        for call in calls:
            self._clean_call(call, call.get("function") or {})

    def _clean_call(self, call: JsonObject, function: JsonObject) -> None:
        index: Any = call.get("index")
        index = index if type(index) is int else None
        place = self._places.get(index)
        if place is None and index is None and self._calls and not function.get("name"):
            place = len(self._calls) - 1
        if place is None or self._begins(call, function, place):
            place = len(self._calls)
            self._calls.append({})
        self._places[index] = call["index"] = place
        first = self._calls[place]
        for fields, names in ((call, ONCE), (function, ("name",))):
            for name in names:
                if name in fields and (first.get(name) is not None or not fields[name]):
                    del fields[name]
                elif name in fields:
                    first[name] = fields[name]

    def _begins(self, call: JsonObject, function: JsonObject, place: int) -> bool:
        """Whether this is another call, under an index that is in use: only the first piece of one has a name."""
        identity: Any = call.get("id")
        if not function.get("name"):
            return False
        return identity != self._calls[place].get("id") if identity else type(call.get("index")) is not int
