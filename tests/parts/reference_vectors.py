"""Packages that provide vector stores and files, as authors write them for Llama Stack and OGX."""

OLD_VECTORS = {
    "provider": """
from llama_stack.providers.datatypes import AdapterSpec, Api, remote_provider_spec

def get_provider_spec():
    return remote_provider_spec(
        api=Api.vector_io, api_dependencies=[Api.inference],
        adapter=AdapterSpec(adapter_type="shelf", config_class="PACKAGE.ShelfConfig", module="PACKAGE", pip_packages=[]),
    )
""",
    "__init__": """
from typing import Any, Dict, List, Optional
from llama_stack.apis.inference import InterleavedContent
from llama_stack.apis.vector_dbs import VectorDB
from llama_stack.apis.vector_io import Chunk, QueryChunksResponse, VectorIO
from llama_stack.distribution.datatypes import Api
from llama_stack.providers.datatypes import VectorDBsProtocolPrivate
from llama_stack.providers.utils.memory.vector_store import EmbeddingIndex, VectorDBWithIndex
from pydantic import BaseModel

class ShelfConfig(BaseModel):
    pass

class ShelfIndex(EmbeddingIndex):
    def __init__(self): self.rows = {}
    async def add_chunks(self, chunks: List[Chunk], embeddings):
        for i, (chunk, embedding) in enumerate(zip(chunks, embeddings)):
            self.rows[f"{chunk.metadata['document_id']}:chunk-{i}"] = (chunk.model_dump_json(), list(embedding))
    async def query_vector(self, embedding, k: int, score_threshold: float) -> QueryChunksResponse:
        found = []
        for text, other in self.rows.values():
            distance = sum((a - b) ** 2 for a, b in zip(embedding, other)) ** 0.5
            found.append((1.0 / distance if distance else float("inf"), text))
        found = sorted(found, key=lambda pair: -pair[0])[:k]
        chunks = [Chunk.model_validate_json(text) for _, text in found]
        return QueryChunksResponse(chunks=chunks, scores=[score for score, _ in found])
    async def query_keyword(self, query_string: str, k: int, score_threshold: float) -> QueryChunksResponse:
        raise NotImplementedError("Keyword search is not supported in Shelf")
    async def delete(self): self.rows.clear()

class ShelfAdapter(VectorIO, VectorDBsProtocolPrivate):
    def __init__(self, config, inference_api):
        self.inference_api, self.cache = inference_api, {}
    async def initialize(self) -> None: pass
    async def shutdown(self) -> None: pass
    async def register_vector_db(self, vector_db: VectorDB) -> None:
        self.cache[vector_db.identifier] = VectorDBWithIndex(vector_db, ShelfIndex(), self.inference_api)
    async def unregister_vector_db(self, vector_db_id: str) -> None:
        await self.cache[vector_db_id].index.delete()
        del self.cache[vector_db_id]
    async def insert_chunks(self, vector_db_id: str, chunks: List[Chunk], ttl_seconds: Optional[int] = None) -> None:
        await self._index(vector_db_id).insert_chunks(chunks)
    async def query_chunks(
        self, vector_db_id: str, query: InterleavedContent, params: Optional[Dict[str, Any]] = None
    ) -> QueryChunksResponse:
        index = self._index(vector_db_id)
        if query == "native":
            await self.inference_api.embeddings(index.vector_db.embedding_model, [query])
        return await index.query_chunks(query, params)
    def _index(self, vector_db_id):
        if vector_db_id not in self.cache:
            raise ValueError(f"Vector DB {vector_db_id} not found")
        return self.cache[vector_db_id]

async def get_adapter_impl(config: ShelfConfig, deps: Dict[Api, Any]):
    impl = ShelfAdapter(config, deps[Api.inference])
    await impl.initialize()
    return impl
""",
}

