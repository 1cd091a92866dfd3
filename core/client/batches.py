"""Batches of a running stack: files of requests, and how far their answers are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.client.http import Transport
from core.client.shapes import check_shape, path_of

if TYPE_CHECKING:
    from core.apis.answers.batches import Batch, BatchList


@dataclass(frozen=True, slots=True)
class DatasetInput:
    """Each row of the dataset fills the `template` of a line; the answers are the new dataset `output_id`, where there is one."""

    dataset_id: str
    template: Mapping[str, Any]
    output_id: str | None = None


class Batches:
    """The caller's own."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        input_file_id: str,
        endpoint: str,
        *,
        metadata: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> "Batch":
        """A new one; with the `key` of an earlier call, the batch of then."""
        return self._create({"input_file_id": input_file_id, "endpoint": endpoint}, metadata, key)

    def create_of_dataset(
        self,
        source: "DatasetInput",
        endpoint: str,
        *,
        metadata: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> "Batch":
        """As `create`, of the rows of a dataset."""
        body = {
            "input_dataset_id": source.dataset_id,
            "template": source.template,
            "output_dataset_id": source.output_id,
            "endpoint": endpoint,
        }
        return self._create(body, metadata, key)

    def _create(self, about: Mapping[str, object], metadata: Mapping[str, str] | None, key: str | None) -> "Batch":
        body = {**about, "completion_window": "24h", "metadata": metadata or None, "idempotency_key": key}
        return self._batch("POST", "/v1/batches", {name: value for name, value in body.items() if value})

    def list(self, *, after: str | None = None, limit: int | None = None) -> "BatchList":
        """At most `limit` of them (100 at the most), newest first."""
        from core.apis.answers.batches import BatchList

        query = {"after": after, "limit": limit}
        return check_shape(self._transport.send("GET", "/v1/batches", query=query), BatchList)

    def get(self, batch_id: str) -> "Batch":
        return self._batch("GET", path_of("batches", batch_id))

    def cancel(self, batch_id: str) -> "Batch":
        """Stop it; what was answered is kept."""
        return self._batch("POST", f"{path_of('batches', batch_id)}/cancel")

    def _batch(self, method: str, path: str, body: object = None) -> "Batch":
        from core.apis.answers.batches import Batch

        return check_shape(self._transport.send(method, path, body), Batch)
