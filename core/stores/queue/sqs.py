"""The work queue in SQS: a standard queue, whose redrive policy has the dead letters.

A group is a MessageGroupId, by which a standard queue is fair: a tenant with many messages does not keep others waiting.
What is not ours is left alone: it comes again until it is a dead letter, which is where people look for it.
Sources: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html (entries that fail alone),
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from hashlib import sha256
import logging
from math import ceil
from typing import Any, Final

from core.errors import StateUnavailable
from core.platform import aws_sdk as sdk
from core.platform.aws_errors import EndpointInvalid, code_of, describe_failure
from core.platform.per_loop import PerLoop
from core.platform.retry import Backoff
from core.stores.queue.codec import decode, encode
from core.stores.queue.port import Delivery, Message, WorkQueue

CONNECT_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 5.0  # of one attempt of the SDK, besides what it waits for messages
MOST_WAIT: Final = 20  # seconds
ATTEMPTS: Final = 3  # of one request, by the SDK
CONNECTIONS: Final = 50  # as each who waits for messages has one
MOST_ENTRIES: Final = 10
MOST_BYTES: Final = 256_000  # of a batch: what SQS took before 2025, and others still do
BACKOFF: Final = Backoff(0.1, 2.0, tries=5)  # of entries that failed alone
REGION: Final = "`region` of the queue's backend"
RECEIVES: Final = "ApproximateReceiveCount"
GONE: Final = frozenset({"MessageNotInflight", "ReceiptHandleIsInvalid", "InvalidParameterValue"})
"""Of a receipt that is of no use any more: the message is done, or waits, or was delivered again."""

type Entry = dict[str, Any]

log = logging.getLogger(__name__)


class SqsQueue:
    """The queue at `url`; messages of other namespaces in it are as if they were somebody else's."""

    def __init__(
        self,
        url: str,
        *,
        region: str | None,
        endpoint_url: str | None,
        namespace: str,
        answer_seconds: float = ANSWER_SECONDS,
        backoff: Backoff = BACKOFF,
    ) -> None:
        self._url = url
        self._region = region
        self._endpoint_url = endpoint_url
        self._namespace = namespace
        self._answer_seconds = answer_seconds
        self._backoff = backoff
        self._clients: PerLoop[Any] = PerLoop(self._connect)
        self._fair = True  # until the endpoint refuses a group, as older ones do for a standard queue

    async def send(self, messages: Sequence[Message], *, delay: int = 0) -> None:
        for entries in _batches([self._entry(message, delay) for message in messages]):
            await self._send(entries)

    async def take(
        self, *, most: int, wait: float, visibility: int, ending: asyncio.Event | None = None
    ) -> list[Delivery]:
        """SQS waits for whole seconds; with none it asks some of its servers, and may miss a message that is there."""
        async with self._client(wait) as client:
            answer = await client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=most,
                WaitTimeSeconds=0 if ending is not None and ending.is_set() else ceil(wait),
                VisibilityTimeout=visibility,
                MessageSystemAttributeNames=[RECEIVES],
            )
        deliveries: list[Delivery] = []
        for message in answer.get("Messages", ()):
            body = decode(message["Body"], self._namespace)
            if body is None:
                log.warning("SQS queue %s: a message that is not ours is left for its dead letters", self._url)
                continue
            deliveries.append(Delivery(body, message["ReceiptHandle"], int(message["Attributes"][RECEIVES])))
        return deliveries

    async def extend(self, delivery: Delivery, *, seconds: int) -> bool:
        return await self._settle(
            lambda client: client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=delivery.receipt, VisibilityTimeout=seconds
            )
        )

    async def done(self, delivery: Delivery) -> None:
        await self._settle(lambda client: client.delete_message(QueueUrl=self._url, ReceiptHandle=delivery.receipt))

    def warm(self) -> None:
        sdk.preload("sqs")

    async def close(self) -> None:
        await self._clients.close()

    def _entry(self, message: Message, delay: int) -> Entry:
        group = sha256(f"{self._namespace}#{message.group}".encode(errors="surrogatepass")).hexdigest()
        body = encode(message.body, self._namespace)
        return {"MessageBody": body, "DelaySeconds": delay, "MessageGroupId": group}

    async def _send(self, entries: list[Entry]) -> None:
        for pause in self._backoff.pauses():
            await asyncio.sleep(pause)
            entries = await self._send_once(entries)
            if not entries:
                return
        raise self._unavailable(f"did not take messages in {self._backoff.tries} tries; try again in a moment")

    async def _send_once(self, entries: list[Entry]) -> list[Entry]:
        """Those that are to be sent again: each may fail alone."""
        from botocore.exceptions import ClientError

        async with self._client() as client:
            numbered = [{"Id": str(number), **self._without_group(entry)} for number, entry in enumerate(entries)]
            try:
                answer = await client.send_message_batch(QueueUrl=self._url, Entries=numbered)
            except ClientError as refusal:
                if not self._fair or "MessageGroupId" not in str(refusal):
                    raise
                self._fair = False
                return entries
        failures: list[dict[str, Any]] = answer.get("Failed", [])
        if codes := [failure["Code"] for failure in failures if failure["SenderFault"]]:
            raise self._unavailable(f"refused a message: {codes[0]}")
        return [entries[int(failure["Id"])] for failure in failures]

    def _without_group(self, entry: Entry) -> Entry:
        return entry if self._fair else {name: value for name, value in entry.items() if name != "MessageGroupId"}

    async def _settle(self, call: Callable[[Any], Awaitable[object]]) -> bool:
        """False if the receipt is of no use any more."""
        from botocore.exceptions import ClientError

        async with self._client() as client:
            try:
                await call(client)
            except ClientError as refusal:
                if code_of(refusal).rpartition(".")[2] not in GONE:
                    raise
                return False
        return True

    @asynccontextmanager
    async def _client(self, wait: float = 0.0) -> AsyncGenerator[Any]:
        """The client of this event loop, to wait so many seconds for messages; what the SDK raises is translated."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            client = await self._clients.get()
            async with asyncio.timeout(wait + ATTEMPTS * self._answer_seconds):
                yield client
        except (BotoCoreError, ClientError, EndpointInvalid, TimeoutError) as failure:
            log.warning("SQS queue %s: %s", self._url, failure)
            raise self._unavailable(describe_failure(failure, region=REGION)) from failure

    def _unavailable(self, reason: str) -> StateUnavailable:
        """The failure to raise, as a sentence about this queue; of its URL, callers see the name alone."""
        return StateUnavailable(f"The SQS queue `{self._url.rpartition('/')[2]}` {reason}.")

    def _connect(self, _: str) -> AbstractAsyncContextManager[Any]:
        config = sdk.config(
            connect_timeout=min(CONNECT_SECONDS, self._answer_seconds),
            read_timeout=MOST_WAIT + self._answer_seconds,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=CONNECTIONS,
        )
        return sdk.open_client(
            sdk.shared_session(), "sqs", region_name=self._region, endpoint_url=self._endpoint_url, config=config
        )


def _batches(entries: list[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        size += len(entry["MessageBody"])
        if batch and (len(batch) == MOST_ENTRIES or size > MOST_BYTES):
            yield batch
            batch, size = [], len(entry["MessageBody"])
        batch.append(entry)
    if batch:
        yield batch


def connect(url: str, *, region: str | None, endpoint_url: str | None, namespace: str | None) -> WorkQueue:
    """The standard queue at `url`, which is there already."""
    return SqsQueue(url, region=region, endpoint_url=endpoint_url, namespace=namespace or "")
