"""Vector stores as OpenAI's API shows them."""

from typing import TYPE_CHECKING, Literal

from core.apis.answers.vector_stores import FileCounts, VectorStore
from core.services.vector_stores.records import BYTES, STATUSES, STORES

if TYPE_CHECKING:
    from core.services.vector_stores.stores import Store, StoreCollection


async def show_store(stores: "StoreCollection", store: "Store") -> VectorStore:
    """The shape on the wire, with its counts as they are now."""
    record, tallies = store.record, await stores.store.tallies(STORES, store.id)
    counts = count_files(tallies)
    status: Literal["in_progress", "completed"] = "in_progress" if counts["in_progress"] else "completed"
    own = {
        "provider_id": record.provider_id,
        "provider_vector_store_id": record.provider_resource_id,
        "embedding_model": record.embedding_model,
        "embedding_dimension": str(record.embedding_dimension),
    }
    return {
        "id": store.id,
        "object": "vector_store",
        "created_at": store.document.created,
        "name": record.name,
        "description": record.description,
        "usage_bytes": max(0, tallies.get(BYTES, 0)),
        "file_counts": counts,
        "status": "expired" if store.is_expired(stores.clock()) else status,
        "expires_after": None
        if record.expires_days is None
        else {"anchor": "last_active_at", "days": record.expires_days},
        "expires_at": store.expires_at,
        "last_active_at": record.last_active,
        "metadata": record.metadata | own,
    }


def count_files(tallies: dict[str, int]) -> FileCounts:
    """How many files are in which status, of a store's tallies or a batch's."""
    in_progress, completed, failed, cancelled = (max(0, tallies.get(status, 0)) for status in STATUSES)
    return {
        "in_progress": in_progress,
        "completed": completed,
        "failed": failed,
        "cancelled": cancelled,
        "total": in_progress + completed + failed + cancelled,
    }