NEW_VECTORS = {
    "provider": """
from ogx_api import Api, InlineProviderSpec, RemoteProviderSpec

def get_provider_spec():
    common = dict(
        api=Api.vector_io, module="PACKAGE", config_class="PACKAGE.Config", api_dependencies=[Api.inference],
        optional_api_dependencies=[Api.files], pip_packages=["ogx-api"], provider_data_validator="PACKAGE.Data",
        container_image="shelf/shelf:1",
    )
    return [
        InlineProviderSpec(provider_type="inline::shelf", **common),
        RemoteProviderSpec(provider_type="remote::shelf", adapter_type="shelf", **common),
    ]
""",
    "__init__": r'''
import re
from ogx.core.request_headers import NeedsRequestProviderData
from ogx.core.storage.datatypes import KVStoreReference
from ogx.core.storage.kvstore import kvstore_impl
from ogx.log import get_logger
from ogx.providers.utils.memory.openai_vector_store_mixin import OpenAIVectorStoreMixin
from ogx.providers.utils.memory.vector_store import ChunkForDeletion, EmbeddingIndex, VectorStoreWithIndex
from ogx.providers.utils.vector_io import load_embedded_chunk_with_backward_compat
from ogx.providers.utils.vector_io.vector_utils import WeightedInMemoryAggregator, sanitize_collection_name
from ogx_api import (
    Api, DeleteChunksRequest, EmbeddedChunk, Files, Filter, HealthResponse, HealthStatus, Inference, InsertChunksRequest,
    QueryChunksRequest, QueryChunksResponse, VectorIO, VectorStore, VectorStoreNotFoundError, VectorStoresProtocolPrivate,
)
from ogx_api.internal.kvstore import KVStore
import json
from pydantic import BaseModel, SecretStr

logger = get_logger(name=__name__, category="vector_io")
WORD = re.compile(r"[0-9a-zà-ÿ]+|[^\W0-9a-zà-ÿ_]")

class Config(BaseModel):
    persistence: KVStoreReference | None = None

class Data(BaseModel):
    shelf_key: SecretStr | None = None

class ShelfIndex(EmbeddingIndex):
    """As of a database: what is in it outlives the object."""
    def __init__(self, rows): self.rows = rows
    async def add_chunks(self, embedded_chunks: list[EmbeddedChunk]):
        for chunk in embedded_chunks:
            self.rows[chunk.chunk_id] = (chunk.model_dump_json(), chunk.embedding, WORD.findall(str(chunk.content).lower()))
    async def delete_chunks(self, chunks_for_deletion: list[ChunkForDeletion]) -> None:
        if not {c.chunk_id for c in chunks_for_deletion} <= self.rows.keys():
            logger.warning("Chunks are not there", chunks=len(chunks_for_deletion))
            return
        for chunk in chunks_for_deletion:
            del self.rows[chunk.chunk_id]
    async def delete(self): self.rows.clear()
    def _answer(self, pairs, k):
        best = sorted(pairs, key=lambda pair: -pair[0])[:k]
        chunks = [load_embedded_chunk_with_backward_compat(json.loads(text)) for _, text in best]
        return QueryChunksResponse(chunks=chunks, scores=[score for score, _ in best])
    async def query_vector(self, embedding, k: int, score_threshold: float, filters: Filter | None = None):
        pairs = []
        for text, other, _ in self.rows.values():
            lengths = sum(a * a for a in embedding) ** 0.5 * sum(b * b for b in other) ** 0.5
            score = sum(a * b for a, b in zip(embedding, other)) / lengths if lengths else 0.0
            if score >= score_threshold - 1e-6:
                pairs.append((score, text))
        return self._answer(pairs, k)
    async def query_keyword(self, query_string: str, k: int, score_threshold: float, filters: Filter | None = None):
        words = WORD.findall(query_string.lower())[:100]
        counts = [(sum(map(row[2].count, words)), row) for row in self.rows.values() if set(words) & set(row[2])]
        return self._answer([(count / 10, row[0]) for count, row in counts if set(words) <= set(row[2])], k)

class ShelfAdapter(OpenAIVectorStoreMixin, NeedsRequestProviderData, VectorIO, VectorStoresProtocolPrivate):
    def __init__(self, config: Config, inference_api: Inference, files_api: Files | None) -> None:
        super().__init__(inference_api=inference_api, files_api=files_api, kvstore=None)
        self.config, self.cache, self.tables, self.vector_store_table = config, {}, {}, None
    async def initialize(self) -> None:
        if self.config.persistence:
            self.kvstore = await kvstore_impl(self.config.persistence)
            for stored in await self.kvstore.values_in_range("stores:", "stores:\xff"):
                await self.register_vector_store(VectorStore.model_validate_json(stored))
        await self.initialize_openai_vector_stores()
    async def shutdown(self) -> None:
        await super().shutdown()
    async def health(self) -> HealthResponse:
        return HealthResponse(status=HealthStatus.OK)
    async def register_vector_store(self, vector_store: VectorStore) -> None:
        if self.kvstore:
            await self.kvstore.set(key=f"stores:{vector_store.identifier}", value=vector_store.model_dump_json())
        rows = self.tables.setdefault(sanitize_collection_name(vector_store.identifier), {})
        self.cache[vector_store.identifier] = VectorStoreWithIndex(vector_store, ShelfIndex(rows), self.inference_api)
    async def unregister_vector_store(self, vector_store_id: str) -> None:
        if vector_store_id not in self.cache:
            return
        await self.cache[vector_store_id].index.delete()
        del self.cache[vector_store_id]
    def _index(self, vector_store_id):
        if vector_store_id not in self.cache:
            raise VectorStoreNotFoundError(vector_store_id)
        return self.cache[vector_store_id]
    async def insert_chunks(self, request: InsertChunksRequest) -> None:
        data = self.get_request_provider_data()
        if data and data.shelf_key and data.shelf_key.get_secret_value() != "good":
            raise ValueError("the shelf does not know this key")
        await self._index(request.vector_store_id).insert_chunks(request)
    async def query_chunks(self, request: QueryChunksRequest) -> QueryChunksResponse:
        return await self._index(request.vector_store_id).query_chunks(request)
    async def delete_chunks(self, request: DeleteChunksRequest) -> None:
        await self._index(request.vector_store_id).index.delete_chunks(request.chunks)

async def _make(config, deps):
    impl = ShelfAdapter(config, deps[Api.inference], deps.get(Api.files))
    await impl.initialize()
    return impl

async def get_provider_impl(config: Config, deps, policy): return await _make(config, deps)
async def get_adapter_impl(config: Config, deps): return await _make(config, deps)
''',
}

