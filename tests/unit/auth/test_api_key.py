"""API keys against a registry in memory: what passes, what is refused and how, and when the last use is stored."""

import asyncio
from dataclasses import replace
from typing import Any, override

import pytest

from core.auth.api_key import EXPIRED, LAST_USE_SECONDS, REFUSED, ApiKeyVerifier, Config, connect
from core.auth.http import UNAVAILABLE, Http
from core.auth.verifier import Fit, Incoming, Services
from core.errors import AuthUnavailable, ProviderUnavailable, Unauthenticated
from core.frame.callers import Principal
from core.frame.resources import Resource
from core.stores.registry.cached import CachedRegistry
from core.stores.registry.kept_key import KeptKey
from core.stores.registry.key_format import KIND, USE, issue, last_use
from core.stores.registry.port import Author
from tests.fakes import Clock, MemoryStore
from tests.parts.secrets import plant

NOW = 1_700_000_000


class Failing(MemoryStore):
    """Whose reads, if they are to, and writes fail."""

    fails_to_read = False

    @override
    async def get(self, kind: str, identifier: str) -> Resource | None:
        if self.fails_to_read:
            raise ProviderUnavailable("The DynamoDB table `secret-table` is throttling.")
        return await super().get(kind, identifier)

    @override
    async def create(self, resource: Resource, *, by: Author = None) -> Resource:
        self.writes += 1
        self.authors.append(by)
        raise ProviderUnavailable("The DynamoDB table is throttling.")


class Slow(MemoryStore):
    """Whose writes take a turn of the event loop."""

    @override
    async def create(self, resource: Resource, *, by: Author = None) -> Resource:
        await asyncio.sleep(0)
        return await super().create(resource, by=by)


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.now = NOW
    return clock


def keep(store: MemoryStore, *roles: str, expires: int | None = None) -> tuple[str, Resource]:
    """A new key's token, and its row, which `store` has."""
    token, resource = issue("demo", list(roles), expires=expires, now=NOW)
    store.rows[resource.kind, resource.identifier] = resource
    return plant(token), resource


def last_used(store: MemoryStore, resource: Resource) -> int | None:
    return last_use(store.rows.get((USE, resource.identifier))) or None


