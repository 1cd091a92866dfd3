"""API keys in real registries, bare and behind the cache."""

from dataclasses import replace

from core.auth.api_key import LAST_USE_SECONDS, REFUSED, ApiKeyVerifier
from core.auth.verifier import Incoming
from core.errors import Unauthenticated
from core.frame.resources import Resource
from core.stores.registry.key_format import KIND, PROVIDER, USE, issue, last_use
from core.stores.registry.port import RegistryStore
from tests.contract.registries import Backend, find_at, model
from tests.fakes import Clock
from tests.parts.secrets import plant

NOW = 1_700_000_000


async def kept(store: RegistryStore) -> tuple[str, Resource]:
    token, resource = issue("Zoë's 🦙", ["admin"], expires=None, now=NOW)
    await store.create(resource)
    return plant(token), resource


async def refused(verifier: ApiKeyVerifier, token: str) -> str:
    try:
        await verifier.verify(Incoming(token))
    except Unauthenticated as failure:
        return failure.message
    return "passed"


async def test_a_key_passes_until_it_is_revoked_and_its_last_use_is_kept(store: RegistryStore) -> None:
    clock = Clock()
    clock.now = NOW
    token, resource = await kept(store)
    other, _ = await kept(store)
    verifier = ApiKeyVerifier(store, clock=clock)
    for clock.now in (NOW, NOW + 1, NOW + LAST_USE_SECONDS):
        found = await verifier.verify(Incoming(token))
        assert (found.id, found.attributes["roles"]) == (resource.identifier, ("admin",))
    assert last_use(await store.get(USE, resource.identifier)) == NOW + LAST_USE_SECONDS
    assert await store.get(KIND, resource.identifier) == resource
    assert await find_at(store, KIND, PROVIDER, resource.identifier) == resource
    assert await refused(verifier, f"{token[:-4]}AAAA") == REFUSED
    assert await store.delete(KIND, resource.identifier)
    assert await refused(verifier, token) == REFUSED
    assert await refused(verifier, other) == "passed"


async def test_a_key_is_one_of_its_own_namespace_and_kind(backend: Backend) -> None:
    async with backend.opened("one") as one, backend.opened("two") as two:
        token, resource = await kept(one)
        await two.create(replace(model(resource.identifier), attributes=resource.attributes))
        assert await refused(ApiKeyVerifier(one), token) == "passed"
        assert await refused(ApiKeyVerifier(two), token) == REFUSED
        assert [row.identifier for row in await one.page("model", after="", limit=9)] == []


async def test_the_use_of_a_key_that_is_revoked_meanwhile_does_not_bring_it_back(backend: Backend) -> None:
    cached = Backend(backend.place, backend.endpoint, cached=True)
    clock = Clock()
    clock.now = NOW
    async with backend.opened() as elsewhere, cached.opened() as here:
        token, resource = await kept(elsewhere)
        verifier = ApiKeyVerifier(here, clock=clock)
        for _ in range(2):
            await verifier.verify(Incoming(token))
        await elsewhere.delete(KIND, resource.identifier)
        clock.now += LAST_USE_SECONDS
        assert await refused(verifier, token) == "passed"  # remembered
        assert await elsewhere.get(KIND, resource.identifier) is None
        assert await find_at(elsewhere, KIND, PROVIDER, resource.identifier) is None
        assert await refused(ApiKeyVerifier(elsewhere), token) == REFUSED
