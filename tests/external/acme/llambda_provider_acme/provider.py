"""For `module: llambda-provider-acme` on a provider's entry; providers.d says the same."""


def get_provider_spec() -> dict[str, object]:
    return {
        "api": "inference",
        "provider_type": "remote::acme",
        "module": "llambda_provider_acme",
        "config_class": "llambda_provider_acme.config.AcmeConfig",
        "pip_packages": ["aiohttp"],
        "api_dependencies": [],
    }
