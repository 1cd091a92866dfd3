"""Whatever conversation OpenAI takes, each family of models is sent one that Bedrock takes, and that says the same."""

from collections.abc import Sequence
import itertools
import json
import re
from typing import Any

from botocore.model import ServiceModel
from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.inference import ChatRequest
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.families import FAMILIES, Family, family_of
from core.providers.bedrock.converse.request import to_answer_form, to_converse
from tests.parts.converse_body import faults, service

MODELS = [
    "m",
    "anthropic.claude-v2",
    "anthropic.claude-3-haiku-20240307-v1:0",
    "anthropic.claude-3-7-sonnet-20250219-v1:0",
    "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "anthropic.claude-opus-4-6-v1",
    "anthropic.claude-opus-5-5",
    "amazon.nova-micro-v1:0",
    "amazon.nova-pro-v1:0",
    "amazon.nova-2-lite-v1:0",
    "amazon.titan-text-express-v1",
    "meta.llama3-3-70b-instruct-v1:0",
    "meta.llama4-scout-17b-instruct-v1:0",
    "mistral.mistral-7b-instruct-v0:2",
    "mistral.mistral-large-2407-v1:0",
    "us.mistral.pixtral-large-2502-v1:0",
    "mistral.ministral-3-8b-instruct",
    "cohere.command-r-v1:0",
    "openai.gpt-oss-20b-1:0",
    "openai.gpt-5.6-sol",
    "deepseek.r1-v1:0",
    "deepseek.v3-v1:0",
    "qwen.qwen3-vl-235b-a22b",
    "ai21.jamba-1-5-mini-v1:0",
    "writer.palmyra-x4-v1:0",
    "moonshotai.kimi-k2.5",
]
NAMES = ["f", "g", "files.read", "files/read", "files_read", "x" * 70, "é"]
IDS = st.sampled_from(["c1", "c2", "c3", "a.b", "call_1|fc_1" * 8, "", None, "é"])
ARGUMENTS = st.sampled_from(["{}", '{"a": [1, null]}', '{"pa', "", None, "null", "[]", "{'a': True}", {"a": 1}])
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}
POINT = {"cache_control": {"type": "ephemeral"}}
THOUGHTS = [{"type": "thinking", "thinking": "hm", "signature": "s"}]


