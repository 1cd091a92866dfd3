"""What a document costs over the call of the database underneath it: `get` and `put` of 1 KB, on each store, in turns."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
import os
import sqlite3
from tempfile import TemporaryDirectory
import time
from typing import Any

from pydantic_core import from_json, to_json

from core.platform.dynamodb_table import Table
from core.stores.documents.dynamodb import connect as dynamodb
from core.stores.documents.port import Document, DocumentStore
from core.stores.documents.sqlite import GET, PUT
from core.stores.documents.sqlite import connect as sqlite
from infra.local import dynamodb as local
from tests.benchmarks.table import Row

BODY = {"status": "completed", "tokens": [*range(100)], "messages": [{"role": "user", "content": "hello " * 20}] * 4}
ROUNDS = 50
GOAL = "<= 1.3x"

type Work = Callable[[], Awaitable[object]]


def documents() -> list[Row]:
    with TemporaryDirectory() as folder:
        rows = asyncio.run(on_sqlite(f"{folder}/documents.db"))
    why = local.unavailable()
    if why:
        print(f"DynamoDB Local: skipped, {why}")
        return rows
    os.environ.update(local.CREDENTIALS)
    with local.running() as endpoint:
        local.create_table(endpoint, "state", range_key="sk")
        return rows + asyncio.run(on_dynamodb(endpoint))


async def on_sqlite(path: str) -> list[Row]:
    """The bare call is the same statement in the same file, over a connection with the same settings; JSON is in both."""
    store = sqlite(path)
    document = await store.create(Document("notes", "bare", BODY))
    with closing(sqlite3.connect(path, isolation_level=None)) as bare:
        bare.execute("PRAGMA synchronous = NORMAL")
        key, now, revision = ("", "notes", "bare"), int(time.time()), 0

        async def get() -> object:
            return from_json(bare.execute(GET, (*key, now)).fetchall()[0][-1])

        async def put() -> object:
            nonlocal revision
            revision += 1
            return bare.execute(PUT, (*key, now, document.tag, revision, None, None, to_json(BODY))).fetchall()[0]

        return await compare("SQLite", store, get, put, times=100)


async def on_dynamodb(endpoint: str) -> list[Row]:
    store = dynamodb("state", region=local.REGION, endpoint_url=endpoint, namespace=None)
    table = Table("state", region=local.REGION, endpoint_url=endpoint)
    key: Any = {"pk": {"S": "bare"}, "sk": {"S": "bare"}}
    async with table.client() as client:
        await client.put_item(TableName="state", Item=key | {"body": {"B": to_json(BODY)}, "revision": {"N": "1"}})

        async def get() -> object:
            answer = await client.get_item(TableName="state", Key=key, ConsistentRead=True)
            return from_json(bytes(answer["Item"]["body"]["B"]))

        async def put() -> object:
            return await client.update_item(
                TableName="state",
                Key=key,
                UpdateExpression="SET body = :body ADD revision :one",
                ConditionExpression="revision > :zero",
                ExpressionAttributeValues={":body": {"B": to_json(BODY)}, ":one": {"N": "1"}, ":zero": {"N": "0"}},
            )

        rows = await compare("DynamoDB Local", store, get, put, times=15)
    await table.close()
    return rows


async def compare(name: str, store: DocumentStore, bare_get: Work, bare_put: Work, *, times: int) -> list[Row]:
    document = await store.create(Document("notes", "n", BODY))

    async def get() -> object:
        return await store.get("notes", "n")

    async def put() -> None:
        nonlocal document
        document = await store.put(document, BODY)

    rows = [
        await row(f"{name}: documents.get", get, bare_get, times),
        await row(f"{name}: documents.put", put, bare_put, times),
    ]
    await store.close()
    return rows


async def row(what: str, work: Work, bare: Work, times: int) -> Row:
    took: dict[Work, list[float]] = {work: [], bare: []}
    for _ in range(ROUNDS):
        for one, seconds in took.items():
            start = time.perf_counter()
            for _ in range(times):
                await one()
            seconds.append((time.perf_counter() - start) / times)
    ours, theirs = (min(seconds) * 1e6 for seconds in took.values())  # what others on the machine took is in neither
    return Row(f"{what} of 1 KB", f"{ours:.0f} us", f"{theirs:.0f} us", ours / theirs, GOAL)
