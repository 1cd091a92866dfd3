"""Conversations as each family takes them: calls answered in the next turn, ids of their own, who begins and who ends."""

import re
from typing import Any

import pytest

from core.apis.inference import ChatRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.calls import NO_OUTPUT, NO_RESULT
from core.providers.bedrock.converse.request import streams_tools, to_converse
from core.providers.bedrock.converse.turns import BEGIN, CONTINUE, DOCUMENT, HEARD

CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
CLAUDE_3 = "anthropic.claude-3-haiku-20240307-v1:0"
SONNET = "anthropic.claude-sonnet-4-6"
NOVA = "amazon.nova-pro-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
MISTRAL = "mistral.mistral-large-2407-v1:0"
QWEN = "qwen.qwen3-vl-235b-a22b"
TITAN = "amazon.titan-text-express-v1"
PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="
IMAGE: JsonObject = {"type": "image_url", "image_url": {"url": PNG}}
FILE: JsonObject = {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
HI: JsonObject = {"role": "user", "content": "hi"}
OK: JsonObject = {"text": "ok"}


def call(call_id: object = "c1", name: str = "f", arguments: object = "{}") -> JsonObject:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def called(*calls: JsonObject, content: object = None) -> JsonObject:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(call_id: object = "c1", content: object = "ok") -> JsonObject:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def assistant(text: str) -> JsonObject:
    return {"role": "assistant", "content": text}


def sent(*messages: JsonObject, model: str = CLAUDE, **more: Any) -> JsonObject:
    return to_converse(ChatRequest.model_validate({"model": model, "messages": list(messages), **more}))


def turns(*messages: JsonObject, model: str = CLAUDE, tools: object = TOOLS) -> list[str]:
    """Each turn as its speaker and what he said, in short."""
    return [
        f"{turn['role'][0]}: {' | '.join(map(short, turn['content']))}"
        for turn in raw(*messages, model=model, tools=tools)
    ]


def raw(*messages: JsonObject, model: str = CLAUDE, tools: object = TOOLS) -> list[JsonObject]:
    said: list[JsonObject] = sent(*messages, model=model, tools=tools)["messages"]
    return said


def short(block: JsonObject) -> str:
    match block:
        case {"text": text}:
            return str(text)
        case {"toolUse": {"toolUseId": call_id, "name": name}}:
            return f"{name}#{call_id}"
        case {"toolResult": {"toolUseId": call_id, "content": content}}:
            return f"{call_id}={','.join(map(short, content))}"
        case {"json": value}:
            return f"json{value}"
        case _:
            return next(iter(block))


@pytest.mark.parametrize(
    ("messages", "wanted"),
    [
        pytest.param([HI, called(call()), result()], ["u: hi", "a: f#c1", "u: c1=ok"], id="the usual"),
        pytest.param(
            [HI, called(call(), call("c2", "g")), result("c2", "2"), result("c1", "1"), HI],
            ["u: hi", "a: f#c1 | g#c2", "u: c1=1 | c2=2 | hi"],
            id="another order",
        ),
        pytest.param(
            [HI, called(call(), call("c2")), result("c1", "1"), HI, result("c2", "2")],
            ["u: hi", "a: f#c1 | f#c2", "u: c1=1 | c2=2 | hi"],
            id="text between results",
        ),
        pytest.param(
            [HI, called(call()), HI, assistant("so"), result("c1", "late"), HI],
            ["u: hi", "a: f#c1", "u: c1=late | hi", "a: so", "u: hi"],
            id="a late result",
        ),
        pytest.param(
            [HI, called(call()), HI, assistant("so"), result("c1", "late"), assistant("well"), HI],
            ["u: hi", "a: f#c1", "u: c1=late | hi", "a: so | well", "u: hi"],
            id="two of the assistant's turns with only a late result between",
        ),
        pytest.param(
            [HI, called(call()), assistant("so"), result()], ["u: hi", "a: so | f#c1", "u: c1=ok"], id="text after a call"
        ),
        pytest.param(
            [HI, called(call()), called(call("c2")), result(), result("c2")],
            ["u: hi", "a: f#c1 | f#c2", "u: c1=ok | c2=ok"],
            id="calls in messages of their own",
        ),
        pytest.param([HI, called(call())], ["u: hi", "a: f#c1", f"u: c1={NO_RESULT}"], id="interrupted"),
        pytest.param(
            [HI, called(call(), call("c2")), result("c2"), HI],
            ["u: hi", "a: f#c1 | f#c2", f"u: c1={NO_RESULT} | c2=ok | hi"],
            id="half interrupted",
        ),
        pytest.param([HI, result("c9", "2"), HI], ["u: hi | [Result of the tool c9] | 2 | hi"], id="a result of no call"),
        pytest.param(
            [HI, result(), called(call())],
            ["u: hi | [Result of the tool c1] | ok", "a: f#c1", f"u: c1={NO_RESULT}"],
            id="a result before its call",
        ),
        pytest.param(
            [HI, called(call()), result("c1", "1"), result("c1", "2")],
            ["u: hi", "a: f#c1", "u: c1=1,2"],
            id="two results of one call",
        ),
        pytest.param([HI, called(call()), result("c1", [])], ["u: hi", "a: f#c1", f"u: c1={NO_OUTPUT}"], id="no output"),
        pytest.param([HI, called(call(), content="")], ["u: hi", "a: f#c1", f"u: c1={NO_RESULT}"], id="blank text"),
        pytest.param(
            [HI, {"role": "assistant", "content": None, "function_call": {"name": "g", "arguments": "{}"}},
             {"role": "function", "name": "g", "content": "2"}],
            ["u: hi", "a: g#call_6b0c4c0f6d67", "u: call_6b0c4c0f6d67=2"],
            id="the older form",
        ),
        pytest.param([HI, {"role": "function", "name": "g", "content": "2"}], ["u: hi | [Result of the tool g] | 2"], id="an older result of no call"),
        pytest.param([HI, result("", "2")], ["u: hi | [Result of a tool] | 2"], id="a result of no call and no id"),
    ],
)  # fmt: skip
def test_every_call_is_answered_in_the_next_turn(messages: list[JsonObject], wanted: list[str]) -> None:
    aliased = [re.sub(r"call_[0-9a-f]{12}", "call_6b0c4c0f6d67", turn) for turn in turns(*messages)]
    assert aliased == wanted


def ids(*messages: JsonObject, model: str = CLAUDE) -> tuple[list[str], list[str]]:
    blocks = [block for turn in raw(HI, *messages, model=model) for block in turn["content"]]
    uses = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
    results = [block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block]
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", call_id) for call_id in uses)
    assert len({*uses}) == len(uses)
    return uses, results


@pytest.mark.parametrize(
    "call_id", ["x" * 72, "call_1|fc_2" * 6, "a b", "é", "functions.f:0", "a\n", "", None, "\ud800"]
)
def test_an_id_that_bedrock_refuses_is_aliased_alike_on_both_sides(call_id: object) -> None:
    uses, results = ids(called(call(call_id)), result(call_id))
    assert uses == results == ids(called(call(call_id)), result(call_id))[0]
    assert uses != [call_id]


def test_ids_stay_what_they_are_where_they_can() -> None:
    assert ids(called(call("toolu_01-A")), result("toolu_01-A"))[0] == ["toolu_01-A"]
    kimi = turns(HI, called(call("functions.f:0")), result("functions.f:0"), model="moonshotai.kimi-k2.5")
    assert kimi[1:] == ["a: f#functions.f:0", "u: functions.f:0=ok"]


def test_an_id_that_is_there_again_is_another_and_each_result_is_its_calls() -> None:
    again = [called(call("call_0")), result("call_0", "1"), called(call("call_0")), result("call_0", "2")]
    uses, results = ids(*again)
    assert uses == results
    assert [turn.partition("=")[2] for turn in turns(HI, *again) if "=" in turn] == ["1", "2"]
    same = [called(call(""), call(""), call(None)), result("", "1"), result(None, "2"), result("", "3")]
    assert [short(block)[-1] for block in raw(HI, *same)[2]["content"]] == ["1", "2", "3"]


def test_an_alias_is_never_an_id_that_is_there() -> None:
    (alias,), _ = ids(called(call("a.b")))
    uses, results = ids(called(call(alias), call("a.b")), result("a.b", "2"), result(alias, "1"))
    assert uses == results
    assert uses[0] == alias


def test_a_result_without_an_id_is_of_the_first_call_that_has_none_yet() -> None:
    said = turns(HI, called(call("c1"), call("c2")), result("c1", "1"), result(None, "2"))
    assert said[-1] == "u: c1=1 | c2=2"


def test_results_of_one_id_are_of_its_calls_in_their_order() -> None:
    said = raw(HI, called(call("c1"), call("c1", "g")), result("c1", "1"), result("c1", "2"))
    assert [short(block).rpartition("=")[2] for block in said[2]["content"]] == ["1", "2"]
    blank = turns(HI, called(call(""), call("c2")), result("c9", "1"), result("c2", "2"))
    assert [block.rpartition("=")[2] for block in blank[2].split(" | ")] == ["1", "2"]
    text = turns(HI, called(call("c1", "old"), call("c2")), result(None, "1"), result(None, "2"), tools=TOOLS)
    assert text[2].endswith("c2=2")


def test_a_tool_that_is_not_told_has_its_result_where_it_was() -> None:
    asked: JsonObject = {"tools": TOOLS, "tool_choice": "required"}
    body = sent(HI, called(call("c1", "old"), call("c2")), result(None, "1"), result(None, "2"), **asked)
    assert [short(block) for block in body["messages"][2]["content"]] == ["c2=2", "[Result of the tool old]", "1"]


def test_names_are_aliased_in_the_conversation_as_in_the_tools() -> None:
    tools = [{"type": "function", "function": {"name": "files.read"}}]
    body = sent(HI, called(call(name="files.read")), result(), tools=tools)
    assert body["messages"][1]["content"][0]["toolUse"]["name"] == body["toolConfig"]["tools"][0]["toolSpec"]["name"]


@pytest.mark.parametrize("more", [{}, {"tools": []}, {"tools": None}, {"tools": TOOLS, "tool_choice": "none"}])
@pytest.mark.parametrize("model", [CLAUDE, NOVA, LLAMA, MISTRAL, TITAN, "m"])
def test_where_nothing_may_be_called_calls_and_results_are_told_as_text(model: str, more: JsonObject) -> None:
    body = sent(HI, called(call(arguments='{"a": 1}'), content="So:"), result(), model=model, **more)
    assert body == {
        "messages": [
            {"role": "user", "content": [{"text": "hi"}]},
            {"role": "assistant", "content": [{"text": "So:"}, {"text": '[Called the tool f with {"a": 1}]'}]},
            {"role": "user", "content": [{"text": "[Result of the tool f]"}, OK]},
        ]
    }


def test_a_tool_that_is_offered_no_more_is_told_as_text_where_another_must_be_called() -> None:
    body = sent(
        HI,
        called(call(name="old"), call("c2", "f")),
        result("c2", "2"),
        result("c1", "1"),
        tools=TOOLS,
        tool_choice="required",
    )
    assert [short(block) for turn in body["messages"][1:] for block in turn["content"]] == [
        "[Called the tool old with {}]",
        "f#c2",
        "c2=2",
        "[Result of the tool old]",
        "1",
    ]
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["f", "g"]


@pytest.mark.parametrize("model", [LLAMA, MISTRAL, "writer.palmyra-x5-v1:0"])
def test_nothing_stands_beside_a_result_where_a_model_refuses_it(model: str) -> None:
    said = turns(HI, called(call()), result(), HI, model=model)
    assert said[1:] == [
        "a: f#c1",
        "u: c1=ok" if model != MISTRAL else "u: c1=json{'result': 'ok'}",
        f"a: {HEARD}",
        "u: hi",
    ]


def test_a_document_beside_a_result_is_shown_to_claude_in_a_turn_of_its_own() -> None:
    messages = [HI, called(call()), result(), {"role": "user", "content": [IMAGE, FILE]}]
    assert turns(*messages) == ["u: hi", "a: f#c1", "u: c1=ok | image", f"a: {HEARD}", f"u: document | {DOCUMENT}"]
    worded = {"role": "user", "content": [IMAGE, FILE, {"type": "text", "text": "this"}]}
    assert turns(worded) == ["u: image | document | this"]
    assert turns(*messages, model=NOVA)[2:] == [f"u: c1=ok | image | document | {DOCUMENT}"]


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        (CLAUDE, ["u: c1=image,ok"]),
        (QWEN, ["u: c1=ok | [From the result of the tool f] | image"]),
        (MISTRAL, ["u: c1=json{'result': 'ok'}", f"a: {HEARD}", "u: [From the result of the tool f] | image"]),
    ],
)
def test_an_image_in_a_result_is_shown_where_a_model_takes_it(model: str, wanted: list[str]) -> None:
    text = {"type": "text", "text": "ok"}
    assert turns(HI, called(call()), result("c1", [IMAGE, text]), model=model)[2:] == wanted
    alone = turns(HI, called(call()), result("c1", [IMAGE]), model=model)
    assert all("=" not in turn or not turn.endswith("=") for turn in alone)


