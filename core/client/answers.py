"""What a running stack answers, as `core.client.api` hands it on."""

from core.apis.answers.configurations import (
    Configuration,
    ConfigurationPage,
    Inspected,
    ListedProvider,
    Provider,
    ProviderPage,
    Providers,
    Registered,
    RegisteredProvider,
)

__all__ = [
    "Configuration",
    "ConfigurationPage",
    "Inspected",
    "ListedProvider",
    "Provider",
    "ProviderPage",
    "Providers",
    "Registered",
    "RegisteredProvider",
]
