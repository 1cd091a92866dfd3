"""A stack that keeps datasets, in this process: with tokens that are their bearers' names, and a worker where a test asks for one."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
import json
from pathlib import Path
from typing import Any, Final, override

import httpx

from tests.parts.file_stack import FileWorld, by, file_world

DATASETS: Final = "/v1/datasets"
ROWS: Final = "/v1/datasetio/iterrows"
APPEND: Final = "/v1/datasetio/append-rows"
QUESTIONS: Final = "eval/question-answer"
SECONDS: Final = 60  # a slow machine is no failure

type Json = dict[str, Any]


class DatasetWorld(FileWorld):
    """`datasets` of a document are those that the run config declares, `sources` the providers."""

    @override
    def document(self, *providers: Json, **how: Any) -> Json:
        declared, sources = how.pop("datasets", None), how.pop("sources", None)
        document = super().document(*providers, **how)
        document["apis"] = ["datasetio", "files"]
        folder = {"storage_dir": str(self.folder / "sources")}
        local = {"provider_id": "localfs", "provider_type": "inline::localfs", "config": folder}
        document["providers"]["datasetio"] = sources or [local]
        return document if declared is None else {**document, "datasets": declared}

    def source(self, name: str, content: bytes) -> str:
        """The uri of a file in the folder for `lsfs:`."""
        path = self.folder / "sources" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return f"lsfs://{name}"


@asynccontextmanager
async def dataset_world(folder: Path) -> AsyncGenerator[DatasetWorld]:
    async with file_world(folder) as world:
        yield DatasetWorld(world.upstream, world.folder, world.opened)


def questions(count: int, start: int = 0) -> list[Json]:
    return [{"question": f"What is {n} + 1?", "answer": str(n + 1), "n": n} for n in range(start, start + count)]


def jsonl(rows: Iterable[Json]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def data_uri(content: bytes, media_type: str = "text/csv") -> str:
    return f"data:{media_type};base64,{b64encode(content).decode()}"


def dataset(source: Json, dataset_id: str | None = None, **more: Any) -> Json:
    """The body of a registration."""
    name = {} if dataset_id is None else {"dataset_id": dataset_id}
    return {"purpose": QUESTIONS, "source": source, **name, **more}


async def register(
    client: httpx.AsyncClient, source: Json, dataset_id: str | None = None, who: str = "ada", **more: Any
) -> Json:
    answer = await client.post(DATASETS, json=dataset(source, dataset_id, **more), headers=by(who))
    assert answer.status_code == 200, answer.text
    made: Json = answer.json()
    return made


async def rows_of(client: httpx.AsyncClient, dataset_id: str, who: str = "ada", **query: int) -> Json:
    """A page, once an import has ended."""
    async with asyncio.timeout(SECONDS):
        while True:
            answer = await client.get(f"{ROWS}/{dataset_id}", params=query, headers=by(who))
            if answer.status_code != 409:
                assert answer.status_code == 200, answer.text
                page: Json = answer.json()
                return page


def numbers(page: Json) -> list[int]:
    rows: Sequence[Json] = page["data"]
    return [row["n"] for row in rows]
