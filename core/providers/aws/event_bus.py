"""A bus of EventBridge that is told of jobs, by signed JSON (docs/adr/0097).

Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html.
"""

import logging
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from core.apis.jobs import JobChange
from core.platform.aws_errors import SetupInvalid, code_of
from core.providers.aws.clients import AwsClients, AwsConfig

if TYPE_CHECKING:
    from core.platform.signed_json import SignedJson

SERVICE: Final = "events"
TYPE: Final = "application/x-amz-json-1.1"
TARGET: Final = "AWSEvents.PutEvents"
SOURCE: Final = "llambda"
DETAIL_TYPE: Final = "Job Status Change"
CONNECT_SECONDS, READ_SECONDS = 2.0, 3.0

log = logging.getLogger(__name__)


class EventBus:
    """Answers `core.apis.jobs.JobTeller`; `bus` is an ARN, `stack` the name of the run config, which is in every event."""

    def __init__(
        self, bus: str, stack: str, clients: AwsClients | None = None, *, endpoint_url: str | None = None
    ) -> None:
        """Nothing is imported or opened before the first event; without `clients` the SDK's default chain says who calls."""
        self._bus = bus
        self._stack = stack
        self._clients = clients or AwsClients(AwsConfig())
        self._endpoint = endpoint_url
        self._signed: SignedJson | None = None

    async def tell(self, change: JobChange) -> None:
        """At most some seconds, tries included: no job waits for a bus that is down."""
        from botocore.exceptions import BotoCoreError, ClientError

        from core.platform.json_reader import read_object

        headers = {"X-Amz-Target": TARGET, "Content-Type": TYPE}
        try:
            answer = await self._service.send("", to_json({"Entries": [self._entry(change)]}), headers)
            refused = [entry.get("ErrorCode") for entry in read_object(answer.content).get("Entries", ())]
        except (ClientError, BotoCoreError, SetupInvalid, TimeoutError, OSError, ValueError) as failure:
            refused = [code_of(failure) or type(failure).__name__]
        if any(refused):
            log.warning("job %s: its status %s is not on the event bus: %s", change.job, change.status, refused[0])

    async def close(self) -> None:
        if self._signed is not None:
            await self._signed.close()
        await self._clients.close()

    def _entry(self, change: JobChange) -> dict[str, Any]:
        detail = {
            "event_id": change.event,
            "stack": self._stack,
            "job_id": change.job,
            "kind": change.kind,
            "owner": change.owner or None,
            "status": change.status,
            "reason": change.reason or None,
            "counts": dict(change.counts) or None,
        }
        return {
            "EventBusName": self._bus,
            "Source": SOURCE,
            "DetailType": DETAIL_TYPE,
            "Time": int(change.at),
            "Detail": to_json(detail).decode(),
        }

    @property
    def _service(self) -> "SignedJson":
        if self._signed is None:
            from core.providers.aws.signed import open_signed

            self._signed = open_signed(
                SERVICE,
                self._bus,
                self._clients,
                endpoint_url=self._endpoint,
                connect_seconds=CONNECT_SECONDS,
                read_seconds=READ_SECONDS,
            )
        return self._signed
