"""What the registry's contract suite runs over, in this process and in others (it must pickle)."""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, override

from core.errors import Conflict
from core.frame.resources import Resource
from core.stores.audit import dynamodb as audit_dynamodb
from core.stores.audit import sqlite as audit_sqlite
from core.stores.audit.port import AuditStore
from core.stores.registry import dynamodb, sqlite
from core.stores.registry.cached import CachedRegistry
from core.stores.registry.port import RegistryStore
from tests.contract.crew import together
from tests.contract.places import Place


@dataclass(frozen=True, slots=True)
class Backend(Place[RegistryStore]):
    cached: bool = False

    def trail(self, namespace: str | None = None) -> AuditStore:
        """The audit trail of what is registered there."""
        if self.endpoint is None:
            return audit_sqlite.connect(self.place, namespace=namespace)
        return audit_dynamodb.connect(self.place, region=None, endpoint_url=self.endpoint, namespace=namespace)

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


def churn(backend: Backend, resource: Resource, rounds: int) -> Counter[str]:
    """In a worker: register, replace and unregister the same thing again and again; how often it was it that did so."""
    return asyncio.run(_churn(backend, resource, rounds))


async def _churn(backend: Backend, resource: Resource, rounds: int) -> Counter[str]:
    async with backend.opened() as store:
        await together()
        done: Counter[str] = Counter()
        for _ in range(rounds):
            done["create"] += await _outcome(store, resource) == "won"
            done["update"] += await store.replace(replace(resource, owner={"principal": "ada"}), expect=resource)
            done["delete"] += await store.delete(resource.kind, resource.identifier)
        return done


def count(backend: Backend, identifier: str, rounds: int) -> int:
    """In a worker: read a model, add one to its number and write it back, so often; how many writes were too late."""
    return asyncio.run(_count(backend, identifier, rounds))


async def _count(backend: Backend, identifier: str, rounds: int) -> int:
    async with backend.opened() as store:
        await together()
        done = tries = 0
        while done < rounds:
            there = await store.get("model", identifier)
            assert there is not None
            number = there.attributes["metadata"]["number"]
            done += await store.replace(replace(there, attributes={"metadata": {"number": number + 1}}), expect=there)
            tries += 1
        return tries - done


def read(backend: Backend, identifier: str) -> Resource | None:
    """In a worker: get a model."""
    return asyncio.run(_read(backend, identifier))


async def _read(backend: Backend, identifier: str) -> Resource | None:
    async with backend.opened() as store:
        return await store.get("model", identifier)
