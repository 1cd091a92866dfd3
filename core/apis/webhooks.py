"""Webhooks: endpoints of a caller that are told when its work has ended, and who sends it.

Sources: https://platform.openai.com/docs/guides/webhooks, the types of `openai` 3.57, https://www.standardwebhooks.com (what is signed).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, Protocol, get_args

from pydantic import Field, StringConstraints

from core.apis.answers.webhooks import (
    WebhookEndpoint,
    WebhookEndpointDeleted,
    WebhookEndpointList,
    WebhookEndpointTest,
    WebhookEndpointWithSecret,
    WebhookEventTypes,
)
from core.apis.sealing import DataKeys
from core.frame.types import Health, Query, Wire

type EventType = Literal[
    "batch.completed",
    "batch.failed",
    "batch.expired",
    "batch.cancelled",
    "response.completed",
    "response.failed",
    "response.cancelled",
    "response.incomplete",
]
"""Of OpenAI's those that are sent here."""
EVENT_TYPES: Final[tuple[str, ...]] = get_args(EventType.__value__)
MOST_NAME: Final = 256
MOST_URL: Final = 2048

type Name = Annotated[str, StringConstraints(min_length=1, max_length=MOST_NAME)]
type Url = Annotated[str, StringConstraints(min_length=1, max_length=MOST_URL)]
EventTypes = Annotated[list[EventType], Field(min_length=1, max_length=2 * len(EVENT_TYPES))]


class NewEndpoint(Wire):
    name: Name
    url: Url
    event_types: EventTypes


class ChangedEndpoint(Wire):
    """What is left out stays as it is; `event_types` are all that there shall be."""

    name: Name | None = None
    url: Url | None = None
    event_types: EventTypes | None = None


class RotatedSecret(Wire):
    keep_old_secret_active_for_24_hours: bool = False


class TestedEndpoint(Wire):
    event_type: EventType


class EndpointsQuery(Query):
    """A page of the caller's endpoints, newest first, after the one whose id is `after`."""

    after: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class Webhooks(Protocol):
    """The caller's endpoints. One that it may not read is NotFound, as one that is not there."""

    async def create(self, request: NewEndpoint) -> WebhookEndpointWithSecret:
        """Keep a new endpoint.

        Raises:
            InvalidRequest: its URL may not be called.
            LimitReached: the caller may keep no more.
        """
        ...

    async def index(self, *, query: EndpointsQuery) -> WebhookEndpointList: ...

    async def get(self, webhook_endpoint_id: str) -> WebhookEndpoint: ...

    async def update(self, request: ChangedEndpoint, webhook_endpoint_id: str) -> WebhookEndpoint:
        """Change it, and put it in use again; raises as `create`."""
        ...

    async def delete(self, webhook_endpoint_id: str) -> WebhookEndpointDeleted: ...

    async def rotate_secret(self, request: RotatedSecret, webhook_endpoint_id: str) -> WebhookEndpointWithSecret:
        """Give it another secret; the old one signs beside it for 24 hours where the request says so."""
        ...

    async def test(self, request: TestedEndpoint, webhook_endpoint_id: str) -> WebhookEndpointTest:
        """Send a sample now, once.

        Raises:
            ProviderUnavailable: nobody answered.
        """
        ...

    async def list_event_types(self) -> WebhookEventTypes: ...


@dataclass(frozen=True, slots=True)
class Post:
    """What is sent to an endpoint: a body of JSON, and the headers that it is signed with."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class WebhooksProvider(Protocol):
    """Sends what the stack has signed to URLs that callers have named; what it may reach is its config's.

    `most_endpoints` is how many a caller may keep.
    """

    @property
    def most_endpoints(self) -> int: ...

    async def check(self, url: str) -> None:
        """Raises InvalidRequest where an endpoint may not be there, as far as its text and its host's name tell now."""
        ...

    async def send(self, post: Post) -> int:
        """The status of the answer, whatever it is; nothing else of it is read, and no redirect followed.

        Raises:
            ProviderUnavailable: there was none in time, or the place may not be reached: which, is not said.
        """
        ...

    def data_keys(self) -> DataKeys | None:
        """What secrets are sealed with; None leaves it to the key that the stack has in its state."""
        ...

    async def health(self) -> Health: ...
