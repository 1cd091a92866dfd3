"""`remote::nvidia`: data sets of NVIDIA's NeMo data store, which is told of them for its own training and evaluation.

It serves no rows: a data set is files at a URL that its other services read.
Sources: NvidiaDatasetIOAdapter of Llama Stack 0.2.12, https://docs.nvidia.com/nemo/microservices/latest/api/entity-store.html.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, override
from urllib.parse import quote

from pydantic import AliasChoices, Field, SecretStr
from pydantic_core import to_json

from core.apis.datasets import DatasetIOProvider
from core.config.urls import UpstreamUrl
from core.errors import ApiError, Conflict, InvalidRequest, NotFound, UpstreamFailed
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject
from core.platform.json_values import to_object
from core.providers.http.keyed import KeyedConfig
from core.providers.http.keyed_service import KeyedService
from core.providers.http.replies import health_of

DATASETS: Final = "/v1/datasets"
TAKEN: Final = 409
MISSING: Final = 404
NO_ROWS: Final = (
    "NVIDIA's data store serves no rows. Register the same source with another provider, as `localfs`, to read them here; NVIDIA's "
    "own training and evaluation read the data set as it is."
)
NO_FILES: Final = (
    "NVIDIA's data store keeps files at a URL: register a uri, as hf://datasets/NAMESPACE/NAME, and no rows."
)


class Config(KeyedConfig):
    """The reference's fields, and those of every HTTP remote; `datasets_url` is where it is."""

    url: UpstreamUrl = Field("http://nemo.test", validation_alias=AliasChoices("datasets_url", "url"))
    api_key: SecretStr | None = None
    dataset_namespace: Annotated[str, Field(min_length=1)] = "default"
    project_id: Annotated[str, Field(min_length=1)] = "test-project"

    @property
    @override
    def key(self) -> SecretStr | None:
        return self.api_key


class NemoDatasets:
    """A data set's name there is its id here, in the config's namespace."""

    def __init__(self, provider_id: str, config: Config) -> None:
        """The HTTP client is imported and opened at the first call."""
        self._config = config
        self._service = KeyedService(
            provider_id, config, header="authorization", form="Bearer {key}", judge=_judge, unreadable=_unreadable
        )

    async def register_dataset(self, dataset: Resource) -> None:
        """Raises InvalidRequest where the source is no uri; one that is there by this name stays."""
        uri = to_object(dataset.attributes.get("source")).get("uri")
        if not isinstance(uri, str):
            raise InvalidRequest(NO_FILES, param="source")
        metadata = to_object(dataset.attributes.get("metadata"))
        body: JsonObject = {
            "name": dataset.identifier,
            "namespace": self._config.dataset_namespace,
            "files_url": uri,
            "project": self._config.project_id,
            **{name: metadata[name] for name in ("format", "description") if name in metadata},
        }
        try:
            await self._service.call("POST", DATASETS, to_json(body))
        except Conflict:
            return

    async def unregister_dataset(self, dataset: Resource) -> None:
        """One that is not there is no failure."""
        namespace, name = (quote(part, safe="") for part in (self._config.dataset_namespace, dataset.identifier))
        try:
            await self._service.call("DELETE", f"{DATASETS}/{namespace}/{name}")
        except NotFound:
            return

    async def iterrows(self, dataset: Resource, start: int, limit: int | None) -> tuple[Sequence[JsonObject], bool]:
        """Raises InvalidRequest: there are none to be had."""
        del dataset, start, limit
        raise InvalidRequest(NO_ROWS, param="dataset_id")

    async def append_rows(self, dataset: Resource, rows: Sequence[JsonObject]) -> None:
        """Raises InvalidRequest: there is no such call."""
        del dataset, rows
        raise InvalidRequest(NO_ROWS, param="dataset_id")

    async def health(self) -> Health:
        return await health_of(self._service.call("GET", f"{DATASETS}?page_size=1"))

    async def close(self) -> None:
        await self._service.close()


def _judge(provider_id: str, status: int, content: bytes) -> ApiError | None:
    """What is there, and what is not, is told apart; None of other errors."""
    del provider_id, content
    if status == TAKEN:
        return Conflict("NVIDIA's data store has a data set of that name.", param="dataset_id")
    return NotFound("NVIDIA's data store has no such data set.", param="dataset_id") if status == MISSING else None


def _unreadable(provider_id: str) -> UpstreamFailed:
    return UpstreamFailed(f"Provider `{provider_id}` did not answer as NVIDIA's data store does.")


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> DatasetIOProvider:
    """A provider over one data store."""
    del deps
    return NemoDatasets(provider_id, config)
