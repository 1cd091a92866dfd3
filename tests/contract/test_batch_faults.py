"""What is no input of a batch ends it, and says on the wire what is wrong and what to do."""

from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.apis.files import OpenFile
from core.errors import InvalidRequest
from core.frame.content import Bytes
from core.resolution.jobs import engine_of
from core.services.jobs.engine import Engine
from tests.parts.batch_stack import BATCHES, CHAT, chat_line, end_of, jsonl, new_batch, upload
from tests.parts.line_stack import (
    LineWorld,
    begin,
    by,
    engine_for,
    line,
    line_world,
    made_of,
    many,
    stack_for,
    step,
)
from tests.parts.response_stack import MODEL


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[LineWorld]:
    async with line_world(tmp_path) as made:
        yield made


@pytest.mark.parametrize("kind", ["missing", "of another", "purpose"])
async def test_a_file_that_is_no_input_fails_the_batch_and_says_what_to_do(world: LineWorld, kind: str) -> None:
    client, engine = await world.client(auth=True), await engine_for(world, auth=True)
    file_id = "file-0"
    if kind != "missing":
        who, purpose = ("bob", "batch") if kind == "of another" else ("ada", "assistants")
        file_id = await upload(client, jsonl(many(1)), purpose=purpose, **by(who))
    made = await client.post(BATCHES, json=new_batch(file_id), headers=by("ada"))
    assert (made.status_code, made.json()["status"]) == (200, "validating")
    batch = made.json()["id"]
    await step(engine, batch, "prepare")
    shown = (await client.get(f"{BATCHES}/{batch}", headers=by("ada"))).json()
    message = f"Cannot find file `{file_id}`. Upload the input with the purpose `batch`, and name its id."
    if kind == "purpose":
        message = f"The file `{file_id}` has the purpose `assistants`. Upload it with the purpose `batch`."
    fault = {"code": "invalid_request", "line": None, "message": message, "param": "input_file_id"}
    assert (shown["status"], shown["errors"]) == ("failed", {"object": "list", "data": [fault]})
    assert shown["failed_at"] is not None
    assert shown["request_counts"] == {"total": 0, "completed": 0, "failed": 0}


async def test_faults_of_lines_fail_the_batch_with_all_of_them(world: LineWorld) -> None:
    body = chat_line("a")["body"]
    lines = [
        json.dumps(chat_line("a")).encode(),
        json.dumps(chat_line("a", model="nobody")).encode(),
        json.dumps(line("b", "/v1/embeddings", **body, stream=True)).encode(),
        b"[" * 10_000,
        b"",
        json.dumps(line("c", CHAT, model=MODEL, messages=["x" * 10_000_000])).encode(),
        json.dumps({"method": "POST", "url": CHAT, "body": {"model": MODEL}}).encode(),
    ]
    client, engine = await world.client(), await engine_for(world)
    batch = await made_of(client, b"\n".join(lines))
    await step(engine, batch, "prepare")
    shown = (await client.get(f"{BATCHES}/{batch}")).json()
    form = '{"custom_id": "..", "method": "POST", "url": "..", "body": {..}}'
    assert [
        tuple(fault[name] for name in ("code", "line", "param", "message")) for fault in shown["errors"]["data"]
    ] == [
        (
            "duplicate_custom_id",
            2,
            "custom_id",
            "The custom_id `a` is that of an earlier line. Give each line its own.",
        ),
        ("model_not_found", 2, "body.model", "The model `nobody` does not exist, or is not supported for you."),
        (
            "invalid_url",
            3,
            "url",
            "The url `/v1/embeddings` does not match the endpoint of the batch, `/v1/chat/completions`.",
        ),
        ("streaming_unsupported", 3, "body.stream", "Streaming is not supported in a batch. Leave `stream` out."),
        ("invalid_json_line", 4, None, "The line is not valid JSON: it is nested too deeply."),
        (
            "line_too_large",
            6,
            None,
            f"The line has {len(lines[5])} bytes, and one may have 1048576. Refer to what is large by a URL or a file's id.",
        ),
        (
            "missing_required_parameter",
            7,
            "custom_id",
            f"Missing required parameter: `custom_id`. A line is {form}.",
        ),
        ("invalid_request", 7, "body.messages", "`body.messages` is missing: /v1/chat/completions needs it."),
    ]
    assert (shown["status"], shown["output_file_id"], shown["error_file_id"]) == ("failed", None, None)
    assert (await client.get(f"/v1/jobs/{batch}")).json()["error"]["code"] == "invalid_input"
    assert world.model.chats == []


