"""A stand-in for the RDS Data API over a real PostgreSQL: its wire, its limits, its refusals, and signatures that are checked.

What it does not show: speed, how long a paused cluster takes, what the service makes of types that are not asked for here (it
refuses them), whether it counts the bytes of an answer as here (those of its values, not of its JSON), how its own parser finds `:names` (here none is looked for in quotes), the end
of transactions after three minutes, and what secrets and policies let a caller do: one ARN of each is known.
"""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
import json
import re
from typing import Any
import uuid

from aiohttp import web
import asyncpg
from botocore.loaders import create_loader

from core.providers.pgvector.config import Config
from core.providers.pgvector.vector_io import PgVector
from infra.local.dynamodb import CREDENTIALS, REGION
from tests.parts.postgres import Database
from tests.parts.s3_vectors import ACCOUNT, check_signature
from tests.parts.s3_vectors_model import Refusal, check_shape

CLUSTER = f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:vectors"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!cluster-1-AbCdEf"
MIB = 1024 * 1024
MOST_BODY, MOST_ANSWER, MOST_ROW = 4 * MIB, MIB, 64 * 1024
MODEL: dict[str, Any] = create_loader().load_service_model("rds-data", "service-2")
PATHS = {row["http"]["requestUri"]: name for name, row in MODEL["operations"].items()}
NAMES = re.compile(r"'(?:[^']|'')*'|::|:(\w+)")
KINDS = {
    "text": "stringValue",
    "json": "stringValue",
    "jsonb": "stringValue",
    "varchar": "stringValue",
    "bool": "booleanValue",
}
KINDS |= dict.fromkeys(("int2", "int4", "int8"), "longValue") | dict.fromkeys(("float4", "float8"), "doubleValue")


@dataclass
class Transaction:
    connection: Any
    inner: Any


