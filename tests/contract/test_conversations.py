"""Conversations over HTTP: shapes, statuses and messages; what a principal keeps of all of them is erased."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.frame.callers import Principal
from core.services.erasure import Estate
from core.services.responses.state.erasing import erase as erase_of
from core.stores.documents.port import DocumentStore
from tests.contract.documents import Documenting
from tests.contract.test_response_state import rows
from tests.contract.thread_stores import OVER_BOTH
from tests.parts.live_stack import message
from tests.parts.response_stack import response_world
from tests.parts.thread_state import Caller, Kept, policy_of
from tests.parts.vector_stack import by

ADA, BOB = by("ada"), by("bob")
PATH = "/v1/conversations"
EVERYBODY = policy_of({"permit": {"actions": ["create", "read", "update", "delete"]}})


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with response_world(tmp_path) as world:
        yield await world.client(auth=True)


async def call(client: httpx.AsyncClient, method: str, path: str, body: Any = None, who: Any = ADA) -> dict[str, Any]:
    answer = await client.request(method, f"{PATH}{path}", json=body, headers=who)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def test_the_eight_operations_answer_as_openai_does(client: httpx.AsyncClient) -> None:
    items = [{"role": "user", "content": "hi"}, {"type": "function_call_output", "call_id": "c", "output": "1"}]
    made = await call(client, "POST", "", {"metadata": {"topic": "a"}, "items": items})
    one = f"/{made['id']}"
    assert (made["object"], made["metadata"]) == ("conversation", {"topic": "a"})
    assert await call(client, "GET", one) == made
    changed = await call(client, "POST", one, {"metadata": {"topic": "b"}})
    assert changed == made | {"metadata": {"topic": "b"}}
    added = await call(client, "POST", f"{one}/items", {"items": [{"role": "assistant", "content": "yes"}]})
    [answer] = added["data"]
    assert answer | {"id": ""} == {
        "id": "",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "yes", "annotations": [], "logprobs": []}],
    }
    page = await call(client, "GET", f"{one}/items?limit=2")
    assert (page["object"], page["has_more"], page["first_id"]) == ("list", True, answer["id"])
    assert [item["type"] for item in page["data"]] == ["message", "function_call_output"]
    rest = await call(client, "GET", f"{one}/items?limit=2&after={page['last_id']}")
    assert ([item["role"] for item in rest["data"]], rest["has_more"]) == (["user"], False)
    assert await call(client, "GET", f"{one}/items/{answer['id']}") == answer
    assert await call(client, "DELETE", f"{one}/items/{answer['id']}") == changed
    assert await call(client, "DELETE", one) == {"id": made["id"], "object": "conversation.deleted", "deleted": True}


async def test_what_is_wrong_is_said_with_what_to_do(client: httpx.AsyncClient) -> None:
    one = f"{PATH}/{(await call(client, 'POST', '', {}))['id']}"
    asked: list[tuple[str, str, Any, Any, int, str]] = [
        ("GET", one, None, BOB, 404, f"There is no conversation `{one[len(PATH) + 1 :]}`."),
        ("GET", f"{PATH}/conv_no", None, ADA, 404, "There is no conversation `conv_no`."),
        ("GET", f"{one}/items/msg_1", None, ADA, 404, "There is no item `msg_1` in this conversation."),
        ("GET", f"{one}/items?after=msg_1", None, ADA, 404, "There is no item `msg_1` in this conversation."),
        ("GET", f"{one}/items?include=all", None, ADA, 400, "file_search_call.results"),
        ("POST", f"{one}/items", {"items": [{}] * 21}, ADA, 400, "20"),
        ("POST", f"{one}/items", {"items": []}, ADA, 400, "items"),
        (
            "POST",
            f"{one}/items",
            {"items": [{"role": "x", "content": ""}]},
            ADA,
            400,
            "items[0].role: must be user, assistant",
        ),
        ("POST", one, {}, ADA, 400, "metadata"),
        ("POST", PATH, {"metadata": {"a": "x" * 513}}, ADA, 400, "metadata: keys have at most 64 characters"),
    ]
    for method, path, body, who, status, says in asked:
        answer = await client.request(method, path, json=body, headers=who)
        assert (answer.status_code, says in message(answer)) == (status, True), answer.text


async def erase(caller: Caller) -> dict[str, int]:
    """All of what the caller keeps; how many of which name."""
    state = caller.state
    pieces, removed = erase_of(state.parts), dict[str, int]()
    assert pieces is not None
    async for some in pieces(Estate(Principal(caller.name, {}, "test"), lambda _: False)):
        for piece in some:
            assert await piece.remove()
            removed[piece.name] = removed.get(piece.name, 0) + piece.count
    return {name: count for name, count in removed.items() if name}


@OVER_BOTH
async def test_all_that_one_keeps_is_erased_also_from_conversations_of_others(
    thread_store: DocumentStore, documenting: Documenting
) -> None:
    ada = Caller(Kept(thread_store, enforcement=EVERYBODY))
    bob = Caller(ada.kept, "bob")
    shared, own = await ada.converse("a"), await bob.converse("x")
    await bob.respond("b", conversation=shared)
    await bob.respond("c", conversation=shared, status="failed")
    await bob.add(shared, "d")
    first = await bob.respond("e")
    after = await ada.respond("f", previous_response_id=first["id"])
    await bob.respond("y", conversation=own)
    await ada.add(own, "z")
    left = await bob.open(conversation=shared)
    assert await erase(bob) == {"conversations": 1, "responses": 3}
    assert await ada.context(conversation=shared) == "a"
    assert await ada.context(previous_response_id=after["id"]) == "f F"
    assert not [row for row in rows(documenting, alive=True) if "bob" in row]
    await left.close()
    assert await erase(bob) == {}
    assert await erase(ada) == {"conversations": 1, "responses": 1}
