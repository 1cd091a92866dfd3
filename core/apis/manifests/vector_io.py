"""Vector stores: OpenAI's, and Llama Stack's two views of the same."""

from typing import Final

from core.frame.api import Api, Deployment, Eraser, JobRow, Surface
from core.frame.operations import Operation, openai_paths
from core.frame.resources import Kind

TYPES: Final = "core.apis.vector_stores"
ANSWERS: Final = "core.apis.answers.vector_stores"

DECLARED: Final = Kind(
    name="vector_store",
    api="vector_io",
    path="",
    section="vector_stores",
    id_field="vector_store_id",
    provider_id_field="provider_vector_store_id",
    body=f"{TYPES}:RegisterVectorStore",
    fields={"embedding_model": None, "embedding_dimension": None, "vector_store_name": None},
)
"""Stores that the run config declares; what a request makes is a document."""

ALL: Final = openai_paths("/vector_stores")
ONE: Final = openai_paths("/vector_stores/{vector_store_id}")
FILES: Final = openai_paths("/vector_stores/{vector_store_id}/files")
FILE: Final = openai_paths("/vector_stores/{vector_store_id}/files/{file_id}")
BATCHES: Final = openai_paths("/vector_stores/{vector_store_id}/file_batches")
BATCH: Final = "/vector_stores/{vector_store_id}/file_batches/{batch_id}"
NO_BOUND: Final = "core.apis.inference:no_bound"

STORES: Final = (
    Operation(
        "POST",
        openai_paths("/vector_stores/{vector_store_id}/search"),
        "search",
        "Search a vector store.",
        request=f"{TYPES}:SearchRequest",
        response=f"{ANSWERS}:SearchPage",
        tokens=NO_BOUND,
    ),
    Operation(
        "POST",
        ALL,
        "create",
        "Make a vector store.",
        request=f"{TYPES}:NewVectorStore",
        response=f"{ANSWERS}:VectorStore",
        tokens=NO_BOUND,
    ),
    Operation(
        "GET",
        ALL,
        "index",
        "List the vector stores.",
        query=f"{TYPES}:ListStoresQuery",
        response=f"{ANSWERS}:VectorStoreList",
    ),
    Operation("GET", ONE, "get", "Show a vector store.", response=f"{ANSWERS}:VectorStore"),
    Operation(
        "POST",
        ONE,
        "update",
        "Change a vector store.",
        request=f"{TYPES}:ChangedVectorStore",
        response=f"{ANSWERS}:VectorStore",
    ),
    Operation("DELETE", ONE, "delete", "Delete a vector store.", response=f"{ANSWERS}:VectorStoreDeleted"),
)

STORE_FILES: Final = (
    Operation(
        "POST",
        FILES,
        "add",
        "Add a file to a vector store.",
        request=f"{TYPES}:NewStoreFile",
        response=f"{ANSWERS}:VectorStoreFile",
        tokens=NO_BOUND,
    ),
    Operation(
        "GET",
        FILES,
        "index",
        "List the files of a vector store.",
        query=f"{TYPES}:ListFilesQuery",
        response=f"{ANSWERS}:VectorStoreFileList",
    ),
    Operation("GET", FILE, "get", "Show a file of a vector store.", response=f"{ANSWERS}:VectorStoreFile"),
    Operation(
        "POST",
        FILE,
        "update",
        "Change the attributes of a file in a vector store.",
        request=f"{TYPES}:ChangedStoreFile",
        response=f"{ANSWERS}:VectorStoreFile",
    ),
    Operation(
        "DELETE",
        FILE,
        "remove",
        "Take a file out of a vector store.",
        response=f"{ANSWERS}:VectorStoreFileDeleted",
    ),
    Operation(
        "GET",
        openai_paths("/vector_stores/{vector_store_id}/files/{file_id}/content"),
        "content",
        "Show the chunks of a file in a vector store.",
        query=f"{TYPES}:ContentQuery",
        response=f"{ANSWERS}:FileContentPage",
    ),
    Operation(
        "POST",
        BATCHES,
        "create_batch",
        "Add files to a vector store together.",
        request=f"{TYPES}:NewFileBatch",
        response=f"{ANSWERS}:FileBatch",
    ),
    Operation("GET", openai_paths(BATCH), "get_batch", "Show a batch of files.", response=f"{ANSWERS}:FileBatch"),
    Operation(
        "GET",
        openai_paths(f"{BATCH}/files"),
        "batch_files",
        "List the files of a batch.",
        query=f"{TYPES}:ListFilesQuery",
        response=f"{ANSWERS}:VectorStoreFileList",
    ),
    Operation(
        "POST",
        openai_paths(f"{BATCH}/cancel"),
        "cancel_batch",
        "Stop a batch of files.",
        response=f"{ANSWERS}:FileBatch",
        counted=False,
    ),
)

