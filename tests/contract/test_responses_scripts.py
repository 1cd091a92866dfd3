"""Whatever a model says, in whatever pieces, and however it ends: the stream on the wire is valid, tells all of it, and is what is kept."""

from collections.abc import AsyncIterator
import json
from pathlib import Path
import re
from typing import Any, Final

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from tests.parts.model_script import Call, Round, write_script
from tests.parts.response_schema import check_stream, read_events
from tests.parts.response_stack import MODEL, RESPONSES, ResponseWorld, response_world

SHARED: Final = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
TEXTS: Final = st.text('abz é🙂<|>[]()\n"\\{}', max_size=24)
ARGUMENTS: Final = st.one_of(st.sampled_from(("{}", "{no json", "[]", "")), st.fixed_dictionaries({"name": TEXTS}))
CALLS: Final = st.builds(
    Call, st.sampled_from(("greet", "fail", "vanish", "weather", "patch", "unheard_of")), ARGUMENTS
)
ROUNDS: Final = st.builds(
    Round,
    text=TEXTS,
    calls=st.lists(CALLS, max_size=3).map(tuple),
    reasoning=TEXTS,
    summaries=st.lists(TEXTS.filter(str.strip), max_size=2).map(tuple),
    refusal=st.sampled_from(("", "", "I will not.")),
    finish=st.sampled_from(("", "", "", "length", "content_filter", "stop")),
    ends=st.sampled_from(("", "", "", "", "unfinished", "error")),
    piece=st.integers(1, 9),
    interleaved=st.booleans(),
    reasoning_field=st.sampled_from(("reasoning_content", "reasoning")),
)
SCRIPTS: Final = st.lists(ROUNDS, min_size=1, max_size=3)
TOOLS: Final[list[dict[str, Any]]] = [
    {"type": "function", "name": "weather", "parameters": {"type": "object"}},
    {"type": "custom", "name": "patch"},
]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ResponseWorld]:
    async with response_world(tmp_path) as world:
        yield world


@pytest.fixture
async def client(world: ResponseWorld) -> httpx.AsyncClient:
    return await world.client()


async def run(world: ResponseWorld, client: httpx.AsyncClient, script: list[Round]) -> None:
    box = {"type": "mcp", "server_label": "box", "server_url": world.mcp_url, "require_approval": "never"}
    body = {
        "model": MODEL,
        "input": write_script(*script),
        "tools": [*TOOLS, box],
        "max_infer_iters": 4,
        "stream": True,
    }
    answer = await client.post(RESPONSES, json=body)
    if script[0].ends and answer.status_code == 502:  # it broke off before it said anything
        return
    assert answer.status_code == 200, answer.text
    response = check_stream(read_events(answer.text))
    kept = (await client.get(f"{RESPONSES}/{response['id']}")).json()
    assert kept == response
    whole = await client.post(RESPONSES, json=body | {"stream": False})
    assert without_ids(whole.json()) == without_ids(response)
    if (first := script[0]).ends or first.finish == "length":
        return
    said = {item["type"]: json.dumps(item, ensure_ascii=False) for item in reversed(response["output"])}
    text = first.text if first.text.strip() else ""
    assert json.dumps(text, ensure_ascii=False)[1:-1] in said.get("message", ""), response
    for summary in first.summaries:
        assert json.dumps(summary, ensure_ascii=False)[1:-1] in said["reasoning"], response


def without_ids(response: dict[str, Any]) -> str:
    """And without times: what must be the same of two runs of one script."""
    timeless = {name: value for name, value in response.items() if name not in {"created_at", "completed_at"}}
    return re.sub(r"[a-z]+_[0-9a-f]{16,48}", "ID", json.dumps(timeless, sort_keys=True))


@settings(max_examples=8, suppress_health_check=SHARED)
@given(script=SCRIPTS)
async def test_every_stream_is_valid(world: ResponseWorld, client: httpx.AsyncClient, script: list[Round]) -> None:
    await run(world, client, script)


@pytest.mark.exact
@settings(max_examples=500, suppress_health_check=SHARED)
@given(script=SCRIPTS)
async def test_every_stream_of_many_is_valid(
    world: ResponseWorld, client: httpx.AsyncClient, script: list[Round]
) -> None:
    await run(world, client, script)
