"""There and back: what a caller says, echoed by Converse, is what the caller hears, whole or streamed in any cut."""

import itertools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.apis.inference import ChatRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.answer_form import PLAIN, AnswerForm
from core.providers.bedrock.converse.reply import from_converse
from core.providers.bedrock.converse.request import to_converse
from core.providers.bedrock.converse.stream import ConverseChunks, events_of

TEXTS = st.text(st.characters(codec="utf-8"))
WORDS = TEXTS.filter(str.strip)
CLAUDE = "anthropic.claude-haiku-4-5-20251001-v1:0"
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(TEXTS, VALUES, max_size=3)
NAMES = st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True)
CALLS = st.lists(st.tuples(NAMES, NAMES, ARGUMENTS), max_size=3, unique_by=lambda call: call[0])
SIGNED = st.builds(lambda text, mark: {"reasoningText": {"text": text, "signature": mark}}, TEXTS, WORDS)
ENCRYPTED = st.builds(lambda content: {"redactedContent": content}, st.binary(min_size=1))
THOUGHTS = st.lists(SIGNED | ENCRYPTED, max_size=3)
STOPS = st.sampled_from(["end_turn", "tool_use", "max_tokens", "guardrail_intervened"])
USAGES = st.fixed_dictionaries(
    {name: st.integers(0, 99) for name in ("inputTokens", "cacheReadInputTokens", "outputTokens")}
)


def reply(content: list[JsonObject], stop: str = "end_turn", usage: JsonObject | None = None) -> JsonObject:
    return {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop, "usage": usage or {}}


def answer(
    content: list[JsonObject], stop: str = "end_turn", usage: JsonObject | None = None, form: AnswerForm = PLAIN
) -> JsonObject:
    return from_converse(reply(content, stop, usage), model="m", created=7, id="c", form=form)


def sent(*messages: JsonObject, **more: Any) -> list[JsonObject]:
    """To a model that lets the assistant begin and end."""
    request = ChatRequest.model_validate({"model": CLAUDE, "messages": list(messages), **more})
    turns: list[JsonObject] = to_converse(request)["messages"]
    return turns


def defined(calls: list[tuple[str, str, JsonObject]]) -> list[JsonObject]:
    return [{"type": "function", "function": {"name": name}} for _, name, _ in calls]


def spoken(text: str | None, calls: list[tuple[str, str, JsonObject]]) -> JsonObject:
    tool_calls = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for call_id, name, arguments in calls
    ]
    return {"role": "assistant", "content": text, **({"tool_calls": tool_calls} if tool_calls else {})}


def parsed(message: JsonObject) -> JsonObject:
    """The message with its calls' arguments as the values they say, numbers by their spelling."""
    calls = [
        call | {"function": call["function"] | {"arguments": spelled(json.loads(call["function"]["arguments"]))}}
        for call in message.get("tool_calls", ())
    ]
    return message | ({"tool_calls": calls} if calls else {})


def spelled(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@given(WORDS, CALLS)
def test_an_assistants_words_and_calls_survive_in_order(text: str, calls: list[tuple[str, str, JsonObject]]) -> None:
    message = spoken(text, calls)
    turn, *_ = sent(message, {"role": "user", "content": "And?"}, tools=defined(calls))
    assert parsed(answer(turn["content"])["choices"][0]["message"]) == parsed(message)


@given(THOUGHTS, WORDS, CALLS)
def test_an_answer_handed_back_is_what_the_model_said(
    thoughts: list[JsonObject], text: str, calls: list[tuple[str, str, JsonObject]]
) -> None:
    content: list[JsonObject] = [
        *({"reasoningContent": thought} for thought in thoughts),
        {"text": text},
        *({"toolUse": {"toolUseId": i, "name": name, "input": arguments}} for i, name, arguments in calls),
    ]
    message = answer(content)["choices"][0]["message"]
    turn, *_ = sent(message, {"role": "user", "content": "And?"}, tools=defined(calls))
    assert turn == {"role": "assistant", "content": content}


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), WORDS | st.sampled_from(["", " \n"]))), st.text())
def test_every_word_is_said_once_in_order_and_by_whom_it_was(said: list[tuple[str, str]], system: str) -> None:
    messages = [{"role": role, "content": text} for role, text in [*said, ("user", "last")]]
    turns = sent(*messages, {"role": "system", "content": system})
    heard = [(turn["role"], block["text"]) for turn in turns for block in turn["content"]]
    assert heard == [(role, text) for role, text in said if text.strip()] + [("user", "last")]
    assert all(one["role"] != other["role"] for one, other in itertools.pairwise(turns))


