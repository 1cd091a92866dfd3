"""A provider of batches of another package: its methods by either form of their signatures.

Sources: the Batches protocols of Llama Stack 0.3 and 0.7.3, and of OGX 1.5.0.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final

from core.errors import Conflict, InvalidRequest, NotFound
from core.frame.types import Health, JsonObject
from core.platform.json_values import to_object
from core.resolution.external.reference.calls import Translated, call
from core.resolution.external.reference.inference import ReferenceInference, ReferenceModels
from core.resolution.external.reference.records import plain

METHODS: Final = ("create_batch", "retrieve_batch", "cancel_batch")
RECORDS: Final = {
    "create_batch": ("CreateBatchRequest", "input_file_id"),
    "retrieve_batch": ("RetrieveBatchRequest", "batch_id"),
    "cancel_batch": ("CancelBatchRequest", "batch_id"),
}


class ReferenceBatches:
    """`provider` has METHODS."""

    def __init__(self, provider_id: str, provider: Any, data: SimpleNamespace | None = None) -> None:  # noqa: ANN401 - somebody else's object
        self._provider_id = provider_id
        self._provider = provider
        self._data = data
        self._others = ReferenceInference(provider_id, provider, ReferenceModels(provider_id))

    def with_provider_data(self, data: Mapping[str, Any]) -> "ReferenceBatches":
        """This provider for a caller who brings `data`, which its `get_request_provider_data()` then returns."""
        return ReferenceBatches(self._provider_id, self._provider, SimpleNamespace(**data))

    async def create_batch(
        self,
        input_file_id: str,
        endpoint: str,
        completion_window: str,
        metadata: dict[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> JsonObject:
        fields: JsonObject = {
            "input_file_id": input_file_id,
            "endpoint": endpoint,
            "completion_window": completion_window,
            "metadata": metadata,
            "idempotency_key": idempotency_key,
        }
        return await self._ask("create_batch", {name: value for name, value in fields.items() if value is not None})

    async def retrieve_batch(self, batch_id: str) -> JsonObject:
        try:
            return await self._ask("retrieve_batch", {"batch_id": batch_id})
        except InvalidRequest:  # the reference has no error of its own for an id that it does not know
            raise NotFound(f"There is no batch `{batch_id}`.", param="batch_id") from None

    async def cancel_batch(self, batch_id: str) -> JsonObject:
        try:
            return await self._ask("cancel_batch", {"batch_id": batch_id})
        except InvalidRequest as refused:
            raise Conflict(refused.message, param="batch_id") from refused

    async def health(self) -> Health:
        return await self._others.health()

    async def close(self) -> None:
        await self._others.close()

    async def _ask(self, name: str, fields: JsonObject) -> JsonObject:
        with Translated(self._provider_id, self._data):
            return to_object(plain(await call(getattr(self._provider, name), *RECORDS[name], fields)))
