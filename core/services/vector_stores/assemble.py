"""Assembles the services of vector stores: OpenAI's, and Llama Stack's two views of the same."""

import time
from typing import TYPE_CHECKING

from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.services.parts import Parts
from core.services.vector_stores.router import VectorStoresRouter
from core.services.vector_stores.stores import StoreCollection

if TYPE_CHECKING:
    from core.apis.retrieval import Retrieval
    from core.apis.vector_stores import NativeVectorIO, StoreCopies, StoreFiles, VectorDBs


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"vector_io": ..., "store_files": ..., "store_copies": ..., "native_vector_io": ..., "vector_dbs": ..., "retrieval": ...}`; the rarer ones are imported late."""
    parts.stores.find_collection("vector_stores")  # connected here, it is warmed at init
    seen: set[str] = set()

    def collection(call: Call | None) -> StoreCollection:
        return StoreCollection(parts, call, seen, time.time)

    def files(call: Call | None) -> "StoreFiles":
        from core.services.vector_stores.files import StoreFilesRouter

        return StoreFilesRouter(collection(call))

    def copies(call: Call | None) -> "StoreCopies":
        from core.services.vector_stores.copying.router import StoreCopiesRouter

        return StoreCopiesRouter(collection(call))

    def native(call: Call | None) -> "NativeVectorIO":
        from core.services.vector_stores.native import NativeVectorIORouter

        return NativeVectorIORouter(collection(call))

    def databases(call: Call | None) -> "VectorDBs":
        from core.services.vector_stores.databases import VectorDBsRouter

        return VectorDBsRouter(collection(call))

    return {
        "vector_io": lambda call: VectorStoresRouter(collection(call)),
        "store_files": files,
        "store_copies": copies,
        "native_vector_io": native,
        "vector_dbs": databases,
        "retrieval": lambda call: _retrieval(collection(call)),
    }


def _retrieval(stores: StoreCollection) -> "Retrieval":
    from core.services.retrieval.router import RetrievalRouter

    return RetrievalRouter(stores)
