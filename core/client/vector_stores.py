"""Vector stores of a running stack, the files in them, and searches."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from core.client.failures import ApiFailed
from core.client.http import Transport
from core.client.shapes import check_shape, path_of

if TYPE_CHECKING:
    from core.apis.answers.jobs import JobView
    from core.apis.answers.vector_stores import SearchPage, VectorStore, VectorStoreDeleted, VectorStoreFile

PAGE: Final = 100
MISSING: Final = 404
SECONDS: Final = 60.0  # without a byte: a file is taken in before the answer, as far as there is time


class VectorStores:
    """Texts of files, found by what they mean or by their words."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, **fields: object) -> "VectorStore":
        """Of `fields`, which are OpenAI's and Llama Stack's, those that are None are left out."""
        body = {name: value for name, value in fields.items() if value is not None}
        return _store(self._transport.send("POST", "/v1/vector_stores", body, timeout=SECONDS))

    def get(self, store_id: str) -> "VectorStore":
        return _store(self._transport.send("GET", path_of("vector_stores", store_id)))

    def find(self, store: str) -> "VectorStore":
        """The store with this id, or else the only one with this name.

        Raises:
            ApiFailed: there is none, or there are several.
        """
        try:
            return self.get(store)
        except ApiFailed as failure:
            if failure.status != MISSING:
                raise
            same = [other for other in self.pages() if other["name"] == store]
            if not same:
                raise
        if len(same) > 1:
            ids = ", ".join(other["id"] for other in same)
            raise ApiFailed(
                400, f"`{store}` is the name of {len(same)} vector stores. Give the id of the one that is meant: {ids}."
            )
        return same[0]

    def pages(self, limit: int | None = None) -> "Iterator[VectorStore]":
        """At most `limit` of those that the caller may see, newest first."""
        from core.apis.answers.vector_stores import VectorStoreList

        for page in self._pages("/v1/vector_stores", VectorStoreList, limit):
            yield from page["data"]

    def delete(self, store_id: str) -> "VectorStoreDeleted":
        """Remove it with its chunks; its files stay."""
        from core.apis.answers.vector_stores import VectorStoreDeleted

        return check_shape(self._transport.send("DELETE", path_of("vector_stores", store_id)), VectorStoreDeleted)

    def search(self, store_id: str, query: str, **fields: object) -> "SearchPage":
        """Of `fields` those that are None are left out."""
        from core.apis.answers.vector_stores import SearchPage

        body = {"query": query} | {name: value for name, value in fields.items() if value is not None}
        path = f"{path_of('vector_stores', store_id)}/search"
        return check_shape(self._transport.send("POST", path, body, timeout=SECONDS), SearchPage)

    def copy(self, store_id: str, **to: object) -> "JobView":
        """The job that copies it to the store `vector_store_id`, or to a new one; of `to` what is None is left out."""
        from core.apis.answers.jobs import JobView

        body = {"to": {name: value for name, value in to.items() if value is not None}}
        path = f"{path_of('vector_stores', store_id)}/copy"
        return check_shape(self._transport.send("POST", path, body, timeout=SECONDS), JobView)

    def add(self, store_id: str, file_id: str, attributes: Mapping[str, Any] | None = None) -> "VectorStoreFile":
        """The file in the store, which may still be taken in."""
        body: dict[str, Any] = {"file_id": file_id}
        if attributes:
            body["attributes"] = dict(attributes)
        path = f"{path_of('vector_stores', store_id)}/files"
        return _file(self._transport.send("POST", path, body, timeout=SECONDS))

    def file(self, store_id: str, file_id: str) -> "VectorStoreFile":
        path = f"{path_of('vector_stores', store_id)}/files/{quote(file_id, safe='')}"
        return _file(self._transport.send("GET", path))

    def files(self, store_id: str, limit: int | None = None) -> "Iterator[VectorStoreFile]":
        """At most `limit` of the files in it, newest first."""
        from core.apis.answers.vector_stores import VectorStoreFileList

        for page in self._pages(f"{path_of('vector_stores', store_id)}/files", VectorStoreFileList, limit):
            yield from page["data"]

    def _pages[Page](self, path: str, shape: type[Page], limit: int | None) -> Iterator[Page]:
        after, more = None, True
        while more and (limit is None or limit > 0):
            query = {"after": after, "limit": PAGE if limit is None else min(limit, PAGE)}
            page: Any = check_shape(self._transport.send("GET", path, query=query), shape)
            yield page
            limit = None if limit is None else limit - len(page["data"])
            after, more = page["last_id"], page["has_more"]


def _store(answer: object) -> "VectorStore":
    from core.apis.answers.vector_stores import VectorStore

    return check_shape(answer, VectorStore)


def _file(answer: object) -> "VectorStoreFile":
    from core.apis.answers.vector_stores import VectorStoreFile

    return check_shape(answer, VectorStoreFile)
