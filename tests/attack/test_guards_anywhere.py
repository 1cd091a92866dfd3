"""A word at any place of any request, or of any answer, is read by the guard: on each guard's own wire."""

from collections.abc import AsyncIterator, Iterator
from copy import deepcopy
import json
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
import pytest

from tests.parts.guarded_stack import CHATS, GUARDS, WORD, GuardedStack, guarded_stack
from tests.parts.upstream import CHAT, status

type Path_ = tuple[str | int, ...]

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(TEXTS, VALUES, max_size=2)
CALLS = st.lists(
    st.builds(
        lambda name, arguments, more: (
            {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}} | more
        ),
        TEXTS,
        TEXTS | FIELDS | FIELDS.map(json.dumps),
        FIELDS,
    ),
    max_size=2,
)
PARTS = st.builds(
    lambda kind, text, more: {**more, "type": kind, "text": text},
    st.sampled_from(["text", "input_text"]),
    TEXTS,
    FIELDS,
)
MESSAGES = st.builds(
    lambda role, content, calls, more: {
        **more,
        "role": role,
        "content": None if role == "assistant" and content == "" else content,
        "tool_calls": calls,
        "tool_call_id": "c",
    },
    st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"]),
    TEXTS | st.lists(PARTS, max_size=3),
    CALLS,
    FIELDS,
)
NAMES = (
    "tools",
    "functions",
    "tool_choice",
    "response_format",
    "prediction",
    "documents",
    "guided_json",
    "guided_choice",
)
EXTRAS = st.dictionaries(
    TEXTS | st.sampled_from([*NAMES, "chat_template_kwargs", "suffix", "stop", "metadata"]), VALUES, max_size=3
)
REQUESTS = st.builds(
    lambda messages, extras: {**extras, "messages": messages}, st.lists(MESSAGES, min_size=1, max_size=4), EXTRAS
)
ANSWERS = st.builds(
    lambda content, calls, fields, choice, beside: {
        **beside,
        **CHAT,
        "choices": [
            {
                **choice,
                "index": 0,
                "finish_reason": "stop",
                "message": {**fields, "role": "assistant", "content": content, "tool_calls": calls},
            }
        ],
    },
    st.none() | TEXTS,
    CALLS,
    FIELDS,
    FIELDS,
    FIELDS,
)
NOT_READ: Final = frozenset(
    {"model", "user", "stream_options", "id", "object", "created", "usage", "finish_reason", "index"}
)
SHAPE: Final = frozenset({"messages", "role", "type", "content", "text", "choices", "message"})
"""Names without which it is no request or answer; what stands under them is read all the same."""


def places(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, str | int]]:
    """Where a string is, as its holder's path and its key in there; or a key itself, then the key is in the path twice."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        if key in NOT_READ and len(path) in (0, 2):
            continue
        if isinstance(key, str) and key not in SHAPE and path:
            yield (*path, key), key
        if isinstance(entry, str) and key != "type":
            yield path, key
        yield from places(entry, (*path, key))


def with_word(value: Any, path: Path_, key: str | int, at: int) -> Any:
    """A copy with WORD somewhere in the string, or in the key."""
    copy = deepcopy(value)
    is_key = bool(path) and path[-1] == key and isinstance(key, str)
    holder = copy
    for step in path[:-1] if is_key else path:
        holder = holder[step]
    text = str(key) if is_key else holder[key]
    text = text[: at % (len(text) + 1)] + WORD + text[at % (len(text) + 1) :]
    if is_key:
        holder[text] = holder.pop(key)
    else:
        holder[key] = text
    return copy


@st.composite
def tainted(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> Any:
    value = draw(values)
    found = list(places(value))
    path, key = draw(st.sampled_from(found))
    return with_word(value, path, key, draw(st.integers(0, 8)))


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[GuardedStack]:
    async with guarded_stack(str(tmp_path)) as running:
        yield running


SLOW: Final = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]
few = settings(max_examples=20, suppress_health_check=SLOW)
many = settings(max_examples=500, suppress_health_check=SLOW)


async def check_request(stack: GuardedStack, guard: str, body: Any) -> None:
    stack.forget()
    answer = await stack.chat(guard, **body)
    assert not stack.model.seen
    # What has no form that a model could be asked in is refused before any shield is: it says nothing of shields.
    assume(answer.status_code != 400 or answer.json()["error"]["param"] is None)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["finish_reason"] == "content_filter"


async def check_answer(stack: GuardedStack, guard: str, reply: Any) -> None:
    stack.model.replies[CHATS] = status(200, reply)
    answer = await stack.post(CHATS, {"model": f"out-{guard}", "messages": [{"role": "user", "content": "Hello"}]})
    assert WORD not in answer.text
    assert answer.json()["choices"][0]["finish_reason"] == "content_filter"


@pytest.mark.parametrize("guard", GUARDS)
@few
@given(body=tainted(REQUESTS), reply=tainted(ANSWERS))
async def test_whatever_goes_to_a_model_or_comes_from_it_is_read(
    stack: GuardedStack, guard: str, body: Any, reply: Any
) -> None:
    await check_request(stack, guard, body)
    await check_answer(stack, guard, reply)


@pytest.mark.exact
@pytest.mark.parametrize("guard", GUARDS)
@many
@given(body=tainted(REQUESTS), reply=tainted(ANSWERS))
async def test_whatever_goes_to_a_model_or_comes_from_it_is_read_often_asked(
    stack: GuardedStack, guard: str, body: Any, reply: Any
) -> None:
    await check_request(stack, guard, body)
    await check_answer(stack, guard, reply)
