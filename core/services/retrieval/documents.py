"""Documents of the RAG tool into a vector store: cut, embedded and put, each in the place of the one with its id.

The chunks of a document have its id and a number, so that one that comes again is put over itself: of what is there as it would be put, nothing is
embedded. What is left of a longer one before goes, from its end, so that whoever is killed at it leaves no gap behind which somebody would not look.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import batched
from typing import Final

from core.apis.rag import Fetched, FetchesDocuments, InsertDocuments, RagDocument
from core.apis.vector_io import Chunk
from core.apis.vector_stores import NativeChunkInput
from core.errors import InvalidRequest, UpstreamTimeout, shorten
from core.platform.concurrency import run_all
from core.services.retrieval.document_text import cut_content, cut_text, fetch_content, url_of
from core.services.vector_stores.native import DOCUMENT, key_of, put_chunks, to_chunk
from core.services.vector_stores.stores import Store, StoreCollection

AT_ONCE: Final = 4
BATCH: Final = 64
"""Chunks that are looked up, embedded and put together."""
DELETED: Final = 100
MARGIN: Final = 3.0
"""Seconds of a function's time, for the answer."""
MOST_BYTES: Final = 25 * 1024 * 1024
"""Of all that is fetched for one insert: it is in memory together."""
NO_FETCHER: Final = (
    "This stack fetches no documents: add a provider of the type `inline::rag-runtime` to `tool_runtime` of the run config, or send the "
    "document's text."
)
NO_TIME: Final = "There was no time for all of it: {done} of {all} documents are in the vector store. Insert them again: what is in it is not embedded anew."


@dataclass(frozen=True, slots=True)
class _Document:
    """One to put: `path` is where the request has it."""

    source: RagDocument
    path: str
    texts: Sequence[str]
    url: str | None


class DocumentInsertion:
    """Into the stores that the caller may update."""

    def __init__(self, stores: StoreCollection) -> None:
        self._stores = stores
        self._fetched = 0  # bytes

    async def insert(self, request: InsertDocuments) -> None:
        """Raises what `core.apis.rag.RagTool.insert` does, and UpstreamTimeout where the answer must leave before all is done."""
        _check_ids(request.documents)
        done = 0
        until = None if self._stores.call is None else self._stores.call.until
        limit = asyncio.timeout_at(None if until is None else until - MARGIN)
        try:
            async with limit:
                store = await self._stores.open(request.vector_db_id, "update")
                documents = await self._read(request)
                for document in documents:
                    _chunk(document, 0, document.texts[0], store, self._stores)  # refuses what cannot be kept
                for document in documents:
                    await self._put(store, document)
                    done += 1
        except TimeoutError:
            if not limit.expired():
                raise
            raise UpstreamTimeout(NO_TIME.format(done=done, all=len(request.documents))) from None
        if self._stores.call is not None:
            self._stores.call.add_tokens(0)  # what was reserved is given back where nothing was embedded

    async def _read(self, request: InsertDocuments) -> list[_Document]:
        """All of them, before any is put."""
        jobs = [
            partial(self._read_one, document, f"documents[{place}]", request.chunk_size_in_tokens)
            for place, document in enumerate(request.documents)
        ]
        return await run_all(jobs, at_once=AT_ONCE)

    async def _read_one(self, document: RagDocument, path: str, size: int) -> _Document:
        url, place = url_of(document), f"{path}.content"
        if url is None:
            return _Document(document, path, await asyncio.to_thread(cut_text, document, size, place), None)
        content = await fetch_content(url, place, self._fetch)
        self._fetched += len(content.content)
        if self._fetched > MOST_BYTES:
            raise InvalidRequest(
                f"These documents have more than {MOST_BYTES:,} bytes together. Insert fewer at once.",
                param="documents",
            )
        texts = await asyncio.to_thread(cut_content, content, url, document.mime_type, size, place)
        return _Document(document, path, texts, None if url[:5].lower() == "data:" else url)

    async def _fetch(self, url: str, path: str) -> Fetched:
        providers = self._stores.parts.providers("tool_runtime").values()
        fetcher = next((provider for provider in providers if isinstance(provider, FetchesDocuments)), None)
        if fetcher is None:
            raise InvalidRequest(NO_FETCHER, param=path)
        return await fetcher.fetch_document(url, param=path)

    async def _put(self, store: Store, document: _Document) -> None:
        provider = self._stores.provider(store)
        for rows in batched(enumerate(document.texts), BATCH, strict=False):
            chunks = [_chunk(document, number, text, store, self._stores) for number, text in rows]
            if provider.capabilities.removable:
                present = await self._stores.ask(provider.fetch(store.index, [chunk.key for chunk in chunks]))
                same = {chunk.key: replace(chunk, vector=()) for chunk in present}
                chunks = [chunk for chunk in chunks if same.get(chunk.key) != chunk]
            if chunks:
                texts = [chunk.text for chunk in chunks]
                vectors = await self._stores.models.embed(store.id, store.record, texts)
                pairs = zip(chunks, vectors, strict=True)
                await put_chunks(self._stores, store, [replace(chunk, vector=vector) for chunk, vector in pairs])
        if provider.capabilities.removable:
            await self._remove_rest(store, document)

    async def _remove_rest(self, store: Store, document: _Document) -> None:
        """What a longer version of the document had beyond this one."""
        provider, first = self._stores.provider(store), len(document.texts)
        rests: list[list[str]] = []
        while True:
            numbers = range(first + len(rests) * DELETED, first + (len(rests) + 1) * DELETED)
            keys = [key_of(_chunk_id(document, number)) for number in numbers]
            present = [chunk.key for chunk in await self._stores.ask(provider.fetch(store.index, keys))]
            if not present:
                break
            rests.append(present)
        for keys in reversed(rests):
            await self._stores.ask(provider.delete(store.index, keys))


def _check_ids(documents: Sequence[RagDocument]) -> None:
    """Raise InvalidRequest for an id that two of them have: the one would take the other's place."""
    seen: set[str] = set()
    for place, document in enumerate(documents):
        if document.document_id in seen:
            raise InvalidRequest(
                f"Two documents have the id `{shorten(document.document_id, 64)}`. Give each its own.",
                param=f"documents[{place}].document_id",
            )
        seen.add(document.document_id)


def _chunk_id(document: _Document, number: int) -> str:
    return f"{document.source.document_id}#{number}"


def _chunk(document: _Document, number: int, text: str, store: Store, stores: StoreCollection) -> Chunk:
    """Without its vector."""
    source = document.source
    chunk = NativeChunkInput(
        content=text,
        chunk_id=_chunk_id(document, number),
        metadata={**source.metadata, DOCUMENT: source.document_id},
        chunk_metadata={DOCUMENT: source.document_id, "source": document.url},
    )
    return to_chunk(chunk, (), stores.provider(store).capabilities, document.path)
