"""An answer as texts that shields judge: a stream's pieces put together, whatever field they are in.

A caller reads what a model says in any of them: in reasoning, in the arguments of tools, and in logprobs, which spell it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from core.errors import UpstreamFailed
from core.frame.types import JsonObject
from core.platform.json_outline import outline
from core.platform.json_values import is_list, is_object, to_object

HEAD: Final = frozenset({"choices", "created", "id", "model", "object", "service_tier", "system_fingerprint", "usage"})
"""Of an answer or a chunk: what no model wrote."""
CHOICE_HEAD: Final = frozenset({"index", "message", "delta"})
FINISHES: Final = frozenset({"content_filter", "function_call", "length", "stop", "tool_calls"})
UNREADABLE: Final = ("obfuscation", "prompt_token_ids", "token_ids")
"""What no shield reads and a caller can do without: OpenAI's padding, and vLLM's text as ids of tokens."""
SPEECH: Final = ("reasoning_content", "reasoning", "content", "text")
"""Where an answer is, in the order in which a model makes it: judged as it is, all else as lines `field: text`."""
OFTEN_EMPTY: Final = frozenset(
    {
        "annotations",
        "audio",
        "citations",
        "content",
        "function_call",
        "kv_transfer_params",
        "matched_stop",
        "name",
        "reasoning",
        "reasoning_content",
        "refusal",
        "stop_reason",
        "text",
        "tool_calls",
    }
)
"""Members that servers write without a need; with nothing in them they say nothing."""
LOGPROBS: Final = ("logprobs", "prompt_logprobs")
SCHEMA: Final = frozenset({"bytes", "content", "decoded_token", "refusal", "token", "tokens", "top_logprobs"})
"""Members of logprobs that have text; what is neither these nor a number's is a token itself."""
BYTE: Final = range(256)
NUMBERS: Final = frozenset({"logprob", "rank", "text_offset", "token_logprobs"})


@dataclass(slots=True)
class Answer:
    """One choice, or what is beside all of them: its fields, and what its logprobs spell by where they spell it."""

    fields: JsonObject = field(default_factory=dict[str, Any])
    spelled: dict[str, str] = field(default_factory=dict[str, str])
    media: dict[str, None] = field(default_factory=dict[str, None])

    def add(self, members: JsonObject) -> int:
        """How many characters it has more; of what logprobs spell, which mostly is the same again, only whether there is any."""
        spelled = [token for name in LOGPROBS for token in _spell(members.pop(name, None), name)]
        for place, text in spelled:
            self.spelled[place] = self.spelled.get(place, "") + text
        members = {
            name: value for name, value in members.items() if not (name in OFTEN_EMPTY and value in (None, "", [], {}))
        }
        names = sum(len(name) for name in members.keys() - self.fields.keys() if name not in SPEECH)
        self.fields = _merge(self.fields, members)
        return names + len(outline(list(members.values()))) + bool(spelled)

    def text(self) -> str:
        """Its speech first; the spelled texts only where they are others."""
        speech = [text for name in SPEECH if isinstance(text := self.fields.get(name), str)]
        others = {
            name: value for name, value in self.fields.items() if name not in SPEECH or not isinstance(value, str)
        }
        lines = [*speech, outline(others)]
        text = "\n".join(filter(None, lines))
        for place, letters in self.spelled.items():
            spelled = _decode(letters) if place.endswith("bytes") else letters
            text += f"\n{spelled}" if spelled not in text else ""
        return text


class Answers:
    """The choices of one answer, fed with a whole one or with the chunks of a stream."""

    def __init__(self) -> None:
        self._choices: dict[int, Answer] = {}
        self._beside = Answer()

    def add(self, chunk: JsonObject) -> int:
        """How many characters of text are new; takes out of the chunk what cannot be judged and is no loss."""
        count = self._beside.add(_take(chunk, HEAD))
        for choice in choices_of(chunk):
            answer = self._choices.setdefault(index_of(choice), Answer())
            members = _take(choice, CHOICE_HEAD)
            if members.get("finish_reason") in (None, *FINISHES):
                members.pop("finish_reason", None)
            count += answer.add(members)
            for name in ("message", "delta"):
                count += answer.add(_read_message(choice.get(name), answer)) + len(answer.media)
        return count

    def contents(self) -> dict[int, str | list[JsonObject]]:
        """By the choice's index, what an assistant's message would say; of no choice, what is beside them."""
        beside = self._beside.text()
        answers = self._choices or ({0: Answer()} if beside else {})
        return {index: _content(answer, beside) for index, answer in answers.items()}


