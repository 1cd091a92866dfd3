"""The config of a remote that has one address and one key of the operator's."""

from typing import Annotated, Self

from pydantic import ConfigDict, SecretStr, model_validator

from core.config.answer_limits import AnswerLimits, Limits
from core.config.urls import UpstreamUrl
from core.config.user_fields import USER
from core.platform import secrets
from core.providers.http.connections import MOST_CONNECTIONS
from core.providers.http.remote import HEADER_KEY, Credentials, Patience, Remote, RemoteConfig


class KeyedConfig(RemoteConfig):
    """`tls_verify` may be the path of a CA bundle; `timeout` is in seconds without a byte.

    A subclass has its key in a field of its own name, and says which by `key`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    url: Annotated[UpstreamUrl, USER]
    tls_verify: bool | str = True
    timeout: Annotated[Patience, USER] = 60.0
    connect_timeout: Annotated[Patience, USER] = 5.0
    max_connections: int = MOST_CONNECTIONS
    limits: Limits = AnswerLimits.model_construct()

    @property
    def key(self) -> SecretStr | None:
        """The key, or the reference of the secret that has it."""
        return None

    @model_validator(mode="after")
    def _is_sendable(self) -> Self:
        key = self.credentials().key
        if secrets.is_reference(key):
            secrets.parse(key)
        elif key and not HEADER_KEY.fullmatch(key):
            raise ValueError("the key has a space or another character that a header cannot carry")
        return self

    def credentials(self) -> Credentials:
        return Credentials(self.key.get_secret_value() if self.key else "")

    def remote(self, provider_id: str) -> Remote:
        return Remote(
            provider_id,
            self.url,
            timeout=self.timeout,
            connect_timeout=self.connect_timeout,
            tls_verify=self.tls_verify,
            max_connections=self.max_connections,
            reach=self.reach,
            limits=self.limits,
        )