def test_a_json_result_is_the_object_that_it_is() -> None:
    said = turns(HI, called(call()), result("c1", '{"a": 1}'), model=MISTRAL)
    assert said[2] == "u: c1=json{'a': 1}"


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        (CLAUDE, ["a: hello", "u: hi"]),
        (QWEN, ["a: hello", "u: hi"]),
        (CLAUDE_3, [f"u: {BEGIN}", "a: hello", "u: hi"]),
        (NOVA, [f"u: {BEGIN}", "a: hello", "u: hi"]),
        ("m", [f"u: {BEGIN}", "a: hello", "u: hi"]),
    ],
)
def test_an_assistant_may_begin(model: str, wanted: list[str]) -> None:
    assert turns(assistant("hello"), HI, model=model, tools=None) == wanted


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        (CLAUDE, ["u: hi", "a: {"]),
        (NOVA, ["u: hi", "a: {"]),
        ("m", ["u: hi", "a: {"]),
        (SONNET, ["u: hi", "a: { ", f"u: {CONTINUE}"]),
        (LLAMA, ["u: hi", "a: { ", f"u: {CONTINUE}"]),
    ],
)
def test_an_assistant_may_end(model: str, wanted: list[str]) -> None:
    assert turns(HI, assistant("{ "), model=model, tools=None) == wanted


