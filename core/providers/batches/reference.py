"""`inline::reference`: batches by the jobs of the stack.

Source: the provider's config of Llama Stack 0.7.3 and OGX 1.5.0.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from core.apis.batches import AT_ONCE, BatchesProvider, BatchSettings
from core.config.records import Record, Whole
from core.config.user_fields import USER
from core.frame.types import Health


class Config(Record):
    """The reference's fields, of both generations.

    Where batches are kept is said by `storage.stores.jobs`: `kvstore` and `sqlstore` have no effect. Nor has `max_concurrent_batches`: owners take
    turns at the queue, and how many batches are under way is how many workers there are. `max_concurrent_requests_per_batch` holds in each worker.
    """

    kvstore: dict[str, Any] | None = None
    sqlstore: dict[str, Any] | None = None
    max_concurrent_batches: Annotated[Whole, Field(ge=1)] | None = None
    max_concurrent_requests_per_batch: Annotated[Annotated[Whole, Field(ge=1, le=200)], USER] = AT_ONCE


class StackBatches:
    """Leaves every batch to the jobs of the stack."""

    def __init__(self, settings: BatchSettings) -> None:
        self.settings = settings

    async def health(self) -> Health:
        """It asks nobody itself."""
        return Health(status="OK")

    async def close(self) -> None:
        """Nothing is open."""


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> BatchesProvider:
    """The settings of the stack's jobs."""
    del provider_id, deps
    return StackBatches(BatchSettings(config.max_concurrent_requests_per_batch))
