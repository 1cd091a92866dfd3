"""What providers of AWS share: how they are configured, and their SDK clients, made at the first call."""

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, SecretStr, model_validator

from core.config.answer_limits import AnswerLimits, Limits
from core.config.urls import UpstreamUrl
from core.config.user_fields import USER
from core.frame.forms import of_form
from core.frame.types import JsonObject
from core.platform import aws_sdk as sdk
from core.platform import secrets
from core.platform.bounded import AnswerTooLarge
from core.platform.per_loop import PerLoop
from core.platform.secrets import mentions_reference
from core.providers.aws.credentials import (
    bearer_token_of,
    keys_of,
    needs_own_session,
    options_of,
    session_of,
    signing_of,
)
from core.providers.http.connections import MOST_CONNECTIONS
from core.providers.http.remote import Patience

if TYPE_CHECKING:
    from aiobotocore.session import AioSession
    from botocore.credentials import ReadOnlyCredentials

    from core.platform.signed_json import CallOptions

SIGNED_SECONDS: Final = 60  # as the SDK waits, to connect and for each byte
MOST_PAGES: Final = 200
MOST_ROWS: Final = 10_000
NO_ROLE: Final = "must be the ARN of a role, as arn:aws:iam::123456789012:role/NAME"
type Region = Annotated[str, of_form(r"^[^./:?#@%\\\[\]\x00-\x1f]*$", "must be a region's name, as us-east-1")]
"""It becomes a part of a host's name, and must stay one part of it; the SDK says what else is no region."""


OR_NONE: Final[Any] = BeforeValidator(lambda value: None if value == "" else value)  # a variable that is not set
type RoleArn = Annotated[Annotated[str, of_form(r"^arn:[\w-]+:iam::\d{12}:role/\S+$", NO_ROLE)] | None, OR_NONE]
type SessionName = Annotated[
    str, of_form(r"^[A-Za-z0-9_+=,.@-]{2,64}$", "must be 2 to 64 letters, digits and any of _+=,.@- between them")
]
type ExternalId = Annotated[
    str,
    of_form(r"^[A-Za-z0-9_+=,.@:/-]{2,1224}$", "must be 2 to 1224 letters, digits and any of _+=,.@:/- between them"),
]


class AwsConfig(BaseModel):
    """Keys, a profile or what the SDK's default chain finds say who calls.

    `role_arn` (or `aws_role_arn`) is then assumed with these, or with the token in `aws_web_identity_token_file`, and kept
    fresh. `endpoint_url` replaces the address of every service but STS. Timeouts and `session_ttl`, the role's
    session's length, are in seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)  # those of providers are made of it

    bearer_variable: ClassVar[str] = ""
    """Of the environment, with a token for where the config does not say who calls."""

    aws_access_key_id: SecretStr | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    region_name: Annotated[Region | None, USER] = None
    profile_name: str | None = None
    role_arn: RoleArn = None
    aws_role_arn: RoleArn = None
    aws_role_session_name: Annotated[SessionName | None, OR_NONE] = None
    role_external_id: Annotated[ExternalId | None, OR_NONE] = None
    aws_web_identity_token_file: Annotated[str | None, OR_NONE] = None
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
        if mentions_reference(list(keys_of(self).values())):
            raise ValueError(
                "AWS keys are not read by reference; assume a role with them (`role_arn`), or give them as they are"
            )
        if self.aws_session_token is not None and self.aws_access_key_id is None:
            raise ValueError("`aws_session_token` belongs to an `aws_access_key_id`")
        return self

    @model_validator(mode="after")
    def _one_identity(self) -> Self:
        if self.role_arn and self.aws_role_arn and self.role_arn != self.aws_role_arn:
            raise ValueError("`role_arn` and `aws_role_arn` mean the same; give one of them")
        if self.aws_web_identity_token_file and not self.role:
            raise ValueError("`aws_web_identity_token_file` needs the role that is assumed with it, `aws_role_arn`")
        return self

    @property
    def role(self) -> str:
        """The ARN of the role that is assumed; empty if there is none."""
        return self.role_arn or self.aws_role_arn or ""

    @property
    def has_own_identity(self) -> bool:
        """Whether its calls are not those of the machine's, or the function's, own role."""
        return bool(self.role or self.aws_access_key_id)

    @property
    def bearer(self) -> SecretStr | None:
        """What is borne in the place of a signature; no service but Bedrock takes that."""
        return None


def call_options(config: AwsConfig, region: str | None, *, tries: int, **more: Any) -> "CallOptions":  # noqa: ANN401 - fields of CallOptions
    """How signed calls are made as the config says, `tries` times where that says nothing."""
    from core.platform.signed_json import CallOptions

    options = CallOptions(
        region,
        config.endpoint_url,
        connect_timeout=config.connect_timeout or SIGNED_SECONDS,
        read_timeout=config.read_timeout or SIGNED_SECONDS,
        total_timeout=config.limits.max_seconds,
        tries=config.total_max_attempts or tries,
        connections=config.max_connections,
        most_bytes=config.limits.max_bytes,
    )
    return replace(options, **more)


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
        secrets.warm(bearer_token_of(self._config))
        if needs_own_session(self._config):
            self._warmed = session_of(self._config)
        else:
            sdk.warm_session()

    async def client(self, service: str) -> Any:  # noqa: ANN401 - the SDK makes its clients' methods at run time
        """The client of a service, by the SDK's name for it.

        Raises:
            EndpointInvalid: `endpoint_url` is not a URL.
            botocore.exceptions.BotoCoreError: no region, no such profile.
        """
        return await self._clients.get(service)

    async def session(self) -> "AioSession":
        """The session of this event loop, which knows the settings of the environment and of the profile.

        Raises:
            botocore.exceptions.BotoCoreError: no such profile.
        """
        return await self._sessions.get()

    async def credentials(self) -> "ReadOnlyCredentials":
        """What a request of ours is signed with just now, as the clients' requests are.

        Raises:
            botocore.exceptions.BotoCoreError: there are none, or the role cannot be assumed.
        """
        from botocore.credentials import ReadOnlyCredentials
        from botocore.exceptions import NoCredentialsError

        config = self._config
        if config.aws_access_key_id and not config.role:
            keys = keys_of(config)
            return ReadOnlyCredentials(
                keys["aws_access_key_id"], keys["aws_secret_access_key"], keys.get("aws_session_token")
            )
        credentials = await (await self._sessions.get()).get_credentials()
        if credentials is None:
            raise NoCredentialsError
        return await credentials.get_frozen_credentials()

    async def bearer_token(self) -> str:
        """What is borne in the place of a signature; empty where calls are signed. Raises SecretUnavailable."""
        return await secrets.reveal(bearer_token_of(self._config))

    async def close(self) -> None:
        """Close this event loop's clients; a later call makes others."""
        await self._clients.close()
        await self._sessions.close()

    def _new_session(self) -> "AioSession":
        if not needs_own_session(self._config):
            return sdk.shared_session()
        session, self._warmed = self._warmed or session_of(self._config), None
        return session

    @asynccontextmanager
    async def _connect(self, service: str) -> AsyncGenerator[Any]:
        config = self._config
        keys = {} if config.role else keys_of(config)
        place = {"region_name": config.region_name, "endpoint_url": config.endpoint_url}
        session = await self._sessions.get()
        from core.providers.aws.answers import bounded_session_class, send_once

        more = signing_of(config)
        options = options_of(config, http_session_cls=bounded_session_class(config.limits), **more)
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