FORM = '{"custom_id": "..", "method": "POST", "url": "..", "body": {..}}'
LINES: list[tuple[Any, list[tuple[str, str | None, str]]]] = [
    ([], [("invalid_request", None, f"The line is no JSON object: it must be {FORM}.")]),
    ("a", [("invalid_request", None, f"The line is no JSON object: it must be {FORM}.")]),
    (
        {"custom_id": "a"},
        [
            ("missing_required_parameter", name, f"Missing required parameter: `{name}`. A line is {FORM}.")
            for name in ("method", "url", "body")
        ],
    ),
    (
        {"custom_id": 1, "method": 2, "url": 3, "body": 4},
        [
            ("invalid_request", "custom_id", "`custom_id` must be a string."),
            ("invalid_request", "method", "`method` must be a string."),
            ("invalid_request", "url", "`url` must be a string."),
            ("invalid_request", "body", "`body` must be a JSON object."),
        ],
    ),
    (
        {**chat_line("b"), "method": "GET", "body": {"messages": "x"}},
        [
            ("invalid_request", "method", "`method` is `GET`, and must be `POST`."),
            ("invalid_request", "body.model", "`body.model` is missing: /v1/chat/completions needs it."),
            ("invalid_request", "body.messages", "`body.messages` must be an array."),
        ],
    ),
]


async def test_each_field_that_is_missing_or_wrong_is_told(world: LineWorld) -> None:
    client, engine = await world.client(), await engine_for(world)
    batch = await made_of(client, b"\n".join(json.dumps(text).encode() for text, _ in LINES))
    await step(engine, batch, "prepare")
    shown = (await client.get(f"{BATCHES}/{batch}")).json()
    assert [(f["line"], f["code"], f["param"], f["message"]) for f in shown["errors"]["data"]] == [
        (number, *fault) for number, (_, expected) in enumerate(LINES, 1) for fault in expected
    ]


async def test_a_file_of_blanks_or_of_too_many_lines_is_no_batch(world: LineWorld) -> None:
    client, engine = await world.client(), await engine_for(world)
    body = json.dumps({"model": MODEL, "messages": []})
    lines = (f'{{"custom_id":"{n}","method":"POST","url":"{CHAT}","body":{body}}}\n' for n in range(50_001))
    for content, fault in (
        (b" \n\r\n\t", ("empty_file", None, "The input file has no request. Write one in each line.")),
        (
            "".join(lines).encode(),
            (
                "too_many_requests",
                50_001,
                "The input file has more than 50000 requests, the most of one batch. Split it.",
            ),
        ),
    ):
        batch = await made_of(client, content)
        await step(engine, batch, "prepare")
        shown = (await client.get(f"{BATCHES}/{batch}")).json()
        assert [(f["code"], f["line"], f["message"]) for f in shown["errors"]["data"]] == [fault]


async def test_an_endpoint_that_is_not_served_and_a_file_that_is_too_large_or_not_there_yet(world: LineWorld) -> None:
    client, stack = await world.client(), await stack_for(world)
    engine, files = engine_of(stack), stack.surfaces["files"]
    moderated = await begin(client, [line("a", "/v1/moderations", input="a")], "/v1/moderations")
    safety = stack.surfaces.pop("safety")
    assert await fault_of(client, engine, moderated) == (
        "endpoint",
        "This stack does not serve /v1/moderations. Use another endpoint, or ask its operator.",
    )
    stack.surfaces["safety"] = safety
    large, early = await begin(client, many(1)), await begin(client, many(1))
    stack.surfaces["files"] = lambda _: Files(OpenFile("f", "f", "batch", Bytes(unread, 200 * 1024 * 1024 + 1)))
    assert await fault_of(client, engine, large) == (
        "input_file_id",
        "The input file has 209715201 bytes, and a batch at most 209715200. Split it, and make a batch of each part.",
    )
    stack.surfaces["files"] = lambda _: Files(InvalidRequest("The content of `f` has not come yet."))
    assert await fault_of(client, engine, early) == ("input_file_id", "The content of `f` has not come yet.")
    stack.surfaces["files"] = files


