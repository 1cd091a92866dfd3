"""How the jobs of a stack evaluate, by its run config."""

from core.apis.evals import EvalSettings, HasEvalSettings
from core.services.parts import Parts


def settings_of(parts: Parts, provider_id: str) -> EvalSettings:
    """Those of a provider; one that says nothing has the defaults."""
    provider = parts.providers("eval").get(provider_id)
    return provider.settings if isinstance(provider, HasEvalSettings) else EvalSettings()
