"""What providers of AWS share: how they are configured, and their SDK clients, made at the first call."""

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, SecretStr, model_validator

from core.config.answer_limits import AnswerLimits, Limits
from core.config.patterns import of_form
from core.config.urls import UpstreamUrl
from core.config.user_fields import USER
from core.frame.types import JsonObject
from core.platform import aws_sdk as sdk
from core.platform.bounded import AnswerTooLarge
from core.platform.per_loop import PerLoop
from core.platform.secrets import mentions_reference
from core.providers.http.connections import MOST_CONNECTIONS
from core.providers.http.remote import Patience

if TYPE_CHECKING:
    from aiobotocore.config import AioConfig
    from aiobotocore.credentials import AioDeferredRefreshableCredentials
    from aiobotocore.session import AioSession
    from botocore.credentials import CredentialProvider, ReadOnlyCredentials

MOST_PAGES: Final = 200
MOST_ROWS: Final = 10_000
ATTEMPTS: Final = 3  # of one call, by the SDK
ROLE_SESSION_NAME: Final = "llambda"
NO_ROLE: Final = "must be the ARN of a role, as arn:aws:iam::123456789012:role/NAME"
type Region = Annotated[str, of_form(r"^[^./:?#@%\\\[\]\x00-\x1f]*$", "must be a region's name, as us-east-1")]
"""It becomes a part of a host's name, and must stay one part of it; the SDK says what else is no region."""


class AwsConfig(BaseModel):
    """Without keys the SDK's default chain finds them; `role_arn` is then assumed with them, and kept fresh.

    `endpoint_url` replaces the address of every service but STS. Timeouts and `session_ttl`, the role's
    session's length, are in seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)  # those of providers are made of it

    aws_access_key_id: SecretStr | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    region_name: Annotated[Region | None, USER] = None
    profile_name: str | None = None
    role_arn: Annotated[str, of_form(r"^arn:[\w-]+:iam::\d{12}:role/\S+$", NO_ROLE)] | None = None
    endpoint_url: UpstreamUrl | None = None
    total_max_attempts: Annotated[PositiveInt | None, USER] = None
    retry_mode: Annotated[Literal["legacy", "standard", "adaptive"] | None, USER] = None
    connect_timeout: Annotated[Patience | None, USER] = 60.0
    read_timeout: Annotated[Patience | None, USER] = 60.0
    max_connections: int = MOST_CONNECTIONS
    limits: Limits = AnswerLimits.model_construct()
    session_ttl: Annotated[int, Field(ge=1800, le=43200)] | None = 3600

    @model_validator(mode="after")
    def _whole_keys(self) -> Self:
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("give `aws_access_key_id` and `aws_secret_access_key` together, or neither")
        if mentions_reference(list(_keys(self).values())):
            raise ValueError(
                "AWS keys are not read by reference; assume a role with them (`role_arn`), or give them as they are"
            )
        if self.aws_session_token is not None and self.aws_access_key_id is None:
            raise ValueError("`aws_session_token` belongs to an `aws_access_key_id`")
        return self


class AwsClients:
    """One SDK client per service, of the event loop that asks."""

    def __init__(self, config: AwsConfig) -> None:
        self._config = config
        self._sessions: PerLoop[AioSession] = PerLoop(lambda _: nullcontext(self._new_session()))
        self._clients: PerLoop[Any] = PerLoop(self._connect)
        self._warmed: AioSession | None = None

    def warm(self, *services: str) -> None:
        """Import the SDK and read its descriptions of these services, so that the first call need not."""
        sdk.preload(*services)
        self._warmed = _session(self._config)

    async def client(self, service: str) -> Any:  # noqa: ANN401 - the SDK makes its clients' methods at run time
        """The client of a service, by the SDK's name for it.

        Raises:
            EndpointInvalid: `endpoint_url` is not a URL.
            botocore.exceptions.BotoCoreError: no region, no such profile.
        """
        return await self._clients.get(service)

    async def credentials(self) -> "ReadOnlyCredentials":
        """What a request of ours is signed with just now, as the clients' requests are.

        Raises:
            botocore.exceptions.BotoCoreError: there are none, or the role cannot be assumed.
        """
        from botocore.credentials import ReadOnlyCredentials
        from botocore.exceptions import NoCredentialsError

        config = self._config
        if config.aws_access_key_id and not config.role_arn:
            keys = _keys(config)
            return ReadOnlyCredentials(
                keys["aws_access_key_id"], keys["aws_secret_access_key"], keys.get("aws_session_token")
            )
        credentials = await (await self._sessions.get()).get_credentials()
        if credentials is None:
            raise NoCredentialsError
        return await credentials.get_frozen_credentials()

    async def close(self) -> None:
        """Close this event loop's clients; a later call makes others."""
        await self._clients.close()
        await self._sessions.close()

    def _new_session(self) -> "AioSession":
        session, self._warmed = self._warmed or _session(self._config), None
        return session

    @asynccontextmanager
    async def _connect(self, service: str) -> AsyncGenerator[Any]:
        config = self._config
        keys = {} if config.role_arn else _keys(config)
        place = {"region_name": config.region_name, "endpoint_url": config.endpoint_url}
        session = await self._sessions.get()
        from core.providers.bedrock.answers import bounded_session_class, send_once

        options = _options(config, http_session_cls=bounded_session_class(config.limits))
        async with sdk.open_client(session, service, config=options, **place, **keys) as client:
            send_once(client)
            yield client


async def list_pages(pages: AsyncIterable[JsonObject], name: str) -> list[JsonObject]:
    """What the pages of a listing have under `name`; raises AnswerTooLarge for more than people ever make."""
    rows: list[JsonObject] = []
    remaining = MOST_PAGES
    async for page in pages:
        rows += page.get(name, [])
        remaining -= 1
        if remaining < 0 or len(rows) > MOST_ROWS:
            raise AnswerTooLarge
    return rows


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
        config = self.config
        options = {"region_name": config.region_name, "config": _options(config), **_keys(config)}
        async with sdk.open_client(sdk.session(config.profile_name), "sts", **options) as sts:
            answer = await sts.assume_role(
                RoleArn=config.role_arn,
                RoleSessionName=ROLE_SESSION_NAME,
                DurationSeconds=config.session_ttl or 3600,
            )
        credentials = answer["Credentials"]
        return {
            "access_key": credentials["AccessKeyId"],
            "secret_key": credentials["SecretAccessKey"],
            "token": credentials["SessionToken"],
            "expiry_time": credentials["Expiration"].isoformat(),
        }


def _options(config: AwsConfig, **more: Any) -> "AioConfig":  # noqa: ANN401 - the SDK's own options
    return sdk.config(
        connect_timeout=config.connect_timeout or 60,
        read_timeout=config.read_timeout or 60,
        max_pool_connections=config.max_connections,
        retries={
            "mode": config.retry_mode or "standard",
            "total_max_attempts": config.total_max_attempts or ATTEMPTS,
        },
        **more,
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
    keys: dict[str, SecretStr | None] = {name: vars(config)[name] for name in names}
    return {name: key.get_secret_value() for name, key in keys.items() if key is not None}
