"""How a provider of Chroma is configured."""

from typing import Annotated, override

from pydantic import SecretStr, StringConstraints

from core.config.user_fields import USER
from core.frame.types import JsonObject
from core.providers.http.keyed import KeyedConfig

type Place = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class Config(KeyedConfig):
    """`url` is the server's, without `/api/v2`; `api_token` is sent as `x-chroma-token`, as Chroma Cloud wants it.

    `kvstore`, `persistence` and `metadata_store` are the reference's, which keeps its records there; they are not used.
    """

    api_token: Annotated[SecretStr | None, USER] = None
    tenant: Annotated[Place, USER] = "default_tenant"
    database: Annotated[Place, USER] = "default_database"
    kvstore: JsonObject | None = None
    persistence: JsonObject | None = None
    metadata_store: JsonObject | None = None

    @property
    @override
    def key(self) -> SecretStr | None:
        return self.api_token
