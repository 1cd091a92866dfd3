"""Chat completions that are kept, on the wire: which, for whom, how they are found, and what a failure to keep one costs."""

from collections.abc import AsyncGenerator
from contextlib import closing
import json
from pathlib import Path
import sqlite3
from typing import Any

import httpx
import pytest

from core.services.inference.chats.folding import FoldedChat
from core.services.inference.chats.records import KEPT_SECONDS
from core.stores.documents import sqlite
from tests.parts.eval_stack import benchmark_of, config, eval_world, questions, run
from tests.parts.job_tasks import job_worker
from tests.parts.model_script import Call, Round, write_script
from tests.parts.response_stack import MODEL, ResponseWorld, response_world

ADA = {"authorization": "Bearer ada"}
BOB = {"authorization": "Bearer bob"}
CHATS = "/v1/chat/completions"
ODD: dict[str, Any] = {"metadata[n]": "1"}
ALL: dict[str, Any] = {"inference_store": {"type": "sqlite", "db_path": "/nowhere/inference.db"}}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ResponseWorld]:
    async with response_world(tmp_path) as world:
        yield world


@pytest.fixture
async def client(world: ResponseWorld) -> httpx.AsyncClient:
    """Keeps what says so."""
    return await world.client(auth=True)


async def chat(client: httpx.AsyncClient, text: str = "hi", /, who: dict[str, str] = ADA, **more: Any) -> Any:
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}
    answer = await client.post(CHATS, json=body, headers=who)
    assert answer.status_code == 200, answer.text
    if not more.get("stream"):
        return answer.json()
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def listed(client: httpx.AsyncClient, who: dict[str, str] = ADA, **query: Any) -> Any:
    answer = await client.get(CHATS, params=query, headers=who)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(page: Any) -> list[str]:
    return [row["id"] for row in page["data"]]


async def test_what_says_store_is_kept_and_shown_as_it_was_answered(client: httpx.AsyncClient) -> None:
    answer = await chat(client, "hi", store=True, metadata={"run": "7"})
    await chat(client, "not kept")
    await chat(client, "nor this", store=False)
    shown = (await client.get(f"{CHATS}/{answer['id']}", headers=ADA)).json()
    asked = {"metadata": {"run": "7"}, "input_messages": [{"role": "user", "content": "hi"}]}
    assert shown == {**answer, **asked}
    page = await listed(client)
    assert page == {
        "object": "list",
        "data": [shown],
        "first_id": answer["id"],
        "last_id": answer["id"],
        "has_more": False,
    }
    older = await client.get(f"/v1/openai{CHATS}/{answer['id']}", headers=ADA)
    assert older.json() == shown


async def test_a_stream_is_kept_as_the_answer_that_it_is_a_stream_of(client: httpx.AsyncClient) -> None:
    script = write_script(Round("some text", (Call("f", {"a": 1}), Call("g")), reasoning="a thought"))
    tools = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in "fg"]
    more: dict[str, Any] = {"tools": tools, "store": True, "stream_options": {"include_usage": True}}
    chunks = await chat(client, script, stream=True, **more)
    del more["stream_options"]
    whole = await chat(client, script, **more)
    [name] = {chunk["id"] for chunk in chunks}
    first, second = (await listed(client))["data"]
    assert (first["id"], second["id"]) == (name, whole["id"])
    for kept in (first, second):
        message = kept["choices"][0]["message"]
        for call in message["tool_calls"]:
            call["id"] = "c"
    assert first["choices"][0]["message"] == second["choices"][0]["message"]
    assert (first["choices"][0]["finish_reason"], first["usage"]) == ("tool_calls", second["usage"])


async def test_with_a_store_in_the_run_config_all_are_kept_but_what_the_stack_asks_by_itself(tmp_path: Path) -> None:
    async with eval_world(tmp_path) as world:
        how: dict[str, Any] = {**ALL, "auth": True}
        async with job_worker(world, **how):
            client = await world.client(**how)
            answer = await chat(client, store=False)
            await benchmark_of(client, questions(1), headers=ADA)
            assert (await run(client, body=config(), headers=ADA))["status"] == "completed"
            body = {"model": MODEL, "input": "hello"}
            assert (await client.post("/v1/responses", json=body, headers=ADA)).status_code == 200
            assert ids(await listed(client)) == [answer["id"]]


async def test_a_stream_that_breaks_is_not_kept(client: httpx.AsyncClient) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": write_script(Round("text", ends="cut"))}]}
    answer = await client.post(CHATS, json={**body, "stream": True, "store": True}, headers=ADA)
    assert "error" in answer.text
    assert (await listed(client))["data"] == []


async def test_of_anothers_nothing_is_said(client: httpx.AsyncClient) -> None:
    answer = await chat(client, store=True)
    path = f"{CHATS}/{answer['id']}"
    for method, url in (("GET", path), ("POST", path), ("DELETE", path), ("GET", f"{path}/messages")):
        body: Any = {"metadata": {}} if method == "POST" else None
        refused = await client.request(method, url, headers=BOB, json=body)
        missing = await client.request(method, url.replace(answer["id"], "chatcmpl-none"), headers=ADA, json=body)
        assert (refused.status_code, missing.status_code) == (404, 404)
    assert (await listed(client, BOB))["data"] == []
    assert (await client.get(CHATS, params={"after": answer["id"]}, headers=BOB)).status_code == 404


