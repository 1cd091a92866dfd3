"""Assembles the services of vector stores: OpenAI's, and Llama Stack's two views of the same."""

import time
from typing import TYPE_CHECKING

from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.services.parts import Parts

if TYPE_CHECKING:
    from core.apis.retrieval import Retrieval
    from core.apis.vector_stores import NativeVectorIO, StoreCopies, StoreFiles, VectorDBs, VectorStores
    from core.services.vector_stores.stores import StoreCollection


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"vector_io": ..., "store_files": ..., "store_copies": ..., "native_vector_io": ..., "vector_dbs": ..., "retrieval": ...}`; each is imported when it is asked for: functions that only may search have them too."""
    parts.stores.find_collection("vector_stores")  # connected here, it is warmed at init
    surfaces = _Surfaces(parts)
    return {
        "vector_io": surfaces.stores,
        "store_files": surfaces.files,
        "store_copies": surfaces.copies,
        "native_vector_io": surfaces.native,
        "vector_dbs": surfaces.databases,
        "retrieval": surfaces.retrieval,
    }


class _Surfaces:
    """Of one stack, which remembers what its calls have seen of stores."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._seen: set[str] = set()

    def stores(self, call: Call | None) -> "VectorStores":
        from core.services.vector_stores.router import VectorStoresRouter

        return VectorStoresRouter(self._collection(call))

    def files(self, call: Call | None) -> "StoreFiles":
        from core.services.vector_stores.files import StoreFilesRouter

        return StoreFilesRouter(self._collection(call))

    def copies(self, call: Call | None) -> "StoreCopies":
        from core.services.vector_stores.copying.router import StoreCopiesRouter

        return StoreCopiesRouter(self._collection(call))

    def native(self, call: Call | None) -> "NativeVectorIO":
        from core.services.vector_stores.native import NativeVectorIORouter

        return NativeVectorIORouter(self._collection(call))

    def databases(self, call: Call | None) -> "VectorDBs":
        from core.services.vector_stores.databases import VectorDBsRouter

        return VectorDBsRouter(self._collection(call))

    def retrieval(self, call: Call | None) -> "Retrieval":
        from core.services.retrieval.router import RetrievalRouter

        return RetrievalRouter(self._collection(call))

    def _collection(self, call: Call | None) -> "StoreCollection":
        from core.services.vector_stores.stores import StoreCollection

        return StoreCollection(self._parts, call, self._seen, time.time)
