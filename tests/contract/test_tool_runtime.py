"""Tool groups, lists of tools and invocations as clients of every generation see them, over a provider of another package."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.apis.tools import ToolResult
from core.config.load import interpret
from core.frame.callers import Principal
from core.resolution.erasure.engine import erase, quietly
from core.resolution.erasure.sources import sources
from core.resolution.erasure.stack import open_stack
from core.services.erasure import Estate
from core.stores.connect import REGISTRY
from tests.parts.live_stack import message
from tests.parts.tool_stack import GROUPS, INVOKE, LIST, TOOLS, ToolWorld, tool_world


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[ToolWorld]:
    monkeypatch.syspath_prepend(str(tmp_path))
    async with tool_world(tmp_path) as world:
        yield world


def by(name: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}", **more}


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"tool_name": tool, "kwargs": arguments}


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [tool["name"] for tool in answer.json()["data"]]


async def test_groups_are_registered_listed_shown_and_removed_as_0_2_has_them(world: ToolWorld) -> None:
    client = await world.client(auth=False)
    body = {
        "toolgroup_id": "mcp::deep",
        "provider_id": "box",
        "mcp_endpoint": {"uri": "https://t.example/mcp"},
        "args": {"k": 1},
    }
    made = await client.post(GROUPS, json=body)
    assert made.json() == {
        "identifier": "mcp::deep",
        "provider_resource_id": "mcp::deep",
        "provider_id": "box",
        "type": "tool_group",
        "mcp_endpoint": {"uri": "https://t.example/mcp"},
        "args": {"k": 1},
    }
    assert (await client.post(GROUPS, json=body)).json() == made.json()
    assert (await client.get(f"{GROUPS}/mcp::deep")).json() == made.json()
    rows = (await client.get(GROUPS)).json()["data"]
    assert [row["identifier"] for row in rows] == ["builtin::sums", "mcp::deep"]
    assert names(await client.get(TOOLS, params={"toolgroup_id": "mcp::deep"})) == ["add"]
    (group, _, _), *_ = world.box.SEEN
    assert (group.identifier, group.endpoint, dict(group.args), group.trusted) == (
        "mcp::deep",
        "https://t.example/mcp",
        {"k": 1},
        False,
    )
    assert (await client.delete(f"{GROUPS}/mcp::deep")).status_code == 200
    assert (await client.get(f"{GROUPS}/mcp::deep")).status_code == 404
    refused = await client.delete(f"{GROUPS}/builtin::sums")
    assert (refused.status_code, "declared in the run config" in message(refused)) == (409, True)
    wrong = await client.post(GROUPS, json={**body, "mcp_endpoint": {"uri": "ftp://x"}})
    assert (wrong.status_code, message(wrong)) == (400, "mcp_endpoint: use https.")
    text = await client.post(GROUPS, json={**body, "mcp_endpoint": "https://t.example/mcp"})
    assert message(text) == 'mcp_endpoint: must be an object, as {"uri": "https://mcp.example.com/mcp"}'


async def test_a_tool_is_listed_shown_and_called(world: ToolWorld) -> None:
    client = await world.client(auth=False)
    (tool,) = (await client.get(TOOLS)).json()["data"]
    assert (await client.get(f"{TOOLS}/add")).json() == tool
    assert (await client.get(f"{TOOLS}/builtin::sums/add")).json() == tool
    assert tool["identifier"] == tool["name"] == "add"
    assert tool["input_schema"]["additionalProperties"] is False
    a, b, words = tool["parameters"]
    assert (a["required"], a["parameter_type"], b["required"], b["default"]) == (True, "integer", False, 2)
    assert (words["parameter_type"], words["items"], words["schema"]["type"]) == ("array", {"type": "string"}, "array")
    answer = await client.post(INVOKE, json=call("add", a=1, b=4))
    assert answer.json() == {"content": "5", "error_message": None, "error_code": 0, "metadata": {}}
    assert len(world.box.SEEN) == 1  # asked once in its time
    (defined,) = (await client.get(LIST, params={"tool_group_id": "builtin::sums"})).json()["data"]
    assert defined == {key: tool[key] for key in defined}


async def test_a_server_that_no_group_stands_for_is_listed(world: ToolWorld) -> None:
    client = await world.client(auth=False)
    for query in ({"mcp_endpoint": '{"uri": "https://e.example"}'}, {"mcp_endpoint[uri]": "https://e.example"}):
        assert names(await client.get(LIST, params=query)) == ["add"]
    assert [(group.endpoint, group.trusted) for group, _, _ in world.box.SEEN] == [("https://e.example", False)]
    wrong = await client.get(LIST, params={"mcp_endpoint": "https://e.example"})
    assert (wrong.status_code, 'as {"uri"' in message(wrong)) == (400, True)


async def test_arguments_are_refused_before_anything_is_sent(world: ToolWorld) -> None:
    client = await world.client(auth=False)
    for body, words, param in [
        (call("add"), "The argument `a` of tool `add` is required: a whole number.", "kwargs.a"),
        (call("add", a="1"), "The argument `a` of tool `add` must be a whole number, not a string.", "kwargs.a"),
        (
            call("add", a=1, c=2),
            "The argument `c` of tool `add` is not known: there are `a`, `b` and `words`.",
            "kwargs.c",
        ),
        (call("add", a=1, words=["x", 2]), "`words[1]` of tool `add` must be a string", "kwargs.words[1]"),
        (call("add", a=1, words=["x" * 1_048_576]), "as JSON, and may have 1,048,576.", "kwargs"),
        ({"tool_name": "add", "kwargs": "{"}, "kwargs: Input should be an object", "kwargs"),
        ({"tool_name": "add"}, "kwargs: Field required", "kwargs"),
    ]:
        refused = await client.post(INVOKE, json=body)
        assert (refused.status_code, words in message(refused)) == (400, True), refused.text
        assert refused.json()["error"]["param"] == param
    torn = await client.post(INVOKE, content=b'{"tool_name": "add", "kwargs": {')
    assert (torn.status_code, "The body is not valid JSON" in message(torn)) == (400, True)
    assert not world.box.CALLED


async def test_a_bare_name_of_two_groups_is_refused_and_either_is_called_by_its_full_name(world: ToolWorld) -> None:
    client = await world.client(auth=False)
    await client.post(GROUPS, json={"toolgroup_id": "a/deep", "provider_id": "box"})
    refused = await client.post(INVOKE, json=call("add", a=1))
    assert refused.status_code == 400
    assert message(refused) == "Several tool groups have a tool `add`: name one of `builtin::sums/add`, `a/deep/add`."
    assert (await client.get(f"{TOOLS}/add")).status_code == 400
    for group in ("a/deep", "builtin::sums"):
        assert (await client.post(INVOKE, json=call(f"{group}/add", a=1))).json()["content"] == "1"
    assert [group.identifier for group, *_ in world.box.CALLED] == ["a/deep", "builtin::sums"]
    assert names(await client.get(TOOLS)) == ["add", "add"]


async def test_a_tool_that_is_renamed_between_list_and_call_is_listed_again(world: ToolWorld) -> None:
    client = await world.client(auth=False)
    assert names(await client.get(TOOLS)) == ["add"]
    world.box.GONE.add("add")
    world.box.SHELF["builtin::sums"] = ["sum"]
    gone = await client.post(INVOKE, json=call("add", a=1))
    assert gone.status_code == 404
    assert message(gone) == "Tool group `builtin::sums` has no tool `add` any more. List its tools again."
    assert names(await client.get(TOOLS)) == ["sum"]
    unknown = await client.post(INVOKE, json=call("add", a=1))
    assert (unknown.status_code, message(unknown)) == (
        404,
        "There is no tool `add`. GET /v1/tools lists what there is.",
    )


async def test_what_is_invoked_again_under_its_idempotency_key_is_called_once(world: ToolWorld) -> None:
    client = await world.client(idempotency=True)

    async def invoke(a: int, token: str = "", key: str = "k", who: str = "ada") -> tuple[int, str, bool]:
        brought = {"x-llamastack-provider-data": f'{{"box_token": "{token}"}}'} if token else {}
        headers = by(who, **brought) | {"idempotency-key": key}
        answer = await client.post(INVOKE, json=call("builtin::sums/add", a=a), headers=headers)
        return answer.status_code, answer.json().get("content", ""), "idempotent-replayed" in answer.headers

    assert [await invoke(1) for _ in range(2)] == [(200, "1", False), (200, "1", True)]
    assert len(world.box.CALLED) == 1
    assert (await invoke(2))[0] == 422
    assert (await invoke(1, "good"))[0] == 422  # with other credentials it may be another's account
    assert await invoke(1, who="eve") == (200, "1", False)
    assert [(await invoke(1, "revoked", "f"))[0] for _ in range(2)] == [502, 502]  # a failure leaves the key free
    assert await invoke(1, "good", "g") == (200, "1", False)
    assert len(world.box.CALLED) == 3


async def test_what_is_listed_with_a_callers_key_is_for_that_key_alone(world: ToolWorld) -> None:
    client = await world.client()
    query = {"toolgroup_id": "builtin::sums"}

    def bearing(token: str) -> dict[str, str]:
        return by("ada", **{"x-llamastack-provider-data": f'{{"box_token": "{token}"}}'})

    assert names(await client.get(TOOLS, params=query, headers=bearing("good"))) == ["add"]
    revoked = await client.get(TOOLS, params=query, headers=bearing("revoked"))
    assert revoked.status_code == 502
    assert revoked.json()["error"]["message"] == "The server of tools refused the caller's own key."
    assert (
        await client.post(INVOKE, json=call("builtin::sums/add", a=1), headers=bearing("revoked"))
    ).status_code == 502
    assert (await client.get(TOOLS, params=query, headers=bearing("revoked"))).status_code == 502  # asked each time
    for bearer in ("ada", "eve"):
        assert names(await client.get(TOOLS, params=query, headers=by(bearer))) == ["add"]
    assert [(token, who) for _, token, who in world.box.SEEN] == [
        ("good", "ada"),
        ("revoked", "ada"),
        ("revoked", "ada"),
        ("revoked", "ada"),
        ("", "ada"),
    ]
    answer = await client.post(
        INVOKE, json={**call("builtin::sums/add", a=1), "authorization": "Bearer t"}, headers=by("ada")
    )
    assert answer.status_code == 200
    assert world.box.CALLED[-1][3].authorization == "t"


async def test_another_callers_group_is_hidden_and_changes_no_name(world: ToolWorld) -> None:
    shared = [
        {"permit": {"actions": ["create", "read", "delete"]}, "when": "user is owner"},
        {"permit": {"actions": ["read"]}, "when": "resource is unowned"},
        {"permit": {"actions": ["read"], "resource": "tool_group::open"}},
    ]
    client = await world.client(policy=shared)
    for group in ("secret", "open"):
        assert (await client.post(GROUPS, json={"toolgroup_id": group}, headers=by("ada"))).status_code == 200
    world.box.SHELF |= {"secret": ["add", "hidden"], "open": ["add", "more"]}
    ambiguous = await client.post(INVOKE, json=call("add", a=1), headers=by("ada"))  # of her own
    assert "`builtin::sums/add`, `open/add`, `secret/add`" in message(ambiguous)
    assert (await client.post(INVOKE, json=call("add", a=1), headers=by("eve"))).status_code == 200
    assert (await client.post(INVOKE, json=call("more", a=1), headers=by("eve"))).status_code == 200
    assert [group.identifier for group, *_ in world.box.CALLED] == ["builtin::sums", "open"]
    for name in ("hidden", "secret/hidden", "secret/add", "nothing"):
        missing = await client.post(INVOKE, json=call(name, a=1), headers=by("eve"))
        assert (missing.status_code, message(missing)) == (
            404,
            f"There is no tool `{name}`. GET /v1/tools lists what there is.",
        )
    hidden = await client.get(TOOLS, params={"toolgroup_id": "secret"}, headers=by("eve"))
    assert hidden.status_code == (await client.get(f"{GROUPS}/secret", headers=by("eve"))).status_code == 404
    assert (await client.delete(f"{GROUPS}/secret", headers=by("eve"))).status_code == 404
    assert (await client.get(f"{GROUPS}/secret", headers=by("ada"))).json()["owner"] == "ada"


async def test_a_group_that_cannot_be_asked_is_left_out_of_lists_and_fails_by_its_name(world: ToolWorld) -> None:
    client = await world.client(auth=False)
    await client.post(GROUPS, json={"toolgroup_id": "down"})
    world.box.DOWN.add("down")
    for _ in range(2):
        assert names(await client.get(TOOLS)) == ["add"]
    assert len(world.box.SEEN) == 2  # the one that failed is not asked again at once
    assert (await client.post(INVOKE, json=call("add", a=1))).status_code == 200
    silent = await client.post(INVOKE, json=call("rare"))
    assert silent.status_code == 503
    of_all = "There is no tool `{}` in the tool groups that could be asked{} `down` could not be asked, and may have it: try again."
    assert message(silent) == of_all.format("rare", ".")
    for mistyped, meant in (("ad", "add"), ("builtin::sums/ad", "builtin::sums/add")):
        silent = await client.post(INVOKE, json=call(mistyped))
        hint = f"; did you mean `{meant}`?"
        assert (silent.status_code, message(silent)) == (503, of_all.format(mistyped, hint))
    assert (await client.get(TOOLS, params={"toolgroup_id": "down"})).status_code == 502
    world.box.DOWN.clear()
    assert names(await client.get(TOOLS, params={"toolgroup_id": "down"})) == ["add"]


async def test_lists_live_as_long_as_their_server_says_and_are_asked_for_once(world: ToolWorld) -> None:
    client = await world.client(auth=False)
    await asyncio.gather(*(client.get(TOOLS) for _ in range(8)))
    assert len(world.box.SEEN) == 1
    world.box.SECONDS["short"] = 0
    await client.post(GROUPS, json={"toolgroup_id": "short"})
    for _ in range(2):
        await client.get(TOOLS, params={"toolgroup_id": "short"})
    assert [group.name for group, *_ in world.box.SEEN] == ["builtin::sums", "short", "short"]


async def test_results_are_printed_for_every_generation_and_have_a_bound(world: ToolWorld) -> None:
    client = await world.client(auth=False)
    blocks: Any = [
        {"type": "text", "text": "t"},
        {"type": "image", "data": "aGk=", "mimeType": "image/png"},
        {"type": "resource", "resource": {"uri": "file:///x", "text": "inside"}},
        {"type": "resource_link", "uri": "https://x.example", "name": "x"},
        {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"},
    ]
    world.box.RESULTS["add"] = ToolResult(blocks, {"n": 1}, failed=True, metadata={"k": "v"})
    answer = (await client.post(INVOKE, json=call("add", a=1))).json()
    assert answer == {
        "content": [
            {"type": "text", "text": "t"},
            {"type": "image", "image": {"data": "aGk="}},
            {"type": "text", "text": "inside"},
            {"type": "text", "text": "[resource link x https://x.example]"},
            {"type": "text", "text": "[audio audio/wav]"},
        ],
        "error_message": None,
        "error_code": 1,
        "metadata": {"k": "v"},
        "structured_content": {"n": 1},
    }
    world.box.RESULTS["add"] = ToolResult("x" * 5_900_001)
    large = await client.post(INVOKE, json=call("add", a=1))
    assert large.status_code == 502
    assert message(large).startswith("Tool `builtin::sums/add` answered 5,900,")


async def test_connectors_are_listed_and_lead_to_their_servers(world: ToolWorld) -> None:
    declared = [{"connector_id": "c", "url": "https://c.example/mcp", "server_label": "l"}]
    client = await world.client(auth=False, connectors=declared)
    for path in ("/v1beta/connectors", "/v1alpha/admin/connectors"):
        bare = {"connector_id": "c", "connector_type": "mcp", "url": "https://c.example/mcp", "server_label": "l"}
        silent = {"server_name": None, "server_description": None, "server_version": None}
        told = {"server_name": "box", "server_description": "A box.", "server_version": "1.0"}
        assert (await client.get(path)).json() == {"data": [bare | silent]}
        assert (await client.get(f"{path}/c", params={"authorization": "t"})).json() == bare | told
        assert names(await client.get(f"{path}/c/tools")) == ["add"]
        assert (await client.get(f"{path}/c/tools/add")).json()["input_schema"]["required"] == ["a"]
        assert (await client.get(f"{path}/c/tools/sub")).status_code == 404
        missing = await client.get(f"{path}/d")
        assert (missing.status_code, "GET /v1beta/connectors lists" in message(missing)) == (404, True)
    assert {(group.endpoint, group.trusted) for group, *_ in world.box.SEEN} == {("https://c.example/mcp", True)}


async def test_an_invocation_is_a_request_of_the_quota_and_a_list_is_none(world: ToolWorld) -> None:
    client = await world.client(quota={"authenticated_max_requests": 2})
    for _ in range(3):
        assert (await client.get(TOOLS, headers=by("ada"))).status_code == 200
    codes = [(await client.post(INVOKE, json=call("add", a=1), headers=by("ada"))).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    of_tokens = await world.client(quota={"authenticated_max_tokens": 60})  # a request reserves some of its size
    codes = [(await of_tokens.post(INVOKE, json=call("add", a=1), headers=by("eve"))).status_code for _ in range(9)]
    assert codes == [200] * 9  # since no model was asked


async def test_what_a_principal_registered_goes_with_its_data(world: ToolWorld) -> None:
    client = await world.client()
    for who, group in (("ada", "hers"), ("eve", "eves")):
        assert (await client.post(GROUPS, json={"toolgroup_id": group}, headers=by(who))).status_code == 200
    stack = await open_stack(interpret(world.document(), {}))
    world.opened.push_async_callback(stack.close)
    ada = Principal("ada", {"teams": ("ada",)}, f"custom {world.upstream.url}/auth")
    outcome = await erase(list(sources(stack)), Estate(ada, lambda _: False), quietly, wait=0)
    assert {name: amount.count for (_, name), amount in outcome.removed.items()} == {"tool groups": 1}
    rows = await stack.stores.get(REGISTRY).page("tool_group", after="", limit=9)
    assert [row.identifier for row in rows] == ["eves"]
