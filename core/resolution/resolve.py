"""A run config and the wanted APIs, as a resolved stack: what a function serves, and nothing else."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, cast

from pydantic import BaseModel

from core.apis.inference import InferenceProvider
from core.apis.resources import Kind, Resource
from core.apis.tables import APIS, route_rows
from core.apis.types import JsonObject
from core.config.document import ProviderEntry, RunConfig
from core.config.load import Loaded
from core.config.problems import ConfigInvalid, Problem
from core.config.redact import redact
from core.resolution.check import available, config_class, needs_of, unenforced
from core.resolution.compliance import check_compliance
from core.resolution.order import dependency_order
from core.resolution.specs import ProviderSpec, Specs
from core.routing.admin import AdminRouter, ProviderView
from core.routing.catalog import Catalog
from core.routing.inference import InferenceRouter
from core.routing.native import NativeRouter
from core.routing.registration import resource_from
from core.routing.registry import Registry
from core.stores.cached import CachedRegistry
from core.stores.connect import connect_registry
from core.stores.ports import RegistryStore

PROTOCOLS: Final[dict[str, type]] = {"inference": InferenceProvider}


@dataclass(frozen=True, slots=True)
class Instance:
    """A configured provider and the object that serves it."""

    api: str
    entry: ProviderEntry
    config: BaseModel
    provider: Any


@dataclass(slots=True)
class Stack:
    """What was resolved. `surfaces` has an object per Surface name, `registries` one per kind name."""

    config: RunConfig
    surfaces: dict[str, Any] = field(default_factory=dict[str, Any])
    registries: dict[str, Registry] = field(default_factory=dict[str, Registry])
    instances: list[Instance] = field(default_factory=list[Instance])
    store: RegistryStore | None = None

    def warm(self) -> None:
        """Do at init what the first request would wait for; opens no connection."""
        for instance in self.instances:
            warm: Callable[[], None] | None = getattr(instance.provider, "warm", None)
            if warm is not None:
                warm()

    async def close(self) -> None:
        """Let go of every connection; a provider without `close` has none."""
        for instance in self.instances:
            close: Callable[[], Awaitable[None]] | None = getattr(instance.provider, "close", None)
            if close is not None:
                await close()
        if self.store is not None:
            await self.store.close()


async def resolve(loaded: Loaded, wanted: Iterable[str], *, version: str) -> Stack:
    """Make the wanted APIs and what they depend on, each after what it needs.

    Raises:
        ConfigInvalid: the run config, or the config of a provider that is needed, has problems.
        NotCompliant: an external provider does not keep its API's Protocol.
    """
    problems = loaded.problems + unenforced(loaded)
    if loaded.config is None or problems:
        raise ConfigInvalid("run config", problems)
    specs = available(loaded.config.external_providers_dir)[0]
    wanted = set(wanted)
    apis = routed(loaded.config) if "admin" in wanted else sorted(wanted)
    stack = Stack(loaded.config)
    for api in dependency_order(apis, needs_of(loaded, specs)):
        stack.instances += [
            await _connect(loaded, path, entry, _spec(specs, api, loaded.places.written(path), entry), stack.surfaces)
            for entry_api, path, entry in loaded.provider_entries()
            if entry_api == api
        ]
        ASSEMBLE[api](stack, {i.entry.provider_id: i.provider for i in stack.instances if i.api == api})
    if "admin" in wanted:
        stack.surfaces["admin"] = _admin(stack, version)
    return stack


def routed(config: RunConfig) -> list[str]:
    """The routed APIs of this build that the config asks for and has providers for."""
    return [name for name in APIS if name in config.apis and config.providers.get(name)]


def _spec(specs: Specs, api: str, path: str, entry: ProviderEntry) -> ProviderSpec:
    spec = specs.get((api, entry.provider_type))
    if spec is None:
        problem = Problem(f"{path}.provider_type", f"provider type `{entry.provider_type}` is not available")
        raise ConfigInvalid("run config", [problem])
    return spec


def _inference(stack: Stack, providers: Mapping[str, InferenceProvider]) -> None:
    models = _registry(stack, APIS["inference"].kinds[0], providers)
    stack.registries[models.kind.name] = models
    router = InferenceRouter(models, providers)
    stack.surfaces |= {"inference": router, "native_inference": NativeRouter(router)}


def _registry(stack: Stack, kind: Kind, providers: Mapping[str, InferenceProvider]) -> Registry:
    settings = stack.config.registry
    if stack.store is None:
        stack.store = CachedRegistry(connect_registry(stack.config.metadata_store), seconds=settings.cache_seconds)
    return Registry(
        kind,
        stack.store,
        Catalog({name: p.list_models for name, p in providers.items()}, seconds=settings.provider_models_seconds),
        provider_ids=list(providers),
        declared=_declared(kind, stack.config.resources.get(kind.section, ()), list(providers)),
        remember=settings.cache_seconds,
    )


def _declared(kind: Kind, entries: Iterable[JsonObject], provider_ids: Sequence[str]) -> list[Resource]:
    bodies = [kind.body.model_validate(entry) for entry in entries]
    return [
        resource_from(kind, body, cast("str | None", vars(body).get("provider_id")) or provider_ids[0], created=0)
        for body in bodies
    ]


ASSEMBLE: Final[dict[str, Callable[[Stack, Mapping[str, Any]], None]]] = {"inference": _inference}


async def _connect(
    loaded: Loaded, path: str, entry: ProviderEntry, spec: ProviderSpec, surfaces: Mapping[str, Any]
) -> Instance:
    config, problems = loaded.check(config_class(spec), entry.config, f"{path}.config")
    if config is None:
        raise ConfigInvalid("run config", problems)
    names = (*spec.api_dependencies, *spec.optional_api_dependencies)
    deps = {api: surfaces[api] for api in names if api in surfaces}
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


def _admin(stack: Stack, version: str) -> AdminRouter:
    views = [
        ProviderView(
            api=instance.api,
            provider_id=instance.entry.provider_id,
            provider_type=instance.entry.provider_type,
            config=redact(instance.config.model_dump(mode="json")),
            health=getattr(instance.provider, "health", None),
        )
        for instance in stack.instances
    ]
    return AdminRouter(version, views, list(route_rows([*routed(stack.config), "admin"])))
