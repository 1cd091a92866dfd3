"""Datasets of a running stack, and the rows in them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from core.client.http import Transport
from core.client.shapes import check_shape, path_of
from core.platform.json_values import to_object

if TYPE_CHECKING:
    from core.apis.answers.datasets import Dataset, RowPage

SECONDS: Final = 60.0  # without a byte: rows of a dataset that is being read in are waited for


class Datasets:
    """Those that the caller may use."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def register(self, *, purpose: str, source: Mapping[str, Any], **fields: object) -> "Dataset":
        """`source` is `{"type": "uri", "uri"}` or `{"type": "rows", "rows"}`; of `fields` those that are None are left out."""
        body: dict[str, object] = {"purpose": purpose, "source": source}
        body |= {name: value for name, value in fields.items() if value is not None}
        return _dataset(self._transport.send("POST", "/v1/datasets", body, timeout=SECONDS))

    def list(self) -> "list[Dataset]":
        rows: list[Any] = to_object(self._transport.send("GET", "/v1/datasets")).get("data") or []
        return [_dataset(row) for row in rows]

    def get(self, dataset_id: str) -> "Dataset":
        return _dataset(self._transport.send("GET", path_of("datasets", dataset_id)))

    def unregister(self, dataset_id: str) -> None:
        """Remove it with the stack's copy of its rows; its source stays."""
        self._transport.send("DELETE", path_of("datasets", dataset_id))

    def page(self, dataset_id: str, start: int = 0, limit: int | None = None) -> "RowPage":
        """Rows from `start`: at most `limit`, or as many as one answer holds."""
        from core.apis.answers.datasets import RowPage

        path = f"/v1/datasetio/iterrows/{quote(dataset_id, safe='')}"
        query = {"start_index": start, "limit": limit}
        return check_shape(self._transport.send("GET", path, query=query, timeout=SECONDS), RowPage)

    def rows(self, dataset_id: str, start: int = 0, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """At most `limit` rows from `start`, over as many pages as it takes."""
        has_more = limit != 0
        while has_more:
            page = self.page(dataset_id, start, limit)
            yield from page["data"]
            start += len(page["data"])
            limit = None if limit is None else limit - len(page["data"])
            has_more = page["has_more"] and limit != 0 and bool(page["data"])

    def append(self, dataset_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep rows behind those that are there."""
        path = f"/v1/datasetio/append-rows/{quote(dataset_id, safe='')}"
        self._transport.send("POST", path, {"rows": rows}, timeout=SECONDS)


def _dataset(answer: object) -> "Dataset":
    from core.apis.answers.datasets import Dataset

    return check_shape(answer, Dataset)
