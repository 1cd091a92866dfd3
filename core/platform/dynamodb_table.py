"""One DynamoDB table, and a client per event loop, connected at the first call; what the SDK raises is translated.

Tables that are called alike share a client while any of them is open: making one takes the processor as long as ten calls, and its first call
shakes hands anew.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from weakref import WeakKeyDictionary

from core.errors import ApiError, ProviderUnavailable
from core.platform import aws_sdk as sdk
from core.platform.aws_errors import EndpointInvalid, describe_failure
from core.platform.per_loop import PerLoop

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 2.0  # of one attempt: as documents have it, so that the registry has the same client
CONNECTIONS: Final = 20  # of a client, which is that of several tables
ATTEMPTS: Final = 3  # of one request, by the SDK
REGION: Final = "`region` in metadata_store"

log = logging.getLogger(__name__)


type Calling = tuple[str | None, str | None, float]
"""Of a client: region, URL of the endpoint, and `answer_seconds`."""


class SharedClient:
    """Of one event loop; it is closed with the last of its `users`."""

    def __init__(self, connect: "Callable[[], AbstractAsyncContextManager[DynamoDBClient]]") -> None:
        self.clients: PerLoop[DynamoDBClient] = PerLoop(lambda _: connect())
        self.users = set[int]()


_shared: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Calling, SharedClient]]" = WeakKeyDictionary()


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
        self._calling: Calling = region, endpoint_url, answer_seconds

    @asynccontextmanager
    async def client(self) -> AsyncGenerator["DynamoDBClient"]:
        """The client of this event loop; what the SDK raises inside leaves as the table's `failure`."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield await self._join().clients.get()
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
        """Close the client of this event loop, where no other table uses it; a later call connects another."""
        of_loop = _shared.get(asyncio.get_running_loop(), {})
        shared = of_loop.get(self._calling)
        if shared is not None and id(self) in shared.users:
            shared.users.discard(id(self))
            if not shared.users:
                del of_loop[self._calling]
                await shared.clients.close()

    def _join(self) -> SharedClient:
        """The client of this event loop that is called as this table is, of which this is a user from here on."""
        of_loop = _shared.setdefault(asyncio.get_running_loop(), {})
        if self._calling not in of_loop:
            of_loop[self._calling] = SharedClient(partial(_connect, self._calling))
        of_loop[self._calling].users.add(id(self))
        return of_loop[self._calling]


def _connect(calling: Calling) -> AbstractAsyncContextManager["DynamoDBClient"]:
    region, endpoint_url, seconds = calling
    config = sdk.config(
        connect_timeout=min(CONNECT_SECONDS, seconds),
        read_timeout=seconds,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=CONNECTIONS,
        parameter_validation=False,  # of what is written here alone: it takes longer than to write a request down
    )
    return sdk.open_client(
        sdk.shared_session(), "dynamodb", region_name=region, endpoint_url=endpoint_url, config=config
    )


def namespace_prefix(namespace: str) -> str:
    """What the partition keys of a namespace begin with: percent-encoded, so that none begins as another's do."""
    return f"{quote(namespace, safe='')}#" if namespace else ""


def number_value(value: int) -> dict[str, str]:
    return {"N": str(value)}
