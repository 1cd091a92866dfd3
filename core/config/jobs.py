"""What holds of jobs of every kind: who else is told of them, and whether they keep what callers bring for providers."""

from typing import Annotated, Final

from core.config.kms import OR_NONE, KeyArn
from core.config.records import Record
from core.frame.forms import of_form

NO_BUS: Final = "must be the ARN of an event bus, as arn:aws:events:us-east-1:123456789012:event-bus/NAME"
type EventBus = Annotated[
    Annotated[
        str,
        of_form(r"^arn:aws[-a-z0-9]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/[A-Za-z0-9._/-]{1,256}$", NO_BUS),
    ]
    | None,
    OR_NONE,
]


class JobsConfig(Record):
    """`event_bus`, the ARN of one of EventBridge, is told of every status of every job. With `provider_data_key`, a key of KMS, jobs keep provider data, sealed, until they end."""

    event_bus: EventBus = None
    provider_data_key: KeyArn = None
