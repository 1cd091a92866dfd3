"""PostgreSQL over the RDS Data API: no connection, no VPC, and an Aurora cluster that may sleep while nobody asks.

Sources: https://docs.aws.amazon.com/rdsdataservice/latest/APIReference/Welcome.html,
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/data-api.limitations.html.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
import re
import time
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from core.errors import ApiError, ProviderUnavailable
from core.frame.types import JsonObject
from core.platform.aws_errors import code_of
from core.platform.retry import Backoff
from core.providers.aws.clients import AwsClients, call_options
from core.providers.pgvector.config import Config
from core.providers.pgvector.database import ConnectionLost, Room, Row, Run, SqlRefused, Value
from core.providers.pgvector.failures import translate_aws_errors

if TYPE_CHECKING:
    from core.platform.signed_json import SignedJson

SERVICE: Final = "rds-data"
SECONDS: Final = 50.0  # a statement ends after 45
ATTEMPTS: Final = 3  # of one call, each of which may be carried out twice: docs/adr/0070
RESUMING: Final = "DatabaseResumingException"
PAUSES: Final = Backoff(0.5, 3.0)  # seconds, between questions to a cluster that resumes
RESUMED: Final = {"retry-after": "10"}
STATE: Final = re.compile(r"SQLState:\s*([0-9A-Z]{5})")
ROOM: Final = Room(answer=900_000, row=60_000, values=1_900_000)
"""Of answers of 1 MiB, rows of 64 KB and requests of 4 MiB, in which each quote of JSON has two bytes."""


class DataApi:
    def __init__(self, provider_id: str, config: Config) -> None:
        """Nothing is imported or opened before the first call."""
        self._provider_id = provider_id
        self._config = config
        self._clients = AwsClients(config)
        self._signed: SignedJson | None = None

    @property
    def is_prepared(self) -> bool:
        return False

    @property
    def room(self) -> Room:
        return ROOM

    def warm(self) -> None:
        self._service.warm()

    async def run(self, statement: str, values: Mapping[str, Value]) -> list[Row]:
        return await self._execute(statement, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Run]:
        """What is left halfway is rolled back, or ends by itself after three minutes."""
        transaction = {"transactionId": (await self._call("BeginTransaction", {}))["transactionId"]}
        async with AsyncExitStack() as unfinished:
            unfinished.push_async_callback(self._roll_back, transaction)
            yield lambda statement, values: self._execute(statement, values, transaction)
            unfinished.pop_all()
        await self._call("CommitTransaction", transaction)

    async def close(self) -> None:
        if self._signed is not None:
            await self._signed.close()
        await self._clients.close()

    @property
    def _service(self) -> "SignedJson":
        if self._signed is None:
            from core.platform.signed_json import SignedJson

            config = self._config
            options = call_options(
                config,
                config.region_name or (config.resource_arn or "").split(":")[3],
                tries=ATTEMPTS,
                connect_timeout=config.connect_timeout or SECONDS,
                read_timeout=min(config.read_timeout or SECONDS, SECONDS),
            )
            self._signed = SignedJson(SERVICE, self._clients, options)
        return self._signed

    async def _execute(
        self, statement: str, values: Mapping[str, Value], transaction: Mapping[str, str] | None = None
    ) -> list[Row]:
        """Of the values, those that the statement names."""
        parameters = [
            {"name": name, "value": _print(value)} for name, value in values.items() if f":{name}" in statement
        ]
        body: JsonObject = {"sql": statement, "parameters": parameters, **(transaction or {})}
        answer = await self._call("Execute", body)
        return [tuple(_read(field) for field in record) for record in answer.get("records") or ()]

    async def _roll_back(self, transaction: Mapping[str, str]) -> None:
        with suppress(ApiError, SqlRefused, ConnectionLost):
            await self._call("RollbackTransaction", transaction)

    async def _call(self, operation: str, body: Mapping[str, Any]) -> JsonObject:
        """Raises ProviderUnavailable where the cluster was paused, and is not there after `resume_timeout`."""
        config = self._config
        place = {"resourceArn": config.resource_arn, "secretArn": config.secret_arn}
        database = {} if operation in {"CommitTransaction", "RollbackTransaction"} else {"database": config.db}
        content = to_json({**place, **database, **body})
        until = time.monotonic() + config.resume_timeout
        for pause in PAUSES.pauses():
            await asyncio.sleep(pause)
            try:
                with translate_aws_errors(self._provider_id):
                    return await self._post(operation, content)
            except _Resuming as resuming:
                if time.monotonic() >= until:
                    raise ProviderUnavailable(
                        f"The database of provider `{self._provider_id}` was paused and is resuming, which takes up to half a minute. "
                        "Try again in a moment.",
                        headers=RESUMED,
                    ) from resuming
        raise AssertionError  # pauses do not end

    async def _post(self, operation: str, content: bytes) -> JsonObject:
        from botocore.exceptions import ClientError

        try:
            return await self._service.post(operation, content)
        except ClientError as refusal:
            if code_of(refusal) == RESUMING:
                raise _Resuming from refusal
            text = refusal.response.get("Error", {}).get("Message", "")
            if (state := STATE.search(text)) is not None:
                raise SqlRefused(state[1], text) from refusal
            raise


class _Resuming(Exception):
    """The cluster was paused; the question has woken it."""


def _print(value: Value) -> JsonObject:
    match value:
        case None:
            return {"isNull": True}
        case int():
            return {"longValue": value}
        case str():
            return {"stringValue": value}


def _read(field: JsonObject) -> Any:  # noqa: ANN401 - a text, a number or a boolean
    """A number that is none comes as a text."""
    [(kind, value)] = field.items()
    return None if kind == "isNull" else value
