"""Prompts over HTTP and over both databases: versions, owners, limits, and what a response begins with."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.apis.prompts import ChangedPrompt, NewPrompt
from core.config.load import interpret
from core.errors import ApiError, InvalidRequest, NotFound
from core.frame.callers import Call, Principal
from core.resolution.resolve import resolve
from core.services.erasure import Estate
from core.services.prompts.erasing import erase as erase_of
from core.services.prompts.resolving import resolve_prompt
from tests.parts.file_stack import FileWorld, by, file_world
from tests.parts.live_stack import client_over

ADA, BOB = by("ada"), by("bob")
PATH = "/v1/prompts"
TEXT: dict[str, Any] = {"prompt": "You help {{ who }} in {{place}}.", "variables": ["who", "place"]}


over_both = pytest.mark.parametrize("document", ["sqlite", "dynamodb"], indirect=True)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[FileWorld]:
    async with file_world(tmp_path) as world:
        yield world


@pytest.fixture
def document(request: pytest.FixtureRequest, world: FileWorld) -> dict[str, Any]:
    storage = None
    if getattr(request, "param", "sqlite") == "dynamodb":
        table, endpoint = request.getfixturevalue("state_table"), request.getfixturevalue("dynamodb_endpoint")
        kv = {"type": "kv_dynamodb", "table": table, "endpoint_url": endpoint}
        blobs = {"type": "blob_local", "path": str(world.folder / "blobs")}
        stores = {"documents": {"backend": "kv"}, "blobs": {"backend": "blobs"}}
        storage = {"backends": {"kv": kv, "blobs": blobs}, "stores": stores}
    entry: dict[str, Any] = {"provider_id": "builtin", "provider_type": "inline::builtin", "config": {}}
    document = world.document(storage=storage, quota={"roles": {"eve": {"max_prompts": 2}}})
    models = {"provider_id": "local", "provider_type": "remote::vllm", "config": {"url": "http://127.0.0.1:9/v1"}}
    providers = {"inference": [models], "responses": [entry]}  # which needs it; no prompt asks it anything
    return document | {"apis": ["inference", "responses"], "providers": providers}


@pytest.fixture
async def client(document: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    async with client_over(interpret(document, {})) as client:
        yield client


async def make(client: httpx.AsyncClient, body: dict[str, Any] = TEXT, who: dict[str, str] = ADA) -> dict[str, Any]:
    answer = await client.post(PATH, json=body, headers=who)
    assert answer.status_code == 200, answer.text
    prompt: dict[str, Any] = answer.json()
    return prompt


async def put(client: httpx.AsyncClient, name: str, version: int, **more: Any) -> httpx.Response:
    return await client.put(
        f"{PATH}/{name}", json={"prompt": f"After {version}", "version": version} | more, headers=ADA
    )


def said(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["message"]


@over_both
async def test_a_prompt_has_versions_of_which_one_is_the_default(client: httpx.AsyncClient) -> None:
    first = await make(client)
    name = first["prompt_id"]
    assert first == {**TEXT, "prompt_id": name, "version": 1, "is_default": True}
    assert len(name) == len("pmpt_") + 48
    third: dict[str, Any] = {"prompt": "After 2", "prompt_id": name, "version": 3, "variables": [], "is_default": False}
    assert (await put(client, name, 1)).json() == third | {"prompt": "After 1", "version": 2, "is_default": True}
    assert (await put(client, name, 2, set_as_default=False)).json() == third

    got = [
        (await client.get(f"{PATH}/{name}{query}", headers=ADA)).json()["version"]
        for query in ("", "?version=1", "?version=3")
    ]
    assert got == [2, 1, 3]
    listed = (await client.get(f"{PATH}/{name}/versions", headers=ADA)).json()
    assert [(one["version"], one["is_default"]) for one in listed["data"]] == [(1, False), (2, True), (3, False)]
    rest = (await client.get(f"{PATH}/{name}/versions?after=1&limit=1", headers=ADA)).json()
    assert ([one["version"] for one in rest["data"]], rest["has_more"]) == ([2], True)

    chosen = await client.put(f"{PATH}/{name}/set-default-version", json={"version": 1}, headers=ADA)
    assert chosen.json() == first
    other = await make(client, {"prompt": "Another"})
    listed = (await client.get(PATH, headers=ADA)).json()
    assert sorted(listed["data"], key=lambda one: one["prompt_id"] == name) == [other, first]
    gone = await client.delete(f"{PATH}/{name}", headers=ADA)
    assert (gone.status_code, gone.text) == (200, "null")
    for path in ("", "?version=1", "/versions"):
        assert said(await client.get(f"{PATH}/{name}{path}", headers=ADA)) == (404, f"There is no prompt `{name}`.")
    assert (await client.get(PATH, headers=ADA)).json()["data"] == [other]


async def test_what_is_wrong_is_said_with_what_to_do(client: httpx.AsyncClient) -> None:
    name = (await make(client))["prompt_id"]
    assert (await put(client, name, 1)).status_code == 200
    status, text = said(await put(client, name, 1))
    assert (status, text) == (
        400,
        f"version: 1 is not the newest version of `{name}`: that is 2. Look at what it says, and send your change with `version` 2.",
    )
    undeclared = await client.post(PATH, json={"prompt": "{{ a }}", "variables": []}, headers=ADA)
    assert said(undeclared) == (400, "variables: the text has `a`; add them to `variables`, or leave `variables` out.")
    missing = await client.get(f"{PATH}/{name}?version=9", headers=ADA)
    assert said(missing) == (404, f"Prompt `{name}` has no version 9; its newest is 2.")
    for after in ("x", "-1", "9" * 5000):
        found = await client.get(f"{PATH}/{name}/versions?after={after}", headers=ADA)
        assert said(found) == (400, "after: it is the number of a version.")
    for path in (f"{PATH}/pmpt_1", f"{PATH}/{name[:-1]}g"):
        assert said(await client.get(path, headers=ADA))[0] == 404


@over_both
async def test_of_changes_to_one_version_one_is_made(client: httpx.AsyncClient) -> None:
    name = (await make(client))["prompt_id"]
    for version in (1, 2):
        answers = await asyncio.gather(*[put(client, name, version, prompt=f"by {n}") for n in range(6)])
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 5
        made = next(answer.json() for answer in answers if answer.status_code == 200)
        assert (await client.get(f"{PATH}/{name}", headers=ADA)).json() == made
    listed = (await client.get(f"{PATH}/{name}/versions", headers=ADA)).json()["data"]
    assert [one["version"] for one in listed] == [1, 2, 3]


@over_both
async def test_anothers_prompt_is_not_there_and_a_limit_is_kept(client: httpx.AsyncClient) -> None:
    name, eve = (await make(client))["prompt_id"], by("eve")
    for answer in (
        await client.get(f"{PATH}/{name}", headers=BOB),
        await client.delete(f"{PATH}/{name}", headers=BOB),
        await client.get(f"{PATH}/{name}/versions", headers=BOB),
        await client.put(f"{PATH}/{name}", json={"prompt": "x", "version": 1}, headers=BOB),
        await client.put(f"{PATH}/{name}/set-default-version", json={"version": 1}, headers=BOB),
    ):
        assert said(answer) == (404, f"There is no prompt `{name}`.")
    assert (await client.get(PATH, headers=BOB)).json()["data"] == []
    made = await asyncio.gather(*[client.post(PATH, json={"prompt": "x"}, headers=eve) for _ in range(6)])
    assert sorted(answer.status_code for answer in made) == [200] * 2 + [429] * 4
    refused = next(answer for answer in made if answer.status_code == 429)
    assert said(refused)[1] == "You may keep 2 prompts, and have as many. Delete some."
    mine = next(answer.json() for answer in made if answer.status_code == 200)
    await client.delete(f"{PATH}/{mine['prompt_id']}", headers=eve)
    await make(client, {"prompt": "again"}, eve)


async def test_a_response_begins_with_the_text_and_what_is_put_into_it(document: dict[str, Any]) -> None:
    stack = await resolve(interpret(document, {}), ["responses"], version="1")
    vouched = f"custom {document['server']['auth']['config'].get('issuer', '')}".strip()
    ada, bob = (Call(Principal(who, {"roles": (who,)}, vouched)) for who in ("ada", "bob"))
    prompts = stack.surfaces["prompts"](ada)
    name = (await prompts.create(NewPrompt(**TEXT)))["prompt_id"]
    await prompts.update(ChangedPrompt(prompt="{{ photo }}", version=1), name)
    image = {"type": "input_image", "image_url": "https://a/b.png"}

    async def resolved(**prompt: Any) -> Any:
        return await resolve_prompt(stack, ada, {"id": name} | prompt)

    [system] = await resolved(
        version="1", variables={"who": "{{ place }}", "place": {"type": "input_text", "text": "Rome"}}
    )
    assert system["role"] == "system"
    assert system["content"] == [{"type": "input_text", "text": "You help {{ place }} in Rome."}]
    system, user = await resolved(variables={"photo": image})
    assert system["content"][0]["text"] == "[Image: photo]"
    assert user == {"type": "message", "role": "user", "content": [image]}

    refused: list[tuple[type[ApiError], dict[str, Any], str]] = [
        (InvalidRequest, {"version": 1}, "the prompt needs `who`, `place`"),
        (InvalidRequest, {"variables": {"photo": "", "x": ""}}, "the prompt has no `x`; it has `photo`"),
        (InvalidRequest, {"variables": {"photo": 1}}, r"prompt.variables.photo: it is a text, or an object"),
        (
            InvalidRequest,
            {"variables": {"photo": {"type": "input_file", "file_id": 5, "file_url": "x"}}},
            "file_id: must be",
        ),
        (InvalidRequest, {"variables": {"photo": {"type": "input_image"}}}, "photo: needs `image_url` or `file_id`"),
        (InvalidRequest, {"variables": [1]}, "prompt.variables: it is an object"),
        (InvalidRequest, {"version": "new"}, "prompt.version: it is a number"),
        (InvalidRequest, {"id": 1}, "prompt.id: give the id"),
        (NotFound, {"version": 7}, "has no version 7"),
    ]
    for failure, prompt, words in refused:
        with pytest.raises(failure, match=words):
            await resolved(**prompt)
    with pytest.raises(NotFound, match="There is no prompt"):
        await resolve_prompt(stack, bob, {"id": name})

    await prompts.update(ChangedPrompt(prompt="x", version=2), name)
    erase, rows = erase_of(stack), stack.stores.collection("prompts")
    assert erase is not None
    for estate, left in ((Estate(bob.principal, lambda _: False), 1), (Estate(ada.principal, lambda _: False), 0)):
        pieces = [piece async for some in erase(estate) for piece in some]
        assert [piece.name for piece in pieces if piece.name] == ["prompts"] * (not left)
        assert all([await piece.remove() for piece in pieces])
        assert len((await rows.page("prompt", ada.principal.identity, limit=9)).documents) == left
    assert not (await rows.page("prompt_version", name, limit=9)).documents
    await stack.close()
