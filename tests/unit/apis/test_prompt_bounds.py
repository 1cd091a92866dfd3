"""No tokenizer makes more tokens of a prompt than its bound: a template is written here as servers write it, and each byte is a token."""

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.evals import EvaluateRows
from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest
from core.apis.native import NativeChatBatchRequest, NativeChatRequest
from core.apis.prompt_bounds import IMAGE, PER_ENTRY, PREAMBLE, TOOL_PREAMBLE, bound_prompt
from core.apis.rerank import RerankRequest
from core.frame.types import Wire

MARKS = "<|start|>role<|message|><|end|>".count("<")  # each a token of its own
SCRIPTS = st.text(
    st.characters(codec="utf-8") | st.sampled_from('aZ 09\n"\\\t'), max_size=60
)  # every plane: Arabic, Han, emoji, marks that combine
VALUES = st.recursive(
    SCRIPTS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SCRIPTS, inner, max_size=4),
    max_leaves=12,
)
IMAGES = st.sampled_from([
    {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 50_000}},
    {"type": "image", "image": {"data": "A" * 9_000}},
])  # fmt: skip
PARTS = st.lists(st.builds(lambda text: {"type": "text", "text": text}, SCRIPTS) | IMAGES, max_size=4)
CALLS = st.lists(
    st.builds(lambda name, said: {"function": {"name": name, "arguments": said}}, SCRIPTS, SCRIPTS), max_size=2
)
MESSAGES = st.lists(
    st.builds(
        lambda role, content, calls: {"role": role, "content": content, "tool_calls": calls},
        st.sampled_from(["system", "user", "assistant", "tool"]),
        SCRIPTS | PARTS,
        CALLS,
    ),
    min_size=1,
    max_size=6,
)
TOOLS = st.lists(st.builds(lambda value: {"type": "function", "function": value}, VALUES), min_size=1, max_size=3)


def tokens_of(text: str) -> int:
    """A byte each; blanks in a row are one, which is what tokenizers have for indentation."""
    return len(re.sub(r"[ \n]+", " ", text).encode())


def _indented(value: object) -> int:
    texts = re.findall(r'"(?:[^"\\]|\\.)*"|[^"]+', json.dumps(value, indent=4))
    return sum(len(part) if part.startswith('"') else tokens_of(part) for part in texts)


def tokens_of_content(content: Any) -> int:
    if isinstance(content, str):
        return len(content.encode())
    return sum(len(part["text"].encode()) if "text" in part else IMAGE for part in content)


def read(messages: list[dict[str, Any]], tools: list[Any]) -> int:
    """As a chat template has them for a model, with the text that goes before them."""
    total = 80 + (530 + _indented(tools) if tools else 0)
    for message in messages:
        total += MARKS + len(message["role"]) + tokens_of_content(message["content"])
        total += sum(_indented(call) for call in message["tool_calls"])
    return total


@given(MESSAGES, st.just([]) | TOOLS)
def test_no_chat_has_more_tokens_than_its_bound(messages: list[dict[str, Any]], tools: list[Any]) -> None:
    fields: dict[str, Any] = {"tools": tools} if tools else {}
    body = ChatRequest(model="m", messages=messages, **fields)
    bound = bound_prompt(body)
    assert read(messages, tools) <= bound.tokens
    assert not bound.is_open


@given(st.lists(SCRIPTS, min_size=1, max_size=9), st.lists(st.integers(0, 200_000), min_size=1, max_size=99))
def test_inputs_are_bound_by_their_bytes_and_ids_by_their_number(texts: list[str], ids: list[int]) -> None:
    marked = sum(len(text.encode()) + 2 for text in texts)
    assert marked <= bound_prompt(EmbeddingsRequest(model="m", input=texts)).tokens
    assert marked <= bound_prompt(CompletionRequest(model="m", prompt=texts)).tokens
    assert bound_prompt(EmbeddingsRequest(model="m", input=ids)).tokens == PREAMBLE + len(ids)


def test_the_bound_of_a_short_chat_is_near_what_it_has() -> None:
    body = ChatRequest(model="a name of any length", messages=[{"role": "user", "content": "good day"}])
    assert bound_prompt(body).tokens - len("good day") < PREAMBLE + 60
    image = {"type": "image_url", "image_url": {"url": "https://example.org/" + "a" * 5000, "detail": "low"}}
    seen = ChatRequest(model="m", messages=[{"role": "user", "content": [image]}])
    assert IMAGE < bound_prompt(seen).tokens < IMAGE + PREAMBLE + 200


@pytest.mark.parametrize("kind", ["input_audio", "file", "video_url"])
def test_media_that_nothing_bounds_are_told(kind: str) -> None:
    body = ChatRequest(model="m", messages=[{"role": "user", "content": [{"type": kind, kind: {"data": "A" * 9000}}]}])
    assert bound_prompt(body).is_open
    assert bound_prompt(body).tokens < IMAGE + PREAMBLE + 200


HIDDEN: list[dict[str, Any]] = [
    {"tools": [{"type": "function", "function": {"parameters": {"anyOf": [{"type": "file", "data": "word " * 1000}]}}}]},
    {"response_format": {"type": "image_url", "image_url": "word " * 1000}},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "url": "word " * 1000}]}]},
    {"messages": [{"role": "user", "content": [{"type": ["image"], "data": "word " * 1000}]}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "caption": "word " * 1000}]}]},
    {"messages": [{"role": "user", "content": None, "tool_calls": [{"type": "image", "data": "word " * 1000}]}]},
]  # fmt: skip


@pytest.mark.parametrize("fields", HIDDEN)
def test_text_is_counted_wherever_it_hides(fields: dict[str, Any]) -> None:
    body = ChatRequest(model="m", **{"messages": [{"role": "user", "content": "a"}], **fields})
    assert bound_prompt(body).tokens > 5000


def test_what_is_read_again_is_counted_again() -> None:
    said = {"role": "user", "content": "a" * 100}
    tool = {"tool_name": "t", "description": "b" * 1000}
    one = NativeChatRequest.model_validate({"model_id": "m", "messages": [said], "tools": [tool]})
    many = NativeChatBatchRequest.model_validate({"model_id": "m", "messages_batch": [[said]] * 5, "tools": [tool]})
    assert bound_prompt(many).tokens > 5 * (1000 + TOOL_PREAMBLE + PREAMBLE + 100)
    assert bound_prompt(many).tokens <= 5 * (bound_prompt(one).tokens + 2 * PER_ENTRY)
    ranked = RerankRequest(model="m", query="q" * 100, documents=["d"] * 30)
    assert bound_prompt(ranked).tokens > 30 * (100 + 1)


def test_rows_of_an_evaluation_are_prompts() -> None:
    candidate = {
        "type": "model",
        "model": "m",
        "sampling_params": {},
        "system_message": {"role": "system", "content": "s" * 500},
    }
    rows = [{"input_query": "q" * 100}] * 4
    body: Wire = EvaluateRows.model_validate(
        {"input_rows": rows, "scoring_functions": ["f"], "benchmark_config": {"eval_candidate": candidate}}
    )
    assert bound_prompt(body).tokens > 4 * (500 + 100)
