"""What a package says of its provider: `get_provider_spec` returns one of these, or several.

Those of 0.2, with an `adapter`, and the flat ones of later versions.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

from core.apis.external import Api


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow", protected_namespaces=())


class AdapterSpec(_Open):
    adapter_type: str
    module: str = ""
    config_class: str
    pip_packages: list[str] = []
    provider_data_validator: str | None = None
    description: str | None = None


class ProviderSpec(_Open):
    api: Api
    provider_type: str
    config_class: str = ""
    module: str | None = None
    api_dependencies: list[Api] = []
    optional_api_dependencies: list[Api] = []
    pip_packages: list[str] = []
    provider_data_validator: str | None = None
    description: str | None = None
    container_image: str | None = None
    is_external: bool = False


class InlineProviderSpec(ProviderSpec):
    pass


class RemoteProviderSpec(ProviderSpec):
    adapter: AdapterSpec | None = None
    adapter_type: str | None = None


class RemoteProviderConfig(_Open):
    host: str = "localhost"
    port: int | None = None
    protocol: str = "http"

    @property
    def url(self) -> str:
        address = f"{self.protocol}://{self.host}"
        return address if self.port is None else f"{address}:{self.port}"


def remote_provider_spec(api: Api, adapter: AdapterSpec, **dependencies: Any) -> RemoteProviderSpec:  # noqa: ANN401 - lists of Api, or None
    """As 0.2 has it."""
    return RemoteProviderSpec(
        api=api,
        provider_type=f"remote::{adapter.adapter_type}",
        config_class=adapter.config_class,
        module=adapter.module,
        adapter=adapter,
        **{name: value for name, value in dependencies.items() if value},
    )
