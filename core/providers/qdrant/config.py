"""How a provider of Qdrant is configured."""

from typing import Annotated, override

from pydantic import SecretStr

from core.config.user_fields import USER
from core.frame.types import JsonObject
from core.providers.http.keyed import KeyedConfig


class Config(KeyedConfig):
    """`url` is that of its REST API, with the port: http://qdrant:6333; `api_key` is sent as `api-key`.

    The reference's `port`, `grpc_port`, `prefer_grpc`, `kvstore`, `persistence` and `metadata_store` are not used.
    """

    api_key: Annotated[SecretStr | None, USER] = None
    port: int | None = None
    grpc_port: int | None = None
    prefer_grpc: bool | None = None
    kvstore: JsonObject | None = None
    persistence: JsonObject | None = None
    metadata_store: JsonObject | None = None

    @property
    @override
    def key(self) -> SecretStr | None:
        return self.api_key