COPIES: Final = (
    Operation(
        "POST",
        ("/v1/vector_stores/{vector_store_id}/copy",),
        "copy",
        "Copy a vector store to another provider or model, in a job.",
        request=f"{TYPES}:CopyVectorStore",
        response="core.apis.answers.jobs:JobView",
    ),
)
"""Our own: neither OpenAI nor Llama Stack moves a store."""

NATIVE: Final = (
    Operation(
        "POST",
        ("/v1/vector-io/query",),
        "query",
        "Search for chunks.",
        request=f"{TYPES}:QueryChunks",
        response=f"{ANSWERS}:NativeQueryAnswer",
        tokens=NO_BOUND,
    ),
    Operation(
        "POST",
        ("/v1/vector-io/insert",),
        "insert",
        "Put chunks into a vector store.",
        request=f"{TYPES}:InsertChunks",
        reply="none",
        tokens=NO_BOUND,
    ),
)

ONE_DB: Final = ("/v1/vector-dbs/{vector_db_id:path}",)
VECTOR_DBS: Final = (
    Operation(
        "POST",
        ("/v1/vector-dbs",),
        "register",
        "Make a vector store (0.2).",
        request=f"{TYPES}:NewVectorDB",
        response=f"{ANSWERS}:VectorDB",
    ),
    Operation("GET", ("/v1/vector-dbs",), "index", "List the vector stores (0.2).", response=f"{ANSWERS}:VectorDBList"),
    Operation("GET", ONE_DB, "get", "Show a vector store (0.2).", response=f"{ANSWERS}:VectorDB"),
    Operation("DELETE", ONE_DB, "unregister", "Delete a vector store (0.2).", reply="none"),
)

API: Final = Api(
    "vector_io",
    surfaces=(
        Surface("vector_io", f"{TYPES}:VectorStores", STORES),
        Surface("store_files", f"{TYPES}:StoreFiles", STORE_FILES),
        Surface("store_copies", f"{TYPES}:StoreCopies", COPIES),
        Surface("native_vector_io", f"{TYPES}:NativeVectorIO", NATIVE),
        Surface("vector_dbs", f"{TYPES}:VectorDBs", VECTOR_DBS),
        Surface("retrieval", "core.apis.retrieval:Retrieval", ()),  # for tools and responses: it has no routes
    ),
    assemble="core.services.vector_stores.assemble:assemble",
    kinds=(DECLARED,),
    provider="core.apis.vector_io:VectorIOProvider",
    depends=("inference", "safety", "files"),  # models are guarded by shields
    stores=("documents", "blobs", "jobs", "queue"),
    collections=("vector_store", "vector_store_file", "vector_store_batch", "vector_store_owner", "file", "file_use"),
    eraser=Eraser(
        "core.services.vector_stores.erasing:erase",
        ("vector_store", "vector_store_file", "vector_store_batch", "vector_store_owner"),
    ),
    jobs=(
        JobRow("vector_ingest", "core.services.vector_stores.ingest.job:vector_ingest"),
        JobRow("vector_copy", "core.services.vector_stores.copying.job:vector_copy"),
    ),
    deployment=Deployment(
        rights=(
            "CallModels",
            "CallModelsBehindProfiles",
            "Rerank",
            "ApplyGuardrails",
            "FileBuckets",
            "Vectors",
            "VectorsOfStack",
            "Databases",
            "SearchKnowledgeBases",
        ),
        switch="HasVectorStores",
    ),
)
