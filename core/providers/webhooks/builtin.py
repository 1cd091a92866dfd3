"""`inline::builtin`: sends webhooks to the URLs that callers have named, through the guard of whatever they name."""

import asyncio
from collections.abc import Mapping
import logging
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from core.apis.sealing import DataKeys
from core.apis.webhooks import Post, WebhooksProvider
from core.config.fetch import FetchConfig, HostPattern, Port
from core.config.kms import KeyArn
from core.config.records import Record, Seconds, Whole
from core.errors import InvalidRequest, ProviderUnavailable
from core.frame.types import Health
from core.platform.addresses import Reach, may_connect, may_name
from core.providers.http.fetch import check_url
from core.providers.http.fields import invalid_field
from core.providers.http.guarded import Connections, GuardedClient, GuardedRequest

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver

    from core.providers.aws.kms_keys import KmsKeys

log = logging.getLogger(__name__)

PARAM: Final = "url"
NOT_HTTPS: Final = "must be an https:// URL."
NOT_PLAIN: Final = "must have no blanks, line breaks or control characters."
UNREACHABLE: Final = "cannot be reached, or calling it is not allowed."
UNANSWERED: Final = "The endpoint did not answer in time, cannot be reached, or calling it is not allowed."
LOOKUP_SECONDS: Final = 3.0


class Config(Record):
    """Times are in seconds; `timeout` is for a whole delivery. Secrets are sealed with the KMS key `kms_key_id`, or by one in the stack's state.

    `max_endpoints` is how many a caller may keep. `allowed_hosts`, names or `*.example.com`, `allowed_ports` and
    `allow_private_addresses` say where endpoints may be; only with the last may one be an http:// URL.
    """

    kms_key_id: KeyArn = None
    max_endpoints: Annotated[Whole, Field(ge=1, le=1000)] = 20
    timeout: Annotated[Seconds, Field(gt=0, le=25)] = 10.0
    connect_timeout: Annotated[Seconds, Field(gt=0, le=25)] = 5.0
    allow_private_addresses: bool = False
    allowed_hosts: tuple[HostPattern, ...] | None = None
    allowed_ports: tuple[Port, ...] = (443,)


class BuiltinWebhooks:
    """Answers `core.apis.webhooks.WebhooksProvider`."""

    def __init__(self, config: Config, *, resolver: "AbstractResolver | None" = None) -> None:
        """`resolver` replaces the system's; nothing is opened yet."""
        self._config = config
        self._resolver = resolver
        self._places = FetchConfig(allowed_hosts=config.allowed_hosts, allowed_ports=config.allowed_ports)
        self._client = GuardedClient(Connections("webhooks", config.connect_timeout), resolver=resolver)
        self._keys: KmsKeys | None = None

    @property
    def most_endpoints(self) -> int:
        return self._config.max_endpoints

    @property
    def _reach(self) -> Reach:
        return "private" if self._config.allow_private_addresses else "public"

    async def check(self, url: str) -> None:
        """A name that leads nowhere is refused as one that leads to where nothing is sent."""
        if not url.isprintable() or " " in url:  # which is sent otherwise than it is shown
            raise invalid_field(PARAM, NOT_PLAIN)
        parsed = check_url(url, self._places, PARAM)
        if parsed.scheme != "https" and not self._config.allow_private_addresses:
            raise invalid_field(PARAM, NOT_HTTPS)
        host, port = parsed.raw_host or "", parsed.port or 0
        if not may_name(host, port, self._reach):
            raise invalid_field(PARAM, UNREACHABLE)
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                addresses = await self._look_up(host, port)
        except (TimeoutError, OSError, UnicodeError):  # UnicodeError: a name that IDNA cannot say
            addresses = []
        if not any(may_connect(address, port, self._reach) for address in addresses):
            raise invalid_field(PARAM, UNREACHABLE)

    async def _look_up(self, host: str, port: int) -> list[str]:
        if self._resolver is not None:
            return [answer["host"] for answer in await self._resolver.resolve(host, port)]
        answers = await asyncio.get_running_loop().getaddrinfo(host, port)
        return [str(address[0]) for *_, address in answers]

    async def send(self, post: Post) -> int:
        from aiohttp import ClientError

        try:
            # What was registered before the run config was changed is held to what it says now.
            request = GuardedRequest(
                "POST", check_url(post.url, self._places, PARAM), post.headers, post.body, follow=False
            )
            async with asyncio.timeout(self._config.timeout), self._client.send(request, self._reach) as answer:
                return answer.status
        except (ClientError, OSError, TimeoutError, ValueError, InvalidRequest) as failure:
            log.info("webhooks: %s", type(failure).__name__)
            raise ProviderUnavailable(UNANSWERED) from failure

    def data_keys(self) -> DataKeys | None:
        """Those of the run config's KMS key."""
        if self._config.kms_key_id and self._keys is None:
            from core.providers.aws.kms_keys import KeyUse, KmsKeys  # late: it is there for those that name a key

            self._keys = KmsKeys(self._config.kms_key_id, use=KeyUse("webhooks", "the secrets of webhooks"))
        return self._keys

    async def health(self) -> Health:
        """It asks nobody itself."""
        return Health(status="OK")

    async def close(self) -> None:
        await self._client.close()
        if self._keys is not None:
            await self._keys.close()


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> WebhooksProvider:
    """What sends webhooks; nothing is opened yet."""
    del provider_id, deps
    return BuiltinWebhooks(config)