def test_no_answer_goes_on_after_a_thought_alone() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    said = {"role": "assistant", "content": "", "thinking_blocks": [thought], "cache_control": {"type": "ephemeral"}}
    assert turns(HI, said)[1:] == ["a: reasoningContent | cachePoint", f"u: {CONTINUE}"]
    assert turns(HI, said | {"content": "{ "})[1:] == ["a: reasoningContent | { | cachePoint"]


def test_a_call_in_both_forms_is_one() -> None:
    both = called(call()) | {"function_call": {"name": "f", "arguments": "{}"}}
    assert turns(HI, both, result()) == ["u: hi", "a: f#c1", "u: c1=ok"]


def test_a_call_of_a_custom_tool_is_one_with_its_text() -> None:
    custom = {"id": "c1", "type": "custom", "custom": {"name": "f", "input": "ls"}}
    _, use, _ = raw(HI, called(custom), result())
    assert use["content"] == [{"toolUse": {"toolUseId": "c1", "name": "f", "input": {"input": "ls"}}}]
    assert turns(HI, called(custom | {"custom": {"name": "old", "input": "ls"}}))[1] == "a: old#c1"


def test_an_answer_goes_on_only_where_the_assistant_spoke_last() -> None:
    late = [HI, called(call()), HI, assistant("so"), result()]
    assert turns(*late)[-2:] == ["a: so", f"u: {CONTINUE}"]


