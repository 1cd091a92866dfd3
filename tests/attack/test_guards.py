"""Nothing that a model would read passes a guard unseen, and nothing that it says: wherever in a request or an answer it is."""

from base64 import b64encode
from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.parts.guarded_stack import GUARDS, WORD, GuardedStack, guarded_stack

HELLO = [{"role": "user", "content": "Hello"}]
FUNCTION = {"name": "f", "description": "Finds.", "parameters": {"type": "object", "properties": {}}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in WORD)
HIDDEN = "\u200b".join(WORD)
TAGS = "".join(chr(0xE0000 + ord(letter)) for letter in WORD)
HALVES = (WORD[:4], WORD[4:])


def said(role: str, content: Any = WORD, **more: Any) -> dict[str, Any]:
    return {"messages": [*HELLO, {"role": role, "content": content, **more}, *HELLO]}


def called(**function: Any) -> dict[str, Any]:
    return said("assistant", None, tool_calls=[CALL | {"function": CALL["function"] | function}])  # type: ignore[operator]


def tool(**more: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": FUNCTION | more}]}


def schema(**more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object", **more}}}


PLACES: dict[str, dict[str, Any]] = {
    **{
        f"role {role}": said(role, tool_call_id="c")
        for role in ("system", "developer", "tool", "function", "assistant")
    },
    "before a forged turn": said("user", f"{WORD}\n\nUser: Hello"),
    "first message of many": {"messages": [{"role": "user", "content": WORD}, *HELLO * 5]},
    "arguments": called(arguments=json.dumps({"city": WORD})),
    "arguments, escaped": called(arguments=f'{{"city": "{ESCAPED}"}}'),
    "arguments, escaped twice": called(arguments=json.dumps(f'{{"city": "{ESCAPED}"}}')),
    "arguments, a dict": called(arguments={"city": {"name": WORD}}),
    "arguments, a key": called(arguments={WORD: 1}),
    "name of a called function": called(name=WORD),
    "id of a call": said("assistant", None, tool_calls=[CALL | {"id": WORD}]),
    "call of 0.2": said("assistant", "", tool_calls=[{"call_id": "c", "tool_name": "f", "arguments": {"a": [WORD]}}]),
    "function_call": said("assistant", None, function_call={"name": "f", "arguments": WORD}),
    "name": said("user", "hi", name=WORD),
    "tool_call_id": said("tool", "hi", tool_call_id=WORD),
    "refusal": said("assistant", None, refusal=WORD),
    "refusal part": said("assistant", [{"type": "refusal", "refusal": WORD}]),
    "reasoning_content": said("assistant", "hi", reasoning_content=WORD),
    "reasoning": said("assistant", "hi", reasoning=[{"summary": WORD}]),
    "thinking part": said("assistant", [{"type": "thinking", "thinking": WORD}]),
    "unknown field of a message": said("user", "hi", whatever={"deep": [{"er": WORD}]}),
    "unknown field of a part": said("user", [{"type": "text", "text": "hi", "title": WORD}]),
    "context of 0.2": said("user", "hi", context=[{"type": "text", "text": WORD}]),
    "tool's name": tool(name=WORD),
    "tool's description": tool(description=WORD),
    "parameter's name": tool(parameters={"type": "object", "properties": {WORD: {"type": "string"}}}),
    "parameter's enum": tool(parameters={"properties": {"a": {"enum": ["x", WORD]}}}),
    "functions": {"functions": [FUNCTION | {"description": WORD}]},
    "tool_choice": {**tool(), "tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [{"name": WORD}]}}},
    "response_format": {"response_format": schema(properties={"a": {"description": WORD}})},
    "response_format's pattern": {"response_format": schema(properties={"a": {"pattern": f"^{WORD}$"}})},
    "prediction": {"prediction": {"type": "content", "content": [{"type": "text", "text": WORD}]}},
    "prompt": {"prompt": WORD},
    "suffix": {"suffix": WORD},
    "documents": {"documents": [{"title": "t", "text": WORD}]},
    "chat_template": {"chat_template": "{{ messages }}" + WORD},
    "chat_template_kwargs": {"chat_template_kwargs": {"persona": WORD}},
    "guided_json": {"guided_json": {"properties": {WORD: {}}}},
    "guided_json, a text": {"guided_json": json.dumps({"const": WORD})},
    "guided_grammar": {"guided_grammar": f'root ::= "{WORD}"'},
    "guided_choice": {"guided_choice": ["yes", WORD]},
    "guided_regex": {"guided_regex": WORD},
    "structured_outputs": {"structured_outputs": {"choice": [WORD]}},
    "stop": {"stop": [WORD]},
    "metadata": {"metadata": {"topic": WORD}},
    "unknown": {"whatever": {"a": [[{"b": WORD}]]}},
    "unknown name": {WORD: {"a": "b"}},
    "other case of a field": {"Messages": [{"role": "user", "content": WORD}]},
    "two parts": said("user", [{"type": "text", "text": half} for half in HALVES]),
    "two messages": {"messages": [{"role": "user", "content": half} for half in HALVES]},
    "invisible characters": said("user", HIDDEN),
    "invisible letters": said("user", f"hi {TAGS}"),
    "invisible letters between": said("user", "\U000e0061".join(WORD)),
    "controls that are spaces to some": said("user", "\x1c\x85".join(WORD)),
    "marks of annotations": said("user", "\ufffb".join(WORD)),
    "short escapes": called(arguments=json.dumps({"a": "\b".join(WORD)})),
    "escaped backslashes": called(arguments=f'{{"city": "{ESCAPED.replace("\\", "\\u005c")}"}}'),
    "escapes of programs": said("user", "".join(f"\\u{{{ord(letter):x}}}" for letter in WORD)),
    "arguments that repeat a key": called(arguments=f'{{"a": "{ESCAPED}", "a": "x"}}'),
    "escaped over two parts": said("user", [{"type": "text", "text": half} for half in (ESCAPED[:3], ESCAPED[3:])]),
    "end of a long text": said("user", "la " * 30_000 + WORD),
    "the cut of a long text": said("user", "l" * 24_995 + WORD + "l" * 30_000),
    "start of a long request": {
        "messages": [{"role": "user", "content": WORD}, {"role": "user", "content": "la " * 30_000}]
    },
}


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[GuardedStack]:
    async with guarded_stack(str(tmp_path)) as running:
        yield running


def is_refusal(answer: httpx.Response) -> bool:
    return answer.status_code == 200 and answer.json()["choices"][0]["finish_reason"] == "content_filter"


@pytest.mark.parametrize("guard", GUARDS)
async def test_what_is_forbidden_is_found_wherever_a_model_would_read_it(stack: GuardedStack, guard: str) -> None:
    passed = [place for place, body in PLACES.items() if not is_refusal(await stack.chat(guard, **body))]
    assert not passed
    assert not stack.model.seen
    assert (await stack.chat(guard)).json()["choices"][0]["message"]["content"] == "Hello"


@pytest.mark.parametrize("role", ["USER", "wizard", WORD])
async def test_what_a_role_that_nobody_has_says_reaches_no_model(stack: GuardedStack, role: str) -> None:
    refused = await stack.chat("llama", **said(role))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages[1].role")
    assert not stack.model.seen


IMAGE = b64encode(b"\x89PNG\r\n\x1a\n").decode()
OBSTACLES: dict[str, dict[str, Any]] = {
    "audio": said("user", [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]),
    "a text as a file": said("user", [{"type": "file", "file": {"file_data": "data:text/plain;base64,AAAA"}}]),
    "a file that is elsewhere": said("user", [{"type": "file", "file": {"file_id": "file-1"}}]),
    "an image that is elsewhere": said(
        "user", [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}]
    ),
    "the same, as a text": said("user", [{"type": "image_url", "image_url": "HTTP://a.example/b.png"}]),
    "a part of another's type": said("user", [{"type": "document", "data": "AAAA"}]),
    "media beside a text": said("user", [{"type": "text", "text": "hi", "image_url": {"url": "https://a.example"}}]),
    "images of a message": said("user", "hi", images=["AAAA"]),
    "earlier audio": said("assistant", None, audio={"id": "audio_1"}),
    "a program that writes the prompt": {"chat_template": "{{ messages[0].content[::-1] }}"},
    "a program among the template's fields": {"chat_template_kwargs": {"chat_template": "{{ 'a' ~ 'b' }}"}},
    "vectors": {"prompt_embeds": "AAAA"},
    "tokens": {"whatever": [1, 2, 3]},
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
async def test_what_no_shield_can_judge_is_refused_unless_the_shield_is_lax(stack: GuardedStack, obstacle: str) -> None:
    for guard in GUARDS:
        refused = await stack.chat(guard, **OBSTACLES[obstacle])
        error = refused.json()["error"]
        assert (refused.status_code, error["code"]) == (400, "invalid_request")
        if "messages" in OBSTACLES[obstacle]:
            assert error["param"].startswith("messages[1]")
        else:
            assert error["param"] is None
            assert any(f"`{name}`" in error["message"] for name in ("chat_template", *OBSTACLES[obstacle]))
    assert not stack.model.seen
    assert (await stack.chat("lax", **OBSTACLES[obstacle])).json()["choices"][0]["message"]["content"] == "Hello"


async def test_an_image_is_looked_at_by_who_can_and_refused_by_who_cannot(stack: GuardedStack) -> None:
    for part in (
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}", "detail": "low"}},
        {"type": "image_url", "image_url": f"data:image/png;base64,{IMAGE}"},
    ):
        messages = [{"role": "user", "content": [part]}, *HELLO]
        assert (await stack.chat("llama", messages)).json()["choices"][0]["message"]["content"] == "Hello"
        sent = stack.guards["llama"].seen[-1].body["messages"][0]["content"][1]
        assert sent["image_url"]["url"] == f"data:image/png;base64,{IMAGE}"
        for guard in ("nvidia", "bedrock"):
            assert (await stack.chat(guard, messages)).status_code == 400
    native = [{"role": "user", "content": {"type": "image", "image": {"data": IMAGE}}}]
    assert (await run(stack, "llama", native)).json() == {"violation": None}
    assert stack.guards["llama"].seen[-1].body["messages"][0]["content"][1] == sent


async def run(stack: GuardedStack, guard: str, messages: Any, **params: Any) -> httpx.Response:
    return await stack.post("/v1/safety/run-shield", {"shield_id": guard, "messages": messages, "params": params})


@pytest.mark.parametrize("guard", GUARDS)
async def test_a_shield_that_is_run_by_itself_judges_every_message(stack: GuardedStack, guard: str) -> None:
    bodies = {place: body["messages"] for place, body in PLACES.items() if "messages" in body}
    answered = {f"{place}, answered": [*said, {"role": "assistant", "content": "ok"}] for place, said in bodies.items()}
    for place, messages in (bodies | answered).items():
        assert (await run(stack, guard, messages)).json()["violation"], place
    answer = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [CALL | {"id": WORD}]}]
    assert (await run(stack, guard, answer)).json()["violation"]
    assert (await run(stack, guard, answer, source="OUTPUT")).json()["violation"]
    assert (await run(stack, guard, [*HELLO, *answer[:0], {"role": "assistant", "content": "ok"}])).json() == {
        "violation": None
    }


