"""A stack that keeps files, in this process: with tokens that are their bearers' names, over folders and SQLite, or a bucket."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
import json
from pathlib import Path
from typing import Any

from aiohttp import web
import httpx

from core.config.load import interpret
from core.runtime.job_worker import JobTasks, make_runner
from tests.parts import upstream as upstreams
from tests.parts.live_stack import client_over
from tests.parts.upstream import FakeUpstream

BLOBS: dict[str, Any] = {"provider_id": "blobs", "provider_type": "inline::localfs", "config": {}}


def in_bucket(bucket: str, endpoint: str, **more: Any) -> dict[str, Any]:
    """The entry of a provider over a bucket of a double of S3."""
    config = {"bucket_name": bucket, "region": "us-east-1", "endpoint_url": endpoint, **more}
    return {"provider_id": "p", "provider_type": "remote::s3", "config": config}


async def _vouch(request: web.Request) -> web.StreamResponse:
    name = json.loads(await request.read())["api_key"]
    return web.json_response({"principal": name, "attributes": {"roles": [name], "namespaces": [name]}})


@dataclass
class FileWorld:
    """Every client of it has the same stack's state in `folder`."""

    upstream: FakeUpstream
    folder: Path
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    def document(
        self,
        *providers: dict[str, Any],
        auth: bool = True,
        policy: Any = None,
        storage: dict[str, Any] | None = None,
        **server: Any,
    ) -> dict[str, Any]:
        """Without `storage` the state is in SQLite."""
        if auth:
            server["auth"] = {"provider_type": "custom", "config": {"endpoint": f"{self.upstream.url}/auth"}}
            if policy is not None:
                server["auth"]["access_policy"] = policy
        if "quota" in server:
            store = {"type": "sqlite", "db_path": str(self.folder / "quota.db")}
            server["quota"] = {"kvstore": store, "authenticated_max_requests": 100_000, **server["quota"]}
        return {
            "version": 2,
            "image_name": "t",
            "apis": ["files"],
            "providers": {"files": list(providers or (BLOBS,))},
            "metadata_store": {"type": "sqlite", "db_path": str(self.folder / "registry.db")},
            "server": server,
            **({} if storage is None else {"storage": storage}),
        }

    async def client(self, *providers: dict[str, Any], **how: Any) -> httpx.AsyncClient:
        client = await self.opened.enter_async_context(client_over(interpret(self.document(*providers, **how), {})))
        del client.headers["content-type"]
        return client

    @asynccontextmanager
    async def working(self, **how: Any) -> AsyncGenerator[None]:
        """With a worker of the world's jobs."""
        tasks = JobTasks(await make_runner(interpret(self.document(**how), {})))
        tasks.start()
        try:
            yield
        finally:
            await tasks.close()

    def blobs(self) -> list[Path]:
        """What is in the folder of the stack's blobs."""
        return [path for path in (self.folder / "blobs").rglob("*") if path.is_file()]


@asynccontextmanager
async def file_world(folder: Path) -> AsyncGenerator[FileWorld]:
    async with upstreams.running(FakeUpstream(replies={"/auth": _vouch})) as upstream, AsyncExitStack() as opened:
        yield FileWorld(upstream, folder, opened)


def by(name: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}", **more}


async def upload(
    client: httpx.AsyncClient,
    content: bytes = b"hello",
    *,
    name: str = "a.txt",
    who: str = "ada",
    fields: Mapping[str, str] | None = None,
) -> httpx.Response:
    data = {"purpose": "assistants", **(fields or {})}
    return await client.post("/v1/files", data=data, files={"file": (name, content)}, headers=by(who))


async def send_in_parts(
    client: httpx.AsyncClient, parts: Sequence[bytes], *, who: str = "ada", **more: Any
) -> tuple[str, list[str]]:
    """The upload's id, and those of its parts."""
    size = sum(map(len, parts))
    body = {"filename": "a.txt", "purpose": "assistants", "bytes": size, "mime_type": "text/plain", **more}
    begun = await client.post("/v1/uploads", json=body, headers=by(who))
    assert begun.status_code == 200, begun.text
    ids = list[str]()
    for part in parts:
        path = f"/v1/uploads/{begun.json()['id']}/parts"
        answer = await client.post(path, files={"data": ("upload", part)}, headers=by(who))
        assert answer.status_code == 200, answer.text
        ids.append(answer.json()["id"])
    return begun.json()["id"], ids