@dataclass
class RdsDataDouble:
    """`paused` is how many of the next requests find the cluster asleep, `seconds` how long a statement may take.

    `refuse` is what the next requests are answered with, in their order; `lose` takes the place of the answers to the next
    that were carried out. `seen` are the operations that came.
    """

    database: Database
    pool: Any
    paused: int = 0
    seconds: float = 45.0
    refuse: list[Refusal] = field(default_factory=list[Refusal])
    lose: list[Refusal] = field(default_factory=list[Refusal])
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    transactions: dict[str, Transaction] = field(default_factory=dict[str, Transaction])
    lose_commit: bool = False
    url: str = ""

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _ in self.seen]

    async def reply(self, request: web.Request) -> web.Response:
        content = await request.read()
        try:
            answer = await self._answer(request, content)
        except Refusal as refusal:
            headers = {"x-amzn-errortype": refusal.kind}
            return web.json_response({"message": refusal.message}, status=refusal.status, headers=headers)
        return web.json_response(answer)

    async def _answer(self, request: web.Request, content: bytes) -> dict[str, Any]:
        operation = PATHS.get(request.path)
        if operation is None or request.method != "POST":
            raise Refusal(404, "UnknownOperationException", "no such operation")
        if len(content) > MOST_BODY:
            raise Refusal(413, "RequestEntityTooLargeException", "Request is larger than 4 MiB")
        body = json.loads(content)
        self.seen.append((operation, body))
        check_signature(request, content, datetime.now(UTC), "rds-data")
        check_shape(body, MODEL["operations"][operation]["input"]["shape"], operation, MODEL["shapes"])
        self._check(body)
        handlers = {
            "BeginTransaction": self._begin,
            "CommitTransaction": self._commit,
            "RollbackTransaction": self._rollback,
            "ExecuteStatement": self._execute_one,
            "BatchExecuteStatement": self._execute_batch,
        }
        try:
            answer = await handlers[operation](body)
        except asyncpg.PostgresError as failure:
            raise _failure(failure.sqlstate or "", str(failure)) from failure
        except TimeoutError as late:
            raise Refusal(400, "StatementTimeoutException", "Request timed out") from late
        if self.lose_commit and operation == "CommitTransaction":
            self.lose_commit = False
            raise Refusal(503, "ServiceUnavailableError", "")
        if self.lose:
            raise self.lose.pop(0)
        return answer

    def _check(self, body: dict[str, Any]) -> None:
        if self.refuse:
            raise self.refuse.pop(0)
        if body["resourceArn"] != CLUSTER or body["secretArn"] != SECRET:
            raise Refusal(403, "ForbiddenException", "not the cluster and the secret of this double")
        if self.paused:
            self.paused -= 1
            raise Refusal(
                400, "DatabaseResumingException", "The Aurora DB instance is resuming after being auto-paused."
            )
        if body.get("database", self.database.name) != self.database.name:
            raise _failure("3D000", "database does not exist")

    async def _begin(self, body: dict[str, Any]) -> dict[str, Any]:
        del body
        connection = await self.pool.acquire()
        inner = connection.transaction()
        await inner.start()
        name = uuid.uuid4().hex
        self.transactions[name] = Transaction(connection, inner)
        return {"transactionId": name}

    async def _commit(self, body: dict[str, Any]) -> dict[str, Any]:
        transaction = self._take(body)
        await transaction.inner.commit()
        await self.pool.release(transaction.connection)
        return {"transactionStatus": "Transaction Committed"}

    async def _rollback(self, body: dict[str, Any]) -> dict[str, Any]:
        transaction = self._take(body)
        await transaction.inner.rollback()
        await self.pool.release(transaction.connection)
        return {"transactionStatus": "Rollback Complete"}

    def _take(self, body: dict[str, Any]) -> Transaction:
        self._find(body)
        return self.transactions.pop(body["transactionId"])

    def _find(self, body: dict[str, Any]) -> Transaction:
        if body["transactionId"] not in self.transactions:
            raise Refusal(404, "TransactionNotFoundException", f"Transaction {body['transactionId']} is not found")
        return self.transactions[body["transactionId"]]

    async def _execute_one(self, body: dict[str, Any]) -> dict[str, Any]:
        async with self._connection(body) as connection:
            return await self._execute(connection, body["sql"], body.get("parameters") or [])

    async def _execute_batch(self, body: dict[str, Any]) -> dict[str, Any]:
        async with self._connection(body) as connection, connection.transaction():
            for parameters in body.get("parameterSets") or [[]]:
                await self._execute(connection, body["sql"], parameters)
            return {"updateResults": [{"generatedFields": []} for _ in body.get("parameterSets") or [[]]]}

    @asynccontextmanager
    async def _connection(self, body: dict[str, Any]) -> AsyncGenerator[Any]:
        if body.get("transactionId"):
            yield self._find(body).connection
        else:
            async with self.pool.acquire() as connection:
                yield connection

    async def _execute(self, connection: Any, sql: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
        values = {row["name"]: _value(row["value"]) for row in parameters}
        names: list[str] = []

        def place(match: re.Match[str]) -> str:
            if match[1] is None:
                return match[0]
            if match[1] not in values:
                raise Refusal(400, "BadRequestException", f"Named parameter {match[1]} is not bound")
            if match[1] not in names:
                names.append(match[1])
            return f"${names.index(match[1]) + 1}"

        text = NAMES.sub(place, sql)
        if unused := sorted(values.keys() - set(names)):
            raise Refusal(400, "BadRequestException", f"Parameters {unused} are not in the statement")
        statement = await connection.prepare(text)
        rows = await statement.fetch(*[values[name] for name in names], timeout=self.seconds)
        if not statement.get_attributes():
            return {"numberOfRecordsUpdated": int((statement.get_statusmsg().split() or ["0"])[-1]) if rows else 0}
        records = [
            [_field(attribute, value) for attribute, value in zip(statement.get_attributes(), row, strict=True)]
            for row in rows
        ]
        sizes = [sum(len(str(value).encode()) for value in row) for row in rows]
        if any(size > MOST_ROW for size in sizes) or sum(sizes) > MOST_ANSWER:
            raise Refusal(
                400, "UnsupportedResultException", "Database returned more than the allowed response size limit"
            )
        return {"records": records, "numberOfRecordsUpdated": 0}


def _failure(state: str, message: str) -> Refusal:
    return Refusal(400, "DatabaseErrorException", f"ERROR: {message}; SQLState: {state}")


def _value(value: dict[str, Any]) -> Any:
    [(kind, inner)] = value.items()
    return None if kind == "isNull" else inner


def _field(attribute: Any, value: Any) -> dict[str, Any]:
    kind = KINDS.get(attribute.type.name)
    if kind is None:
        raise Refusal(
            400, "UnsupportedResultException", f"The result contains the unsupported data type {attribute.type.name}"
        )
    if value is None:
        return {"isNull": True}
    return {"stringValue": str(value)} if isinstance(value, float) and value != value else {kind: value}  # noqa: PLR0124 - NaN


@asynccontextmanager
async def running(database: Database, port: int = 0) -> AsyncGenerator[RdsDataDouble]:
    """On loopback, over this database."""
    config = database.config
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            asyncpg.create_pool(
                host=config["host"],
                port=config["port"],
                database=config["db"],
                user=config["user"],
                min_size=0,
                max_size=40,
                statement_cache_size=0,
            )
        )
        double = RdsDataDouble(database, pool)
        app = web.Application(client_max_size=2 * MOST_BODY)
        app.router.add_route("*", "/{operation}", double.reply)
        runner = web.AppRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        double.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield double
        for transaction in double.transactions.values():  # which somebody began and left
            await pool.release(transaction.connection)


def config_of(double: RdsDataDouble) -> dict[str, Any]:
    """The provider's, which signs as the double demands it."""
    keys = {name.lower(): value for name, value in CREDENTIALS.items() if name != "AWS_DEFAULT_REGION"}
    place = {"resource_arn": CLUSTER, "secret_arn": SECRET, "db": double.database.name, "endpoint_url": double.url}
    return place | keys


@asynccontextmanager
async def provider(double: RdsDataDouble, **config: Any) -> AsyncGenerator[PgVector]:
    """One over the double."""
    vectors = PgVector("aurora", Config.model_validate(config_of(double) | config))
    try:
        yield vectors
    finally:
        await vectors.close()