def choices_of(chunk: JsonObject) -> list[JsonObject]:
    """Raises UpstreamFailed where there is something else: nobody could judge it."""
    choices: object = chunk.get("choices") or []
    if not is_list(choices) or not all(map(is_object, choices)):
        raise UpstreamFailed("The provider's answer is not of OpenAI's shape: its choices are not a list of objects.")
    return choices


def index_of(choice: JsonObject) -> int:
    """Its place in the answer; some upstreams leave it out where there is one. Raises UpstreamFailed if it is no number."""
    index = choice.get("index") or 0
    if not isinstance(index, int):
        raise UpstreamFailed("The provider's answer is not of OpenAI's shape: a choice's index is not a number.")
    return index


def _take(holder: JsonObject, head: frozenset[str]) -> JsonObject:
    for name in UNREADABLE:
        holder.pop(name, None)
    return {name: value for name, value in holder.items() if name not in head}


def _read_message(message: object, answer: Answer) -> JsonObject:
    """Sound and pictures are noted as that."""
    if not is_object(message):
        return {} if message is None else {"message": message}
    members = dict(message)
    if members.get("role") == "assistant":
        del members["role"]
    audio = dict(to_object(members.get("audio")))
    if audio.pop("data", None):
        members["audio"] = audio
        answer.media["audio"] = None
    if members.pop("images", None):
        answer.media["images"] = None
    return members


def _content(answer: Answer, beside: str) -> str | list[JsonObject]:
    text = "\n".join(filter(None, (answer.text(), beside)))
    return [{"type": "text", "text": text}, *({"type": kind} for kind in answer.media)] if answer.media else text


def _merge(old: object, new: object) -> Any:  # noqa: ANN401 - JSON
    """The pieces of a stream as one: texts go on, members and entries are merged with their own."""
    if isinstance(old, str) and isinstance(new, str):
        return old + new
    if is_object(old) and is_object(new):
        return old | {name: _merge(old.get(name), value) for name, value in new.items()}
    if is_list(old) and is_list(new):
        return _merge_lists(old, new)
    if new is None:
        return old
    if old is None or (isinstance(old, int | float) and isinstance(new, int | float)):
        return new
    return [*_entries(old), *_entries(new)]  # another kind of value: neither must get lost


def _entries(value: object) -> list[Any]:
    return value if is_list(value) else [value]


def _merge_lists(old: list[Any], new: list[Any]) -> list[Any]:
    """An entry goes on the one of its `index`, as tool calls have, else of its position."""
    entries = list(old)
    places = {_index(entry, position): position for position, entry in enumerate(old)}
    for position, entry in enumerate(new):
        at = places.get(_index(entry, position))
        if at is None:
            entries.append(entry)
        else:
            entries[at] = _merge(entries[at], entry)
    return entries


def _index(entry: object, position: int) -> int:
    index = to_object(entry).get("index")
    return index if isinstance(index, int) else position


def _spell(value: object, place: str) -> Iterator[tuple[str, str]]:
    """Each token with where it stands, all of a row in one place: together they are a text."""
    if isinstance(value, str):
        yield place, value
    elif is_list(value):
        for position, entry in enumerate(value):
            yield from _spell(entry, f"{place}/{position}" if "*" in place else f"{place}/*")
    elif is_object(value):
        for position, (key, member) in enumerate(value.items()):
            yield from _spell_member(key, member, place, position)


def _spell_member(key: str, member: object, place: str, position: int) -> Iterator[tuple[str, str]]:
    if key == "bytes" and is_list(member) and all(isinstance(code, int) and code in BYTE for code in member):
        yield f"{place}/bytes", bytes(member).decode("latin-1")
    elif key in SCHEMA:
        yield from _spell(member, f"{place}/{key}")
    elif key not in NUMBERS:
        if not key.isdecimal():  # an id of a token
            yield f"{place}/{position}", key
        yield from _spell(member, f"{place}/{position}/")


def _decode(letters: str) -> str:
    return letters.encode("latin-1").decode("utf-8", "replace")
