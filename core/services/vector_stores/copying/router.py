"""The operation that copies a vector store: it checks all that can be told at once, makes the target, and a job that fills it."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Final, cast
from uuid import uuid4

from core.apis.answers.jobs import JobView
from core.apis.vector_io import VectorListing
from core.apis.vector_stores import CopyTarget, CopyVectorStore
from core.errors import Conflict, InvalidRequest, NotFound, StaleRevision
from core.frame.callers import ANONYMOUS, PROVIDER_DATA_HEADERS, Call, principal_of
from core.frame.types import JsonObject
from core.services.jobs.router import show_job
from core.services.jobs.service import JobService, job_service
from core.services.vector_stores.copying.ends import request_of
from core.services.vector_stores.copying.job import KIND, SECONDS
from core.services.vector_stores.creation import (
    Wishes,
    choose_model,
    choose_provider,
    keep,
    require_create,
    require_writable,
    take_back,
)
from core.services.vector_stores.records import STATUSES, STORES, StoreRecord
from core.services.vector_stores.stores import Store, StoreCollection
from core.stores.jobs.port import ENDED, Job

TRIES: Final = 10  # of a change to a store that others use at the same time
FIXED: Final = ("provider_id", "embedding_model", "embedding_dimension")
NO_LISTING: Final = (
    "Provider `{provider}`, which keeps `{store}`, does not tell what is in it, so that it cannot be copied whole. Add its files to "
    "the other vector store instead."
)
NOT_EMPTY: Final = (
    "`{store}` has something in it that is not of `{source}`. Name a vector store that is empty, or one that a copy of `{source}` "
    "has begun to fill, or leave `vector_store_id` out to make a new one."
)


@contextmanager
def _at_target() -> Generator[None]:
    """A mistake in what is wished for is said to be in `to`."""
    try:
        yield
    except InvalidRequest as mistake:
        if mistake.param is not None and not mistake.param.startswith("to."):
            mistake.param = f"to.{mistake.param}"
        raise


class StoreCopiesRouter:
    """Answers `core.apis.vector_stores.StoreCopies`."""

    def __init__(self, stores: StoreCollection) -> None:
        self._stores = stores

    async def copy(self, request: CopyVectorStore, vector_store_id: str) -> JobView:
        stores, call = self._stores, self._stores.call or Call(ANONYMOUS)
        source = await stores.open(vector_store_id)
        if call.provider_data:
            names = " or ".join(PROVIDER_DATA_HEADERS)
            raise InvalidRequest(f"A vector store is copied by a job, which keeps no secrets: send it without {names}.")
        service = job_service(stores.parts)
        if not stores.provider(source).capabilities.listing:
            text = NO_LISTING.format(provider=source.record.provider_id, store=source.id)
            raise InvalidRequest(text, param="vector_store_id")
        async with AsyncExitStack() as undo:
            target = await self._target(source, request.to, undo.push_async_callback)
            job = await self._begin(service, source, target, call)
            undo.pop_all()
        call.add_tokens(0)
        return show_job(job, await service.counts(job))

    async def _target(
        self, source: Store, wish: CopyTarget, on_failure: Callable[[Callable[[], Awaitable[None]]], object]
    ) -> Store:
        if wish.vector_store_id is not None:
            return await self._open(source, wish, wish.vector_store_id)
        with _at_target():
            target = await self._make(source, wish)
        on_failure(partial(take_back, self._stores, target))
        return target

    async def _open(self, source: Store, wish: CopyTarget, store_id: str) -> Store:
        target = await self._stores.open(store_id, "update")
        if target.id == source.id:
            raise InvalidRequest("A vector store cannot be copied into itself.", param="to.vector_store_id")
        record = target.record
        if wish.name is not None:
            text = f"`{target.id}` is there already: leave `name` out, or `vector_store_id`."
            raise InvalidRequest(text, param="to.name")
        for name in FIXED:
            if getattr(wish, name) not in {None, getattr(record, name)}:
                text = f"`{target.id}` is there already, and its `{name}` is `{getattr(record, name)}`: leave that out, or make a new vector store."
                raise InvalidRequest(text, param=f"to.{name}")
        self._stores.require_removable(record.provider_id, "to.vector_store_id")
        return target

    async def _make(self, source: Store, wish: CopyTarget) -> Store:
        """An empty one; what is not asked for is as the source has it."""
        stores, record, store_id = self._stores, source.record, f"vs_{uuid4()}"
        require_create(stores, store_id)
        provider_id = choose_provider(stores, wish.provider_id or record.provider_id)
        require_writable(stores, provider_id)
        stores.require_removable(provider_id, "to.provider_id")
        model, dimension = record.embedding_model, record.embedding_dimension
        if wish.embedding_model not in {None, model} or wish.embedding_dimension not in {None, dimension}:
            wishes = Wishes(provider_id, wish.embedding_model or model, wish.embedding_dimension)
            model, dimension = await choose_model(stores, wishes)
        copy = replace(
            record,
            provider_id=provider_id,
            provider_resource_id=store_id,
            embedding_model=model,
            embedding_dimension=dimension,
            name=record.name if wish.name is None else wish.name,
            emptied=False,
            copy=_claim_of(source),
        )
        return await keep(stores, store_id, copy)

    async def _begin(self, service: JobService, source: Store, target: Store, call: Call) -> Job:
        """The job that fills the target: the one that is at it, or a new one."""
        for _ in range(TRIES):
            record = StoreRecord.read(target.document.body)
            claim = record.copy
            if claim is None or claim["store"] != source.id or claim["index"] != source.record.provider_resource_id:
                if await self._has_something(target):
                    raise Conflict(NOT_EMPTY.format(store=target.id, source=source.id), param="to.vector_store_id")
                claim = None
            if claim is not None and claim["job"]:
                job = await service.jobs.get(claim["job"])
                if job is not None and job.status not in ENDED:
                    return await self._readable(service, job, target)
                claim = None
            claim = claim or _claim_of(source)
            try:
                if claim != record.copy:
                    target = await self._put(target, replace(record, copy=claim))
                request = request_of(source, target)
                # Under the claim's key, so that whoever comes after a crash gets the job that was made before it.
                job = await service.create(KIND, call, request, key=claim["key"], prefix="copy", seconds=SECONDS)
                await self._put(target, replace(StoreRecord.read(target.document.body), copy={**claim, "job": job.id}))
            except StaleRevision:  # it was used meanwhile
                target = await self._stores.open(target.id, "update")
                continue
            return job
        raise Conflict(f"The vector store `{target.id}` is being changed by others. Try again.")

    async def _readable(self, service: JobService, job: Job, target: Store) -> Job:
        try:
            return await service.readable(job.id, principal_of(self._stores.call))
        except NotFound:
            text = f"`{target.id}` is being filled by a job of somebody else. Try again when that has ended."
            raise Conflict(text, param="to.vector_store_id") from None

    async def _put(self, target: Store, record: StoreRecord) -> Store:
        return self._stores.read(await self._stores.store.put(target.document, record.body()))

    async def _has_something(self, target: Store) -> bool:
        stores = self._stores
        tallies = await stores.store.tallies(STORES, target.id)
        if any(tallies.get(status, 0) > 0 for status in STATUSES):
            return True
        provider = stores.provider(target)
        if not provider.capabilities.listing:
            return False
        page = await stores.ask(cast("VectorListing", provider).keys(target.index, limit=1))
        return bool(page.keys)


def _claim_of(source: Store) -> JsonObject:
    """For `StoreRecord.copy`; the job has the `key`."""
    return {"store": source.id, "index": source.record.provider_resource_id, "key": uuid4().hex, "job": ""}
