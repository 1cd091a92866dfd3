"""The chunks of a streamed chat as the one answer that they are pieces of. Pure."""

from typing import Any, Final

from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object, to_object

BESIDE: Final = ("choices", "object")
"""What of a chunk is no field of the answer as it stands."""


class FoldedChat:
    """What has come of it."""

    def __init__(self) -> None:
        self._fields: JsonObject = {}
        self._choices: dict[int, JsonObject] = {}

    def add(self, chunk: JsonObject) -> None:
        self._fields |= {name: value for name, value in chunk.items() if name not in BESIDE and value is not None}
        for choice in chunk.get("choices") or ():
            self._add_choice(choice)

    def answer(self) -> JsonObject | None:
        """None for one that has not come to its end."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        if not choices or any(choice["finish_reason"] is None for choice in choices):
            return None
        return {**self._fields, "object": "chat.completion", "choices": choices}

    def _add_choice(self, piece: JsonObject) -> None:
        index: int = piece.get("index") or 0
        message = {"role": "assistant", "content": None, "refusal": None}
        empty: JsonObject = {"index": index, "message": message, "finish_reason": None, "logprobs": None}
        choice = self._choices.setdefault(index, empty)
        _join(choice["message"], to_object(piece.get("delta")))
        if piece.get("finish_reason") is not None:
            choice["finish_reason"] = piece["finish_reason"]
        if is_object(logprobs := piece.get("logprobs")):
            choice["logprobs"] = grown = to_object(choice["logprobs"])
            _join(grown, logprobs)


def _join(whole: JsonObject, piece: JsonObject) -> None:
    """Texts and lists grow; calls do by their index."""
    for name, value in piece.items():
        before: Any = whole.get(name)
        if name == "tool_calls" and is_list(value):
            whole[name] = before or []
            for call in value:
                _join_call(whole[name], to_object(call))
        elif isinstance(before, str) and isinstance(value, str) and name != "role":
            whole[name] = before + value
        elif is_list(before) and is_list(value):
            before += value
        elif is_object(before) and is_object(value):
            _join(before, value)
        elif value is not None:
            whole[name] = value


def _join_call(calls: list[Any], piece: JsonObject) -> None:
    index = piece.get("index")
    place = index if isinstance(index, int) and 0 <= index < len(calls) else len(calls)
    if place == len(calls):
        calls.append({})
    _join(calls[place], {name: value for name, value in piece.items() if name != "index"})
