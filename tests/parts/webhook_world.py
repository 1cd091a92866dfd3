"""A stack that sends webhooks, in this process, a receiver of them on loopback, and an engine of deliveries whose clock a test moves."""

from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
import hashlib
import hmac
import json
from pathlib import Path
import time
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web
import httpx

from core.config.load import interpret
from core.frame.callers import Principal
from core.resolution.resolve import resolve
from core.resolution.stack import Stack
from core.routing.policy import ISSUER
from core.services.jobs import messages
from core.services.webhooks.announcing import KIND, announce
from core.services.webhooks.job import delivery_job
from core.services.webhooks.records import ENDPOINT
from core.stores.connect import DOCUMENTS, JOBS
from core.stores.jobs.port import Job
from tests.parts import upstream as upstreams
from tests.parts.file_stack import FileWorld, by, file_world
from tests.parts.job_bench import Bench, close_all
from tests.parts.live_stack import client_over
from tests.parts.upstream import FakeUpstream, Reply, in_turn, status

ENDPOINTS: Final = "/v1/webhook_endpoints"
TYPE: Final = "batch.completed"


@dataclass(frozen=True, slots=True)
class Received:
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event

    def is_signed_with(self, secret: str) -> bool:
        """As the standard has it."""
        signed = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        digest = hmac.new(b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
        return f"v1,{b64encode(digest).decode()}" in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """`replies` are what it does at /hook, in turn."""

    server: FakeUpstream
    received: list[Received] = field(default_factory=list[Received])

    def answers(self, *replies: Reply) -> None:
        reply = in_turn(*replies)

        async def receive(request: web.Request) -> web.StreamResponse:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.received.append(Received(headers, await request.read()))
            return await reply(request)

        self.server.replies["/hook"] = receive

    @property
    def url(self) -> str:
        return f"{self.server.url}/hook"


@asynccontextmanager
async def receiving(*replies: Reply) -> AsyncGenerator[Receiver]:
    async with upstreams.running() as server:
        receiver = Receiver(server)
        receiver.answers(*(replies or (status(200),)))
        yield receiver


def webhooks_entry(url: str, **config: Any) -> dict[str, Any]:
    """A provider that may send to loopback, where `url` is."""
    reach = {"allow_private_addresses": True, "allowed_ports": [urlsplit(url).port]}
    return {"provider_id": "hooks", "provider_type": "inline::builtin", "config": reach | config}


@dataclass
class WebhookWorld:
    files: FileWorld
    receiver: Receiver

    def document(self, *, policy: Any = None, **config: Any) -> dict[str, Any]:
        document = self.files.document(policy=policy)
        return document | {
            "apis": ["webhooks"],
            "providers": {"webhooks": [webhooks_entry(self.receiver.url, **config)]},
        }

    async def client(self, **config: Any) -> httpx.AsyncClient:
        loaded = interpret(self.document(**config), {})
        return await self.files.opened.enter_async_context(client_over(loaded))

    async def stack(self, **config: Any) -> Stack:
        stack = await resolve(interpret(self.document(**config), {}), ["webhooks"], version="1")
        self.files.opened.push_async_callback(stack.close)
        return stack


@asynccontextmanager
async def webhook_world(folder: Path) -> AsyncGenerator[WebhookWorld]:
    async with receiving() as receiver, file_world(folder) as files:
        yield WebhookWorld(files, receiver)


async def register(
    client: httpx.AsyncClient, url: str, *types: str, who: str = "ada", name: str = "mine"
) -> dict[str, Any]:
    body = {"name": name, "url": url, "event_types": list(types or (TYPE,))}
    answer = await client.post(ENDPOINTS, json=body, headers=by(who))
    assert answer.status_code == 200, answer.text
    endpoint: dict[str, Any] = answer.json()
    return endpoint


class Deliveries:
    """What has to be delivered of a stack, by an engine with a clock of its own."""

    def __init__(self, folder: Path, stack: Stack) -> None:
        self.stack = stack
        self.bench = Bench(folder, delivery_job(stack), jobs=stack.stores.get(JOBS))

    async def owner_of(self, endpoint_id: str) -> Principal:
        document = await self.stack.stores.get(DOCUMENTS).get(ENDPOINT, endpoint_id)
        assert document is not None
        assert document.owner is not None
        return Principal(document.owner["principal"], {}, document.owner.get(ISSUER, ""))

    async def ended_job(self, owner: Principal, job_id: str = "batch_1") -> Job:
        now = time.time()
        return Job(job_id, "batch", owner, {}, now, now + 9, int(now + 99), status="completed", ended=now)

    async def tell(self, owner: Principal, *, job_id: str = "batch_1", event_type: str = TYPE) -> list[Job]:
        """Every delivery that there is by then."""
        await announce(self.stack, await self.ended_job(owner, job_id), event_type, job_id)
        return await self.jobs()

    async def jobs(self) -> list[Job]:
        return (await self.stack.stores.get(JOBS).page(KIND, owner=None, after=None, limit=100)).jobs

    async def begin(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            await self.bench.queue.send([messages.prepare(job).to_message(job.owner)])
        await self.bench.deliver("prepare")

    async def run(self, owner: Principal, **what: Any) -> Job:
        """Tell of one event, and deliver it to its end."""
        [job] = await self.tell(owner, **what)
        await self.begin([job])
        await self.bench.until_idle()
        return await self.bench.job(job)


@asynccontextmanager
async def delivering(world: WebhookWorld, folder: Path, **config: Any) -> AsyncGenerator[Deliveries]:
    yield Deliveries(folder, await world.stack(**config))
    await close_all()
