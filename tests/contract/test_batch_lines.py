"""What the lines of a batch are asked, as whom, and what is written of their answers, over a whole stack and upstreams on the wire."""

import asyncio
from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

import pytest

from core.services.jobs.messages import DONE
from tests.parts.batch_stack import CHAT, chat_line, end_of
from tests.parts.job_bench import eventually
from tests.parts.job_tasks import job_worker
from tests.parts.line_stack import (
    LineWorld,
    begin,
    content_of,
    engine_for,
    line,
    line_world,
    made_of,
    results,
    step,
)
from tests.parts.model_script import Call, Round, write_script
from tests.parts.response_stack import MODEL
from tests.parts.turn_world import WORD
from tests.parts.upstream import status


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[LineWorld]:
    async with line_world(tmp_path) as made:
        yield made


async def run(
    world: LineWorld, lines: list[dict[str, Any]], endpoint: str = CHAT, **how: Any
) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """The batch at its end, with the lines of its files."""
    async with job_worker(world, **how):
        client = await world.client(**how)
        batch = await end_of(client, await begin(client, lines, endpoint))
        return batch, *await results(client, batch)


async def test_lines_of_several_models_are_answered_as_live_requests_are_and_refusals_have_both(
    world: LineWorld,
) -> None:
    lines = [
        chat_line("a", "one"),
        chat_line("b", "two", model="second"),
        chat_line("c", "three", n="x"),
        chat_line("d", f"about {WORD}", model="guarded"),
        chat_line("e", "fine", model="guarded"),
        chat_line("f", "not a chat", model="words"),
    ]
    batch, output, errors = await run(world, lines)
    client = await world.client()
    assert (batch["status"], batch["request_counts"]) == ("completed", {"total": 6, "completed": 4, "failed": 2})
    assert [each["custom_id"] for each in output] == ["a", "b", "d", "e"]
    assert [content_of(each) for each in output] == [
        "user: one",
        "user: two",
        "Sorry I cannot do this.",
        "user: fine",
    ]
    assert [each["response"]["body"]["model"] for each in output] == [MODEL, "second", "guarded", "guarded"]
    assert not any(WORD in json.dumps(chat) for chat in world.model.chats)  # a shield kept it from the model
    assert [each["response"]["status_code"] for each in output + errors] == [200] * 4 + [400] * 2
    assert all(each["response"]["request_id"].startswith("req_") for each in output + errors)
    assert len({each["id"] for each in output + errors}) == 6
    for each, sent in zip(errors, (lines[2], lines[5]), strict=True):
        live = await client.post(CHAT, json=sent["body"])
        assert each["custom_id"] == sent["custom_id"]
        assert (each["response"]["status_code"], live.status_code) == (400, 400)
        refused = live.json()["error"]
        del refused["request_id"]
        assert each["response"]["body"] == {"error": refused}
        assert each["error"] == {"code": refused["code"], "message": refused["message"]}
    asked = [each["response"]["body"]["usage"] for each in output if "usage" in each["response"]["body"]]
    assert batch["usage"]["input_tokens"] == sum(usage["prompt_tokens"] for usage in asked)
    assert batch["usage"]["total_tokens"] == sum(usage["total_tokens"] for usage in asked)
    job = (await client.get(f"/v1/jobs/{batch['id']}")).json()
    assert set(job["usage"]["models"]) == {MODEL, "second", "guarded"}
    assert job["usage"]["total_tokens"] == batch["usage"]["total_tokens"]
    for file_id, name in ((batch["output_file_id"], "output"), (batch["error_file_id"], "error")):
        file = (await client.get(f"/v1/files/{file_id}")).json()
        assert (file["purpose"], file["filename"]) == ("batch_output", f"{batch['id']}_{name}.jsonl")
    listed = await client.get("/v1/files", params={"purpose": "batch_output"})
    assert len(listed.json()["data"]) == 2


