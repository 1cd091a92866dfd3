"""Does a registry of 10,000 models cost more than one of 10? List page, get and chat, on each store."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
import os
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from core.frame.resources import Resource
from core.stores.registry.dynamodb import connect as dynamodb
from core.stores.registry.port import RegistryStore
from core.stores.registry.sqlite import connect as sqlite
from infra.local import dynamodb as local
from tests.benchmarks.load import get, p50, post
from tests.benchmarks.processes import CONFIG, started
from tests.benchmarks.table import Row

FEW, MANY, ROUNDS = 10, 10_000, 7
REQUESTS = {
    "list a page of 10": get("/v1/models?limit=10"),
    "get a model": get("/v1/models/model-00007"),
    "chat": post("model-00007"),
}


def resources(count: int) -> list[Resource]:
    attributes = {"metadata": {}, "model_type": "llm"}
    return [Resource("model", f"model-{n:05}", "up", "bench", attributes, 1) for n in range(count)]


async def fill(connect: Callable[[], RegistryStore], count: int) -> None:
    store = connect()
    gate = asyncio.Semaphore(8)

    async def create(resource: Resource) -> None:
        async with gate:
            await store.create(resource)

    await asyncio.gather(*(create(resource) for resource in resources(count)))
    await store.close()


def registry() -> list[Row]:
    rows = on_sqlite()
    why = local.unavailable()
    if why:
        print(f"DynamoDB Local: skipped, {why}")
        return rows
    return rows + on_dynamodb()


def on_sqlite() -> list[Row]:
    with TemporaryDirectory() as folder:
        stores: dict[int, str] = {}
        for count in (FEW, MANY):
            path = f"{folder}/{count}.db"
            asyncio.run(fill(partial(sqlite, path), count))
            stores[count] = f"{{type: sqlite, db_path: {path}}}"
        return compared("SQLite", stores, Path(folder), {})


def on_dynamodb() -> list[Row]:
    os.environ.update(local.CREDENTIALS)
    with TemporaryDirectory() as folder, local.running() as endpoint:
        stores: dict[int, str] = {}
        for count in (FEW, MANY):
            table = f"registry-{count}"
            local.create_table(endpoint, table, range_key="sk")
            asyncio.run(
                fill(partial(dynamodb, table, region=local.REGION, endpoint_url=endpoint, namespace=None), count)
            )
            stores[count] = f"{{type: dynamodb, table: {table}, region: {local.REGION}, endpoint_url: '{endpoint}'}}"
        return compared("DynamoDB Local", stores, Path(folder), local.CREDENTIALS)


def compared(name: str, stores: dict[int, str], folder: Path, env: dict[str, str]) -> list[Row]:
    """Both servers at once, asked in turns."""
    with ExitStack() as stack:
        upstream, _ = stack.enter_context(started("-m", "tests.benchmarks.upstream"))
        ports: dict[int, int] = {}
        for count, store in stores.items():
            config = folder / f"{count}.yaml"
            config.write_text(CONFIG.format(upstream=upstream, store=store))
            server = started("-m", "core.cli.main", "serve", str(config), "--port", "0", env=env)
            ports[count], _ = stack.enter_context(server)
        return [row(name, what, request, ports) for what, request in REQUESTS.items()]


def row(name: str, what: str, request: bytes, ports: dict[int, int]) -> Row:
    took: dict[int, list[float]] = {count: [] for count in ports}
    for _ in range(ROUNDS):
        for count, port in ports.items():
            took[count].append(p50(port, request, times=100))
    few, many = (median(took[count]) * 1e6 for count in (FEW, MANY))
    return Row(f"{name}: {what}, {MANY:,} models", f"{many:.0f} us", f"{few:.0f} us", many / few, "<= 1.25x")
