"""Stop sequences that a model does not know, and fences around JSON: gone from an answer, however its text is cut."""

import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.inference import ChatRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.answer_text import AnswerText
from core.providers.bedrock.converse.reply import from_converse
from core.providers.bedrock.converse.request import text_taken_from
from core.providers.bedrock.converse.stream import ConverseChunks

CALL: JsonObject = {"toolUse": {"toolUseId": "c1", "name": "f", "input": {}}}
LETTERS = st.text("ab`\n {", max_size=12)


def left_of(pieces: list[str], *stops: str, json: bool = False) -> str:
    text = AnswerText(stops, json=json)
    return "".join(map(text.feed, pieces)) + text.end()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("I think.\nObservation: rain", "I think."),
        ("STOP", ""),
        ("aSTO", "aSTO"),
        ("say END or STOP", "say "),
        ("", ""),
    ],
)
def test_an_answer_ends_before_the_first_stop_sequence(text: str, wanted: str) -> None:
    stops = ("STOP", "\nObservation:", "END")
    assert left_of([text], *stops) == wanted
    assert left_of(list(text), *stops) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ('\n```\r\n{"a": 1}\n``` \n', '{"a": 1}'),
        ('``` json\n{"a": "```"}```', '``` json\n{"a": "```"}```'),
        ('```{"a": 1}```', '{"a": 1}'),
        ('```json {"a": "```"} ```', '{"a": "```"}'),
        ('```json\n{"a": ', '{"a":'),
        ("Here it is:\n```json\n{}\n```", "Here it is:\n```json\n{}\n```"),
        ("`", "`"),
        ("```json", "```json"),
        (' {"a": "`"}` ', ' {"a": "`"}` '),
    ],
)
def test_a_fence_around_the_whole_of_json_is_taken_away(text: str, wanted: str) -> None:
    assert left_of([text], json=True).rstrip(" ") == wanted.rstrip(" ")
    assert left_of([text], json=True) == left_of(list(text), json=True)
    assert left_of([text]) == text


@given(st.data(), LETTERS, st.lists(st.text("ab`\n", min_size=1, max_size=4), max_size=3, unique=True), st.booleans())
def test_however_a_text_is_cut_the_same_is_left(data: st.DataObject, text: str, stops: list[str], json: bool) -> None:  # noqa: FBT001 - hypothesis'
    edges = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=6))})
    pieces = [text[one:other] for one, other in itertools.pairwise(edges)]
    whole = left_of([text], *stops, json=json)
    assert left_of(pieces, *stops, json=json) == whole
    if not json:
        first = min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))
        assert whole == text[:first]


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, False),
        ({"stop": None}, False),
        ({"stop": [""]}, False),
        ({"response_format": {"type": "text"}}, False),
        ({"stop": "a"}, True),
        ({"response_format": {"type": "json_object"}}, True),
    ],
)
def test_a_usual_answer_is_looked_at_by_nobody(fields: JsonObject, wanted: bool) -> None:  # noqa: FBT001 - a column
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields})
    assert (text_taken_from(request) is not None) is wanted


def both(blocks: list[JsonObject], stop: str, reason: str = "tool_use") -> tuple[Any, Any]:
    """The message and the finish reason, of the whole answer and of the stream."""
    reply = {"output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": reason}
    choice = from_converse(reply, model="m", created=7, id="c", text=AnswerText([stop], json=False))["choices"][0]
    chunks = ConverseChunks(model="m", created=7, id="c", text=AnswerText([stop], json=False))
    events: list[JsonObject] = [{"messageStart": {"role": "assistant"}}]
    for index, block in enumerate(blocks):
        at = {"contentBlockIndex": index}
        if "toolUse" in block:
            events.append({"contentBlockStart": at | {"start": {"toolUse": {"toolUseId": "c1", "name": "f"}}}})
            events.append({"contentBlockDelta": at | {"delta": {"toolUse": {"input": "{}"}}}})
        else:
            events += [{"contentBlockDelta": at | {"delta": {"text": letter}}} for letter in block["text"]]
        events.append({"contentBlockStop": at})
    events.append({"messageStop": {"stopReason": reason}})
    told = [choice for event in events for chunk in chunks.feed(event) for choice in chunk["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in told)
    calls = [call for choice in told for call in choice["delta"].get("tool_calls", ())]
    assert chunks.finished
    whole = (choice["message"]["content"] or "", bool(choice["message"].get("tool_calls")), choice["finish_reason"])
    return whole, (text, bool(calls), told[-1]["finish_reason"])


@pytest.mark.parametrize(
    ("blocks", "reason", "wanted"),
    [
        ([{"text": "I think END more"}, CALL], "tool_use", ("I think ", False, "stop")),
        ([CALL, {"text": "I think END"}], "max_tokens", ("I think ", True, "tool_calls")),
        ([{"text": "I think EN"}, {"text": "D."}], "end_turn", ("I think ", False, "stop")),
        ([{"text": "I think"}, CALL], "tool_use", ("I think", True, "tool_calls")),
        ([{"text": "blocked END"}], "guardrail_intervened", ("blocked ", False, "content_filter")),
    ],
)
def test_what_follows_a_stop_sequence_was_never_said(blocks: list[JsonObject], reason: str, wanted: object) -> None:
    assert both(blocks, "END", reason) == (wanted, wanted)