@st.composite
def cut(draw: st.DrawFn, whole: str | bytes) -> list[Any]:
    edges = sorted({0, len(whole), *draw(st.lists(st.integers(0, len(whole)), max_size=4))})
    return [whole[one:other] for one, other in itertools.pairwise(edges)]


def pieces(draw: st.DrawFn, block: JsonObject) -> list[JsonObject]:
    match block:
        case {"text": text}:
            return [{"text": piece} for piece in draw(cut(text))]
        case {"toolUse": use}:
            whole = json.dumps(use["input"]) if use["input"] or draw(st.booleans()) else ""
            return [{"toolUse": {"input": piece}} for piece in draw(cut(whole))]
        case {"reasoningContent": {"redactedContent": content}}:
            return [{"reasoningContent": {"redactedContent": piece}} for piece in draw(cut(content))]
        case _:
            thought = block["reasoningContent"]["reasoningText"]
            texts = [{"reasoningContent": {"text": piece}} for piece in draw(cut(thought["text"]))]
            return [*texts, {"reasoningContent": {"signature": thought["signature"]}}]


@st.composite
def streamed(draw: st.DrawFn, content: list[JsonObject], stop: str, usage: JsonObject) -> list[JsonObject]:
    events: list[JsonObject] = [{"messageStart": {"role": "assistant"}}]
    for index, block in enumerate(content):
        at = {"contentBlockIndex": index}
        if "toolUse" in block:
            use = {name: value for name, value in block["toolUse"].items() if name != "input"}
            events.append({"contentBlockStart": at | {"start": {"toolUse": use}}})
        events += [{"contentBlockDelta": at | {"delta": piece}} for piece in pieces(draw, block)]
        events.append({"contentBlockStop": at})
    return [*events, {"messageStop": {"stopReason": stop}}, {"metadata": {"usage": usage}}]


def merged(held: list[JsonObject], parts: list[JsonObject]) -> None:
    """Put indexed parts to their own, strings to strings, as the clients of OpenAI's streams do."""
    for part in parts:
        index = part["index"]
        if index == len(held):
            held.append({})
        for name, value in part.items():
            if isinstance(value, dict):
                function = held[index].get(name, {})
                held[index][name] = function | {key: function.get(key, "") + piece for key, piece in value.items()}
            elif name == "type":
                held[index][name] = value
            elif name != "index":
                held[index][name] = held[index].get(name, "") + value


def assembled(chunks: list[JsonObject]) -> JsonObject:
    """The stream as the answer that a client puts together from it."""
    *told, last = chunks
    first, *choices = [choice for chunk in told for choice in chunk["choices"]]
    message: JsonObject = dict(first["delta"])
    for choice in choices:
        for name, value in choice["delta"].items():
            if isinstance(value, list):
                merged(message.setdefault(name, []), value)
            else:
                message[name] = message.get(name, "") + value
    assert last["choices"] == []
    assert all(choice["finish_reason"] is None for choice in (first, *choices[:-1]))
    choice = {"index": 0, "message": message, "finish_reason": choices[-1]["finish_reason"]}
    return last | {"object": "chat.completion", "choices": [choice]}


def comparable(completion: JsonObject) -> JsonObject:
    """The completion with its calls' arguments parsed, and no text as an empty one: streams know no null."""
    (choice,) = completion["choices"]
    message = parsed(choice["message"])
    return completion | {"choices": [choice | {"message": message | {"content": message["content"] or ""}}]}


@given(st.data(), THOUGHTS, st.lists(TEXTS, max_size=2), CALLS, STOPS, USAGES)
def test_however_it_is_cut_a_stream_says_what_the_whole_reply_says(
    data: st.DataObject,
    thoughts: list[JsonObject],
    texts: list[str],
    calls: list[tuple[str, str, JsonObject]],
    stop: str,
    usage: JsonObject,
) -> None:
    content: list[JsonObject] = [
        *({"reasoningContent": thought} for thought in thoughts),
        *({"text": text} for text in texts),
        *({"toolUse": {"toolUseId": i, "name": name, "input": arguments}} for i, name, arguments in calls),
    ]
    withheld = data.draw(st.frozensets(st.sampled_from([name for _, name, _ in calls]))) if calls else frozenset[str]()
    form = AnswerForm(withheld=withheld, most=data.draw(st.none() | st.integers(0, 2)))
    for events in (data.draw(streamed(content, stop, usage)), events_of(reply(content, stop, usage))):
        chunks = ConverseChunks(model="m", created=7, id="c", form=form)
        heard = assembled([chunk for event in events for chunk in chunks.feed(event)])
        assert comparable(heard) == comparable(answer(content, stop, usage, form))
