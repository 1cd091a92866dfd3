"""One DynamoDB table: a client per event loop, connected at the first call; what the SDK raises is translated."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from core.errors import ApiError, ProviderUnavailable
from core.platform import aws_sdk as sdk
from core.platform.aws_errors import EndpointInvalid, describe_failure
from core.platform.per_loop import PerLoop

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 5.0
ATTEMPTS: Final = 3  # of one request, by the SDK
REGION: Final = "`region` in metadata_store"

log = logging.getLogger(__name__)


class Table:
    """`region` and `endpoint_url` default to what the AWS environment says; `answer_seconds` bound one attempt of the SDK.

    What goes wrong leaves as a `failure`.
    """

    def __init__(
        self,
        name: str,
        *,
        region: str | None,
        endpoint_url: str | None,
        answer_seconds: float = READ_SECONDS,
        failure: type[ApiError] = ProviderUnavailable,
    ) -> None:
        self.name = name
        self._failure = failure
        self._region = region
        self._endpoint_url = endpoint_url
        self._answer_seconds = answer_seconds
        self._clients: PerLoop[DynamoDBClient] = PerLoop(self._connect)

    @asynccontextmanager
    async def client(self) -> AsyncGenerator["DynamoDBClient"]:
        """The client of this event loop; what the SDK raises inside leaves as the table's `failure`."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield await self._clients.get()
        except (BotoCoreError, ClientError, EndpointInvalid) as failure:
            log.warning("DynamoDB table %s: %s", self.name, failure)
            raise self.unavailable(describe_failure(failure, region=REGION)) from failure

    @asynccontextmanager
    async def timed_client(self, seconds: float, failure: type[ApiError]) -> AsyncGenerator["DynamoDBClient"]:
        """The client, for at most `seconds` once it is connected; what goes wrong inside leaves as a `failure`."""
        try:
            async with self.client() as client, asyncio.timeout(seconds):
                yield client
        except self._failure as unavailable:
            raise failure(unavailable.message) from unavailable
        except TimeoutError as slow:
            raise failure(self.unavailable(f"did not answer in {seconds:g} s").message) from slow

    def unavailable(self, reason: str) -> ApiError:
        """The failure to raise, as a sentence about this table; of an ARN, callers see the name alone."""
        return self._failure(f"The DynamoDB table `{self.name.rpartition('/')[2]}` {reason}.")

    def check_version(self, item: Mapping[str, Any], newest: int, kind: str, failure: type[ApiError]) -> int:
        """The schema version of an item of this kind of store: its attribute `v`, which those of version 1 do not have.

        Raises:
            failure: it is newer than `newest`.
        """
        version = int(item["v"]["N"]) if "v" in item else 1
        if version > newest:
            reason = f"was written by a newer llambda, whose {kind} have version {version}; this one knows {newest}"
            raise failure(self.unavailable(reason).message)
        return version

    def warm(self) -> None:
        """Import the SDK and read its description of DynamoDB, which the first call would wait for."""
        sdk.preload("dynamodb")
        sdk.warm_session()

    async def close(self) -> None:
        """Close the client of this event loop; a later call connects another."""
        await self._clients.close()

    def _connect(self, _: str) -> AbstractAsyncContextManager["DynamoDBClient"]:
        config = sdk.config(
            connect_timeout=min(CONNECT_SECONDS, self._answer_seconds),
            read_timeout=self._answer_seconds,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        )
        return sdk.open_client(
            sdk.shared_session(), "dynamodb", region_name=self._region, endpoint_url=self._endpoint_url, config=config
        )


def namespace_prefix(namespace: str) -> str:
    """What the partition keys of a namespace begin with: percent-encoded, so that none begins as another's do."""
    return f"{quote(namespace, safe='')}#" if namespace else ""


def number_value(value: int) -> dict[str, str]:
    return {"N": str(value)}