async def test_each_endpoint_answers_its_lines(world: LineWorld) -> None:
    world.model.replies["/v1/completions"] = status(
        200, {"object": "text_completion", "choices": [{"index": 0, "text": "so", "finish_reason": "stop"}]}
    )
    agent_config = {"model": MODEL, "instructions": "Be brief.", "toolgroups": []}
    async with job_worker(world):
        client = await world.client()
        agent = (await client.post("/v1/agents", json={"agent_config": agent_config})).json()["agent_id"]
        tool = {"type": "mcp", "server_label": "box", "connector_id": "box", "require_approval": "never"}
        greeting = write_script(Round(calls=(Call("greet", {"name": "Ada"}),)), Round("So: {quote}"))
        turn = f"/v1/agents/{agent}/turn"
        hello = [{"role": "user", "content": "Hi"}]
        bodies: list[tuple[str, str, dict[str, Any]]] = [
            ("/v1/completions", "/v1/completions", {"model": MODEL, "prompt": "a"}),
            ("/v1/embeddings", "/v1/embeddings", {"model": "words", "input": ["a", "b"]}),
            ("/v1/moderations", "/v1/moderations", {"input": f"a {WORD}", "model": "guard"}),
            ("/v1/responses", "/v1/responses", {"model": MODEL, "input": greeting, "tools": [tool]}),
            ("/v1/agents/{agent_id}/turn", turn, {"messages": hello}),
        ]
        made = [await begin(client, [line("x", url, **body)], endpoint) for endpoint, url, body in bodies]
        batches = [await end_of(client, batch) for batch in made]
        found = [await results(client, batch) for batch in batches]
        session = found[4][0][0]["response"]["body"]["session_id"]
        kept = await client.get(f"/v1/agents/{agent}/session/{session}")
    assert [errors for _, errors in found] == [[]] * 5
    completed, embedded, moderated, responded, turned = [output[0]["response"]["body"] for output, _ in found]
    assert (completed["object"], completed["choices"][0]["text"]) == ("text_completion", "so")
    assert len(embedded["data"]) == 2
    assert moderated["results"][0]["flagged"] is True
    assert responded["output"][-1]["content"][0]["text"] == "So: Hello, Ada!"
    assert turned["output_message"]["content"] == "system: Be brief.|user: Hi"
    assert [one["turn_id"] for one in kept.json()["turns"]] == [turned["turn_id"]]
    assert [batch["model"] for batch in batches] == [MODEL, "words", "guard", MODEL, None]
    assert [bool(batch["usage"]) for batch in batches] == [False, True, False, True, True]


async def test_lines_end_as_any_system_ends_them_and_are_called_whatever_their_caller_likes(world: LineWorld) -> None:
    names = ["a", "\u00e9", "e\u0301", "\0", "\u2028", "\u2029", "\x85", "\U0001f600" * 300, "x" * 5000]
    lines = [json.dumps(chat_line(name, f"line {at}")).encode() for at, name in enumerate(names)]
    content = b"\xef\xbb\xbf\r\n \n" + b"\r\n\n".join(lines)
    async with job_worker(world):
        client = await world.client()
        batch = await end_of(client, await made_of(client, content))
        output, errors = await results(client, batch)
    assert (batch["request_counts"], errors) == ({"total": 9, "completed": 9, "failed": 0}, [])
    assert [each["custom_id"] for each in output] == names
    assert [content_of(each) for each in output] == [f"user: line {at}" for at in range(9)]


async def test_what_a_turn_writes_as_its_model_is_no_name_among_the_tokens(world: LineWorld) -> None:
    async with job_worker(world):
        client = await world.client()
        agent = (await client.post("/v1/agents", json={"agent_config": {"model": MODEL, "instructions": ""}})).json()
        hello = [{"role": "user", "content": "Hi"}]
        url = f"/v1/agents/{agent['agent_id']}/turn"
        lines = [
            line("a", url, messages=hello, model="usage:input"),
            line("b", url, messages=hello, model="x" * 400_000),
        ]
        batches = [await end_of(client, await begin(client, [one], "/v1/agents/{agent_id}/turn")) for one in lines]
        jobs = [(await client.get(f"/v1/jobs/{batch['id']}")).json() for batch in batches]
    assert [batch["status"] for batch in batches] == ["completed"] * 2
    assert [set(job["usage"]["models"]) for job in jobs] == [{MODEL}] * 2
    told = [batch["usage"]["total_tokens"] for batch in batches]  # a turn says nothing itself
    assert told == [job["usage"]["total_tokens"] for job in jobs] == [12, 12]


async def test_an_agent_that_is_not_there_and_a_turn_that_fails_leave_no_session(world: LineWorld) -> None:
    async with job_worker(world):
        client = await world.client()
        agent_config = {"model": "second", "instructions": "Be brief."}
        agent = (await client.post("/v1/agents", json={"agent_config": agent_config})).json()["agent_id"]
        hello, bad = [{"role": "user", "content": "Hi"}], write_script(Round(status=400))
        lines = [
            line("a", "/v1/agents/nobody/turn", messages=hello),
            line("b", f"/v1/agents/{agent}/turn", messages=[{"role": "user", "content": bad}]),
        ]
        batch = await end_of(client, await begin(client, lines, "/v1/agents/{agent_id}/turn"))
        _, errors = await results(client, batch)
        sessions = (await client.get(f"/v1/agents/{agent}/sessions")).json()["data"]
    assert [each["response"]["status_code"] for each in errors] == [404, 400]
    assert batch["output_file_id"] is None
    assert sessions == []


async def test_a_worker_has_as_many_lines_under_way_as_the_run_config_says(world: LineWorld) -> None:
    config = {"max_concurrent_requests_per_batch": 2}
    how = {"batches": {"provider_id": "b", "provider_type": "inline::reference", "config": config}}
    client, engine = await world.client(**how), await engine_for(world, **how)
    held = write_script(Round("so", held=True))
    batch = await begin(client, [chat_line(f"c{number}", held) for number in range(4)])
    await step(engine, batch, "prepare")
    working = asyncio.create_task(step(engine, batch, "shard"))

    async def are_asked() -> bool:
        return len(world.model.chats) >= 2

    await eventually(are_asked)
    await asyncio.sleep(0.1)
    assert len(world.model.chats) == 2
    world.model.release.set()
    assert await working == DONE
    assert len(world.model.chats) == 4