OLD_FILES = {
    "provider": """
from llama_stack.providers.datatypes import Api, InlineProviderSpec

def get_provider_spec():
    return InlineProviderSpec(
        api=Api.files, provider_type="inline::drawer", pip_packages=[], config_class="PACKAGE.DrawerConfig", module="PACKAGE",
    )
""",
    "__init__": """
import time
from pathlib import Path
from typing import Any, Optional
import uuid
from llama_stack.apis.common.responses import Order
from llama_stack.apis.files import (
    Files, ListOpenAIFileResponse, OpenAIFileDeleteResponse, OpenAIFileObject, OpenAIFilePurpose,
)
from pydantic import BaseModel

class Response:
    def __init__(self, content: bytes, headers): self.body, self.headers = content, headers

class DrawerConfig(BaseModel):
    storage_dir: str
    ttl_secs: int = 31536000

class Drawer(Files):
    def __init__(self, config): self.config, self.rows = config, {}
    async def initialize(self) -> None: Path(self.config.storage_dir).mkdir(parents=True, exist_ok=True)
    async def shutdown(self) -> None: pass
    def _row(self, file_id):
        path = Path(self.config.storage_dir) / file_id
        if not path.exists():
            raise ValueError(f"File with id {file_id} not found")
        return path
    async def openai_upload_file(self, file, purpose: OpenAIFilePurpose) -> OpenAIFileObject:
        file_id, content = f"file-{uuid.uuid4().hex}", await file.read()
        if b"forbidden" in content:
            raise ValueError("not in this drawer")
        (Path(self.config.storage_dir) / file_id).write_bytes(content)
        now = int(time.time())
        return OpenAIFileObject(
            id=file_id, bytes=len(content), created_at=now, expires_at=now + self.config.ttl_secs,
            filename=file.filename or "uploaded_file", purpose=purpose,
        )
    async def openai_list_files(
        self, after: Optional[str] = None, limit: Optional[int] = 10000, order: Optional[Order] = Order.desc, purpose: Any = None,
    ) -> ListOpenAIFileResponse:
        raise NotImplementedError
    async def openai_retrieve_file(self, file_id: str) -> OpenAIFileObject:
        path = self._row(file_id)
        return OpenAIFileObject(
            id=file_id, bytes=path.stat().st_size, created_at=0, expires_at=0, filename="f", purpose=OpenAIFilePurpose.ASSISTANTS
        )
    async def openai_delete_file(self, file_id: str) -> OpenAIFileDeleteResponse:
        self._row(file_id).unlink()
        return OpenAIFileDeleteResponse(id=file_id, deleted=True)
    async def openai_retrieve_file_content(self, file_id: str) -> Response:
        return Response(self._row(file_id).read_bytes(), {})

async def get_provider_impl(config: DrawerConfig, deps):
    impl = Drawer(config)
    await impl.initialize()
    return impl
""",
}