@pytest.mark.parametrize(
    ("messages", "system"),
    [
        ([{"role": "system", "content": "Be brief."}], [{"text": "Be brief."}]),
        ([{"role": "system", "content": "Be brief."}, {"role": "user", "content": ""}], [{"text": "Be brief."}]),
        ([{"role": "user", "content": " "}], None),
        ([{"role": "assistant", "content": None}], None),
    ],
)
def test_where_nobody_spoke_the_user_begins(messages: list[JsonObject], system: object) -> None:
    body = sent(*messages)
    assert body["messages"] == [{"role": "user", "content": [{"text": BEGIN}]}]
    assert body.get("system") == system


@pytest.mark.parametrize("model", [TITAN, "mistral.mistral-7b-instruct-v0:2"])
def test_a_model_without_a_system_hears_it_from_the_user_first(model: str) -> None:
    system: JsonObject = {"role": "system", "content": "Be brief.", "cache_control": {"type": "ephemeral"}}
    assert sent(HI, system, model=model) == {
        "messages": [{"role": "user", "content": [{"text": "Be brief."}, {"text": "hi"}]}]
    }
    assert turns(system, assistant("a"), HI, model=model, tools=None) == ["u: Be brief.", "a: a", "u: hi"]
    assert turns(system, model=model, tools=None) == ["u: Be brief."]


