"""A stack with vector stores, in this process: embeddings that count words, tokens that are their bearers' names."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
import json
import math
from pathlib import Path
import re
import sqlite3
from typing import Any
import zlib

from aiohttp import web
import httpx

from core.config.load import interpret
from infra.local import chroma
from infra.local.dynamodb import CREDENTIALS, REGION
from tests.parts import s3_vectors as s3_vectors_double
from tests.parts import upstream as upstreams
from tests.parts.live_stack import client_over
from tests.parts.s3_vectors import S3VectorsDouble
from tests.parts.upstream import FakeUpstream, Reply

DIMENSION = 64
EMBEDDER: dict[str, Any] = {
    "model_id": "words",
    "provider_id": "local",
    "provider_model_id": "words",
    "model_type": "embedding",
    "metadata": {"embedding_dimension": DIMENSION},
}
CHAT: dict[str, Any] = {"model_id": "chat", "provider_id": "local", "provider_model_id": "chat", "model_type": "llm"}
TYPES = {"sqlite": "inline::sqlite", "s3-vectors": "remote::s3-vectors", "chroma": "remote::chromadb"}
BLOBS: dict[str, Any] = {"provider_id": "blobs", "provider_type": "inline::localfs", "config": {}}


async def _vouch(request: web.Request) -> web.StreamResponse:
    name = json.loads(await request.read())["api_key"]
    return web.json_response({"principal": name, "attributes": {"roles": [name], "namespaces": [name]}})


def vector_of(text: str, dimension: int = DIMENSION) -> list[float]:
    """How often words are in the text, each in a place of its own, or nearly."""
    vector = [0.0] * dimension
    for word in re.findall(r"\w+", text.lower()):
        vector[zlib.crc32(word.encode()) % dimension] += 1.0
    norm = math.sqrt(sum(number * number for number in vector)) or 1.0
    return [number / norm for number in vector]


async def embed(request: web.Request) -> web.StreamResponse:
    body = json.loads(await request.read())
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    dimension = body.get("dimensions") or {"tiny": 8}.get(body["model"], DIMENSION)
    data = [
        {"object": "embedding", "index": place, "embedding": vector_of(text, dimension)}
        for place, text in enumerate(texts)
    ]
    tokens = sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return web.json_response({"object": "list", "model": body["model"], "data": data, "usage": usage})


@dataclass
class VectorWorld:
    """Every client of it has the same stack's state in `folder`; `provider` is the entry of the one for vectors."""

    upstream: FakeUpstream
    folder: Path
    provider: dict[str, Any]
    double: S3VectorsDouble | None = None
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    def document(self, *, auth: bool = True, policy: Any = None, models: Any = None, **more: Any) -> dict[str, Any]:
        server: dict[str, Any] = {}
        if auth:
            server["auth"] = {"provider_type": "custom", "config": {"endpoint": f"{self.upstream.url}/auth"}}
            if policy is not None:
                server["auth"]["access_policy"] = policy
        if (quota := more.pop("quota", None)) is not None:
            store = {"type": "sqlite", "db_path": str(self.folder / "quota.db")}
            server["quota"] = {"kvstore": store, "authenticated_max_requests": 100_000, **quota}
        local = {"provider_id": "local", "provider_type": "remote::vllm", "config": {"url": f"{self.upstream.url}/v1"}}
        return {
            "version": 2,
            "image_name": "t",
            "apis": ["files", "inference", "vector_io"],
            "providers": {"inference": [local], "files": [BLOBS], "vector_io": [self.provider]},
            "models": [EMBEDDER, CHAT] if models is None else models,
            "metadata_store": {"type": "sqlite", "db_path": str(self.folder / "registry.db")},
            "server": server,
            **more,
        }

    def count_vectors(self) -> int:
        """How many chunks the embedded provider has, of all stores."""
        with closing(sqlite3.connect(self.folder / "vectors.db")) as connection:
            return int(connection.execute("SELECT count(*) FROM vector_chunks").fetchone()[0])

    def count_indexes(self) -> int:
        """How many indexes the provider has."""
        if self.double is not None:
            return sum(map(len, self.double.buckets.values()))
        if self.provider["provider_type"] == TYPES["chroma"]:
            return chroma.count_collections(**self.provider["config"])
        with closing(sqlite3.connect(self.folder / "vectors.db")) as connection:
            return int(connection.execute("SELECT count(*) FROM vector_indexes").fetchone()[0])

    async def client(self, **how: Any) -> httpx.AsyncClient:
        client = await self.opened.enter_async_context(client_over(interpret(self.document(**how), {})))
        del client.headers["content-type"]
        return client


@asynccontextmanager
async def vector_world(
    folder: Path, kind: str = "sqlite", server: str = "", *, entry: dict[str, Any] | None = None
) -> AsyncGenerator[VectorWorld]:
    """`kind` is `sqlite`, `s3-vectors` over its double, or `chroma` over a database of its own of the `server` at that URL.

    `entry` is another provider's, in the place of these.
    """
    replies: dict[str, Reply] = {"/auth": _vouch, "/v1/embeddings": embed}
    async with upstreams.running(FakeUpstream(replies=replies)) as upstream, AsyncExitStack() as opened:
        double = None
        config: dict[str, Any] = {"db_path": str(folder / "vectors.db")}
        if kind == "s3-vectors":
            double = await opened.enter_async_context(s3_vectors_double.running())
            keys = {name.lower(): value for name, value in CREDENTIALS.items() if name != "AWS_DEFAULT_REGION"}
            config = {
                "vector_bucket": s3_vectors_double.BUCKET,
                "region_name": REGION,
                "endpoint_url": double.url,
                **keys,
            }
        if kind == "chroma":
            config = {"url": server, "database": chroma.create_database(server)}
        provider = {"provider_id": "v", "provider_type": TYPES[kind], "config": config}
        yield VectorWorld(upstream, folder, entry or provider, double, opened)


def by(name: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}", **more}


ADA = by("ada")
STORES = "/v1/vector_stores"


def message(answer: httpx.Response) -> str:
    text: str = answer.json()["error"]["message"]
    return text


async def make(client: httpx.AsyncClient, who: str = "ada", **body: Any) -> dict[str, Any]:
    answer = await client.post(STORES, json=body, headers=by(who))
    assert answer.status_code == 200, answer.text
    store: dict[str, Any] = answer.json()
    return store


async def insert(client: httpx.AsyncClient, store: str, *texts: str, who: str = "ada") -> None:
    chunks = [{"content": text, "metadata": {"document_id": f"d{place}"}} for place, text in enumerate(texts)]
    answer = await client.post(
        "/v1/vector-io/insert", json={"vector_store_id": store, "chunks": chunks}, headers=by(who)
    )
    assert answer.status_code == 204, answer.text


async def search(client: httpx.AsyncClient, store: str, query: Any, who: str = "ada", **more: Any) -> httpx.Response:
    return await client.post(f"{STORES}/{store}/search", json={"query": query, **more}, headers=by(who))


async def texts(client: httpx.AsyncClient, store: str, query: Any, **more: Any) -> list[str]:
    answer = await search(client, store, query, **more)
    assert answer.status_code == 200, answer.text
    return [row["content"][0]["text"] for row in answer.json()["data"]]
