"""One DynamoDB table: a client per event loop, made at the first call, and every SDK failure translated.

Errors: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
import logging
from typing import TYPE_CHECKING, Final

from core.errors import ApiError, ProviderUnavailable
from core.platform import aws_sdk as sdk

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 5.0
ATTEMPTS: Final = 3  # of one request, by the SDK

CREDENTIALS_REFUSED: Final = "refused this deployment's credentials"
THROTTLED: Final = "is throttling; try again in a moment"
REASONS: Final = {
    "ResourceNotFoundException": "does not exist in this account and region",
    "AccessDeniedException": "may not be used with this deployment's permissions",
    "UnrecognizedClientException": CREDENTIALS_REFUSED,
    "InvalidSignatureException": CREDENTIALS_REFUSED,
    "ExpiredTokenException": CREDENTIALS_REFUSED,
    "ThrottlingException": THROTTLED,
    "ProvisionedThroughputExceededException": THROTTLED,
    "RequestLimitExceeded": THROTTLED,
}
SDK_REASONS: Final = {
    "NoCredentialsError": "cannot be used: no AWS credentials were found",
    "PartialCredentialsError": "cannot be used: the AWS credentials are incomplete",
    "NoRegionError": "cannot be used: no AWS region is set (`region` in metadata_store, or AWS_DEFAULT_REGION)",
}

log = logging.getLogger(__name__)


class Table:
    """Where a table is. `region` and `endpoint_url` default to what the AWS environment says."""

    def __init__(
        self, name: str, *, region: str | None, endpoint_url: str | None, answer_seconds: float = READ_SECONDS
    ) -> None:
        """Keep where it is; nothing is imported or opened yet. `answer_seconds` is for one attempt of the SDK."""
        self.name = name
        self._region = region
        self._endpoint_url = endpoint_url
        self._answer_seconds = answer_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._client: DynamoDBClient | None = None
        self._opened = AsyncExitStack()

    @asynccontextmanager
    async def client(self) -> AsyncGenerator["DynamoDBClient"]:
        """The client of this event loop; what the SDK raises inside leaves as ProviderUnavailable."""
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
        from botocore.exceptions import ConnectionError as Unreachable

        try:
            yield await self._connected()
        except ClientError as failure:
            code = failure.response.get("Error", {}).get("Code", "")
            raise self._translated(failure, REASONS.get(code, f"did not do what it was asked: {code}")) from failure
        except (Unreachable, HTTPClientError) as failure:
            raise self._translated(failure, "cannot be reached") from failure
        except BotoCoreError as failure:
            name = type(failure).__name__
            raise self._translated(failure, SDK_REASONS.get(name, f"cannot be used: {name}")) from failure

    @asynccontextmanager
    async def bounded(self, seconds: float, failure: type[ApiError]) -> AsyncGenerator["DynamoDBClient"]:
        """The client, for so many seconds once it is made; what goes wrong leaves as a `failure`."""
        try:
            async with self.client() as client, asyncio.timeout(seconds):
                yield client
        except ProviderUnavailable as unavailable:
            raise failure(unavailable.message) from unavailable
        except TimeoutError as slow:
            raise failure(self.unavailable(f"did not answer in {seconds:g} s").message) from slow

    def unavailable(self, reason: str) -> ProviderUnavailable:
        """The failure to raise, as a sentence about this table; of an ARN, callers see the name alone."""
        return ProviderUnavailable(f"The DynamoDB table `{self.name.rpartition('/')[2]}` {reason}.")

    def warm(self) -> None:
        """Import the SDK now, rather than at the first call."""
        sdk.read("dynamodb")

    async def close(self) -> None:
        """Close the client, if this event loop has one; a later call makes another."""
        if self._loop is asyncio.get_running_loop():
            async with self._lock:
                opened, self._opened, self._client = self._opened, AsyncExitStack(), None
                await opened.aclose()

    async def _connected(self) -> "DynamoDBClient":
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a client belongs to the loop that made it
            self._loop, self._lock = loop, asyncio.Lock()
            self._opened, self._client = AsyncExitStack(), None
        async with self._lock:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> "DynamoDBClient":
        config = sdk.config(
            connect_timeout=min(CONNECT_SECONDS, self._answer_seconds),
            read_timeout=self._answer_seconds,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        )
        try:
            making = sdk.session().create_client(
                "dynamodb", region_name=self._region, endpoint_url=self._endpoint_url, config=config
            )
            return await self._opened.enter_async_context(making)
        except ValueError as failure:  # how the SDK refuses an endpoint that is not a URL
            raise self.unavailable("cannot be used: its endpoint_url is not a URL") from failure

    def _translated(self, failure: Exception, reason: str) -> ProviderUnavailable:
        log.warning("DynamoDB table %s: %s", self.name, failure)
        return self.unavailable(reason)