def test_instructions_in_the_middle_are_instructions() -> None:
    body = sent(
        HI, {"role": "system", "content": "In French."}, assistant("so"), {"role": "developer", "content": "Now."}, HI
    )
    assert body["system"] == [{"text": "In French."}, {"text": "Now."}]


def test_what_another_model_thought_and_cache_points_stay_away_from_a_model_that_takes_neither() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    messages = [
        {"role": "system", "content": "S", "cache_control": {"type": "ephemeral"}},
        {**HI, "cache_control": {"type": "ephemeral"}},
        {"role": "assistant", "content": None, "thinking_blocks": [thought]},
        HI,
        called(call()) | {"thinking_blocks": [thought], "cache_control": {"type": "ephemeral"}},
        result() | {"cache_control": {"type": "ephemeral"}},
    ]
    assert turns(*messages, model=LLAMA) == ["u: hi | hi", "a: f#c1", "u: c1=ok"]
    assert sent(*messages, model=LLAMA)["system"] == [{"text": "S"}]
    assert turns(*messages, model=CLAUDE) == [
        "u: hi | cachePoint",
        "a: reasoningContent",
        "u: hi",
        "a: reasoningContent | f#c1 | cachePoint",
        "u: c1=ok | cachePoint",
    ]


def test_a_cache_point_follows_the_results_of_its_turn_once() -> None:
    point = {"cache_control": {"type": "ephemeral"}}
    said = turns(HI, called(call(), call("c2")), result() | point, HI, result("c2") | point, HI)
    assert said[-1] == "u: c1=ok | c2=ok | cachePoint | hi | hi"


def test_which_models_stream_no_tools() -> None:
    silent = [LLAMA, MISTRAL, "writer.palmyra-x4-v1:0"]
    assert [model for model in (CLAUDE, NOVA, QWEN, "m", *silent) if not streams_tools(model)] == silent
