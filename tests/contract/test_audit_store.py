"""The audit trail over both stores: an entry for each change, with it, and none without."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
import sqlite3
from typing import Any

import pytest

from core.errors import Conflict, PermissionDenied
from core.frame.callers import ANONYMOUS, Principal
from core.frame.resources import Resource
from core.frame.tracing import REQUEST_ID
from core.stores.audit.entry import Change
from core.stores.audit.port import AuditStore, id_at
from core.stores.configurations.port import Head
from core.stores.registry.key_format import issue, use_at
from tests.contract.configurations import Configuring, configuration
from tests.contract.registries import Backend, model
from tests.parts.audit import read_trail

ADA = Principal("ada", {"roles": ("admin",)}, "jwt https://idp", label="Ada L.")
YEAR = 366 * 86_400_000  # milliseconds
BY_ADA = {"principal": "ada", "vouched_by": "jwt https://idp", "label": "Ada L."}


def facts(entry: dict[str, Any]) -> tuple[object, ...]:
    return entry["actor"], entry["action"], entry["entity"], entry["before"], entry["after"]


def side(**metadata: Any) -> dict[str, Any]:
    names = {"provider_id": "vllm", "provider_resource_id": "llama", "owner": None}
    return {**names, "metadata": metadata, "model_type": "llm"}


def refuse(_: Resource) -> None:
    raise PermissionDenied("no")


async def test_each_change_of_a_resource_has_one_entry_and_what_changes_nothing_has_none(backend: Backend) -> None:
    trail, began = backend.trail(), datetime.now(UTC).timestamp()
    request = REQUEST_ID.set("req-1")
    async with backend.opened() as store:
        first = await store.create(model(note="old"), by=ADA)
        await store.create(model(note="old"))  # the same again
        with pytest.raises(Conflict):
            await store.create(model(note="other"))
        new = replace(first, attributes=model(note="new").attributes)
        assert await store.replace(new, expect=first, by=ANONYMOUS)
        assert not await store.replace(first, expect=first, by=ADA)
        with pytest.raises(PermissionDenied):
            await store.delete("model", "llama", refuse, by=ADA)
        assert await store.delete("model", "llama")
        assert not await store.delete("model", "llama", by=ADA)
    REQUEST_ID.reset(request)
    entries = await read_trail(trail)
    assert [facts(entry) for entry in entries] == [
        (BY_ADA, "create", "model::llama", None, side(note="old")),
        ("anonymous", "update", "model::llama", side(note="old"), side(note="new")),
        ("operator", "delete", "model::llama", side(note="new"), None),
    ]
    assert {entry["request_id"] for entry in entries} == {"req-1"}
    assert all(int(began) <= entry["at"] <= began + 600 for entry in entries)
    await trail.close()


async def test_of_a_key_neither_its_hash_nor_its_use_is_noted(backend: Backend) -> None:
    trail = backend.trail()
    async with backend.opened() as store:
        _, key = issue("ci", ["admin"], expires=None, now=1_700_000_000)
        await store.create(key)
        await store.create(use_at(key.identifier, 1))
        assert await store.replace(use_at(key.identifier, 2), expect=use_at(key.identifier, 1))
        assert await store.delete("api_key_use", key.identifier)
    (entry,) = await read_trail(trail)
    assert (entry["entity"], entry["after"]["name"], entry["after"]["roles"]) == (
        f"key::{key.identifier}",
        "ci",
        ["admin"],
    )
    assert not {"salt", "hash"} & entry["after"].keys()
    await trail.close()


async def test_a_configuration_that_is_not_put_in_force_has_no_entry(backend: Backend) -> None:
    trail, now = backend.trail(), datetime.now(UTC).timestamp()
    change = Change(ADA, "create", "configuration::1", None, {"version": 1}, at=now)
    removal = Change(ADA, "delete", "configuration::1", {"version": 1}, None, at=now + 1)
    async with Configuring(backend.place, backend.endpoint).opened() as store:
        assert not await store.append(configuration(2), after=Head(1, 1), change=change)
        assert await store.append(configuration(1), after=Head(), change=change)
        assert not await store.remove(1, after=Head(), change=change)
        assert await store.remove(1, after=Head(1, 1), change=removal)
    entries = await read_trail(trail)
    assert [(entry["action"], entry["after"]) for entry in entries] == [("create", {"version": 1}), ("delete", None)]
    await trail.close()


async def noted(backend: Backend, *moments: float) -> None:
    async with Configuring(backend.place, backend.endpoint).opened() as store:
        for number, at in enumerate(moments):
            change = Change(None, "create", f"configuration::{number + 1}", None, {}, at)
            assert await store.append(configuration(number + 1), after=Head(number, number), change=change)


async def ids(trail: AuditStore, since: float, before: str, limit: int = 9) -> list[int]:
    page = await trail.page(since=int(since * 1000), before=before, limit=limit)
    return [int(entry["entity"].rpartition("::")[2]) for entry in page]


async def test_a_page_goes_on_over_the_ends_of_months_newest_first(backend: Backend) -> None:
    dates = [(2025, 12, 31), (2026, 1, 1), (2026, 1, 31), (2026, 3, 1), (2026, 3, 2)]
    moments = [datetime(*date, tzinfo=UTC).timestamp() for date in dates]
    await noted(backend, *moments)
    trail, end = backend.trail(), id_at(int(moments[-1] * 1000) + 1)
    assert await ids(trail, moments[0], end) == [5, 4, 3, 2, 1]
    assert await ids(trail, moments[0], end, limit=3) == [5, 4, 3]
    page = await trail.page(since=int(moments[0] * 1000), before=end, limit=3)
    assert await ids(trail, moments[0], page[-1]["id"]) == [2, 1]
    assert await ids(trail, moments[1], end) == [5, 4, 3, 2]
    assert await ids(trail, moments[1] + 1, end) == [5, 4, 3]
    assert await ids(trail, moments[1], id_at(int(moments[3] * 1000))) == [3, 2]
    assert await ids(trail, moments[4] + 1, id_at(int(moments[4] * 1000) + YEAR)) == []
    await trail.close()


async def test_namespaces_have_trails_of_their_own(backend: Backend) -> None:
    async with backend.opened("one") as one:
        await one.create(model())
    for namespace, count in (("one", 1), ("two", 0), (None, 0)):
        trail = backend.trail(namespace)
        assert len(await read_trail(trail)) == count
        await trail.close()


@pytest.mark.parametrize("statement", ["UPDATE audit SET body = '{}'", "DELETE FROM audit"])
async def test_a_file_refuses_to_change_or_remove_an_entry(tmp_path: Path, statement: str) -> None:
    backend = Backend(str(tmp_path / "registry.db"))
    async with backend.opened() as store:
        await store.create(model())
    with closing(sqlite3.connect(backend.place)) as other, pytest.raises(sqlite3.IntegrityError, match="append only"):
        other.execute(statement)
