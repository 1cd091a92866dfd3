"""Hugging Face's datasets server and hub on loopback, as their documentation has them: splits, sizes, rows by pages, Parquet.

Files of the hub are behind a redirect to another origin, which must be sent no token.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
import json
from typing import Any
from urllib.parse import quote, unquote

from aiohttp import web
from arro3.io import infer_json_schema, read_json, write_parquet

type Row = Mapping[str, Any]
MISSING = "The dataset does not exist, or is not accessible without authentication (private or gated)."


@dataclass
class DatasetsServer:
    """`splits` by (dataset, config, split). What is `private` wants `token`; `seen` has each request's path and what it bore."""

    splits: Mapping[tuple[str, str, str], Sequence[Row]] = field(
        default_factory=dict[tuple[str, str, str], Sequence[Row]]
    )
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    token: str = ""
    shards: int = 2
    partial: bool = False
    converts: bool = True
    cuts: bool = False
    url: str = ""
    elsewhere: str = ""
    seen: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def paths(self) -> list[str]:
        return [path for path, _ in self.seen]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        bearer = request.headers.get("authorization", "")
        self.seen.append((request.path, bearer))
        if request.path.startswith("/cdn/"):
            return web.Response(body=self._file(request.path.removeprefix("/cdn/")))
        if self.token and bearer != f"Bearer {self.token}":
            return _error(401, "Invalid credentials in Authorization header" if bearer else MISSING)
        if "/resolve/" in request.path:
            name = unquote(
                request.raw_path.partition("/resolve/")[2].partition("/")[2]
            )  # a revision has its slashes encoded
            if name not in self.files and not name.startswith("made/"):
                return web.Response(status=404, text="Entry not found")
            raise web.HTTPFound(f"{self.elsewhere}/cdn/{quote(name)}")
        return self._served(request)

    def _served(self, request: web.Request) -> web.Response:
        query = request.query
        if "dataset" not in query:
            return _error(422, "Parameter 'dataset' is required")
        keys = [key for key in self.splits if key[0] == query["dataset"]]
        if not keys:
            return _error(404, MISSING)
        wanted = [key for key in keys if query.get("config", key[1]) == key[1] and query.get("split", key[2]) == key[2]]
        if request.path == "/rows":
            return self._rows(wanted[0], int(query["offset"]), int(query["length"]))
        splits = [{"dataset": name, "config": config, "split": split} for name, config, split in keys]
        files = [self._parquet(key, shard) for key in wanted for shard in range(self.shards)]
        bodies: dict[str, Row] = {
            "/splits": {"splits": splits, "pending": [], "failed": []},
            "/size": {"size": {"splits": [self._size(key) for key in wanted]}, "partial": self.partial},
            "/parquet": {"parquet_files": files if self.converts else [], "partial": self.partial},
        }
        return web.json_response(bodies[request.path])

    def _rows(self, key: tuple[str, str, str], offset: int, length: int) -> web.Response:
        if length > 100:
            return _error(422, "Parameter 'length' must not be greater than 100")
        rows = self.splits[key]
        entries = [
            {"row_idx": index, "row": dict(rows[index]), "truncated_cells": ["text"] if self.cuts else []}
            for index in range(offset, min(offset + length, len(rows)))
        ]
        body = {
            "features": [],
            "rows": entries,
            "num_rows_total": len(rows),
            "num_rows_per_page": 100,
            "partial": False,
        }
        return web.json_response(body)

    def _size(self, key: tuple[str, str, str]) -> dict[str, Any]:
        name, config, split = key
        size = len(json.dumps(self.splits[key]))
        names = {"dataset": name, "config": config, "split": split}
        return {
            **names,
            "num_bytes_parquet_files": size,
            "num_bytes_memory": size,
            "num_rows": len(self.splits[key]),
            "num_columns": 1,
        }

    def _parquet(self, key: tuple[str, str, str], shard: int) -> dict[str, Any]:
        name, config, split = key
        filename = f"{shard:04}.parquet"
        url = f"{self.url}/datasets/{name}/resolve/refs%2Fconvert%2Fparquet/made/{name}/{config}/{split}/{filename}"
        return {"dataset": name, "config": config, "split": split, "url": url, "filename": filename, "size": 1}

    def _file(self, name: str) -> bytes:
        if not name.startswith("made/"):
            return self.files[name]
        *dataset, config, split, filename = name.removeprefix("made/").split("/")
        rows = self.splits["/".join(dataset), config, split]
        shard, share = int(filename.partition(".")[0]), -(-len(rows) // self.shards)
        return parquet_of(rows[shard * share : (shard + 1) * share])


def parquet_of(rows: Sequence[Row]) -> bytes:
    lines = "\n".join(map(json.dumps, rows)).encode() + b"\n"
    file = BytesIO()
    write_parquet(read_json(lines, infer_json_schema(lines)), file)
    return file.getvalue()


def _error(code: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=code)


@asynccontextmanager
async def serving_datasets(server: DatasetsServer) -> AsyncIterator[DatasetsServer]:
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    server.url, server.elsewhere = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()
