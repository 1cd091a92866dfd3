"""What providers of AWS share: how they are configured, and their SDK clients, made at the first call."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, SecretStr, model_validator

from core.config.user_fields import USER
from core.errors import ProviderUnavailable
from core.platform import aws_sdk as sdk
from core.providers.http.connections import MOST_CONNECTIONS

if TYPE_CHECKING:
    from aiobotocore.config import AioConfig
    from aiobotocore.credentials import AioDeferredRefreshableCredentials
    from aiobotocore.session import AioSession
    from botocore.credentials import CredentialProvider, ReadOnlyCredentials

ATTEMPTS: Final = 3  # of one call, by the SDK
ROLE_SESSION_NAME: Final = "llambda"


class AwsConfig(BaseModel):
    """Without keys the SDK's default chain finds them; `role_arn` is then assumed with them, and kept fresh.

    `endpoint_url` replaces the address of every service but STS. Timeouts and `session_ttl`, the role's
    session's length, are in seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    aws_access_key_id: SecretStr | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    region_name: Annotated[str | None, USER] = None
    profile_name: str | None = None
    role_arn: Annotated[str, Field(pattern=r"^arn:[\w-]+:iam::\d{12}:role/\S+$")] | None = None
    endpoint_url: Annotated[str, Field(pattern=r"^https?://[^/\s]+")] | None = None
    total_max_attempts: Annotated[PositiveInt | None, USER] = None
    retry_mode: Annotated[Literal["legacy", "standard", "adaptive"] | None, USER] = None
    connect_timeout: Annotated[PositiveFloat | None, USER] = 60.0
    read_timeout: Annotated[PositiveFloat | None, USER] = 60.0
    max_connections: int = MOST_CONNECTIONS
    session_ttl: Annotated[int, Field(ge=1800, le=43200)] | None = 3600

    @model_validator(mode="after")
    def _whole_keys(self) -> Self:
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("give `aws_access_key_id` and `aws_secret_access_key` together, or neither")
        if self.aws_session_token is not None and self.aws_access_key_id is None:
            raise ValueError("`aws_session_token` belongs to an `aws_access_key_id`")
        return self


@dataclass(slots=True)
class _Opened:
    """What belongs to one event loop."""

    loop: asyncio.AbstractEventLoop
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    session: "AioSession | None" = None
    clients: dict[str, Any] = field(default_factory=dict[str, Any])


class AwsClients:
    """One SDK client per service, of the event loop that asks."""

    def __init__(self, provider_id: str, config: AwsConfig) -> None:
        """Keep how; nothing is imported or opened yet."""
        self._provider_id = provider_id
        self._config = config
        self._opened: _Opened | None = None
        self._warmed: AioSession | None = None

    def warm(self, *services: str) -> None:
        """Import the SDK and read its descriptions of these services, so that the first call need not."""
        sdk.read(*services)
        self._warmed = _session(self._config)

    async def client(self, service: str) -> Any:  # noqa: ANN401 - the SDK makes its clients' methods at run time
        """The client of a service, by the SDK's name for it.

        Raises:
            ProviderUnavailable: `endpoint_url` is not a URL.
            botocore.exceptions.BotoCoreError: no region, no such profile.
        """
        loop = asyncio.get_running_loop()
        if self._opened is None or self._opened.loop is not loop:  # a client belongs to the loop that made it
            self._opened = _Opened(loop)
        opened = self._opened
        if service not in opened.clients:
            async with opened.lock:
                if service not in opened.clients:
                    opened.clients[service] = await self._connect(service, opened)
        return opened.clients[service]

    async def credentials(self, service: str) -> "ReadOnlyCredentials":
        """What a request of ours is signed with just now, as the client of `service` does it.

        Raises:
            botocore.exceptions.BotoCoreError: there are none, or the role cannot be assumed.
        """
        from botocore.credentials import ReadOnlyCredentials
        from botocore.exceptions import NoCredentialsError

        given = self._config
        if given.aws_access_key_id and not given.role_arn:
            keys = _keys(given)
            return ReadOnlyCredentials(
                keys["aws_access_key_id"], keys["aws_secret_access_key"], keys.get("aws_session_token")
            )
        await self.client(service)
        session = self._opened.session if self._opened is not None else None
        found = await session.get_credentials() if session is not None else None
        if found is None:
            raise NoCredentialsError
        return await found.get_frozen_credentials()

    async def close(self) -> None:
        """Close this event loop's clients; a later call makes others."""
        opened = self._opened
        if opened is not None and opened.loop is asyncio.get_running_loop():
            self._opened = None
            async with opened.lock:
                await opened.stack.aclose()

    async def _connect(self, service: str, opened: _Opened) -> Any:  # noqa: ANN401 - see client
        given = self._config
        if opened.session is None:
            opened.session, self._warmed = self._warmed or _session(given), None
        keys = {} if given.role_arn else _keys(given)
        # The SDK types its services one by one, and not those whose stubs are not installed.
        create: Any = opened.session.create_client
        try:
            making = create(
                service, region_name=given.region_name, endpoint_url=given.endpoint_url, config=_options(given), **keys
            )
            return await opened.stack.enter_async_context(making)
        except ValueError as failure:  # how the SDK refuses an endpoint that is not a URL
            message = f"Provider `{self._provider_id}` cannot be used: its endpoint_url is not a URL."
            raise ProviderUnavailable(message) from failure


@dataclass(frozen=True, slots=True)
class _Role:
    """A source of credentials for the SDK: the role, assumed when they are first needed and again before they end."""

    METHOD: ClassVar = "assume-role"
    CANONICAL_NAME: ClassVar = "llambda-role"

    config: AwsConfig

    async def load(self) -> "AioDeferredRefreshableCredentials":
        from aiobotocore.credentials import AioDeferredRefreshableCredentials

        return AioDeferredRefreshableCredentials(refresh_using=self._assume, method=self.METHOD)

    async def _assume(self) -> dict[str, str]:
        """The SDK's own four names for refreshed credentials; the time in ISO 8601."""
        create: Any = sdk.session(self.config.profile_name).create_client
        async with create(
            "sts", region_name=self.config.region_name, config=_options(self.config), **_keys(self.config)
        ) as sts:
            answer = await sts.assume_role(
                RoleArn=self.config.role_arn,
                RoleSessionName=ROLE_SESSION_NAME,
                DurationSeconds=self.config.session_ttl or 3600,
            )
        made = answer["Credentials"]
        return {
            "access_key": made["AccessKeyId"],
            "secret_key": made["SecretAccessKey"],
            "token": made["SessionToken"],
            "expiry_time": made["Expiration"].isoformat(),
        }


def _options(config: AwsConfig) -> "AioConfig":
    return sdk.config(
        connect_timeout=config.connect_timeout or 60,
        read_timeout=config.read_timeout or 60,
        max_pool_connections=config.max_connections,
        retries={
            "mode": config.retry_mode or "standard",
            "total_max_attempts": config.total_max_attempts or ATTEMPTS,
        },
    )


def _session(config: AwsConfig) -> "AioSession":
    session = sdk.session(config.profile_name)
    if config.role_arn:
        from aiobotocore.credentials import AioCredentialResolver

        role = cast("CredentialProvider", _Role(config))  # which the SDK knows by its shape
        session.register_component("credential_provider", AioCredentialResolver([role]))
    return session


def _keys(config: AwsConfig) -> dict[str, str]:
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    given: dict[str, SecretStr | None] = {name: getattr(config, name) for name in names}
    return {name: key.get_secret_value() for name, key in given.items() if key is not None}
