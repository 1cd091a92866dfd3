"""Chunks of vector-io, which no record tells of: found by their keys, and put again by them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, cast

from core.apis.vector_io import Chunk, VectorListing
from core.errors import InvalidRequest
from core.services.vector_stores.copying.ends import Ends
from core.services.vector_stores.ingest.origin import shares_vectors
from core.services.vector_stores.native import OWN, put_chunks
from core.services.vector_stores.stores import Store, StoreCollection, missing

PAGE: Final = 1000
NO_TEXT: Final = "There is no text in it, so that `{model}` can make no vector of it."


@dataclass(slots=True)
class ChunkCounts:
    """How many are in the target by now, and why others are not, by their keys."""

    copies: int = 0
    failures: dict[str, str] = field(default_factory=dict[str, str])


async def list_keys(stores: StoreCollection, store: Store) -> list[str]:
    """Of the chunks of vector-io that are in the store now."""
    listing, keys, after, more = cast("VectorListing", stores.provider(store)), list[str](), "", True
    while more:
        page = await stores.ask(listing.keys(store.index, prefix=OWN, after=after, limit=PAGE))
        keys += page.keys
        after, more = page.next, bool(page.next)
    return keys


async def copy_chunks(ends: Ends, keys: Sequence[str]) -> ChunkCounts:
    """Put them into the target as they are in the source; those that are there already are not embedded again.

    Raises:
        NotFound: one of the stores is gone.
        ApiError: it failed for now, and may be tried again.
    """
    stores, source, target = ends.stores, ends.source.store, ends.target.store
    same, counts = shares_vectors(source.record, target.record), ChunkCounts()
    chunks = await stores.ask(stores.provider(source).fetch(source.index, keys, with_vectors=same))
    if len(chunks) < len(keys) and not await stores.is_there(source):
        raise missing(source.id)
    if not same:
        copies = await stores.ask(stores.provider(target).fetch(target.index, [chunk.key for chunk in chunks]))
        counts.copies = sum(chunk in copies for chunk in chunks)
        chunks = await _embed(ends, [chunk for chunk in chunks if chunk not in copies], counts)
    await _put(ends, chunks, counts)
    return counts


async def _embed(ends: Ends, chunks: Sequence[Chunk], counts: ChunkCounts) -> list[Chunk]:
    store, models = ends.target.store, ends.stores.models
    blank = {chunk.key for chunk in chunks if not chunk.text.strip()}
    counts.failures |= dict.fromkeys(blank, NO_TEXT.format(model=store.record.embedding_model))
    chunks = [chunk for chunk in chunks if chunk.key not in blank]
    vectors = await models.embed(store.id, store.record, [chunk.text for chunk in chunks]) if chunks else []
    return [replace(chunk, vector=vector) for chunk, vector in zip(chunks, vectors, strict=True)]


async def _put(ends: Ends, chunks: Sequence[Chunk], counts: ChunkCounts) -> None:
    """A provider that refuses one of several keeps none: then each is put by itself."""
    if not chunks:
        return
    try:
        await put_chunks(ends.stores, ends.target.store, chunks)
    except InvalidRequest as refusal:
        if len(chunks) == 1:
            counts.failures[chunks[0].key] = refusal.message
            return
        for chunk in chunks:
            await _put(ends, [chunk], counts)
    else:
        counts.copies += len(chunks)