class Words:
    """Texts that are found again: each is said once."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1000)
        self.said: list[str] = []

    def next(self) -> str:
        word = f"w{next(self._numbers)}"
        self.said.append(word)
        return word


def parts(draw: st.DrawFn, words: Words, kinds: Sequence[JsonObject]) -> Any:
    form = draw(st.sampled_from(["text", "text", "parts", "blank", "none"]))
    if form == "text":
        return words.next()
    if form == "parts":
        drawn = draw(st.lists(st.sampled_from([{"type": "text"}, *kinds]), max_size=3))
        return [{"type": "text", "text": words.next()} if part == {"type": "text"} else part for part in drawn]
    return draw(st.sampled_from(["", " \n", []])) if form == "blank" else None


def message(draw: st.DrawFn, words: Words) -> JsonObject:
    roles = ["system", "developer", "user", "user", "assistant", "assistant", "assistant", "tool", "tool", "function"]
    said: JsonObject = {"role": draw(st.sampled_from(roles))} | draw(st.sampled_from([{}, {}, POINT]))
    kinds: list[JsonObject] = []
    match said["role"]:
        case "user":
            kinds = [PNG, PDF]
        case "assistant":
            said |= draw(st.sampled_from([{}, {"thinking_blocks": THOUGHTS}])) | calls(draw)
        case "tool":
            kinds = [PNG, PDF]
            said["tool_call_id"] = draw(IDS)
        case "function":
            said["name"] = draw(st.sampled_from(NAMES))
        case _:
            pass
    return said | {"content": parts(draw, words, kinds)}


def calls(draw: st.DrawFn) -> JsonObject:
    drawn = draw(st.lists(st.tuples(IDS, st.sampled_from(NAMES), ARGUMENTS), max_size=3))
    functions = [(call_id, {"name": name, "arguments": arguments}) for call_id, name, arguments in drawn]
    if not functions or draw(st.sampled_from([False, False, True])):
        return {"function_call": functions[0][1]} if functions else {}
    return {
        "tool_calls": [{"id": call_id, "type": "function", "function": function} for call_id, function in functions]
    }


@st.composite
def requests(draw: st.DrawFn, models: Sequence[str] = MODELS) -> tuple[JsonObject, list[str]]:
    """A request, and the words in its messages."""
    words = Words()
    messages = [message(draw, words) for _ in range(draw(st.integers(1, 8)))]
    more: JsonObject = {}
    tools = draw(st.none() | st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
    if tools is not None:
        more["tools"] = [
            {"type": "function", "function": {"name": name}, **draw(st.sampled_from([{}, POINT]))} for name in tools
        ]
    if tools:
        named = {"type": "function", "function": {"name": tools[0]}}
        allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named]}}
        more["tool_choice"] = draw(st.sampled_from([None, "auto", "none", "required", named, allowed]))
    more["parallel_tool_calls"] = draw(st.sampled_from([None, True, False]))
    return {"model": draw(st.sampled_from(models)), "messages": messages, **more}, words.said


@pytest.fixture(scope="module")
def model() -> ServiceModel:
    return service()


def outcome(request: ChatRequest) -> JsonObject | InvalidRequest:
    try:
        return to_converse(request)
    except InvalidRequest as refusal:
        return refusal


def blocks_of(body: JsonObject, kind: str) -> list[Any]:
    return [block[kind] for turn in body["messages"] for block in turn["content"] if kind in block]


def check_turns(body: JsonObject, family: Family) -> None:
    turns = body["messages"]
    assert all(turn["content"] for turn in turns)
    assert all(one["role"] != other["role"] for one, other in itertools.pairwise(turns))
    assert turns[0]["role"] == "user" or family.starts_with_assistant
    assert turns[-1]["role"] == "user" or family.ends_with_assistant
    results = blocks_of(body, "toolResult")
    texts = [*blocks_of(body, "text"), *(block["text"] for block in body.get("system", ()) if "text" in block)]
    texts += [part["text"] for result in results for part in result["content"] if "text" in part]
    assert all(text.strip() for text in texts)
    assert family.system or "system" not in body
    for turn in turns:
        kinds = {kind for block in turn["content"] for kind in block}
        assert "document" not in kinds or "text" in kinds
        assert "cachePoint" not in turn["content"][0]
        if "toolResult" in kinds:
            assert kinds <= {"toolResult", "cachePoint", *family.beside_results}


def check_calls(body: JsonObject, family: Family) -> None:
    """Every call has its result in the next turn, before all else, and a definition; nothing else has a result."""
    uses, results = blocks_of(body, "toolUse"), blocks_of(body, "toolResult")
    offered = {tool["toolSpec"]["name"] for tool in body.get("toolConfig", {}).get("tools", ()) if "toolSpec" in tool}
    assert len({use["toolUseId"] for use in uses}) == len(uses) == len(results)
    assert all(re.fullmatch(family.call_ids, use["toolUseId"]) for use in uses)
    assert {use["name"] for use in uses} <= offered
    assert family.tools or not offered
    for one, other in itertools.pairwise([*body["messages"], {"role": "user", "content": []}]):
        called = [block["toolUse"]["toolUseId"] for block in one["content"] if "toolUse" in block]
        answered = [block.get("toolResult", {}).get("toolUseId") for block in other["content"]]
        assert answered[: len(called)] == called
        assert called or not any(answered)
    kinds = {kind for result in results for part in result["content"] for kind in part}
    assert kinds <= family.in_results | {"json"}
    assert ("json" in kinds) <= family.json_results


@given(requests())
def test_a_conversation_is_said_as_bedrock_takes_it_and_none_of_its_words_is_lost(
    model: ServiceModel, drawn: tuple[JsonObject, list[str]]
) -> None:
    fields, words = drawn
    request = ChatRequest.model_validate(fields)
    family = family_of(request.model)
    before = json.dumps(request.model_dump())
    body = outcome(request)
    if isinstance(body, InvalidRequest):
        forced = fields.get("tool_choice") == "required" or "function" in (fields.get("tool_choice") or ())
        assert (body.param == "tool_choice" and forced) or (body.param == "tools" and not family.tools)
        return
    assert json.dumps(request.model_dump()) == before
    assert not faults(model, body)
    check_turns(body, family)
    check_calls(body, family)
    heard = re.findall(r"w\d{4}", repr(body))
    assert sorted(heard) == sorted(words)
    to_answer_form(request)


@given(requests(), st.data())
def test_an_answer_calls_only_what_was_offered_by_the_names_that_the_caller_gave(
    drawn: tuple[JsonObject, list[str]], data: st.DataObject
) -> None:
    fields, _ = drawn
    request = ChatRequest.model_validate(fields)
    body = outcome(request)
    if isinstance(body, InvalidRequest):
        return
    form = to_answer_form(request)
    wire = [tool["toolSpec"]["name"] for tool in body.get("toolConfig", {}).get("tools", ()) if "toolSpec" in tool]
    told: list[str] = []
    for name in data.draw(st.lists(st.sampled_from(wire), max_size=4)) if wire else ():
        told += [form.call("c", name, "{}")["function"]["name"]] if form.tells(name, len(told)) else []
    assert {*told} <= {tool["function"]["name"] for tool in fields.get("tools") or ()}
    assert len(told) <= 1 or fields["parallel_tool_calls"] is not False


def test_every_family_is_among_the_models() -> None:
    known = {family.name for rows in FAMILIES.values() for _, family in rows}
    covered = {family_of(model).name for model in MODELS}
    assert known - covered <= {
        "claude-4",
        "claude-4.1",
        "claude-4.7",
        "claude-3.5",
    }  # as their neighbours, but for sampling