COMPLETIONS: dict[str, dict[str, Any]] = {
    "prompt": {"prompt": WORD},
    "one of several prompts": {"prompt": ["Hello", f"Say {WORD}"]},
    "suffix": {"prompt": "Hello", "suffix": WORD},
    "guided_regex": {"prompt": "Hello", "guided_regex": WORD},
    "end of a long prompt": {"prompt": "la " * 30_000 + WORD},
}


@pytest.mark.parametrize("guard", GUARDS)
async def test_prompts_are_judged_like_conversations(stack: GuardedStack, guard: str) -> None:
    for place, body in COMPLETIONS.items():
        for streamed in (False, True):
            answer = await stack.post("/v1/completions", {"model": f"in-{guard}", "stream": streamed, **body})
            assert '"finish_reason":"content_filter"' in answer.text, place
    native = {"model_id": f"in-{guard}", "content": WORD}
    assert WORD not in (await stack.post("/v1/inference/completion", native)).text
    assert not stack.model.seen
    for prompt in ([1, 2], [[1], [2]], ["Hello", [1]]):
        refused = await stack.post("/v1/completions", {"model": f"in-{guard}", "prompt": prompt})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_request")
        assert refused.json()["error"]["param"] == "prompt"
    assert not stack.model.seen


async def test_what_is_embedded_is_judged(stack: GuardedStack) -> None:
    for inputs in (WORD, ["Hello", WORD]):
        refused = await stack.post("/v1/embeddings", {"model": "vectors", "input": inputs})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "content_filter")
    assert (await stack.post("/v1/embeddings", {"model": "vectors", "input": [[1, 2]]})).status_code == 400
    assert not stack.model.seen
    assert (await stack.post("/v1/embeddings", {"model": "vectors", "input": "Hello"})).status_code == 200


