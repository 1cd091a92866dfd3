"""Batches of a provider that runs them itself, for one call: it does the work, and the stack knows whose each is.

batch    id = the provider's own    parent OWNER    {"provider", "request"}
"""

from collections.abc import Awaitable
from hashlib import sha256
from typing import Any, Final, cast

from core.apis.answers.batches import Batch, BatchList
from core.apis.batches import ListBatchesQuery, NewBatch, NewBatchQuery, RunsBatches
from core.errors import Conflict, InvalidRequest, NotFound, ProviderUnavailable, UpstreamFailed
from core.frame.callers import ActingFor, Call, principal_of
from core.frame.types import JsonObject
from core.platform.json_values import to_object
from core.routing.documents import GuardedDocuments
from core.routing.guard import Guard, Item
from core.routing.policy import owner_list
from core.services.batches.requests import FIELDS, key_of, request_of
from core.services.jobs.paging import show_page
from core.services.parts import Parts, surface_for
from core.stores.connect import DOCUMENTS
from core.stores.documents.port import Document

BATCH: Final = "batch"
KEPT_SECONDS: Final = 31 * 86_400
LONGEST_ID: Final = 500
ABSENT: Final = dict.fromkeys(Batch.__required_keys__)


class ProvidedBatches:
    """Answers `core.apis.batches.Batches`."""

    def __init__(self, parts: Parts, provider_id: str, provider: Any, call: Call | None) -> None:  # noqa: ANN401 - somebody else's object
        self._provider_id = provider_id
        self._provider = cast("RunsBatches", _for_caller(provider, call))
        self._call = call
        self._parts = parts
        principal = principal_of(call)
        self._owner = owner_list(principal)
        self._documents = GuardedDocuments(
            parts.stores.get(DOCUMENTS), Guard(parts.enforcement, principal), BATCH, "job", _as_item, noun="batch"
        )

    async def create(self, request: NewBatch, *, query: NewBatchQuery) -> Batch:
        fields, key = request_of(request), key_of(request, query)
        if request.input_file_id is None:
            reason = f"Provider `{self._provider_id}` runs batches itself, and takes files alone: send `input_file_id`."
            raise InvalidRequest(reason, param="input_dataset_id")
        files = surface_for(self._parts, "files", self._call)
        if files is not None:
            await files.get(request.input_file_id)  # the provider may see more than its caller
        arguments: JsonObject = {name: fields[name] for name in FIELDS if name in fields}
        if key:
            arguments["idempotency_key"] = sha256(f"{self._owner}\n{key}".encode()).hexdigest()
        batch = self._read(await self._ask(self._provider.create_batch(**arguments)))
        await self._keep(batch, fields)
        return batch

    async def index(self, *, query: ListBatchesQuery) -> BatchList:
        page = await self._documents.page(self._owner, order="desc", after=query.after, limit=query.limit)
        data, is_cut = await show_page((document.id for document in page.documents), self._retrieve)
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return {"object": "list", "data": data, "has_more": is_cut or page.has_more, "first_id": first, "last_id": last}

    async def get(self, batch_id: str) -> Batch:
        return await self._retrieve((await self._find(batch_id)).id)

    async def cancel(self, batch_id: str) -> Batch:
        document = await self._find(batch_id)
        self._documents.guard.require("update", Item("job", document.id, document.owner))
        return self._read(await self._ask(self._provider.cancel_batch(document.id)))

    async def _find(self, batch_id: str) -> Document:
        document = await self._documents.get(batch_id)
        if document.body["provider"] != self._provider_id:
            name = document.body["provider"]
            raise ProviderUnavailable(f"The batch is run by provider `{name}`, which is not the first of this stack.")
        return document

    async def _keep(self, batch: Batch, request: JsonObject) -> None:
        """Whose it is; under a key of before it is kept already, by the same caller."""
        body: JsonObject = {"provider": self._provider_id, "request": request}
        expires = int(self._documents.clock()) + KEPT_SECONDS
        try:
            await self._documents.create(batch["id"], body, parent=self._owner, expires=expires)
        except Conflict:
            try:
                await self._documents.get(batch["id"])
            except NotFound:
                raise UpstreamFailed(
                    f"Provider `{self._provider_id}` gave a batch an id that another one has."
                ) from None

    async def _retrieve(self, batch_id: str) -> Batch:
        return self._read(await self._ask(self._provider.retrieve_batch(batch_id)))

    async def _ask(self, answer: Awaitable[object]) -> object:
        with ActingFor(self._call):
            return await answer

    def _read(self, answer: object) -> Batch:
        """What is not there is null."""
        fields = to_object(answer)
        identifier = fields.get("id")
        if not isinstance(identifier, str) or not 0 < len(identifier) <= LONGEST_ID or "status" not in fields:
            raise UpstreamFailed(f"Provider `{self._provider_id}` answered with something that is no batch.")
        return cast("Batch", {**ABSENT, **fields, "object": "batch"})


def _as_item(document: Document) -> JsonObject:
    return {"id": document.id}


def _for_caller(provider: object, call: Call | None) -> object:
    take = getattr(provider, "with_provider_data", None)
    if call is None or not call.provider_data or take is None:
        return provider
    with ActingFor(call):
        return cast("object", take(call.provider_data))