async def refusal(verifier: ApiKeyVerifier, token: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await verifier.verify(Incoming(token))
    assert 'error="invalid_token"' in refused.value.headers["www-authenticate"]
    return refused.value.message


async def test_a_key_is_a_principal_with_its_roles(clock: Clock) -> None:
    store = MemoryStore()
    token, resource = keep(store, "admin", "dev")
    found = await ApiKeyVerifier(store, clock=clock).verify(Incoming(token))
    assert found == Principal(resource.identifier, {"roles": ("admin", "dev")}, "api_key")


async def test_a_key_without_roles_has_a_namespace_of_its_own(clock: Clock) -> None:
    store = MemoryStore()
    token, resource = keep(store)
    found = await ApiKeyVerifier(store, clock=clock).verify(Incoming(token))
    assert found == Principal(resource.identifier, {"namespaces": (f"own:api_key:{resource.identifier}",)}, "api_key")


def test_a_key_is_for_no_other_provider_even_when_it_is_cut_short() -> None:
    store = MemoryStore()
    token, _ = keep(store)
    verifier = connect(Config(), Services(Http(), store))
    assert {verifier.fit(token[:end]) for end in range(22, len(token) + 1)} == {Fit.MINE}
    assert {verifier.fit(text) for text in ("", "llambda", "sk-abc", "eyJh.eyJz.sig", f"x{token}")} == {Fit.NO}


async def test_unknown_revoked_wrong_and_mistyped_look_the_same(clock: Clock) -> None:
    store = MemoryStore()
    token, resource = keep(store)
    other, _ = keep(store)
    revoked, gone = keep(store)
    del store.rows[gone.kind, gone.identifier]
    verifier = ApiKeyVerifier(store, clock=clock)
    secret = token.split("_", 2)[2]
    tokens = [
        revoked,
        f"llambda_{resource.identifier}_{other.split('_', 2)[2]}",
        f"llambda_{'a' * 12}_{secret}",
        f"llambda_{resource.identifier}_",
        f"llambda_{resource.identifier}_{resource.attributes['hash']}",
        token[:-1],
        token[:21],
        token + "A",
        token.upper(),
        token.swapcase(),
        f"{token}\n",
        token.replace("_", "\N{FULLWIDTH LOW LINE}"),
        "llambda_🦙",
        secret,
        "",
    ]
    assert {await refusal(verifier, wrong) for wrong in tokens} == {REFUSED}
    assert store.writes == 0
    assert (await verifier.verify(Incoming(token))).id == resource.identifier


async def test_only_who_has_the_secret_hears_that_a_key_has_expired(clock: Clock) -> None:
    store = MemoryStore()
    token, _ = keep(store, expires=NOW + 60)
    verifier = ApiKeyVerifier(store, clock=clock)
    clock.now = NOW + 59.9
    await verifier.verify(Incoming(token))
    for clock.now in (NOW + 60, NOW + 1e9):
        assert await refusal(verifier, token) == EXPIRED
        assert await refusal(verifier, token[:-1]) == REFUSED


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"roles": "admin"},
        {"roles": [7]},
        {"salt": "zz"},
        {"salt": ""},
        {"hash": ""},
        {"hash": None},
        {"expires": "2027-01-31"},
        {"expires": 10**20},
        {"last_used": True},
    ],
)
async def test_a_row_that_is_not_a_key_is_refused_and_logged(
    clock: Clock, caplog: pytest.LogCaptureFixture, change: dict[str, Any]
) -> None:
    store = MemoryStore()
    token, resource = keep(store)
    rows: list[dict[str, Any]] = [resource.attributes | change, {}, {"metadata": {}}]
    for attributes in rows:
        store.rows[resource.kind, resource.identifier] = replace(resource, attributes=attributes)
        assert await refusal(ApiKeyVerifier(store, clock=clock), token) == REFUSED
    assert caplog.text.count(f"API key {resource.identifier} is not usable") == 3
    assert resource.attributes["hash"] not in caplog.text


async def test_a_row_of_a_newer_version_is_still_a_key(clock: Clock) -> None:
    store = MemoryStore()
    token, resource = keep(store)
    newer = replace(resource, attributes=resource.attributes | {"note": "x"})
    store.rows[resource.kind, resource.identifier] = newer
    assert (await ApiKeyVerifier(store, clock=clock).verify(Incoming(token))).id == resource.identifier


async def test_a_registry_that_cannot_be_read_is_unavailable_and_says_no_more(clock: Clock) -> None:
    store = Failing()
    token, _ = keep(store)
    store.fails_to_read = True
    verifier = ApiKeyVerifier(store, clock=clock)
    with pytest.raises(AuthUnavailable) as failed:
        await verifier.verify(Incoming(token))
    assert failed.value.message == UNAVAILABLE


async def test_the_last_use_is_stored_once_an_hour(clock: Clock) -> None:
    store = MemoryStore()
    token, resource = keep(store)
    verifier = ApiKeyVerifier(store, clock=clock)
    for _ in range(5):
        await verifier.verify(Incoming(token))
    assert (store.writes, last_used(store, resource)) == (1, NOW)
    clock.now = NOW + LAST_USE_SECONDS - 0.5
    await verifier.verify(Incoming(token))
    assert (store.writes, last_used(store, resource)) == (1, NOW)
    clock.now = NOW + LAST_USE_SECONDS
    for _ in range(5):
        await verifier.verify(Incoming(token))
    assert (store.writes, last_used(store, resource)) == (2, NOW + LAST_USE_SECONDS)
    assert store.rows[resource.kind, resource.identifier] == resource  # which only its maker writes


async def test_a_key_whose_last_use_an_older_version_stored_is_used_as_long_ago(clock: Clock) -> None:
    store = MemoryStore()
    token, resource = keep(store)
    older = replace(resource, attributes=resource.attributes | {"last_used": NOW - LAST_USE_SECONDS + 1})
    store.rows[resource.kind, resource.identifier] = older
    verifier = ApiKeyVerifier(store, clock=clock)
    await verifier.verify(Incoming(token))
    assert store.writes == 0
    clock.now = NOW + 1
    await verifier.verify(Incoming(token))
    assert (store.writes, last_used(store, resource)) == (1, NOW + 1)


