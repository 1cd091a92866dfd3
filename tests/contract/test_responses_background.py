"""Responses in the background: a worker makes them, whatever becomes of it; they are followed, cancelled, counted and hidden as others are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConversationLocked
from core.services.jobs.service import job_service
from core.services.responses.recording.ending import settle
from core.services.responses.recording.records import RUN
from core.services.responses.state.conversations import ConversationPlace
from core.services.responses.state.records import LEASE
from tests.parts.asgi_stream import listening
from tests.parts.background_runs import (
    SECONDS,
    dynamodb_storage,
    end_of,
    events_in,
    state_of,
    stream_of,
    until,
    until_gone,
    working,
)
from tests.parts.model_script import Call, Round, write_script
from tests.parts.response_calls import ADA, BOB, CONVERSATIONS, answer, ask, box, kinds, refusal, text_of
from tests.parts.response_stack import MODEL, RESPONSES, ResponseWorld, response_world
from tests.parts.secrets import plant
from tests.parts.webhook_world import ENDPOINTS, receiving, webhooks_entry

ADD = Round(calls=(Call("add", {"a": 2, "b": 3}),))
METADATA = "169.254.169.254/latest"
SEALED = "reasoning.encrypted_content"


pytestmark = pytest.mark.usefixtures("quick_queue")


@pytest.fixture(params=["sqlite", pytest.param("dynamodb", marks=pytest.mark.exact)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ResponseWorld]:
    async with response_world(tmp_path) as world:
        if request.param == "dynamodb":
            where = {name: request.getfixturevalue(name) for name in ("state_table", "dynamodb_endpoint")}
            world.storage = dynamodb_storage(tmp_path, where["state_table"], where["dynamodb_endpoint"])
        yield world


async def test_a_response_is_queued_and_then_made_by_a_worker(world: ResponseWorld) -> None:
    client = await world.client()
    made = await answer(client, ADD, Round("It is {quote}."), background=True, tools=[box(world)])
    assert (made["status"], made["background"], made["output"]) == ("queued", True, [])
    assert (await end_of(client, made["id"], "queued"))["status"] == "queued"
    assert not world.model.chats
    async with working(world):
        ended = await end_of(client, made["id"])
    assert (ended["status"], ended["background"]) == ("completed", True)
    assert (kinds(ended), text_of(ended)) == (["mcp_list_tools", "mcp_call", "message"], "It is 5.")
    jobs = (await client.get("/v1/jobs", params={"kind": "response"})).json()["data"]
    assert [job["usage"]["total_tokens"] for job in jobs] == [ended["usage"]["total_tokens"]]
    told = await stream_of(client, made["id"])
    assert [event["type"] for event in told[:3]] == ["response.created", "response.queued", "response.in_progress"]
    assert told[-1]["response"]["output"] == ended["output"]
    then = await answer(client, input="And then?", previous_response_id=made["id"])
    assert then["status"] == "completed"


async def test_its_stream_is_followed_live_and_taken_up_again(world: ResponseWorld) -> None:
    client = await world.client()
    async with working(world):
        found = await ask(client, Round("Hello there, all of you."), background=True, stream=True)
        assert found.status_code == 200, found.text
    events = events_in(found.text)
    names = [event["type"] for event in events]
    assert names[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert names.count("response.output_text.delta") > 3
    assert names[-1] == "response.completed"
    response_id = events[0]["response"]["id"]
    for after in (0, 4, len(events) - 2):
        assert await stream_of(client, response_id, starting_after=after) == events[after + 1 :]


async def test_it_is_cancelled_at_any_stage(world: ResponseWorld) -> None:
    client = await world.client()
    queued = await answer(client, Round("Hi"), background=True)
    found = (await client.post(f"{RESPONSES}/{queued['id']}/cancel")).json()
    assert (found["status"], found["output"]) == ("cancelled", [])
    async with working(world):
        running = await answer(client, ADD, Round("It is", held=True), background=True, tools=[box(world)])
        await until(lambda: len(world.model.chats) == 2)
        found = (await client.post(f"{RESPONSES}/{running['id']}/cancel")).json()
        assert (found["status"], kinds(found)) == ("cancelled", ["mcp_list_tools", "mcp_call"])
        world.model.release.set()
        done = await end_of(client, (await answer(client, Round("Hi"), background=True))["id"])
    status, words = refusal(await client.post(f"{RESPONSES}/{done['id']}/cancel"))
    assert (status, "completed" in words) == (400, True)
    again = await client.post(f"{RESPONSES}/{running['id']}/cancel")
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")
    assert len(world.model.chats) == 3


async def test_its_conversation_is_its_own_until_it_has_ended(world: ResponseWorld) -> None:
    client = await world.client()
    conversation = (await client.post(CONVERSATIONS, json={})).json()["id"]
    made = await answer(client, Round("Hello"), background=True, conversation=conversation)
    second = await ask(client, input="Hi", conversation=conversation)
    assert (second.status_code, second.json()["error"]["code"]) == (409, "conversation_locked")
    async with working(world):
        assert (await end_of(client, made["id"]))["status"] == "completed"
        items = (await client.get(f"{CONVERSATIONS}/{conversation}/items")).json()["data"]
        assert [item["role"] for item in items] == ["assistant", "user"]
        assert (await ask(client, input="Hi", conversation=conversation)).status_code == 200
        other = await answer(client, Round("Hello", held=True), background=True, conversation=conversation)
        await until(lambda: len(world.model.chats) == 3)
        assert (await client.delete(f"{CONVERSATIONS}/{conversation}")).status_code == 200
        world.model.release.set()
        await until_gone(client, other["id"])
    assert (await client.get(RESPONSES)).json()["data"] == []


async def test_what_is_secret_of_its_request_is_nowhere_to_be_read(world: ResponseWorld) -> None:
    client = await world.client()
    token, header, path = plant("token-of-a-tool"), plant("header-of-a-tool"), plant("path-of-a-tool")
    tool = box(world, server_url=f"{world.mcp_url}?key={path}", authorization=token, headers={"x-key": header})
    made = await answer(client, ADD, Round("It is {quote}."), background=True, tools=[tool], tool_choice="auto")

    def found() -> list[tuple[str, str]]:
        files = [file for file in world.folder.rglob("*") if file.is_file()]
        return [(s, f.name) for f in files for s in (token, header, path) if s.encode() in f.read_bytes()]

    assert not found()
    async with working(world):
        assert text_of(await end_of(client, made["id"])) == "It is 5."
    assert not found()
    headers, _ = world.server.last("tools/call")
    assert (headers["authorization"], headers["x-key"]) == (f"Bearer {token}", header)
    how: dict[str, Any] = {"background": True, "tools": [tool]}
    cancelled = (await answer(client, ADD, **how))["id"]
    assert (await client.post(f"{RESPONSES}/{cancelled}/cancel")).json()["status"] == "cancelled"
    broken, held = [
        await answer(client, ADD, last, **how) for last in (Round("Oh", ends="cut"), Round("Oh", held=True))
    ]
    async with working(world):  # which leaves the last of them in the middle
        assert (await end_of(client, broken["id"]))["status"] == "failed"
        await until(lambda: len(world.model.chats) == 6)
    assert not found()
    for response_id in (made["id"], cancelled, broken["id"], held["id"]):
        shown = (
            (await client.get(f"{RESPONSES}/{response_id}", params={"stream": "true"})).text
            if response_id != held["id"]
            else ""
        )
        shown += (await client.get(f"{RESPONSES}/{response_id}")).text
        assert not [secret for secret in (token, header, path) if secret in shown]


async def test_a_worker_that_leaves_in_the_middle_is_followed_by_another(world: ResponseWorld) -> None:
    client = await world.client()
    made = await answer(client, ADD, Round("It is {quote}.", held=True), background=True, tools=[box(world)])
    async with working(world):
        await until(lambda: len(world.model.chats) == 2)
    assert (await end_of(client, made["id"], "in_progress"))["status"] == "in_progress"
    world.model.release.set()
    async with working(world):
        ended = await end_of(client, made["id"])
    assert text_of(ended) == "It is 5."
    assert world.server.count("tools/call") == 1


async def test_runs_that_wait_for_their_models_keep_no_other_from_a_worker(world: ResponseWorld) -> None:
    client = await world.client()
    ids = [(await answer(client, Round("Hello", held=True), background=True))["id"] for _ in range(4)]
    async with working(world, at_once=1):
        await until(lambda: len(world.model.chats) == 4)
        world.model.release.set()
        assert {(await end_of(client, response_id))["status"] for response_id in ids} == {"completed"}


async def test_a_registered_configuration_changes_a_running_stack_and_its_worker(world: ResponseWorld) -> None:
    how: dict[str, Any] = {"configurations": {"refresh_seconds": 0.1, "allow_private_urls": True}}
    client = await world.client(**how)
    endless = {"input": write_script(ADD), "model": MODEL, "tools": [box(world)]}
    async with working(world, **how):
        first = await answer(client, **endless, background=True)
        assert kinds(await end_of(client, first["id"])).count("mcp_call") == 10
        config = {"providers": {"responses": [{"provider_id": "builtin", "config": {"max_infer_iters": 2}}]}}
        made = await client.post("/v1/configurations", json={"config": config})
        assert made.status_code == 200, made.text
        assert kinds(await answer(client, **endless)).count("mcp_call") == 2
        async with asyncio.timeout(SECONDS):
            calls = 10
            while calls > 2:
                later = await answer(client, **endless, background=True)
                calls = kinds(await end_of(client, later["id"])).count("mcp_call")


async def test_a_response_counts_from_when_it_is_queued(world: ResponseWorld) -> None:
    how: dict[str, Any] = {"auth": True, "quota": {"max_responses": 1}}
    client = await world.client(**how)
    made = await answer(client, Round("Hi"), background=True)
    assert (await ask(client, Round("Hi"), background=True)).status_code == 429
    assert (await client.delete(f"{RESPONSES}/{made['id']}", headers=ADA)).status_code == 200
    made = await answer(client, Round("Hi"), background=True)
    async with working(world, **how):
        assert (await end_of(client, made["id"], **ADA))["status"] == "completed"
    assert (await ask(client, Round("Hi"), background=True)).status_code == 429
    assert (await client.delete(f"{RESPONSES}/{made['id']}", headers=ADA)).status_code == 200
    assert (await ask(client, Round("Hi"))).status_code == 200


async def test_a_stream_counts_from_when_it_is_written_down_and_as_it_goes_to_a_worker(world: ResponseWorld) -> None:
    how: dict[str, Any] = {
        "auth": True,
        "quota": {"max_responses": 1},
        "config": {"background": "auto", "foreground_seconds": 1},
    }
    client = await world.client(**how)
    slow = Round("Wait.", (Call("add", {"a": 2, "b": 3}),), pause=0.3)
    both = await asyncio.gather(*(ask(client, slow, ADD, stream=True, tools=[box(world)]) for _ in range(2)))
    refused, events = sorted((events_in(found.text) for found in both), key=lambda told: str(told[-1]["type"]))
    assert [told[-1]["type"] for told in (refused, events)] == ["response.failed", "response.queued"]
    assert "You may keep 1 responses" in refused[-1]["response"]["error"]["message"]
    assert (await client.get(f"{RESPONSES}/{refused[0]['response']['id']}", headers=ADA)).status_code == 404
    [job] = (await client.get("/v1/jobs", headers=ADA)).json()["data"]
    assert job["kind"] == "response"
    assert (await ask(client, Round("Hi"))).status_code == 429
    assert (await client.delete(f"{RESPONSES}/{events[0]['response']['id']}", headers=ADA)).status_code == 200
    assert (await ask(client, Round("Hi"))).status_code == 200
    assert (await ask(client, Round("Hi"))).status_code == 429


async def test_it_is_in_the_list_from_when_it_is_queued(world: ResponseWorld) -> None:
    client = await world.client(auth=True)
    ids = [(await answer(client, Round("Hi"), background=wait))["id"] for wait in (False, True, False, True)]
    await answer(client, Round("Hi"), who=BOB, background=True)

    async def listed(**query: Any) -> list[dict[str, Any]]:
        rows, more = list[dict[str, Any]](), True
        while more:
            behind = {"after": rows[-1]["id"]} if rows else {}
            found = await client.get(RESPONSES, params={**query, **behind}, headers=ADA)
            assert found.status_code == 200, found.text
            rows, more = [*rows, *found.json()["data"]], found.json()["has_more"]
        return rows

    whole = await listed()
    assert {row["id"]: row["status"] for row in whole} == dict(zip(ids, ["completed", "queued"] * 2, strict=True))
    assert all(row["input"] for row in whole)
    for name in ids:
        [said] = (await client.get(f"{RESPONSES}/{name}/input_items", headers=ADA)).json()["data"]
        assert said["content"][0]["type"] == "input_text"
    for limit in (1, 2, 3):
        assert await listed(limit=limit) == whole
        assert await listed(limit=limit, order="asc") == whole[::-1]
    assert [row["id"] for row in await listed(model="local/other")] == []
    missing = await client.get(RESPONSES, params={"after": "resp_0"}, headers=ADA)
    assert missing.status_code == 404


async def test_it_is_in_the_list_while_it_runs_in_a_conversation(world: ResponseWorld) -> None:
    client = await world.client(auth=True)
    conversations = [(await client.post(CONVERSATIONS, json={}, headers=ADA)).json()["id"] for _ in range(3)]

    async def listed(who: dict[str, str] = ADA) -> dict[str, str]:
        rows = (await client.get(RESPONSES, headers=who)).json()["data"]
        return {row["id"]: row["status"] for row in rows}

    queued = (await answer(client, Round("Hi"), background=True, conversation=conversations[0]))["id"]
    other = (await answer(client, Round("Hi"), background=True))["id"]
    said, tools = (ADD, Round("It is {quote}.", held=True)), [box(world)]
    streaming = asyncio.create_task(ask(client, *said, stream=True, conversation=conversations[1], tools=tools))
    async with asyncio.timeout(SECONDS):
        while len(await listed()) < 3:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
    [running] = set(await listed()) - {queued, other}
    assert await listed() == {queued: "queued", other: "queued", running: "in_progress"}
    assert await listed(BOB) == {}
    [first, *_] = (await client.get(RESPONSES, params={"limit": 1}, headers=ADA)).json()["data"]
    assert first["input"]
    world.model.release.set()
    await streaming
    async with working(world, auth=True):
        assert (await end_of(client, queued, **ADA))["status"] == "completed"
    assert {name: (await listed())[name] for name in (queued, running)} == {queued: "completed", running: "completed"}
    made = await answer(client, Round("Hi"), background=True, conversation=conversations[2])
    assert (await client.delete(f"{CONVERSATIONS}/{conversations[2]}", headers=ADA)).status_code == 200
    assert made["id"] not in await listed()


async def test_what_cannot_be_done_in_the_background_is_told_at_once(world: ResponseWorld) -> None:
    client = await world.client()
    data = {"X-LlamaStack-Provider-Data": json.dumps({"vllm_api_token": "x"})}
    status, words = refusal(await ask(client, Round("Hi"), background=True, who=ADA | data))
    assert (status, "keeps no secrets" in words) == (400, True)
    assert (await ask(client, Round("Hi"), background="auto", who=ADA | data)).json()["status"] == "completed"
    assert refusal(await ask(client, input="Hi", background=True, previous_response_id="resp_" + "0" * 48))[0] == 404
    tools = [{"type": "file-search"}]
    assert refusal(await ask(client, input="Hi", background=True, tools=tools))[0] == 400
    assert refusal(await ask(client, input="Hi", background="often"))[0] == 400
    storage = dynamodb_storage(world.folder, "no-table", "http://127.0.0.1:1")
    for name in ("jobs", "queue"):
        del storage["stores"][name]
    apis = ("inference", "responses")  # others need them
    providers = {api: world.document()["providers"][api] for api in apis}
    bare: dict[str, Any] = {"vector_stores": {}, "tool_groups": [], "connectors": [], "models": []}
    without = await world.client(storage=storage, apis=[*apis], providers=providers, **bare)
    status, words = refusal(await ask(without, Round("Hi"), background=True))
    assert (status, "storage.stores" in words) == (400, True)
    storage = dynamodb_storage(world.folder, "no-table", "http://127.0.0.1:1")
    storage["backends"]["table"] = {"type": "kv_sqlite", "db_path": str(world.folder / "kept.db")}
    storage["backends"]["file"]["db_path"] = str(world.folder)  # of the queue: a directory
    broken = await world.client(storage=storage)
    assert (await ask(broken, Round("Hi"), background=True)).status_code == 503
    [failed] = (await broken.get(RESPONSES)).json()["data"]
    assert (failed["status"], "Send the request again." in failed["error"]["message"]) == ("failed", True)


async def test_what_is_wrong_is_refused_at_the_post_as_in_the_foreground(world: ResponseWorld) -> None:
    document = world.document()
    safety = [{"provider_id": "guard", "provider_type": "inline::llama-guard", "config": {}}]
    apis, providers = [*document["apis"], "safety"], document["providers"] | {"safety": safety}
    shields = [{"shield_id": "guard", "provider_id": "guard", "provider_shield_id": MODEL}]
    native = {"model_id": "own", "provider_id": "local", "provider_model_id": "n", "metadata": {"responses": "native"}}
    models = [*document["models"], native]
    client = await world.client(apis=apis, providers=providers, shields=shields, models=models)
    strange = [{"type": "function_call_output", "call_id": "c", "output": "x"}]
    server = {"type": "mcp", "server_label": "x", "connector_id": "nothing"}
    file, picture = (
        {"type": "input_file", "file_id": "file-0"},
        {"type": "input_image", "image_url": f"http://{METADATA}"},
    )
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "y"}]}
    rows: list[dict[str, Any]] = [
        {"model": "local/nothing"},
        {"tools": [{"type": "file_search", "vector_store_ids": ["vs_0"]}]},
        {"tools": [server]},
        {"tools": [box(world, server_url=f"http://{METADATA}")]},
        {"tools": [box(world, server_url="http://[::1")]},
        {"tool_choice": "required"},
        {"tool_choice": {"type": "file_search"}},
        {"tool_choice": {"type": "mcp", "server_label": "y"}, "tools": [box(world)]},
        {"tool_choice": allowed, "tools": [box(world)]},
        {"input": [{"role": "user", "content": [file]}]},
        {"input": [{"role": "user", "content": [picture]}]},
        {"input": [{"type": "compaction", "encrypted_content": "eA"}]},
        {"input": [{"type": "computer_call"}]},
        {"input": strange},
        {"input": strange, "include": [SEALED]},
        {"input": strange, "model": "own"},
        {"input": strange, "guardrails": ["guard"]},
        {"context_management": [{"type": "compaction", "compact_threshold": 0}]},
        {"guardrails": ["nothing"]},
        {"guardrails": [{"type": "nothing"}]},
        {"guardrails": True},
    ]
    for row in rows:
        foreground = await ask(client, **{"input": "Hi"} | row)
        background = await ask(client, **{"input": "Hi"} | row, background=True)
        assert background.status_code in {400, 404}, (row, background.text)
        errors = [found.json()["error"] for found in (foreground, background)]
        assert [{**error, "request_id": ""} for error in errors] == [{**errors[0], "request_id": ""}] * 2
    assert not (await client.get("/v1/jobs")).json()["data"]
    assert not world.model.chats
    assert (await answer(client, input="Hi", model="own", tool_choice="required", background=True))[
        "status"
    ] == "queued"


@pytest.mark.parametrize(
    "choice",
    [
        "required",
        {"type": "mcp", "server_label": "box"},
        {"type": "mcp", "server_label": "box", "name": "add"},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "mcp", "server_label": "box", "name": "add"}]},
    ],
)
async def test_a_choice_among_the_tools_of_a_server_is_left_to_the_worker(world: ResponseWorld, choice: Any) -> None:
    client = await world.client()
    made = await answer(
        client, ADD, Round("It is {quote}."), background=True, tools=[box(world)], tool_choice=choice, include=[SEALED]
    )
    assert not world.server.calls
    async with working(world):
        assert text_of(await end_of(client, made["id"])) == "It is 5."


async def test_a_run_that_takes_too_long_for_its_call_goes_to_a_worker(world: ResponseWorld) -> None:
    how: dict[str, Any] = {"config": {"background": "auto", "foreground_seconds": 1}}
    client = await world.client(**how)
    rounds = Round("Wait.", (Call("add", {"a": 2, "b": 3}),), pause=0.3), Round("It is {quote}.")
    body = {"model": MODEL, "input": write_script(*rounds), "tools": [box(world)]}
    stream = await client.post(RESPONSES, json={**body, "stream": True})
    events = events_in(stream.text)
    assert (events[-1]["type"], events[-1]["response"]["background"]) == ("response.queued", True)
    response_id, number = events[0]["response"]["id"], events[-1]["sequence_number"]
    assert f": continue with GET {RESPONSES}/{response_id}?stream=true&starting_after={number}" in stream.text
    async with working(world, **how):
        rest = await stream_of(client, response_id, starting_after=number)
        assert (rest[0]["type"], rest[-1]["type"]) == ("response.in_progress", "response.completed")
        whole = await answer(client, **body)
        assert whole["status"] == "queued"
        ended = await end_of(client, whole["id"])
    assert text_of(ended) == "Wait.It is 5."
    assert world.server.count("tools/call") == 2
    assert await stream_of(client, response_id) == [*events, *rest]


async def test_one_whose_client_leaves_goes_to_a_worker(world: ResponseWorld) -> None:
    how: dict[str, Any] = {"config": {"background": "auto", "foreground_seconds": 60}}
    client = await world.client(**how)
    said = ADD, Round("It is {quote}.", held=True)
    conversation = (await client.post(CONVERSATIONS, json={})).json()["id"]
    body = {"model": MODEL, "input": write_script(*said), "tools": [box(world)], "conversation": conversation}
    async with listening(client, RESPONSES, body) as listener:
        await until(lambda: len(world.model.chats) == 2)
        listener.left.set()
    assert not [task for task in asyncio.all_tasks() if "Recorder._write" in str(task.get_coro())]
    [listed] = (await client.get(RESPONSES)).json()["data"]
    assert (listed["status"], listed["background"]) == ("queued", True)
    async with state_of(world) as state:
        run, lease = await state.store.get(RUN, listed["id"]), await state.store.get(LEASE, conversation)
        assert run is not None
        assert lease is not None
        job = await job_service(state.parts).jobs.get(run.body["job"])
        assert job is not None
        assert (lease.expires or 0) > job.deadline
    world.model.release.set()
    async with working(world, **how):
        assert text_of(await end_of(client, listed["id"])) == "It is 5."
    assert world.server.count("tools/call") == 1


async def test_a_job_that_is_stopped_ends_its_response(world: ResponseWorld) -> None:
    client = await world.client()
    made = await answer(client, Round("Hello", held=True), background=True)
    [job] = (await client.get("/v1/jobs", params={"kind": "response"})).json()["data"]
    async with working(world):
        await world.model.asked.wait()
        assert (await client.post(f"/v1/jobs/{job['id']}/cancel")).status_code == 200
        assert (await end_of(client, made["id"]))["status"] == "cancelled"
    world.model.release.set()
    assert (await client.get(f"/v1/jobs/{job['id']}")).json()["result"] == {
        "response": made["id"],
        "status": "cancelled",
    }


async def test_a_run_that_nobody_has_is_given_to_a_worker_or_ends(world: ResponseWorld) -> None:
    """A minute later, as a clock has it that is ahead: of a job that is gone, and of a server that died in the foreground."""
    client = await world.client()
    lost, left = [await answer(client, Round(text), background=True) for text in ("Hi", "Hello {mark}")]
    async with state_of(world, ahead=100) as state:
        for response in (lost, left):
            run = await state.store.get(RUN, response["id"])
            assert run is not None
            job = await job_service(state.parts).jobs.get(run.body["job"])
            assert job is not None
            if response is left:
                assert (await settle(state, run)).ending is None  # its job has it
                run = await state.store.put(run, run.body | {"job": ""})
            await job_service(state.parts).jobs.delete(job)
            await settle(state, run)
        conversation = (await client.post(CONVERSATIONS, json={})).json()["id"]
        third = await answer(client, Round("Hi"), background=True, conversation=conversation)
        run = await state.store.get(RUN, third["id"])
        job = None if run is None else await job_service(state.parts).jobs.get(run.body["job"])
        place, document = ConversationPlace(state), await state.conversation(conversation)
        with pytest.raises(ConversationLocked):
            await place.lock(document)
        assert job is not None
        await job_service(state.parts).jobs.delete(job)
        await (await place.lock(document)).release()
    for response in (lost, third):
        found = (await client.get(f"{RESPONSES}/{response['id']}")).json()
        assert (found["status"], found["error"]["code"]) == ("failed", "server_error")
    async with working(world):
        assert (await end_of(client, left["id"]))["status"] == "completed"


async def test_whoever_wants_to_know_is_told_how_it_ended(world: ResponseWorld) -> None:
    async with receiving() as receiver, AsyncExitStack() as workers:
        document = world.document()
        providers = document["providers"] | {"webhooks": [webhooks_entry(receiver.url)]}
        how = {"apis": [*document["apis"], "webhooks"], "providers": providers}
        client = await world.client(**how)
        body = {"name": "n", "url": receiver.url, "event_types": ["response.completed", "response.cancelled"]}
        secret = (await client.post(ENDPOINTS, json=body)).json()["signing_secret"]
        made = await answer(client, Round("Hello."), background=True)
        cancelled = await answer(client, Round("Never."), background=True)
        await client.post(f"{RESPONSES}/{cancelled['id']}/cancel")
        await workers.enter_async_context(working(world, **how))
        await until(lambda: len(receiver.received) == 2)
    told = {got.event["type"]: got.event["data"]["id"] for got in receiver.received if got.is_signed_with(secret)}
    assert told == {"response.completed": made["id"], "response.cancelled": cancelled["id"]}
