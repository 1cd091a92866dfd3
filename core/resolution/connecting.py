"""A configured provider: from its entry and its type to the object that serves it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from pydantic import BaseModel

from core.apis.callers import Call
from core.apis.inference import InferenceProvider
from core.apis.safety import SafetyProvider
from core.config.document import ProviderEntry
from core.config.load import Loaded
from core.config.problems import ConfigInvalid, Problem
from core.resolution.check import config_class
from core.resolution.compliance import check_compliance
from core.resolution.specs import ProviderSpec, Specs

PROTOCOLS: Final[dict[str, type]] = {"inference": InferenceProvider, "safety": SafetyProvider}


type Surface = Callable[[Call | None], Any]
"""The object that keeps a Surface's Protocol for one call; None is the stack itself, which may do everything."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A configured provider and the object that serves it."""

    api: str
    entry: ProviderEntry
    config: BaseModel
    provider: Any


async def connect(
    loaded: Loaded, path: str, entry: ProviderEntry, spec: ProviderSpec, surfaces: Mapping[str, Surface]
) -> Instance:
    config, problems = loaded.check(config_class(spec), entry.config, f"{path}.config")
    if config is None:
        raise ConfigInvalid("run config", problems)
    names = (*spec.api_dependencies, *spec.optional_api_dependencies)
    deps = {api: surfaces[api](None) for api in names if api in surfaces}
    module = vars(import_module(spec.module))
    if spec.factory is None:
        provider = module["connect"](entry.provider_id, config, deps)
    else:
        if spec.factory not in module:
            problem = Problem(f"{path}.provider_type", f"module `{spec.module}` has no {spec.factory}(config, deps)")
            raise ConfigInvalid("run config", [problem])
        provider = await module[spec.factory](config, deps)
        check_compliance(entry.provider_id, provider, PROTOCOLS[spec.api])
    return Instance(spec.api, entry, config, provider)


def spec_of(specs: Specs, api: str, path: str, entry: ProviderEntry) -> ProviderSpec:
    spec = specs.get((api, entry.provider_type))
    if spec is None:
        problem = Problem(f"{path}.provider_type", f"provider type `{entry.provider_type}` is not available")
        raise ConfigInvalid("run config", [problem])
    return spec
