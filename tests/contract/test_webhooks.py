"""Webhook endpoints over HTTP: secrets that are shown once, owners, limits, and where nothing is sent to."""

from collections.abc import AsyncIterator
from contextlib import closing
import logging
from pathlib import Path
import sqlite3
from typing import Any

import httpx
import pytest

from core.apis.webhooks import EVENT_TYPES, Post
from core.errors import InvalidRequest, ProviderUnavailable
from core.providers.webhooks.builtin import BuiltinWebhooks, Config
from core.services.erasure import Estate
from core.services.webhooks.collection import tally_id
from core.services.webhooks.erasing import erase as erase_of
from core.services.webhooks.records import ENDPOINT
from core.stores.connect import DOCUMENTS
from tests.contract.fetching import Names
from tests.parts.file_stack import by
from tests.parts.upstream import hang, status
from tests.parts.webhook_world import ENDPOINTS, TYPE, WebhookWorld, delivering, register, webhook_world

ADA, BOB = by("ada"), by("bob")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[WebhookWorld]:
    async with webhook_world(tmp_path) as world:
        yield world


@pytest.fixture
async def client(world: WebhookWorld) -> httpx.AsyncClient:
    return await world.client(max_endpoints=3)


async def test_an_endpoint_is_kept_shown_changed_and_deleted(client: httpx.AsyncClient, world: WebhookWorld) -> None:
    made = await register(client, world.receiver.url, TYPE, "response.failed", TYPE)
    path = f"{ENDPOINTS}/{made['id']}"
    secret = made.pop("signing_secret")
    assert made["signing_secret_hint"] == f"whsec_...{secret[-4:]}"
    assert made["event_types"] == [TYPE, "response.failed"]
    assert (await client.get(path, headers=ADA)).json() == made
    changed = (await client.post(path, json={"name": "yours"}, headers=ADA)).json()
    assert changed == made | {"name": "yours", "updated_at": changed["updated_at"]}
    other = await register(client, world.receiver.url)
    page = (await client.get(f"/v1/openai{ENDPOINTS}", params={"limit": 1}, headers=ADA)).json()
    assert (len(page["data"]), page["has_more"], page["last_id"]) == (1, True, page["data"][0]["id"])
    rest = (await client.get(ENDPOINTS, params={"after": page["last_id"]}, headers=ADA)).json()
    shown = {each["id"]: each for each in (*page["data"], *rest["data"])}  # of one second, they are in any order
    assert (shown[made["id"]], set(shown), rest["has_more"]) == (changed, {made["id"], other["id"]}, False)
    assert (await client.delete(path, headers=ADA)).json() == {
        "id": made["id"],
        "object": "webhook_endpoint.deleted",
        "deleted": True,
    }
    assert (await client.get(path, headers=ADA)).status_code == 404
    types = (await client.get("/v1/webhook_event_types", headers=ADA)).json()
    assert types == {"object": "list", "data": list(EVENT_TYPES)}


async def test_a_secret_is_shown_once_and_nowhere_in_clear(
    client: httpx.AsyncClient, world: WebhookWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made = await register(client, world.receiver.url)
    path = f"{ENDPOINTS}/{made['id']}"
    rotated = await client.post(f"{path}/rotate_secret", json={}, headers=ADA)
    secrets = [made["signing_secret"], rotated.json()["signing_secret"]]
    assert secrets[0] != secrets[1]
    await client.post(f"{path}/test", json={"event_type": TYPE}, headers=ADA)
    shown = [(await client.get(each, headers=ADA)).text for each in (path, ENDPOINTS)]
    stack = await world.stack()
    document = await stack.stores.get(DOCUMENTS).get(ENDPOINT, made["id"])
    told = "".join([*shown, repr(document), caplog.text, *rows_below(tmp_path)])
    assert made["id"] in told
    for secret in secrets:
        assert secret.removeprefix("whsec_") not in told


def rows_below(folder: Path) -> list[str]:
    """Every row of every table of every database in this folder."""
    rows = list[str]()
    for file in folder.rglob("*.db"):
        with closing(sqlite3.connect(file)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
            for (table,) in tables:
                rows += map(repr, connection.execute(f"SELECT * FROM {table}").fetchall())  # noqa: S608 - of the schema
    return rows


async def test_anothers_endpoint_is_none(client: httpx.AsyncClient, world: WebhookWorld) -> None:
    path = f"{ENDPOINTS}/{(await register(client, world.receiver.url))['id']}"
    asked = [
        await client.get(path, headers=BOB),
        await client.post(path, json={"name": "b"}, headers=BOB),
        await client.delete(path, headers=BOB),
        await client.post(f"{path}/rotate_secret", json={}, headers=BOB),
        await client.post(f"{path}/test", json={"event_type": TYPE}, headers=BOB),
        await client.get(ENDPOINTS, params={"after": path.rpartition("/")[2]}, headers=BOB),
    ]
    assert [answer.status_code for answer in asked] == [404] * 6
    assert (await client.get(ENDPOINTS, headers=BOB)).json()["data"] == []
    assert world.receiver.received == []


async def test_a_caller_keeps_so_many_and_no_more(client: httpx.AsyncClient, world: WebhookWorld) -> None:
    made = [await register(client, world.receiver.url) for _ in range(3)]
    body = {"name": "n", "url": world.receiver.url, "event_types": [TYPE]}
    refused = await client.post(ENDPOINTS, json=body, headers=ADA)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "max_endpoints_reached")
    assert "You may keep 3 webhook endpoints" in refused.json()["error"]["message"]
    await register(client, world.receiver.url, who="bob")
    await client.delete(f"{ENDPOINTS}/{made[0]['id']}", headers=ADA)
    await register(client, world.receiver.url)


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"url": "https://127.0.0.1/hook"}, "url"),
    ({"url": "https://10.1.2.3/hook"}, "url"),
    ({"url": "https://[::1]/hook"}, "url"),
    ({"url": "https://0x7f000001/hook"}, "url"),
    ({"url": "https://169.254.169.254/latest/meta-data"}, "url"),
    ({"url": "https://localhost/hook"}, "url"),
    ({"url": "https://127.0.0.1.nip.io/hook"}, "url"),
    ({"url": "http://example.com:443/hook"}, "url"),
    ({"url": "https://example.com:8443/hook"}, "url"),
    ({"url": "https://user:word@example.com/hook"}, "url"),
    ({"url": "ftp://example.com/hook"}, "url"),
    ({"url": "hook"}, "url"),
    ({"url": "https://192.0.2.1/hook\r\nX: y"}, "url"),
    ({"url": "https://192.0.2.1/a hook"}, "url"),
    ({"url": f"https://example.com/{'a' * 3000}"}, "url"),
    ({"event_types": []}, "event_types"),
    ({"event_types": ["batch.finished"]}, "event_types[0]"),
    ({"name": ""}, "name"),
)


