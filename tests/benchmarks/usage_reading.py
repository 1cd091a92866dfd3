"""`GET /v1/usage` of many keys and 30 days over the bare query of the same store: SQLite's one statement, DynamoDB's queries of the index."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from http.client import HTTPConnection
from itertools import batched
import json
import os
from pathlib import Path
import sqlite3
from statistics import median
from tempfile import TemporaryDirectory
import time
from typing import Any, Final
from urllib.parse import urlsplit

from core.frame.resources import Resource
from core.platform.dynamodb_table import Table
from core.platform.sqlite_file import open_file
from core.services.usage.callers import client_of_key
from core.stores.counters import directory, filing, items
from core.stores.counters.port import AccountKey
from core.stores.counters.sqlite_tables import COUNT, NUMBERS, SCHEMA
from core.stores.registry.key_format import issue
from core.stores.registry.sqlite import connect as connect_registry
from core.stores.usage.reading import Reading
from infra.local import dynamodb as local
from tests.benchmarks.processes import CONFIG, started
from tests.benchmarks.table import Row

KEYS, DAYS, ROUNDS = 10_000, 30, 5
FEWER: Final = 1_000
"""Keys in DynamoDB Local, which takes minutes for all."""
TODAY: Final = int(time.time()) // 86_400
EXPIRES: Final = 4_000_000_000
NUMBERS_OF_ROW: Final = (9, 9, 4_000, 100, 0, 1_500, 0, 0, 90_000, 0)
NAMES: Final = ("small", "up", "inference", "chat_completion")
AT_ONCE: Final = 16  # requests
SERVER: Final = "server: {{usage: {{kvstore: {store}}}}}\n"
QUERIES: Final = {
    "by=key": "account",
    "by=day": "day",
    "by=key,day": "account, day",
}


def reading() -> list[Row]:
    with TemporaryDirectory() as folder:
        keys = [issue(f"key {number}", [], expires=None, now=1)[1] for number in range(KEYS)]
        asyncio.run(_register(f"{folder}/registry.db", keys))
        rows = _on_sqlite(Path(folder), [key.identifier for key in keys])
        if why := local.unavailable():
            print(f"DynamoDB Local: skipped, {why}")
            return rows
        return rows + _on_dynamodb(Path(folder), [key.identifier for key in keys[:FEWER]])


async def _register(path: str, keys: list[Resource]) -> None:
    registry = connect_registry(path)
    for key in keys:
        await registry.create(key)
    await registry.close()


def _on_sqlite(folder: Path, ids: list[str]) -> list[Row]:
    path = folder / "usage.db"
    with closing(open_file(path, SCHEMA)) as connection:
        connection.execute("BEGIN")
        for day in range(TODAY - DAYS + 1, TODAY + 1):
            place = (("", day, client_of_key(name), "", *NAMES, *NUMBERS_OF_ROW, EXPIRES) for name in sorted(ids))
            connection.executemany(COUNT, place)
        connection.execute("COMMIT")
    store = f"{{type: sqlite, db_path: {path}}}"
    return _compare("SQLite", len(ids), folder, store, partial(_ask_sqlite, path))


def _ask_sqlite(path: Path, columns: str) -> None:
    sums = ", ".join(f"sum({name})" for name in NUMBERS)
    statement = f"SELECT {columns}, {sums} FROM usage WHERE namespace = '' AND day BETWEEN ? AND ? GROUP BY {columns}"  # noqa: S608 - of constants
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement, (TODAY - DAYS + 1, TODAY)).fetchall()


def _on_dynamodb(folder: Path, ids: list[str]) -> list[Row]:
    os.environ.update(local.CREDENTIALS)
    with local.running() as endpoint:
        local.create_table(endpoint, "usage")
        for batch in batched(_list_items(ids), 25, strict=False):
            _send(endpoint, {"RequestItems": {"usage": [{"PutRequest": {"Item": item}} for item in batch]}})
        store = f"{{type: dynamodb, table: usage, region: {local.REGION}, endpoint_url: '{endpoint}'}}"
        return _compare("DynamoDB Local", len(ids), folder, store, partial(_ask_dynamodb, endpoint, ids))


def _list_items(ids: list[str]) -> Iterator[dict[str, Any]]:
    """As calls leave them: an account, what lists it, and a part for each day."""
    for client in map(client_of_key, ids):
        account = AccountKey(client)
        place = {"bucket": {"S": f"open#{directory.bucket_of(client)}"}, "client": {"S": client}}
        yield {**directory.key_of("", account), **place, "expires": {"N": str(EXPIRES)}}
        numbers = {items.FIRST: 1, items.NEXT: DAYS + 1, items.LATELY: DAYS, items.FILED_AT: 1, items.EXPIRES: EXPIRES}
        yield {**items.key_of("", account), **{name: {"N": str(number)} for name, number in numbers.items()}}
        for number in range(DAYS):
            content = json.dumps([client, [*NAMES, "", *NUMBERS_OF_ROW]], separators=(",", ":"))
            bucket = {"bucket": {"S": filing.bucket_name("", TODAY - number, client)}, "p": {"S": content}}
            yield {**filing.part_key("", client, number + 1), **bucket, "expires": {"N": str(EXPIRES)}}


def _send(endpoint: str, body: dict[str, Any]) -> None:
    headers = local.HEADERS | {"x-amz-target": "DynamoDB_20120810.BatchWriteItem"}
    with closing(HTTPConnection(urlsplit(endpoint).netloc, timeout=60)) as connection:
        connection.request("POST", "/", json.dumps(body), headers)
        answer = connection.getresponse()
        if answer.read() and answer.status != 200:
            raise RuntimeError(answer.status)


def _ask_dynamodb(endpoint: str, ids: list[str], columns: str) -> None:
    del columns
    asyncio.run(_read_all(endpoint, ids))


async def _read_all(endpoint: str, ids: list[str]) -> None:
    """Every request that a snapshot takes, read and left."""
    place = Table("usage", region=local.REGION, endpoint_url=endpoint)
    reader, gate = Reading(place, region=local.REGION, endpoint_url=endpoint), asyncio.Semaphore(AT_ONCE)

    async def query(bucket: str) -> None:
        async with gate:
            async for _ in reader.query(bucket):
                pass

    async def get(names: tuple[str, ...]) -> None:
        async with gate:
            await reader.get_all([f"{items.PREFIX}{client_of_key(name)}" for name in names])

    days = range(TODAY - DAYS + 1, TODAY + 1)
    buckets = [f"{day}#{number}" for day in ("open", *days) for number in range(items.BUCKETS)]
    await asyncio.gather(*map(query, buckets), *map(get, batched(ids, 100, strict=False)))
    await reader.close()


def _compare(name: str, size: int, folder: Path, store: str, ask: Callable[[str], None]) -> list[Row]:
    """The service and the bare query are asked in turns, one at a time."""
    config = folder / f"{name}.yaml"
    registry = f"{{type: sqlite, db_path: {folder}/registry.db}}"
    document = CONFIG.format(upstream=9, store=registry).replace("[inference]", "[inference, usage]")
    config.write_text(document + SERVER.format(store=store))
    with ExitStack() as running:
        port, _ = running.enter_context(started("-m", "core.cli.main", "serve", str(config), "--port", "0"))
        rows: list[Row] = []
        for query, columns in QUERIES.items():
            pairs = [
                (_seconds(partial(_get, port, query, size)), _seconds(partial(ask, columns))) for _ in range(ROUNDS)
            ]
            took, floor = (median(each) for each in zip(*pairs[1:], strict=True))
            what = f"{name}: /v1/usage?{query} of {size:,} keys and {DAYS} days, over the bare query"
            rows.append(Row(what, f"{took * 1e3:.0f} ms", f"{floor * 1e3:.0f} ms", took / floor, "<= 2.0x"))
        return rows


def _get(port: int, query: str, size: int) -> None:
    with closing(HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        connection.request("GET", f"/v1/usage?{query}")
        page = json.loads(connection.getresponse().read())
    assert page["total"]["requests"] == size * DAYS * NUMBERS_OF_ROW[0], page


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
