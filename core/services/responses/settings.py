"""The settings of responses that a stack's run config has."""

from core.apis.response_settings import HasResponseSettings, ResponseSettings
from core.services.parts import Parts


def settings_of(parts: Parts) -> ResponseSettings:
    """Those of the first provider of `responses`; an external one has the defaults."""
    for provider in parts.providers("responses").values():
        if isinstance(provider, HasResponseSettings):
            return provider.settings
        break
    return ResponseSettings()