NEW_FILES = {
    "provider": """
from ogx_api import Api, RemoteProviderSpec

def get_provider_spec():
    return RemoteProviderSpec(
        api=Api.files, provider_type="remote::drawer", adapter_type="drawer", config_class="PACKAGE.Config", module="PACKAGE",
        provider_data_validator="PACKAGE.Data", container_image="drawer/drawer:1",
    )
""",
    "__init__": """
from pathlib import Path
import uuid
from ogx.core.id_generation import generate_object_id
from ogx_api import (
    DeleteFileRequest, Files, ListFilesRequest, ListOpenAIFileResponse, OpenAIFileDeleteResponse, OpenAIFileObject,
    OpenAIFileObjectNotFoundError, OpenAIFilePurpose, RetrieveFileContentRequest, RetrieveFileRequest, UploadFileRequest,
)
from ogx_api.files.models import OpenAIFileUploadPurpose
from pydantic import BaseModel

class Config(BaseModel):
    storage_dir: str
    down: bool = False

class Data(BaseModel):
    key: str | None = None

class Response:
    def __init__(self, chunks): self.body_iterator = chunks

class Drawer(Files):
    def __init__(self, config): self.config, self.folder = config, Path(config.storage_dir)
    async def initialize(self): self.folder.mkdir(parents=True, exist_ok=True)
    async def shutdown(self): pass
    async def openai_upload_file(self, request: UploadFileRequest, file) -> OpenAIFileObject:
        if self.config.down:
            raise ConnectionError("no way")
        assert request.purpose == OpenAIFileUploadPurpose.ASSISTANTS
        file_id = generate_object_id("file", lambda: f"file-{uuid.uuid4().hex}")
        size = 0
        with (self.folder / file_id).open("wb") as target:
            while chunk := await file.read(65536):
                size += target.write(chunk)
        return OpenAIFileObject(
            id=file_id, bytes=size, created_at=1, filename=file.filename, purpose=OpenAIFilePurpose.ASSISTANTS, status="processed"
        )
    async def openai_list_files(self, request: ListFilesRequest) -> ListOpenAIFileResponse: raise NotImplementedError
    async def openai_retrieve_file(self, request: RetrieveFileRequest) -> OpenAIFileObject:
        return OpenAIFileObject(
            id=request.file_id, bytes=self._path(request.file_id).stat().st_size, created_at=1, filename="f",
            purpose=OpenAIFilePurpose.ASSISTANTS, status="processed",
        )
    async def openai_delete_file(self, request: DeleteFileRequest) -> OpenAIFileDeleteResponse:
        self._path(request.file_id).unlink()
        return OpenAIFileDeleteResponse(id=request.file_id, deleted=True)
    async def openai_retrieve_file_content(self, request: RetrieveFileContentRequest) -> Response:
        return Response(self._stream(self._path(request.file_id)))
    async def _stream(self, path):
        with path.open("rb") as file:
            while chunk := file.read(1000):
                yield chunk
    def _path(self, file_id):
        path = self.folder / file_id
        if not path.exists():
            raise OpenAIFileObjectNotFoundError(file_id)
        return path

async def get_adapter_impl(config, deps):
    impl = Drawer(config)
    await impl.initialize()
    return impl
""",
}