async def test_what_may_not_be_registered_is_refused(world: WebhookWorld) -> None:
    client = await world.client(allow_private_addresses=False, allowed_ports=[443])
    for change, param in REFUSED:
        body = {"name": "n", "url": "https://192.0.2.1/", "event_types": [TYPE]} | change
        refused = await client.post(ENDPOINTS, json=body, headers=ADA)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param), refused.text


async def test_an_endpoint_is_not_moved_to_where_none_may_be_registered(
    client: httpx.AsyncClient, world: WebhookWorld
) -> None:
    path = f"{ENDPOINTS}/{(await register(client, world.receiver.url))['id']}"
    strict = await world.client(allow_private_addresses=False, allowed_ports=[443])
    for url in (
        "https://127.0.0.1/hook",
        "https://[::ffff:10.0.0.1]/hook",
        "http://192.0.2.1:443/",
        "https://192.0.2.1:22/",
    ):
        refused = await strict.post(path, json={"url": url}, headers=ADA)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "url")
    assert (await strict.get(path, headers=ADA)).json()["url"] == world.receiver.url


async def test_a_name_that_turns_to_a_private_address_is_not_called(world: WebhookWorld) -> None:
    """And one that nobody knows is refused as one that leads to where nothing is sent."""
    names = Names(turns=[["93.184.216.34"], ["127.0.0.1"]], inside=[["10.0.0.1"]])
    port = int(world.receiver.url.split(":")[2].partition("/")[0])
    sender = BuiltinWebhooks(Config(allowed_ports=(port,), timeout=5), resolver=names)
    await sender.check(f"https://turns.test:{port}/hook")
    with pytest.raises(ProviderUnavailable) as unsent:
        await sender.send(Post(f"http://turns.test:{port}/hook", {}, b"{}"))
    refusals = set[str]()
    for name in ("turns", "inside", "nobody"):
        with pytest.raises(InvalidRequest) as refused:
            await sender.check(f"https://{name}.test:{port}/hook")
        refusals.add(refused.value.message)
    await sender.close()
    assert world.receiver.received == []
    assert refusals == {"url: cannot be reached, or calling it is not allowed."}
    assert "10." not in unsent.value.message


async def test_a_sample_is_signed_and_its_status_is_told(client: httpx.AsyncClient, world: WebhookWorld) -> None:
    made = await register(client, world.receiver.url, "response.completed")
    path, body = f"{ENDPOINTS}/{made['id']}/test", {"event_type": "response.completed"}
    world.receiver.answers(status(401, {"internal": "word"}), hang)
    answer = await client.post(path, json=body, headers=ADA)
    assert answer.json() == {
        "object": "webhook_endpoint.test",
        "webhook_endpoint_id": made["id"],
        "event_type": "response.completed",
        "status_code": 401,
        "success": True,
    }
    [sample] = world.receiver.received
    assert sample.is_signed_with(made["signing_secret"])
    assert (sample.event["type"], sample.event["id"]) == ("response.completed", sample.id)
    hasty = await world.client(timeout=0.2)
    assert (await hasty.post(path, json=body, headers=ADA)).status_code == 503


async def test_what_a_principal_keeps_is_erased(client: httpx.AsyncClient, world: WebhookWorld, tmp_path: Path) -> None:
    made, other = await register(client, world.receiver.url), await register(client, world.receiver.url, who="bob")
    async with delivering(world, tmp_path) as deliveries:
        stack, ada = deliveries.stack, await deliveries.owner_of(made["id"])
        erase = erase_of(stack)
        assert erase is not None
        async for pieces in erase(Estate(ada, lambda _: False)):
            for piece in pieces:
                assert await piece.remove()
        documents = stack.stores.get(DOCUMENTS)
        assert await documents.get(ENDPOINT, made["id"]) is None
        assert await documents.tallies(ENDPOINT, tally_id(ada.identity)) == {}
        assert await documents.get(ENDPOINT, other["id"]) is not None
