"""Whose credentials sign calls of AWS: a bearer token, keys, a role that is assumed, or what the SDK finds by itself.

Sources: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html and API_AssumeRoleWithWebIdentity.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from core.platform import aws_sdk as sdk
from core.platform import environment, secrets
from core.platform.aws_errors import TokenFileUnreadable

if TYPE_CHECKING:
    from aiobotocore.config import AioConfig
    from aiobotocore.credentials import AioDeferredRefreshableCredentials
    from aiobotocore.session import AioSession
    from botocore.credentials import CredentialProvider
    from botocore.tokens import FrozenAuthToken
    from pydantic import SecretStr

    from core.providers.aws.clients import AwsConfig

SESSION_NAME: Final = "llambda"
ATTEMPTS: Final = 3  # of one call, by the SDK


def session_of(config: "AwsConfig") -> "AioSession":
    """A session whose clients bear the token, or sign with the role's credentials, or else with what the SDK finds."""
    session = sdk.session(config.profile_name)
    if token := bearer_token_of(config):
        session.register_component("token_provider", BearerToken(token))
    elif config.role:
        from aiobotocore.credentials import AioCredentialResolver

        role = cast("CredentialProvider", _Role(config))  # which the SDK knows by its shape
        session.register_component("credential_provider", AioCredentialResolver([role]))
    return session


def needs_own_session(config: "AwsConfig") -> bool:
    """Whether the SDK would find other credentials in the stack's shared session."""
    return bool(config.profile_name or config.role or bearer_token_of(config))


def bearer_token_of(config: "AwsConfig") -> str:
    """The token of the config, or the reference of it; else that of the environment, if the config says nothing of whose it is."""
    if config.bearer is not None:
        return config.bearer.get_secret_value()
    if config.role or config.aws_access_key_id or config.profile_name:
        return ""
    return environment.environ().get(config.bearer_variable, "")


def signing_of(config: "AwsConfig") -> dict[str, Any]:
    """What clients are made with, so that a token of the environment is borne where it is meant, and only there."""
    if bearer_token_of(config):
        return {"signature_version": "bearer"}
    return {"signature_version": "v4"} if environment.environ().get(config.bearer_variable) else {}


def keys_of(config: "AwsConfig") -> dict[str, str]:
    """The config's own keys, by the SDK's names for them."""
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    keys: dict[str, SecretStr | None] = {name: vars(config)[name] for name in names}
    return {name: key.get_secret_value() for name, key in keys.items() if key is not None}


def options_of(config: "AwsConfig", **more: Any) -> "AioConfig":  # noqa: ANN401 - the SDK's own options
    """Timeouts, tries and connections, as the SDK has them."""
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


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A source of tokens for the SDK, and the token itself: looked up each time, since a secret may change."""

    text: str

    def load_token(self, **_: Any) -> "BearerToken":  # noqa: ANN401 - the SDK's hints
        return self

    async def get_frozen_token(self) -> "FrozenAuthToken":
        from botocore.tokens import FrozenAuthToken

        return FrozenAuthToken(await secrets.reveal(self.text))


@dataclass(frozen=True, slots=True)
class _Role:
    """A source of credentials for the SDK: the role, assumed when they are first needed and again before they end."""

    METHOD: ClassVar = "assume-role"
    CANONICAL_NAME: ClassVar = "llambda-role"

    config: "AwsConfig"

    async def load(self) -> "AioDeferredRefreshableCredentials":
        from aiobotocore.credentials import AioDeferredRefreshableCredentials

        assume: Callable[[], Awaitable[dict[str, str]]] = self._assume
        return AioDeferredRefreshableCredentials(refresh_using=assume, method=self.METHOD)

    async def _assume(self) -> dict[str, str]:
        """The SDK's own four names for refreshed credentials; the time in ISO 8601."""
        config = self.config
        request = {
            "RoleArn": config.role,
            "RoleSessionName": config.aws_role_session_name or SESSION_NAME,
            "DurationSeconds": config.session_ttl or 3600,
        }
        token = self._web_identity()
        options: dict[str, Any] = {"region_name": config.region_name, **({} if token else keys_of(config))}
        more: dict[str, Any] = {}
        if token:  # the token says who it is: STS takes no signature then, and there may be nothing to sign with
            from botocore import UNSIGNED

            more = {"signature_version": UNSIGNED}
        options["config"] = options_of(config, **more)
        async with sdk.open_client(sdk.session(config.profile_name), "sts", **options) as sts:
            if token:
                answer = await sts.assume_role_with_web_identity(**request, WebIdentityToken=token)
            else:
                external = {"ExternalId": config.role_external_id} if config.role_external_id else {}
                answer = await sts.assume_role(**request, **external)
        credentials = answer["Credentials"]
        return {
            "access_key": credentials["AccessKeyId"],
            "secret_key": credentials["SecretAccessKey"],
            "token": credentials["SessionToken"],
            "expiry_time": credentials["Expiration"].isoformat(),
        }

    def _web_identity(self) -> str:
        """The token in the file by now: whoever writes it there renews it."""
        file = self.config.aws_web_identity_token_file
        if not file:
            return ""
        try:
            return Path(file).read_text("utf-8").strip()
        except (OSError, UnicodeError) as failure:
            raise TokenFileUnreadable from failure
