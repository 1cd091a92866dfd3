"""What does a file in a store cost over what it cannot do without: its text, cut and counted, and the chunks in the index?

Processor time of this process: the embedder is another one, and what it is asked and answers is on neither side's floor but on ours.
"""

import asyncio
from collections.abc import Awaitable, Callable
import io
import json
from pathlib import Path
import random
from statistics import median
from tempfile import TemporaryDirectory
import time
from typing import Any

from aiohttp import web

from core.apis.vector_io import Chunk, VectorIndex
from core.apis.vector_stores import NewStoreFile, NewVectorStore
from core.config.load import interpret
from core.providers.vector_sqlite.vector_io import SqliteVectors
from core.resolution.resolve import resolve
from core.resolution.stack import Stack, routed_apis
from core.services.vector_stores.ingest.chunks import split
from core.services.vector_stores.ingest.engine import BATCH
from core.services.vector_stores.ingest.extract import extract_text
from tests.benchmarks.processes import started
from tests.benchmarks.table import Row

MB = 1024 * 1024
DIMENSION, TIMES = 384, 7
VECTOR = [random.Random(1).gauss(0, 1) for _ in range(DIMENSION)]  # noqa: S311 - test data

type Work = Callable[[], Awaitable[object]]


def ingest() -> list[Row]:
    with TemporaryDirectory() as folder, started("-m", "tests.benchmarks.ingest") as (port, _):
        return asyncio.run(measure(Path(folder), port))


def config(folder: Path, port: int) -> dict[str, Any]:
    local = {"provider_id": "local", "provider_type": "remote::vllm", "config": {"url": f"http://127.0.0.1:{port}/v1"}}
    blobs = {"provider_id": "files", "provider_type": "inline::localfs", "config": {}}
    vectors = {"provider_id": "v", "provider_type": "inline::sqlite", "config": {"db_path": f"{folder}/vectors.db"}}
    model = {
        "model_id": "m",
        "provider_id": "local",
        "model_type": "embedding",
        "metadata": {"embedding_dimension": DIMENSION},
    }
    return {
        "version": 2,
        "image_name": "bench",
        "apis": ["files", "inference", "vector_io"],
        "providers": {"inference": [local], "files": [blobs], "vector_io": [vectors]},
        "models": [model],
        "metadata_store": {"type": "sqlite", "db_path": f"{folder}/registry.db"},
    }  # fmt: skip


async def measure(folder: Path, port: int) -> list[Row]:
    loaded = interpret(config(folder / "stack", port), {})
    assert loaded.config is not None
    stack = await resolve(loaded, routed_apis(loaded.config), version="1")
    bare = SqliteVectors(folder / "bare.db")
    text = prose(MB)
    small = text[:2000]
    rows = [
        await compare(stack, bare, "1 MB of text", text, "<= 2.0x"),
        await compare(stack, bare, "2 KB of text", small, ""),
    ]
    await stack.close()
    await bare.close()
    return rows


async def compare(stack: Stack, bare: SqliteVectors, what: str, text: bytes, goal: str) -> Row:
    store = (await stack.surfaces["vector_io"](None).create(NewVectorStore()))["id"]
    ours, floor = list[float](), list[float]()
    for number in range(TIMES):
        file = await keep(stack, text)
        ours.append(await seconds(lambda file=file: add(stack, store, file)))  # type: ignore[misc]
        floor.append(await seconds(lambda number=number: insert(bare, number, text)))  # type: ignore[misc]
    mine, least = median(ours), median(floor)
    return Row(f"a file of {what} into a store", f"{mine:.3f} s CPU", f"{least:.3f} s", mine / least, goal)


async def seconds(work: Work) -> float:
    start = time.process_time()
    await work()
    return time.process_time() - start


async def keep(stack: Stack, text: bytes) -> str:
    """A file with the text, by the id that it has."""
    from core.apis.files import FileForm
    from core.frame.content import UploadedFile
    from core.services.files.storages import upload_store

    storage, key = upload_store(stack), f"files/kept/{random.randbytes(16).hex()}"  # noqa: S311
    assert storage is not None
    await storage.put(key, text)
    upload = UploadedFile(key, "a.txt", "text/plain", len(text), "")
    file_id: str = (await stack.surfaces["files"](None).upload(FileForm(purpose="assistants"), upload=upload))["id"]
    return file_id


async def add(stack: Stack, store: str, file: str) -> None:
    added = await stack.surfaces["store_files"](None).add(NewStoreFile(file_id=file), store)
    assert added["status"] == "completed", added


async def insert(vectors: SqliteVectors, number: int, text: bytes) -> None:
    """Bare: the text, its chunks, and a put for as many as we put together."""
    index, chunks = VectorIndex("bare", "bare", DIMENSION), list[Chunk]()
    for place, piece in enumerate(split(extract_text(io.BytesIO(text), "a.txt"))):
        chunks.append(Chunk(f"{number}#{place}", piece, VECTOR, {}, "", str(number), "a.txt"))
        if len(chunks) == BATCH:
            await vectors.put(index, chunks)
            chunks = []
    await vectors.put(index, chunks)


def prose(size: int) -> bytes:
    source = random.Random(2)  # noqa: S311 - test data
    words = ["".join(source.choices("etaoinshrdlu", k=source.randint(2, 9))) for _ in range(3000)]
    text, length = list[str](), 0
    while length < size:
        sentence = " ".join(source.choices(words, k=source.randint(5, 20))).capitalize() + source.choice(
            [". ", ".\n", "? "]
        )
        text.append(sentence)
        length += len(sentence)
    return "".join(text).encode()[:size]


async def embed(request: web.Request) -> web.Response:
    texts = json.loads(await request.read())["input"]
    numbers = json.dumps(VECTOR)
    data = ",".join(f'{{"object":"embedding","index":{n},"embedding":{numbers}}}' for n in range(len(texts)))
    body = f'{{"object":"list","model":"m","data":[{data}],"usage":{{"prompt_tokens":9,"total_tokens":9}}}}'
    return web.Response(text=body, content_type="application/json")


async def serve() -> None:
    app = web.Application(client_max_size=64 * MB)
    app.router.add_post("/v1/embeddings", embed)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
