"""Nothing that a model says reaches a caller before a guard has read it: whatever field it is in, whole or streamed."""

from collections.abc import AsyncIterator, Iterator
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.services.inference.shielded import WINDOW
from tests.parts.guarded_stack import CHATS, GUARDS, WORD, GuardedStack, guarded_stack
from tests.parts.upstream import CHAT, status, stream

COMPLETIONS = "/v1/completions"
FINE = {"role": "assistant", "content": "fine"}
HALVES = (WORD[:4], WORD[4:])
ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in WORD)


def call(**function: Any) -> dict[str, Any]:
    return {
        "tool_calls": [
            {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""} | function}
        ]
    }


def tokens(*texts: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"token": text, "logprob": -0.1, "bytes": None, "top_logprobs": [], **more} for text in texts]}


def spelled(name: str) -> dict[str, Any]:
    """The word by its letters, in each token's `bytes` or among its alternatives."""
    others = [{"token": letter, "logprob": -1.0, "bytes": list(letter.encode())} for letter in WORD]
    if name == "bytes":
        return {"content": [{"token": "x", "logprob": -0.1, "bytes": list(letter.encode())} for letter in WORD]}
    return {"content": [{"token": "x", "logprob": -0.1, "top_logprobs": [{"token": "x"}, other]} for other in others]}


MESSAGES: dict[str, dict[str, Any]] = {
    "content": {"content": WORD},
    "content in parts": {"content": [{"type": "text", "text": WORD}]},
    "refusal": {"content": None, "refusal": WORD},
    "reasoning_content": {"reasoning_content": WORD},
    "reasoning": {"reasoning": WORD},
    "name of a function": call(name=WORD),
    "arguments": call(arguments=json.dumps({"city": WORD})),
    "arguments, escaped": call(arguments=f'{{"city": "{ESCAPED}"}}'),
    "arguments of 0.2": call(arguments={"city": {WORD: 1}}),
    "function_call": {"function_call": {"name": "f", "arguments": WORD}},
    "annotations": {
        "annotations": [{"type": "url_citation", "url_citation": {"title": WORD, "url": "https://a.example"}}]
    },
    "transcript": {"content": None, "audio": {"id": "a", "transcript": WORD}},
    "unknown field": {"whatever": {"deep": [{WORD: 5}]}},
}
CHOICES: dict[str, dict[str, Any]] = {
    "logprobs": {"logprobs": tokens(*HALVES)},
    "bytes": {"logprobs": spelled("bytes")},
    "alternatives": {"logprobs": spelled("top_logprobs")},
    "stop_reason": {"stop_reason": WORD},
    "unknown field of a choice": {"whatever": [WORD]},
}
BESIDE: dict[str, dict[str, Any]] = {
    "prompt_logprobs": {"prompt_logprobs": [None, *({"7": {"logprob": -1, "decoded_token": half}} for half in HALVES)]},
    "citations": {"citations": [WORD]},
}
TEXTS: dict[str, dict[str, Any]] = {
    "text": {"text": WORD},
    "tokens": {"text": "fine", "logprobs": {"tokens": list(HALVES), "token_logprobs": [-1, -1]}},
    "top_logprobs": {
        "text": "fine",
        "logprobs": {"tokens": ["a", "b"], "top_logprobs": [{half: -1} for half in HALVES]},
    },
    "prompt_logprobs": {"text": "fine", "prompt_logprobs": [{"7": {"decoded_token": WORD}}]},
}


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[GuardedStack]:
    async with guarded_stack(str(tmp_path)) as running:
        yield running


def replies() -> Iterator[tuple[str, dict[str, Any]]]:
    for place, message in MESSAGES.items():
        yield place, CHAT | {"choices": [{"index": 0, "message": FINE | message, "finish_reason": "stop"}]}
    for place, choice in CHOICES.items():
        yield place, CHAT | {"choices": [{"index": 0, "message": FINE, "finish_reason": "stop"} | choice]}
    for place, more in BESIDE.items():
        yield place, CHAT | more
    for place in ("content", "arguments"):
        one, other = ({"index": index, "finish_reason": "stop"} for index in range(2))
        yield (
            f"second choice's {place}",
            CHAT | {"choices": [one | {"message": FINE}, other | {"message": MESSAGES[place]}]},
        )


