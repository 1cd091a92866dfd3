"""Fakes of the ports, by shape."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest, ServedModel
from core.errors import Conflict
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject, JsonStream, Wire
from core.stores.registry.port import Author, Check


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class MemoryStore:
    """A RegistryStore of one process; `reads` and `writes` count what a real store would be asked, `authors` are those of the writes."""

    rows: dict[tuple[str, str], Resource] = field(default_factory=dict[tuple[str, str], Resource])
    reads: int = 0
    writes: int = 0
    authors: list[Author] = field(default_factory=list[Author])

    async def get(self, kind: str, identifier: str) -> Resource | None:
        self.reads += 1
        return self.rows.get((kind, identifier))

    async def page_at(
        self, kind: str, provider_id: str, provider_resource_id: str, *, after: str, limit: int
    ) -> list[Resource]:
        self.reads += 1
        place = provider_id, provider_resource_id
        rows = [row for row in self._ordered(kind) if (row.provider_id, row.provider_resource_id) == place]
        return [row for row in rows if row.identifier.encode() > after.encode()][:limit]

    async def page(self, kind: str, *, after: str, limit: int) -> list[Resource]:
        return [row for row in self._ordered(kind) if row.identifier.encode() > after.encode()][:limit]

    async def create(self, resource: Resource, *, by: Author = None) -> Resource:
        self.writes += 1
        self.authors.append(by)
        there = self.rows.setdefault((resource.kind, resource.identifier), resource)
        if there.content() != resource.content():
            raise Conflict(resource.identifier)
        return there

    async def replace(self, resource: Resource, *, expect: Resource, by: Author = None) -> bool:
        self.writes += 1
        self.authors.append(by)
        there = self.rows.get((resource.kind, resource.identifier))
        names = (resource.provider_id, resource.provider_resource_id)
        if there != expect or (expect.provider_id, expect.provider_resource_id) != names:
            return False
        self.rows[resource.kind, resource.identifier] = resource
        return True

    async def delete(self, kind: str, identifier: str, check: Check | None = None, *, by: Author = None) -> bool:
        self.writes += 1
        self.authors.append(by)
        there = self.rows.get((kind, identifier))
        if there is None:
            return False
        if check is not None:
            check(there)
        del self.rows[kind, identifier]
        return True

    async def close(self) -> None:
        return None

    def _ordered(self, kind: str) -> Sequence[Resource]:
        return sorted((row for (k, _), row in self.rows.items() if k == kind), key=lambda row: row.identifier.encode())


def served(name: str, created: int = 0) -> ServedModel:
    return ServedModel(id=name, model_type="llm", metadata={}, created=created)


@dataclass
class FakeProvider:
    """An InferenceProvider that answers with what it was asked; `down` makes every call fail."""

    models: list[ServedModel] = field(default_factory=lambda: [served("m")])
    down: Exception | None = None
    asked: list[Wire] = field(default_factory=list[Wire])
    listings: int = 0
    chunks: list[JsonObject | Exception] = field(default_factory=list[JsonObject | Exception])
    closed: bool = False

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        return self._answer(request)

    async def completion(self, request: CompletionRequest) -> JsonObject:
        return self._answer(request)

    async def embeddings(self, request: EmbeddingsRequest) -> JsonObject:
        return self._answer(request)

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        self._answer(request)
        return self._stream()

    async def stream_completion(self, request: CompletionRequest) -> JsonStream:
        self._answer(request)
        return self._stream()

    async def list_models(self) -> list[ServedModel]:
        self.listings += 1
        await asyncio.sleep(0)
        if self.down is not None:
            raise self.down
        return self.models

    async def health(self) -> Health:
        return Health(status="Error" if self.down else "OK")

    async def close(self) -> None:
        self.closed = True

    def _answer(self, request: ChatRequest | CompletionRequest | EmbeddingsRequest) -> JsonObject:
        self.asked.append(request)
        if self.down is not None:
            raise self.down
        return {"model": request.model, "choices": []}

    async def _stream(self) -> JsonStream:
        try:
            for chunk in self.chunks:
                if isinstance(chunk, Exception):
                    raise chunk
                yield dict(chunk)
        finally:
            self.closed = True
