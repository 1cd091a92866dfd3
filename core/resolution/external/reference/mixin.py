"""OpenAIMixin: a provider of the reference over a remote that speaks OpenAI's HTTP API, of which it gives URL and key."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final, override

from pydantic import BaseModel, ConfigDict, PrivateAttr, SecretStr

from core.apis.inference import ModelType
from core.errors import InvalidRequest, ProviderUnavailable
from core.frame.types import Health, JsonObject
from core.platform.json_values import to_object
from core.providers.http.remote import HEADER_KEY
from core.providers.openai.compatible import OpenAICompatible
from core.providers.openai.config import config_of
from core.resolution.external.reference.deps import AskedInference
from core.resolution.external.reference.helpers import NeedsRequestProviderData
from core.resolution.external.reference.records import Record, plain, record

ROW: Final = "remote::nvidia"  # whose URL may be taken as it is, and whose key is optional elsewhere than at its own


class OpenAIMixin(NeedsRequestProviderData, ABC, BaseModel):
    """Over llambda's own client; `client`, OpenAI's SDK, is there where that is installed."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True, protected_namespaces=())

    config: Any
    overwrite_completion_id: bool = False
    download_images: bool = False
    supports_stream_options: bool = True
    supports_tokenized_embeddings_input: bool = False
    embedding_model_metadata: dict[str, dict[str, int]] = {}
    provider_data_api_key_field: str | None = None
    _remotes: dict[tuple[str, str], OpenAICompatible] = PrivateAttr(
        default_factory=dict[tuple[str, str], OpenAICompatible]
    )

    @override
    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self._network()

    def get_api_key(self) -> str | None:
        credential = getattr(self.config, "auth_credential", None) or getattr(self.config, "api_key", None)
        return credential.get_secret_value() if isinstance(credential, SecretStr) else credential

    @abstractmethod
    def get_base_url(self) -> str: ...

    def get_extra_client_params(self) -> JsonObject:
        """What else `client` is made with."""
        return {}

    @property
    def client(self) -> Any:  # noqa: ANN401 - of a package that need not be installed
        sdk: Any = import_module("openai")  # the package's own dependency
        return sdk.AsyncOpenAI(
            api_key=self._key() or "none", base_url=self.get_base_url(), **self.get_extra_client_params()
        )

    async def initialize(self) -> None:
        """Nothing: connections are made by the first call."""

    async def shutdown(self) -> None:
        for remote in self._remotes.values():
            await remote.close()

    async def openai_chat_completion(self, params: Any) -> Any:  # noqa: ANN401 - a record, or a stream of them
        return await self._surface(params.model).openai_chat_completion(params)

    async def openai_completion(self, params: Any) -> Any:  # noqa: ANN401 - a record, or a stream of them
        return await self._surface(params.model).openai_completion(params)

    async def openai_embeddings(self, params: Any) -> Record:  # noqa: ANN401 - a record
        return await self._surface(params.model).openai_embeddings(params)

    async def list_provider_model_ids(self) -> Iterable[str]:
        return [model["id"] for model in await self._remote().list_models()]

    def construct_model_from_identifier(self, identifier: str) -> Record:
        metadata = self.embedding_model_metadata.get(identifier)
        kind: ModelType = "llm" if metadata is None else "embedding"
        model: Record = record(
            "Model", identifier=identifier, provider_resource_id=identifier, model_type=kind, metadata=metadata or {}
        )
        return model

    async def list_models(self) -> list[Record]:
        only = getattr(self.config, "allowed_models", None)
        names = await self.list_provider_model_ids()
        return [self.construct_model_from_identifier(name) for name in names if only is None or name in only]

    async def check_model_availability(self, model: str) -> bool:
        return model in await self.list_provider_model_ids()

    async def should_refresh_models(self) -> bool:
        return bool(getattr(self.config, "refresh_models", False))

    async def health(self) -> Health:
        return await self._remote().health()

    def _surface(self, model: str) -> AskedInference:
        only = getattr(self.config, "allowed_models", None)
        if only is not None and model not in only:
            raise InvalidRequest("The provider is not configured to serve this model.", param="model")
        return AskedInference(self._remote())

    def _remote(self) -> OpenAICompatible:
        """One for each key: callers may bring theirs."""
        place = (self.get_base_url(), self._key() or "")
        if place not in self._remotes:
            # What some give for none, "NO KEY REQUIRED", is nothing that a header can carry.
            key = SecretStr(place[1]) if HEADER_KEY.fullmatch(place[1]) else None
            settings: dict[str, Any] = {"url": place[0], "append_api_version": False, "api_key": key, **self._network()}
            provider_id = str(getattr(self, "__provider_id__", type(self).__name__))
            self._remotes[place] = OpenAICompatible(provider_id, config_of(ROW)(**settings))
        return self._remotes[place]

    def _network(self) -> JsonObject:
        """What `config.network` says of TLS and timeouts; raises ProviderUnavailable for the rest of it."""
        network = to_object(plain(getattr(self.config, "network", None)))
        tls, settings = to_object(network.pop("tls", None)), dict[str, Any]()
        if (verify := tls.pop("verify", None)) is not None:
            settings["tls_verify"] = verify
        if isinstance(network.get("timeout"), int | float):
            settings["timeout"] = float(network.pop("timeout"))
        unmet = [f"network.{name}" for name, value in network.items() if value]
        unmet += [f"network.tls.{name}" for name, value in tls.items() if value]
        if unmet:
            raise ProviderUnavailable(
                f"This provider's package is for Llama Stack: here `{unmet[0]}` of its config has no effect; remove it."
            )
        return settings

    def _key(self) -> str | None:
        data = self.get_request_provider_data() if self.provider_data_api_key_field else None
        value = getattr(data, self.provider_data_api_key_field or "", None)
        return (value.get_secret_value() if isinstance(value, SecretStr) else value) or self.get_api_key()