async def test_a_batch_that_is_made_once_more_takes_a_place_of_its_owner(world: LineWorld) -> None:
    how = {"auth": True, "quota": {"max_batches": 1}}
    client, engine = await world.client(**how), await engine_for(world, **how)
    batch = await begin(client, many(1), who="ada")
    for do in ("prepare", "shard", "finish"):
        await step(engine, batch, do)

    async def retry() -> httpx.Response:
        return await client.post(f"/v1/jobs/{batch}/retry", headers=by("ada"))

    async def post() -> httpx.Response:
        return await client.post(BATCHES, json=new_batch("file-0"), headers=by("ada"))

    assert (await end_of(client, batch, **by("ada")))["status"] == "completed"
    late, other = [
        str((await ask()).json()["id"]) for ask in (retry, post)
    ]  # a place is taken by who is prepared first
    refused = await retry()
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "max_batches_reached")
    await step(engine, late, "prepare")
    shown = (await client.get(f"{BATCHES}/{late}", headers=by("ada"))).json()
    [fault] = shown["errors"]["data"]
    assert (shown["status"], fault["code"]) == ("failed", "max_batches_reached")
    assert fault["message"] == "You may have 1 batches under way, and have as many. Wait for one, or cancel it."
    job = (await client.get(f"/v1/jobs/{late}", headers=by("ada"))).json()
    assert job["error"] == {"code": "max_batches_reached", "message": fault["message"]}
    await step(engine, other, "prepare")  # its file is none
    again = str((await retry()).json()["id"])
    await step(engine, again, "prepare")
    assert (await post()).json()["error"]["code"] == "max_batches_reached"
    for do in ("shard", "finish"):
        await step(engine, again, do)
    assert (await end_of(client, again, **by("ada")))["status"] == "completed"
    assert (await post()).status_code == 200


async def test_lists_of_batches_with_many_faults_are_short_enough_for_lambda(world: LineWorld) -> None:
    client, engine = await world.client(), await engine_for(world)
    faulty = [chat_line("\u20ac" * 70, model="\u20ac" * 70)] * 1000
    file_id = await upload(client, jsonl(faulty))
    made = [(await client.post(BATCHES, json=new_batch(file_id))).json()["id"] for _ in range(30)]
    for batch in made:
        await step(engine, batch, "prepare")
    for path, query in ((BATCHES, ""), ("/v1/jobs", "kind=batch&")):
        pages = [await client.get(f"{path}?{query}limit=100")]
        while pages[-1].json()["has_more"]:
            pages.append(await client.get(f"{path}?{query}limit=100&after={pages[-1].json()['last_id']}"))
        assert [each["id"] for page in pages for each in page.json()["data"]] == made[::-1]
        assert len(pages) > 1
        assert all(len(json.dumps(page.text)) < 6_000_000 for page in pages)  # as Lambda's runtime sends them


async def fault_of(client: httpx.AsyncClient, engine: Engine, batch: str) -> tuple[str, str]:
    """The only one, once the batch is prepared: its param and its message."""
    await step(engine, batch, "prepare")
    [fault] = (await client.get(f"{BATCHES}/{batch}")).json()["errors"]["data"]
    assert (fault["code"], fault["line"]) == (
        "file_too_large" if "bytes" in fault["message"] else "invalid_request",
        None,
    )
    return fault["param"], fault["message"]


async def unread(_: int, __: int) -> AsyncIterator[bytes]:
    raise AssertionError
    yield b""


class Files:
    """A file as it is opened, or why it cannot be."""

    def __init__(self, opened: OpenFile | Exception) -> None:
        self._opened = opened

    async def open(self, _: str) -> OpenFile:
        if isinstance(self._opened, Exception):
            raise self._opened
        return self._opened
