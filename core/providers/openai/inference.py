"""Every remote that speaks OpenAI's HTTP API: a row of `rows` each, told apart by its Config."""

from collections.abc import Mapping
from typing import Any

from core.apis.inference import InferenceProvider
from core.providers.openai.compatible import OpenAICompatible
from core.providers.openai.config import Settings, config_of

__all__ = ["config_of", "connect"]


def connect(provider_id: str, config: Settings, deps: Mapping[str, Any]) -> InferenceProvider:
    """A provider over one remote; it depends on no other API."""
    del deps
    return OpenAICompatible(provider_id, config)
