"""The pages of a table of DynamoDB, as JSON: for what reads hundreds of thousands of items at a time.

The SDK takes ten microseconds for each attribute, and `json` one for an item.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
import json
import logging
from typing import TYPE_CHECKING, Any, Final

from core.errors import QuotaUnavailable
from core.platform import aws_sdk as sdk
from core.platform.aws_errors import EndpointInvalid, describe_failure
from core.platform.dynamodb_items import BACKOFF
from core.platform.dynamodb_table import REGION, Table
from core.platform.signed_json import CallOptions, SignedJson
from core.stores.counters.items import INDEX, Item

if TYPE_CHECKING:
    from aiobotocore.session import AioSession
    from botocore.credentials import ReadOnlyCredentials

MOST_KEYS: Final = 100  # of a BatchGetItem
TARGET: Final = "DynamoDB_20120810."
OPTIONS: Final[dict[str, Any]] = {"connect_timeout": 2, "read_timeout": 10, "total_timeout": 25, "tries": 4}
WITHOUT_INDEX: Final = (
    f"has no index `{INDEX}` that can be read, by which the usage of all callers is found; add it (partition key `bucket`, sort key "
    "`pk`, both strings, all attributes), or wait until it is built"
)

log = logging.getLogger(__name__)


class OwnIdentity:
    """The stack's own."""

    async def session(self) -> "AioSession":
        return sdk.shared_session()

    async def credentials(self) -> "ReadOnlyCredentials":
        from botocore.exceptions import NoCredentialsError

        credentials: Any = await sdk.shared_session().get_credentials()
        if credentials is None:
            raise NoCredentialsError
        kept: ReadOnlyCredentials = await credentials.get_frozen_credentials()
        return kept


class Reading:
    """Every method raises QuotaUnavailable."""

    def __init__(self, table: Table, *, region: str | None, endpoint_url: str | None) -> None:
        self._table = table
        self._signed = SignedJson(
            "dynamodb", OwnIdentity(), CallOptions(region=region, endpoint_url=endpoint_url, **OPTIONS)
        )

    async def query(self, bucket: str) -> AsyncGenerator[list[Item]]:
        """The pages of a bucket of the index."""
        request: dict[str, Any] = {
            "TableName": self._table.name,
            "IndexName": INDEX,
            "KeyConditionExpression": "#b = :b",
            "ExpressionAttributeNames": {"#b": "bucket"},
            "ExpressionAttributeValues": {":b": {"S": bucket}},
        }
        while True:
            answer = await self._ask("Query", request)
            yield answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    async def get_all(self, keys: list[str]) -> list[Item]:
        """Those of at most 100 items that are there, as they are now, in any order."""
        items: list[Item] = []
        name = self._table.name
        unread: Any = {name: {"Keys": [{"pk": {"S": pk}} for pk in keys], "ConsistentRead": True}}
        for pause in BACKOFF.pauses():
            await asyncio.sleep(pause)
            answer = await self._ask("BatchGetItem", {"RequestItems": unread})
            items += answer["Responses"].get(name, [])
            unread = answer.get("UnprocessedKeys")
            if not unread:
                return items
        raise QuotaUnavailable(self._table.unavailable("is throttled: try again in a moment").message)

    async def close(self) -> None:
        """Close the connections; a later call opens others."""
        await self._signed.close()

    async def _ask(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"{TARGET}{operation}"}
        with self._translate_errors():
            answer = await self._signed.send("", json.dumps(request).encode(), headers)
        read: dict[str, Any] = json.loads(answer.content)
        return read

    @contextmanager
    def _translate_errors(self) -> Generator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        from core.platform.bounded import AnswerTooLarge

        try:
            yield
        except (BotoCoreError, ClientError, EndpointInvalid, AnswerTooLarge) as failure:
            log.warning("DynamoDB table %s: %s", self._table.name, failure)
            is_index = isinstance(failure, ClientError) and "index" in str(failure)
            if isinstance(failure, AnswerTooLarge):
                reason = "answered too much"
            else:
                reason = WITHOUT_INDEX if is_index else describe_failure(failure, region=REGION)
            raise QuotaUnavailable(self._table.unavailable(reason).message) from failure