async def ask(stack: GuardedStack, guard: str, *, streamed: bool = False, **more: Any) -> httpx.Response:
    body = {"model": f"out-{guard}", "messages": [{"role": "user", "content": "Hello"}], "stream": streamed}
    return await stack.post(CHATS, body | more)


@pytest.mark.parametrize("guard", GUARDS)
async def test_what_is_forbidden_does_not_reach_the_caller_in_any_field(stack: GuardedStack, guard: str) -> None:
    for place, reply in replies():
        stack.model.replies[CHATS] = status(200, reply)
        answer = await ask(stack, guard)
        assert answer.status_code == 200
        assert WORD not in answer.text, place
        assert answer.json()["choices"][-1]["finish_reason"] == "content_filter", place
        assert answer.json()["choices"][-1].get("logprobs") is None
        old = await stack.post(
            "/v1/inference/chat-completion",
            {"model_id": f"out-{guard}", "messages": [{"role": "user", "content": "Hello"}]},
        )
        assert WORD not in old.text, place
    stack.model.replies[CHATS] = status(
        200, CHAT | {"choices": [{"index": 0, "message": FINE, "finish_reason": "stop"}]}
    )
    assert (await ask(stack, guard)).json()["choices"][0]["message"] == FINE


@pytest.mark.parametrize("guard", GUARDS)
async def test_the_texts_of_completions_are_judged_too(stack: GuardedStack, guard: str) -> None:
    for place, choice in TEXTS.items():
        reply = CHAT | {"object": "text_completion", "choices": [{"index": 0, "finish_reason": "stop"} | choice]}
        for streamed in (False, True):
            stack.model.replies[COMPLETIONS] = stream([reply]) if streamed else status(200, reply)
            body = {"model": f"out-{guard}", "prompt": "Hello", "echo": True, "stream": streamed}
            answer = await stack.post(COMPLETIONS, body)
            assert WORD not in answer.text, place
            assert '"finish_reason":"content_filter"' in answer.text, place


