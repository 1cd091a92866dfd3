"""Llama Guard over the Inference API: any registered model of this stack that is one."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from core.apis.safety import SafetyProvider
from core.providers.llama_guard.guard import CATEGORIES, LlamaGuard

__all__ = ["CATEGORIES", "Config", "LlamaGuard", "connect"]


def _check_categories(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in CATEGORIES]
    if unknown:
        raise ValueError(f"unknown category {', '.join(unknown)}; the categories are S1 to S14")
    if len(set(names)) == len(CATEGORIES):
        raise ValueError("excludes every category")
    return names


class Config(BaseModel):
    """`excluded_categories` (S1 to S14) are not looked for, and not a violation if the model names them all the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    excluded_categories: Annotated[tuple[str, ...], AfterValidator(_check_categories)] = ()


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> SafetyProvider:
    """Over the Inference API of this stack."""
    del provider_id
    return LlamaGuard(deps["inference"], config.excluded_categories)