async def test_many_calls_at_once_store_the_last_use_once_for_each_key(clock: Clock) -> None:
    store = Slow()
    tokens = [keep(store)[0] for _ in range(3)]
    verifier = ApiKeyVerifier(store, clock=clock)
    await asyncio.gather(*(verifier.verify(Incoming(token)) for token in tokens * 20))
    assert store.writes == 3


async def test_what_another_process_has_stored_is_not_stored_again(clock: Clock) -> None:
    store = MemoryStore()
    token, _ = keep(store)
    for _ in range(3):
        await ApiKeyVerifier(store, clock=clock).verify(Incoming(token))
    assert store.writes == 1


async def test_a_last_use_that_cannot_be_stored_keeps_nobody_out_and_is_tried_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = Failing()
    token, resource = keep(store)
    verifier = ApiKeyVerifier(store, clock=clock)
    for _ in range(5):
        assert (await verifier.verify(Incoming(token))).id == resource.identifier
    assert store.writes == 1
    assert f"API key {resource.identifier}: its last use was not stored" in caplog.text


async def test_a_refused_call_is_no_use(clock: Clock) -> None:
    store = MemoryStore()
    token, resource = keep(store, expires=NOW)
    verifier = ApiKeyVerifier(store, clock=clock)
    for wrong in (token, token[:-1]):
        await refusal(verifier, wrong)
    assert (store.writes, last_used(store, resource)) == (0, None)


async def test_a_key_that_another_revoked_is_refused_when_the_cache_is_over_and_its_use_brings_nothing_back(
    clock: Clock,
) -> None:
    store, cache_clock = MemoryStore(), Clock()
    token, resource = keep(store)
    clock.now = NOW - LAST_USE_SECONDS
    verifier = ApiKeyVerifier(CachedRegistry(store, seconds=30, clock=cache_clock), clock=clock)
    await verifier.verify(Incoming(token))
    await verifier.verify(Incoming(token))  # what it wrote was forgotten: this is remembered
    await store.delete(resource.kind, resource.identifier)
    cache_clock.now = 29.9
    await verifier.verify(Incoming(token))
    clock.now = NOW
    await verifier.verify(Incoming(token))  # remembered still, and its last use is due
    assert (resource.kind, resource.identifier) not in store.rows
    cache_clock.now = 30
    assert await refusal(verifier, token) == REFUSED


async def test_a_revoked_key_is_refused_when_the_cache_is_over(clock: Clock) -> None:
    store, cache_clock = MemoryStore(), Clock()
    token, resource = keep(store)
    verifier = ApiKeyVerifier(CachedRegistry(store, seconds=30, clock=cache_clock), clock=clock)
    for _ in range(3):
        await verifier.verify(Incoming(token))
    await store.delete(resource.kind, resource.identifier)
    cache_clock.now = 29.9
    await verifier.verify(Incoming(token))
    cache_clock.now = 30
    assert await refusal(verifier, token) == REFUSED


class Waiting(MemoryStore):
    """Whose reads take a turn of the event loop."""

    @override
    async def get(self, kind: str, identifier: str) -> Resource | None:
        await asyncio.sleep(0)
        return await super().get(kind, identifier)


def rotate(store: MemoryStore, resource: Resource, *, overlap: int, now: int = NOW) -> str:
    """As another process does it; the whole key with its new secret."""
    entry = KeptKey.read(store.rows[resource.kind, resource.identifier])
    assert entry is not None
    token, rotated = entry.rotate(overlap=overlap, force=True, now=now)
    store.rows[resource.kind, resource.identifier] = rotated.resource
    return plant(token)