async def test_the_api_of_0_2_is_judged_too(stack: GuardedStack) -> None:
    hello = [{"role": "user", "content": "Hello"}]
    parameter = {"a": {"param_type": "string", "description": WORD}}
    call = {"call_id": "c", "tool_name": "f", "arguments": {"city": WORD}, "arguments_json": None}
    for body in (
        {"messages": [{"role": "system", "content": WORD}, *hello]},
        {"messages": [{"role": "user", "content": "Hello", "context": WORD}]},
        {"messages": [{"role": "assistant", "content": "", "tool_calls": [call]}, *hello]},
        {"messages": [{"role": "tool", "call_id": "c", "content": WORD}]},
        {"messages": hello, "tools": [{"tool_name": "f", "parameters": parameter}]},
        {"messages": hello, "response_format": {"type": "json_schema", "json_schema": {"properties": {WORD: {}}}}},
        {"messages": hello, "whatever": WORD},
    ):
        answer = await stack.post("/v1/inference/chat-completion", {"model_id": "in-llama", **body})
        assert answer.status_code == 200, answer.text
        assert not stack.model.seen, body


async def test_one_request_is_one_judgement(stack: GuardedStack) -> None:
    """However many fields and messages it has."""
    for guard in GUARDS:
        stack.forget()
        messages = [{"role": "system", "content": "Be kind."}, *HELLO, {"role": "assistant", "content": "Hi"}, *HELLO]
        answer = await stack.chat(guard, messages, **tool(), documents=["a", "b"], metadata={"a": "b"})
        assert answer.json()["choices"][0]["message"]["content"] == "Hello"
        assert stack.judgements(guard) == 1
