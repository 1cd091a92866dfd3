"""The models that a package for the reference knows by itself."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from core.resolution.external.reference.helpers import UnsupportedModelError
from core.resolution.external.reference.records import Record, record


class RemoteInferenceProviderConfig(BaseModel):
    """`allowed_models` None is all of them."""

    model_config = ConfigDict(protected_namespaces=())

    allowed_models: list[str] | None = None
    refresh_models: bool = False
    auth_credential: SecretStr | None = Field(default=None, alias="api_key")
    network: dict[str, Any] | None = None


class ProviderModelEntry(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    provider_model_id: str
    aliases: list[str] = []
    llama_model: str | None = None
    model_type: str = "llm"
    metadata: dict[str, Any] = {}


def build_model_entry(
    provider_model_id: str, model_descriptor: str, additional_aliases: Iterable[str | None] | None = None
) -> ProviderModelEntry:
    aliases = [alias for alias in additional_aliases or () if alias is not None]
    return ProviderModelEntry(provider_model_id=provider_model_id, aliases=aliases, llama_model=model_descriptor)


build_hf_repo_model_entry = build_model_entry


class ModelRegistryHelper:
    """A model of no entry is one that `check_model_availability` knows, or it is refused."""

    def __init__(
        self, model_entries: list[ProviderModelEntry] | None = None, allowed_models: list[str] | None = None
    ) -> None:
        self.model_entries = model_entries or []
        self.allowed_models = allowed_models or []
        self.alias_to_provider_id_map = {
            name: entry.provider_model_id
            for entry in self.model_entries
            for name in (entry.provider_model_id, *entry.aliases, entry.llama_model)
            if name
        }

    async def list_models(self) -> list[Record]:
        return [
            record(
                "Model",
                identifier=entry.provider_model_id,
                provider_resource_id=entry.provider_model_id,
                model_type=entry.model_type,
                metadata=entry.metadata,
            )
            for entry in self.model_entries
            if not self.allowed_models or {entry.provider_model_id, *entry.aliases} & {*self.allowed_models}
        ]

    async def should_refresh_models(self) -> bool:
        return False

    async def check_model_availability(self, model: str) -> bool:
        """For the package to say."""
        del model
        return False

    def get_provider_model_id(self, identifier: str) -> str | None:
        return self.alias_to_provider_id_map.get(identifier)

    def get_llama_model(self, provider_model_id: str) -> str | None:
        models = {entry.provider_model_id: entry.llama_model for entry in self.model_entries}
        return models.get(provider_model_id)

    async def register_model(self, model: Any) -> Any:  # noqa: ANN401 - a Model
        """Raises UnsupportedModelError."""
        name = model.provider_resource_id
        provider_model = self.get_provider_model_id(name)
        if provider_model is None and not await self.check_model_availability(name):
            raise UnsupportedModelError(name, [*self.alias_to_provider_id_map, "..."])
        self.alias_to_provider_id_map[model.identifier] = provider_model or name
        return model

    async def unregister_model(self, model_id: str) -> None:
        """Nothing: others may still call it."""