async def test_a_list_has_pages_and_is_of_a_model_or_of_metadata(client: httpx.AsyncClient) -> None:
    names = [(await chat(client, f"q{n}", store=True, metadata={"n": str(n % 2)}))["id"] for n in range(5)]
    assert ids(await listed(client)) == names
    assert ids(await listed(client, order="desc")) == names[::-1]
    page = await listed(client, limit=2)
    assert (ids(page), page["last_id"], page["has_more"]) == (names[:2], names[1], True)
    page = await listed(client, limit=3, after=names[1])
    assert (ids(page), page["has_more"]) == (names[2:], False)
    assert ids(await listed(client, **ODD)) == names[1::2]
    assert (ids(await listed(client, model="other")), ids(await listed(client, model=MODEL))) == ([], names)
    for query in ({"limit": 0}, {"limit": 101}, {"order": "up"}):
        assert (await client.get(CHATS, params=query, headers=ADA)).status_code == 400


async def test_messages_metadata_and_deletion(client: httpx.AsyncClient) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    asked = [{"role": "system", "content": "be brief"}, {"role": "user", "content": parts}]
    answer = await chat(client, store=True, messages=asked)
    path = f"{CHATS}/{answer['id']}"
    messages = (await client.get(f"{path}/messages", headers=ADA)).json()
    assert [(row["role"], row["content"], row["content_parts"]) for row in messages["data"]] == [
        ("system", "be brief", None),
        ("user", "ab", parts),
    ]
    assert ids(messages) == [f"{answer['id']}-0", f"{answer['id']}-1"]
    rest = (await client.get(f"{path}/messages", params={"after": messages["first_id"]}, headers=ADA)).json()
    assert (ids(rest), rest["has_more"]) == (ids(messages)[1:], False)
    back = (await client.get(f"{path}/messages", params={"order": "desc", "limit": 1}, headers=ADA)).json()
    assert (ids(back), back["has_more"]) == (ids(messages)[1:], True)
    assert (await client.get(f"{path}/messages", params={"after": "x"}, headers=ADA)).status_code == 404
    changed = (await client.post(path, json={"metadata": {"k": "v"}}, headers=ADA)).json()
    assert changed == (await client.get(path, headers=ADA)).json()
    assert changed["metadata"] == {"k": "v"}
    faults: list[Any] = [{"k": 1}, {"k" * 65: "v"}, {"k": "v" * 513}, {str(n): "" for n in range(17)}, []]
    for wrong in faults:
        assert (await client.post(path, json={"metadata": wrong}, headers=ADA)).status_code == 400
    gone = {"object": "chat.completion.deleted", "id": answer["id"], "deleted": True}
    assert (await client.delete(path, headers=ADA)).json() == gone
    assert (await client.delete(path, headers=ADA)).status_code == 404


async def test_metadata_that_cannot_be_kept_is_refused_before_anything_is_asked(
    client: httpx.AsyncClient, world: ResponseWorld
) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "store": True, "metadata": {"a": 1}}
    for more in ({}, {"stream": True}):
        refused = await client.post(CHATS, json=body | more, headers=ADA)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "metadata")
    assert world.model.chats == []


async def test_who_may_keep_none_is_refused_where_it_asks_for_it(world: ResponseWorld) -> None:
    policy = [
        {"forbid": {"principal": "ada", "actions": ["create"], "resource": "chat_completion::*"}},
        {"permit": {"actions": ["create", "read", "update", "delete"]}},
    ]
    client = await world.client(auth=True, policy=policy, **ALL)
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "store": True}
    assert (await client.post(CHATS, json=body, headers=ADA)).status_code == 403
    assert world.model.chats == []
    await chat(client)
    kept = await chat(client, who=BOB)
    assert (ids(await listed(client)), ids(await listed(client, BOB))) == ([kept["id"]] * 0, [kept["id"]])


async def test_a_chat_that_cannot_be_kept_is_answered(
    client: httpx.AsyncClient, world: ResponseWorld, caplog: pytest.LogCaptureFixture
) -> None:
    await chat(client, store=True)
    with closing(sqlite3.connect(world.folder / "state.db")) as connection:
        connection.execute("ALTER TABLE documents RENAME TO gone")
    assert (await chat(client, store=True))["choices"]
    assert "a chat is not kept" in caplog.text


async def test_a_chat_goes_after_thirty_days(client: httpx.AsyncClient, world: ResponseWorld) -> None:
    answer = await chat(client, store=True)
    store = sqlite.connect(str(world.folder / "state.db"))
    document = await store.get("chat_completion", answer["id"])
    await store.close()
    assert document is not None
    assert document.expires is not None
    assert 0 <= document.expires - document.created - KEPT_SECONDS <= 1


def test_a_stream_of_several_choices_is_folded_by_their_indexes() -> None:
    folded = FoldedChat()
    deltas: list[tuple[int, dict[str, Any], str | None]] = [
        (1, {"role": "assistant", "content": "b"}, None),
        (0, {"role": "assistant", "refusal": "no"}, None),
        (1, {"content": "c"}, "stop"),
    ]
    for index, delta, finish in deltas:
        logprobs = {"content": [{"token": "t"}]} if index else None
        choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
        folded.add({"id": "i", "object": "chat.completion.chunk", "choices": [choice]})
    assert folded.answer() is None
    folded.add({"id": "i", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    assert folded.answer() == {
        "id": "i",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": None, "refusal": "no"},
                "finish_reason": "stop",
                "logprobs": None,
            },
            {
                "index": 1,
                "message": {"role": "assistant", "content": "bc", "refusal": None},
                "finish_reason": "stop",
                "logprobs": {"content": [{"token": "t"}, {"token": "t"}]},
            },
        ],
    }