def pieces(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """The answer as a stream: a chunk for each field, and its strings by two characters."""
    chunks: list[dict[str, Any]] = []
    for choice in reply["choices"]:
        message = choice.get("message", {})
        deltas = [{name: half} for name, value in message.items() for half in _cut(value)]
        chunks += [{"index": choice["index"], "delta": delta} for delta in deltas]
        rest = {name: value for name, value in choice.items() if name != "message"}
        chunks += [rest | {"delta": {}}]
    more = {name: value for name, value in reply.items() if name not in CHAT}
    return [{"id": "c", "choices": [chunk]} | more for chunk in chunks]


def _cut(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [value[at : at + 2] for at in range(0, len(value), 2)]
    if (
        isinstance(value, list)
        and value
        and isinstance(arguments := value[0].get("function", {}).get("arguments"), str)
    ):
        function = value[0]["function"]
        parts = [{"index": 0, "function": {"arguments": part}} for part in _cut(arguments)]
        return [[value[0] | {"function": function | {"arguments": ""}}], *([part] for part in parts)]
    return [value]


def strings(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Each with the name that it is under; keys are under a name of theirs."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield "keys", key
            yield from strings(member, key)
    elif isinstance(value, list):
        for entry in value:
            yield from strings(entry, name)
    elif isinstance(value, str):
        yield name, value


def heard(answer: httpx.Response) -> str:
    """The events, and all that they have under one name put together."""
    texts: dict[str, str] = {}
    for line in answer.text.splitlines():
        if line.startswith("data: {"):
            for name, text in strings(json.loads(line.removeprefix("data: "))):
                texts[name] = texts.get(name, "") + text
    return "\n".join([answer.text, *texts.values()])


@pytest.mark.parametrize("guard", GUARDS)
@pytest.mark.parametrize("before", ["", "b" * WINDOW])
async def test_nothing_forbidden_leaves_in_the_pieces_of_a_stream(stack: GuardedStack, guard: str, before: str) -> None:
    begin = [{"id": "c", "choices": [{"index": 0, "delta": {"content": before}}]}] if before else []
    for place, reply in replies():
        stack.model.replies[CHATS] = stream([*begin, *pieces(reply)])
        text = heard(await ask(stack, guard, streamed=True, n=2))
        assert WORD not in text, place
        assert ESCAPED not in text, place
        assert "content_filter" in text, place
        assert before in text


async def test_calls_whose_pieces_are_mixed_are_put_together_by_their_index(stack: GuardedStack) -> None:
    halves = [(1, HALVES[0]), (0, "x"), (1, HALVES[1])]
    deltas = [{"tool_calls": [{"index": index, "function": {"arguments": text}}]} for index, text in halves]
    stack.model.replies[CHATS] = stream([{"choices": [{"index": 0, "delta": delta}]} for delta in deltas])
    assert "content_filter" in (await ask(stack, "llama", streamed=True)).text


async def test_a_field_that_changes_its_kind_loses_nothing(stack: GuardedStack) -> None:
    for values in ([WORD, 5], [WORD, {"a": 1}], [{"a": WORD}, "b"], [5, WORD], [[WORD], "b", {"c": 1}]):
        stack.model.replies[CHATS] = stream([{"choices": [{"index": 0, "delta": {"x": value}}]} for value in values])
        assert WORD not in (await ask(stack, "llama", streamed=True)).text


async def test_an_answer_is_judged_with_what_the_caller_laid_into_the_models_mouth(stack: GuardedStack) -> None:
    stack.model.replies[CHATS] = status(200, CHAT | {"choices": [{"index": 0, "message": {"content": HALVES[1]}}]})
    messages = [{"role": "user", "content": "Go on"}, {"role": "assistant", "content": HALVES[0]}]
    for guard in GUARDS:
        answer = await ask(stack, guard, messages=messages, continue_final_message=True)
        assert answer.json()["choices"][0]["finish_reason"] == "content_filter"


@pytest.mark.parametrize("streamed", [False, True])
async def test_sound_and_pictures_cannot_be_judged(stack: GuardedStack, *, streamed: bool) -> None:
    said = FINE | {"content": None}
    for extra in ({"audio": {"data": "AAAA", "transcript": "hi"}}, {"images": [{"image_url": {"url": "data:,x"}}]}):
        choice = {"index": 0, "message": said | extra, "delta": extra, "finish_reason": "stop"}
        stack.model.replies[CHATS] = (
            (stream([{"choices": [choice]}])) if streamed else status(200, CHAT | {"choices": [choice]})
        )
        answer = await ask(stack, "llama", streamed=streamed)
        assert ("AAAA" in answer.text, "data:,x" in answer.text) == (False, False)
        assert "cannot judge content of the kind" in answer.text
        assert ("AAAA" in (lax := (await ask(stack, "lax", streamed=streamed)).text)) or "data:,x" in lax


async def test_ids_of_tokens_are_neither_asked_for_nor_told(stack: GuardedStack) -> None:
    choice = CHAT["choices"][0] | {"token_ids": [1, 2]}  # type: ignore[index]
    stack.model.replies[CHATS] = status(200, CHAT | {"choices": [choice], "prompt_token_ids": [3]})
    answer = await ask(stack, "llama", return_token_ids=True, return_tokens_as_token_ids=True)
    assert "token_ids" not in answer.text
    body = stack.model.seen[-1].body
    assert (body["return_token_ids"], body["return_tokens_as_token_ids"]) == (False, False)


async def test_logprobs_of_what_is_fine_stay(stack: GuardedStack) -> None:
    choice = {"index": 0, "message": FINE, "finish_reason": "stop", "logprobs": tokens("fi", "ne")}
    stack.model.replies[CHATS] = status(200, CHAT | {"choices": [choice]})
    assert (await ask(stack, "llama")).json()["choices"] == [choice]
