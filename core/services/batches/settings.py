"""How the jobs of a stack answer batches, by its run config."""

from core.apis.batches import BatchSettings, HasBatchSettings
from core.services.parts import Parts


def settings_of(parts: Parts) -> BatchSettings:
    """Those of the first provider of `batches`; an external one has the defaults."""
    for provider in parts.providers("batches").values():
        if isinstance(provider, HasBatchSettings):
            return provider.settings
        break
    return BatchSettings()
