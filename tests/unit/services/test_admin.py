"""Providers are asked how they feel all at once, and none may hold up the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest

from core.apis.admin import ProviderQuery
from core.errors import NotFound
from core.frame.types import Health
from core.routing.circuit_breaker import CircuitBreaker
from core.services.admin.router import HEALTH_SECONDS, AdminRouter, ProviderView
from tests.fakes import Clock


def view(name: str, health: Callable[[], Awaitable[Health]] | None) -> ProviderView:
    return ProviderView("inference", name, "remote::fake", {}, health)


async def test_providers_are_asked_at_the_same_time() -> None:
    together = asyncio.Barrier(3)

    async def health() -> Health:
        await together.wait()
        return Health(status="OK")

    shown = await AdminRouter("1", [view(name, health) for name in "abc"], list).list_providers()
    assert [row["health"]["status"] for row in shown["data"]] == ["OK", "OK", "OK"]


async def test_one_that_hangs_is_an_error_and_delays_no_other() -> None:
    async def hang() -> Health:
        await asyncio.sleep(60)
        return Health(status="OK")

    async def well() -> Health:
        return Health(status="OK")

    admin = AdminRouter("1", [view("a", hang), view("b", well)], list, patience=0.01)
    first, second = (await admin.list_providers())["data"]
    assert first["health"] == {"status": "Error", "message": "Health check timed out after 0.01 seconds"}
    assert second["health"] == {"status": "OK"}
    assert HEALTH_SECONDS == 1.0


async def test_one_that_cannot_be_asked_says_so_and_a_stranger_is_not_found() -> None:
    admin = AdminRouter("1", [view("a", None)], list)
    assert (await admin.get_provider("a", query=ProviderQuery()))["health"]["status"] == "Not Implemented"
    with pytest.raises(NotFound, match="Known: a"):
        await admin.get_provider("z", query=ProviderQuery())


async def test_one_id_in_two_apis_is_one_object_that_names_the_other() -> None:
    views = [replace(view("bedrock", None), api=api, provider_type=f"remote::{api}") for api in ("inference", "safety")]
    admin = AdminRouter("1", [view("a", None), *views], list)
    first, second = (
        await admin.get_provider("bedrock", query=ProviderQuery()),
        await admin.get_provider("bedrock", query=ProviderQuery(api="safety")),
    )
    assert (first["api"], first["provider_type"], first["other_apis"]) == ("inference", "remote::inference", ["safety"])
    assert (second["api"], second["provider_type"], second["other_apis"]) == ("safety", "remote::safety", ["inference"])
    assert await admin.get_provider("bedrock", query=ProviderQuery(api="inference")) == first
    assert "other_apis" not in await admin.get_provider("a", query=ProviderQuery(api="inference"))
    with pytest.raises(NotFound, match="`bedrock` is not configured for `eval`, but for: inference, safety") as refusal:
        await admin.get_provider("bedrock", query=ProviderQuery(api="eval"))
    assert refusal.value.param == "api"


async def test_circuits_are_shown_where_there_are_some_and_absent_elsewhere() -> None:
    circuits = CircuitBreaker(1, 30.0, Clock())
    permit = circuits.admit(("a", "m"))
    assert permit is not None
    circuits.record_failure(permit)
    views = [replace(view(name, None), circuits=partial(circuits.describe_failures, name)) for name in "ab"]
    rows = (await AdminRouter("1", [*views, view("c", None)], list).list_providers())["data"]
    assert rows[0]["circuits"] == [{"model": "m", "state": "open", "failures": 1, "retry_in": 30.0}]
    assert rows[1]["circuits"] == []
    assert "circuits" not in rows[2]
