"""What an ingest puts together: chunks of a file that follow each other."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.apis.vector_io import Chunk
from core.config.vector_stores import ContextualRetrieval
from core.services.vector_stores.ingest.chunks import Chunking
from core.services.vector_stores.ingest.reader import ChunkReader
from core.services.vector_stores.stores import StoreCollection

if TYPE_CHECKING:
    from core.services.vector_stores.ingest.contexts import Contexts


@dataclass(frozen=True, slots=True)
class Piece:
    """Chunks that follow each other, from the number `first`; their vectors are still to be made where `fresh`."""

    first: int
    chunks: Sequence[Chunk]
    fresh: bool


async def with_last(pieces: AsyncGenerator[Piece]) -> AsyncGenerator[tuple[Piece, bool]]:
    """Each with whether it is the last: so a file is read to its end before the last chunks are embedded."""
    async with aclosing(pieces):
        before = await anext(pieces, None)
        async for piece in pieces:
            if before is not None:
                yield before, False
            before = piece
        if before is not None:
            yield before, True


async def contexts_of(stores: StoreCollection, chunking: Chunking, reader: ChunkReader) -> "Contexts | None":
    """What gives the file's chunks their context, once the whole of it was read; None where they are put as they are cut."""
    if chunking.contextual is None:
        return None
    from core.services.vector_stores.ingest.contexts import Contexts  # late: few files have them

    params = stores.parts.vector_stores.contextual_retrieval_params or ContextualRetrieval()
    return Contexts(stores, chunking.contextual, await reader.read_whole(params.max_document_tokens))