async def test_a_new_secret_passes_at_once_and_the_one_before_until_its_end(clock: Clock) -> None:
    store, cache_clock = MemoryStore(), Clock()
    token, resource = keep(store, "dev")
    verifier = ApiKeyVerifier(CachedRegistry(store, seconds=30, clock=cache_clock), clock=clock)
    await verifier.verify(Incoming(token))
    await verifier.verify(Incoming(token))  # remembered
    other = rotate(store, resource, overlap=60)
    for either in (other, token, other):
        assert (await verifier.verify(Incoming(either))).attributes == {"roles": ("dev",)}
    clock.now = NOW + 59.9
    await verifier.verify(Incoming(token))
    clock.now = NOW + 60
    assert await refusal(verifier, token) == REFUSED
    await verifier.verify(Incoming(other))
    third = rotate(store, resource, overlap=0, now=NOW + 60)
    await verifier.verify(Incoming(third))
    assert await refusal(verifier, other) == REFUSED


async def test_a_wrong_secret_is_read_for_once_and_all_that_come_at_once_share_two_reads(clock: Clock) -> None:
    store = Waiting()
    token, resource = keep(store)
    verifier = ApiKeyVerifier(CachedRegistry(store, seconds=30, clock=Clock()), clock=clock)
    await verifier.verify(Incoming(token))
    await verifier.verify(Incoming(token))
    store.reads = 0
    wrong = [f"llambda_{resource.identifier}_{number}" for number in range(200)]
    refusals = await asyncio.gather(*(refusal(verifier, each) for each in wrong))
    assert set(refusals) == {REFUSED}
    assert store.reads <= 2
    for _ in range(3):
        await asyncio.gather(*(refusal(verifier, each) for each in wrong))
    assert store.reads <= 2  # which were no key's a moment ago
    clock.now += 60
    await refusal(verifier, wrong[0])
    assert store.reads <= 3


async def test_one_who_comes_while_the_key_is_read_waits_for_a_read_after_the_rotation(clock: Clock) -> None:
    store = Waiting()
    token, resource = keep(store)
    verifier = ApiKeyVerifier(CachedRegistry(store, seconds=30, clock=Clock()), clock=clock)
    await verifier.verify(Incoming(token))
    await verifier.verify(Incoming(token))
    async with asyncio.TaskGroup() as group:
        group.create_task(refusal(verifier, f"{token}x"))
        await asyncio.sleep(0)
        other = rotate(store, resource, overlap=0)  # the read under way may have missed it
        passed = group.create_task(verifier.verify(Incoming(other)))
    assert passed.result().id == resource.identifier


async def test_a_key_that_was_revoked_is_refused_without_a_look_and_keeps_its_name(clock: Clock) -> None:
    store = Waiting()
    token, resource = keep(store)
    entry = KeptKey.read(resource)
    assert entry is not None
    revoked = entry.revoke(by="ops", last_used=5, now=NOW)
    store.rows[KIND, resource.identifier] = revoked.resource
    assert (revoked.key.name, revoked.key.revoked, revoked.key.revoked_by, revoked.key.last_used) == (
        "demo",
        NOW,
        "ops",
        5,
    )
    verifier = ApiKeyVerifier(CachedRegistry(store, seconds=30, clock=Clock()), clock=clock)
    for _ in range(3):
        assert await refusal(verifier, token) == REFUSED
    assert store.reads == 1


async def test_teams_are_attributes_and_models_a_grant_that_nobody_compares_or_shows(clock: Clock) -> None:
    store = MemoryStore()
    token, resource = issue("demo", ["dev"], teams=["red"], models=["small", "vllm/*"], expires=None, now=NOW)
    store.rows[resource.kind, resource.identifier] = resource
    found = await ApiKeyVerifier(store, clock=clock).verify(Incoming(plant(token)))
    assert found == Principal(resource.identifier, {"roles": ("dev",), "teams": ("red",)}, "api_key")
    assert found.grant is not None
    assert (found.grant.models, found.label, "small" in repr(found)) == (("small", "vllm/*"), "demo", False)


async def test_what_a_newer_version_stored_beside_a_key_outlives_its_rotation() -> None:
    store = MemoryStore()
    _, resource = keep(store)
    newer = replace(resource, attributes=resource.attributes | {"colours": [1]})
    store.rows[resource.kind, resource.identifier] = newer
    rotate(store, resource, overlap=60)
    assert store.rows[resource.kind, resource.identifier].attributes["colours"] == [1]
