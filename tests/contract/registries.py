"""What the registry's contract suite runs over, in this process and in others (it must pickle)."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any, override

from core.errors import Conflict
from core.frame.resources import Resource
from core.stores.registry import dynamodb, sqlite
from core.stores.registry.cached import CachedRegistry
from core.stores.registry.port import RegistryStore
from tests.contract.crew import together
from tests.contract.places import Place


@dataclass(frozen=True, slots=True)
class Backend(Place[RegistryStore]):
    cached: bool = False

    @override
    def connect(self, namespace: str | None = None) -> RegistryStore:
        if self.endpoint is None:
            store = sqlite.connect(self.place, namespace=namespace)
        else:
            store = dynamodb.connect(self.place, region=None, endpoint_url=self.endpoint, namespace=namespace)
        return CachedRegistry(store, seconds=30) if self.cached else store


def model(identifier: str = "llama", name: str | None = None, *, provider: str = "vllm", **metadata: Any) -> Resource:
    """A registered model; its name within the provider is its identifier, unless told."""
    attributes = {"metadata": metadata, "model_type": "llm"}
    return Resource("model", identifier, provider, name or identifier, attributes, created=1_700_000_000)


async def find_at(store: RegistryStore, kind: str, provider_id: str, name: str) -> Resource | None:
    """The first that stands for this name within the provider."""
    rows = await store.page_at(kind, provider_id, name, after="", limit=1)
    return rows[0] if rows else None


def register(backend: Backend, contenders: list[Resource]) -> list[str]:
    """In a worker: when all workers are ready, register all at once; "won" or "conflict" for each."""
    return asyncio.run(_register(backend, contenders))


async def _register(backend: Backend, contenders: list[Resource]) -> list[str]:
    async with backend.opened() as store:
        await together()
        return await asyncio.gather(*(_outcome(store, resource) for resource in contenders))


async def _outcome(store: RegistryStore, resource: Resource) -> str:
    try:
        await store.create(resource)
    except Conflict:
        return "conflict"
    return "won"


def churn(backend: Backend, resource: Resource, rounds: int) -> int:
    """In a worker: register, replace and unregister the same thing again and again; how often it was it that removed it."""
    return asyncio.run(_churn(backend, resource, rounds))


async def _churn(backend: Backend, resource: Resource, rounds: int) -> int:
    async with backend.opened() as store:
        await together()
        removed = 0
        for _ in range(rounds):
            await _outcome(store, resource)
            await store.replace(replace(resource, owner={"principal": "ada"}))
            removed += await store.delete(resource.kind, resource.identifier)
        return removed


def read(backend: Backend, identifier: str) -> Resource | None:
    """In a worker: get a model."""
    return asyncio.run(_read(backend, identifier))


async def _read(backend: Backend, identifier: str) -> Resource | None:
    async with backend.opened() as store:
        return await store.get("model", identifier)
