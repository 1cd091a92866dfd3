"""The kind of job `webhook_delivery`: an event, with a shard of one row for each endpoint that wants it.

What failed is tried again, later each time: the shard waits, with no worker, and keeps how often it was tried, and when it is due.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
import json
from random import uniform
from typing import TYPE_CHECKING, Any, Final

from core.errors import ApiError, ProviderUnavailable
from core.frame.types import JsonObject
from core.routing.policy import owner_list
from core.services.jobs.kind import FinishRun, JobKind, PrepareRun, Slice
from core.services.jobs.shard_run import ShardRun
from core.services.parts import Parts
from core.services.webhooks.announcing import KIND
from core.services.webhooks.collection import endpoints_for
from core.services.webhooks.records import ENDPOINT, EndpointRecord
from core.services.webhooks.sending import NoSecret, deliver, provider_of
from core.stores.connect import DOCUMENTS
from core.stores.documents.port import Document, StaleDocument
from core.stores.queue.port import MOST_DELAY

if TYPE_CHECKING:
    from core.services.webhooks.secrets import SecretSealer

PAUSES: Final = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800)
"""Seconds after each try; after that the last one again, until the job's deadline."""
JITTER: Final = 0.2
EARLY: Final = 5  # seconds that clocks may be apart
GONE: Final = 410


def delivery_job(parts: Parts) -> JobKind:
    """Its request is `{"event": WebhookEvent}`; its result has the event's id and how many endpoints have it."""

    @cache
    def sealer() -> "SecretSealer":
        from core.services.webhooks.secrets import sealer_of

        return sealer_of(parts)

    async def prepare(run: PrepareRun) -> Sequence[Slice]:
        owner, event_type = owner_list(run.job.principal), run.job.request["event"]["type"]
        endpoints = await endpoints_for(parts.stores.get(DOCUMENTS), owner, event_type)
        return [Slice({"endpoint": endpoint.id}, 1) for endpoint in endpoints]

    async def work(run: ShardRun) -> None:
        run.lighten()
        await _Delivery(parts, sealer(), run).work()

    async def abandon(run: ShardRun, failure: ApiError) -> None:
        _record(run, "failed", error=failure.code)

    async def finish(run: FinishRun) -> JsonObject:
        event = run.job.request["event"]
        counts = {"delivered": run.counts.completed, "failed": run.counts.failed}
        return {"event": event["id"], "type": event["type"], **counts}

    return JobKind(KIND, prepare, work, finish, abandon)


class _Delivery:
    """One try for one endpoint, where it is due."""

    def __init__(self, parts: Parts, sealer: "SecretSealer", run: ShardRun) -> None:
        self._provider = provider_of(parts)
        self._store = parts.stores.get(DOCUMENTS)
        self._sealer = sealer
        self._run = run

    async def work(self) -> None:
        """Until it is delivered, is not to be, or the shard waits."""
        run, event = self._run, self._run.job.request["event"]
        tries, due, comes = await self._read_state()
        if run.clock() < comes - EARLY:
            run.halt.set("early")
            return
        if run.clock() < due:
            await self._wait(tries, due)
            return
        endpoint = await self._store.get(ENDPOINT, run.shard.source["endpoint"])
        if endpoint is None or endpoint.parent != owner_list(run.job.principal):
            _record(run, "skipped", error="deleted")
        elif not EndpointRecord.read(endpoint.body).wants(event["type"]):
            _record(run, "skipped", error="not_wanted")
        else:
            await self._try(endpoint, event, tries + 1)

    async def _try(self, endpoint: Document, event: Any, tries: int) -> None:  # noqa: ANN401 - a WebhookEvent of JSON
        status: int | None = None
        with suppress(ProviderUnavailable):
            try:
                status = await deliver(self._provider, self._sealer, endpoint, event, now=self._run.clock())
            except NoSecret:
                _record(self._run, "failed", error="secret_lost", tries=tries)
                return
        if status is not None and 200 <= status < 300:  # noqa: PLR2004 - RFC 9110: the successes
            _record(self._run, "delivered", tries=tries)
        elif status == GONE:
            await self._disable(endpoint)
            _record(self._run, "failed", error="gone", tries=tries)
        else:
            await self._later(tries)

    async def _later(self, tries: int) -> None:
        pause = PAUSES[min(tries, len(PAUSES)) - 1]
        due = self._run.clock() + pause * uniform(1, 1 + JITTER)  # noqa: S311 - no secret
        if due >= self._run.job.deadline:
            _record(self._run, "failed", error="undelivered", tries=tries)
        else:
            await self._wait(tries, due)

    async def _wait(self, tries: int, due: float) -> None:
        """Of hours it is one message each quarter of an hour; ticks send others, which say nothing new."""
        pause = min(MOST_DELAY, int(due - self._run.clock()) + 1)
        state = {"tries": tries, "due": due, "comes": self._run.clock() + pause}
        if await self._run.save(json.dumps(state).encode()):
            self._run.halt.set("later", pause=pause)

    async def _read_state(self) -> tuple[int, float, float]:
        """How often it was tried, when it is due, and when the message comes that looks next."""
        content = await self._run.saved()
        state: JsonObject = {} if content is None else json.loads(content)
        return state.get("tries", 0), state.get("due", 0.0), state.get("comes", 0.0)

    async def _disable(self, endpoint: Document) -> None:
        """Unless it is changed just now, which puts it in use."""
        record = replace(EndpointRecord.read(endpoint.body), disabled=int(self._run.clock()))
        with suppress(StaleDocument):
            await self._store.put(endpoint, record.body())


def _record(run: ShardRun, status: str, **more: object) -> None:
    line = {"endpoint": run.shard.source["endpoint"], "status": status, **more}
    run.record(0, json.dumps(line).encode(), ok=status == "delivered", tokens={})
