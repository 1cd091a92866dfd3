"""A run config and the wanted APIs, as a resolved stack: what a function serves, and nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from core.apis.index import manifest, names
from core.config.document import RunConfig
from core.config.load import Loaded
from core.config.problems import ConfigInvalid
from core.config.security import AuthConfig
from core.frame.callers import ActingFor, Call, principal_of
from core.frame.dotted import load
from core.frame.resources import Kind, Resource
from core.resolution.check import available, needs_of, usage_problems
from core.resolution.instances import Instance, connect, spec_of
from core.resolution.order import dependency_order
from core.resolution.protection import (
    connect_auth,
    connect_idempotency,
    connect_quota,
    connect_recorder,
    connect_stream_limit,
    heir_of,
    limit_problems,
)
from core.resolution.provider_types import Specs
from core.resolution.stack import Stack, can_serve, declared_resources, routed_apis
from core.routing.catalog import Catalog
from core.routing.circuit_breaker import CircuitBreaker
from core.routing.guard import NOT_FOUND_FLOOR_SECONDS, Enforcement, GuardedRegistry, LastDecision, RegistryFactory
from core.routing.isolation import Question, await_answer
from core.routing.policy import DEFAULT_POLICY, Policy
from core.routing.registration import built_in_resources
from core.routing.registry import Registry
from core.stores.connect import Stores


async def resolve(
    loaded: Loaded, apis: Iterable[str], *, version: str, earlier: Stack | None = None, checks_late: bool = False
) -> Stack:
    """Make the wanted APIs and what they depend on, each after what it needs.

    A config of a provider that is made late is checked at start, unless it `checks_late`: where a deployment has. Of the `earlier` stack of the same run config, what guards and counts goes over to this one, and so do the providers
    that are configured as they were.

    Raises:
        ConfigInvalid: the run config, or the config of a provider that is needed, has problems.
        NotCompliant: an external provider does not keep its API's Protocol.
    """
    if loaded.config is None:
        raise ConfigInvalid("run config", loaded.problems)
    if problems := usage_problems(loaded) + limit_problems(loaded):
        raise ConfigInvalid("run config", problems)
    apis = set(apis)
    stack = _new(loaded, loaded.config, apis, version) if earlier is None else _after(earlier, loaded.config)
    reusable = [] if earlier is None else earlier.instances
    specs = available(loaded.config.external_providers_dir)[0]
    roots, needs = _needs(loaded, loaded.config, specs, apis)
    order = dependency_order(roots, needs)
    is_idle = any(manifest(name).overview for name in apis)
    surfaced = _surfaced(apis, order, needs_of(loaded, specs, idle=True) if is_idle else needs)
    late = _occasional(apis)
    for api in order:
        await _add_providers(stack, loaded, specs, api, reusable, checks_late=checks_late and api in late)
        if api not in late:
            stack.make_providers(api)
        api_manifest = manifest(api)
        stack.registries |= {
            kind.name: _registry(stack, kind, is_served=api in surfaced) for kind in api_manifest.kinds
        }
        if api in surfaced:
            stack.surfaces |= load(api_manifest.assemble)(stack)
    return stack


def _needs(loaded: Loaded, config: RunConfig, specs: Specs, apis: set[str]) -> tuple[list[str], Mapping[str, set[str]]]:
    """Which APIs to make, and which each of them needs before it."""
    overviews = {name for name in apis if manifest(name).overview}
    everything = routed_apis(config) if overviews else []
    depended = {other for name in apis for other in manifest(name).depends if can_serve(other, config)}
    # What a provider would like of an API that this build has not, it does not get.
    needs = {name: needed & set(names()) for name, needed in needs_of(loaded, specs).items()}
    return sorted(apis | depended), needs | {name: set(everything) for name in overviews}


def _surfaced(apis: set[str], order: Iterable[str], needs: Mapping[str, set[str]]) -> set[str]:
    """Which APIs get surfaces: of what an overview has for its providers' sake, those alone that providers depend on while they are idle."""
    depended = {other for name in apis for other in manifest(name).depends}
    depended |= {other for name in order if not manifest(name).overview for other in needs.get(name, ())}
    return apis | depended


def _occasional(apis: set[str]) -> set[str]:
    """The APIs whose providers few calls ask for: they are made for the first that does."""
    manifests = [manifest(name) for name in apis]
    seldom = {other for api in manifests for other in api.occasional}
    return seldom - apis - {other for api in manifests for other in {*api.depends} - {*api.occasional}}


async def _add_providers(
    stack: Stack, loaded: Loaded, specs: Specs, api: str, reusable: list[Instance], *, checks_late: bool
) -> None:
    for entry_api, path, entry in loaded.provider_entries():
        if entry_api != api:
            continue
        spec = spec_of(specs, api, loaded.places.source_path(path), entry)
        alone = not (spec.api_dependencies or spec.optional_api_dependencies)
        part = loaded.callers_parts.get((api, entry.provider_id))
        same = next((i for i in reusable if alone and (i.api, i.entry, i.part) == (api, entry, part)), None)
        stack.instances.append(
            same or await connect(loaded, path, entry, spec, stack.surfaces, checks_late=checks_late)
        )
        if stack.circuits is not None and same is None:
            stack.circuits.forget(entry.provider_id)


def _new(loaded: Loaded, config: RunConfig, apis: set[str], version: str) -> Stack:
    auth = config.server.auth
    stack = Stack(loaded, config, _enforcement(auth), Stores(config), circuits=_circuits(config), version=version)
    stack.authenticator = connect_auth(loaded, auth, stack.registry_store)
    stack.quota = connect_quota(
        config,
        stack.stores,
        authenticated=stack.authenticator is not None,
        find_money=stack.find_money,
        find_model=stack.find_model,
    )
    stack.recorder = connect_recorder(config, stack.stores)
    stack.stream_limit = connect_stream_limit(config.server.quota, stack.stores)
    stack.answers = connect_idempotency(stack.stores, apis)
    if config.configurations is not None:
        from core.resolution.live.poller import poller_of

        seconds = config.configurations.refresh_seconds
        stack.poller = poller_of(config.metadata_store, seconds)  # pyright: ignore[reportArgumentType] - frozen records have a hash
    return stack


def _after(earlier: Stack, config: RunConfig) -> Stack:
    empty: dict[str, Any] = {"surfaces": {}, "registries": {}, "catalogs": {}}
    return replace(earlier, config=config, **empty, kind_registries=[], closing=[], instances=[])


def _circuits(config: RunConfig) -> CircuitBreaker | None:
    """Those of this process: the stacks of one run config share them, as those that `serve` makes of each function."""
    circuit = config.routing.circuit
    if circuit is None:
        return None
    return _shared_circuits(f"{config.name} {config.metadata_store!r}", circuit.failures, circuit.open_seconds)


@cache
def _shared_circuits(_config: str, failures: int, open_seconds: float) -> CircuitBreaker:
    return CircuitBreaker(failures, open_seconds)


def _enforcement(auth: AuthConfig | None) -> Enforcement:
    """Without auth every caller is the same one: nothing is hidden from it that a 404's time could tell."""
    rules = DEFAULT_POLICY if auth is None or auth.access_policy is None else auth.access_policy
    if auth is None:
        return Enforcement(Policy(rules))
    return Enforcement(Policy(rules, heir_of(auth)), NOT_FOUND_FLOOR_SECONDS)


def _registry(stack: Stack, kind: Kind, *, is_served: bool) -> RegistryFactory:
    """What providers have under ids of their own is theirs to tell where they are served: an overview has not all of their code."""
    settings = stack.config.registry
    instances = {instance.entry.provider_id: instance for instance in stack.instances if instance.api == kind.api}
    listings = {name: _listing(instance, kind.listing) for name, instance in instances.items()} if kind.listing else {}

    async def check(resource: Resource) -> None:
        if kind.check is not None:
            subject = resource if kind.checked is None else load(kind.checked)(resource)
            await _method(instances[resource.provider_id], kind.check)(subject)

    catalog = Catalog(
        listings,
        seconds=settings.provider_models_seconds,
        fields=kind.fields,
        secrets=lambda provider_id: instances[provider_id].secrets(),
    )
    if kind.listing is not None:
        stack.catalogs[kind.api] = catalog
    registry = Registry(
        kind,
        stack.registry_store(),
        catalog,
        provider_ids=list(instances),
        declared=_declared(stack, kind, instances if is_served else {}),
        remember=settings.cache_seconds,
        check=check if kind.check else None,
    )

    stack.kind_registries.append(registry)
    last = LastDecision()

    def for_call(call: Call | None) -> GuardedRegistry:
        """An internal call is about what the operator's shields name: what callers register has no part in it."""
        fixed = call is not None and call.internal and not call.principal.anonymous
        return GuardedRegistry(registry, stack.enforcement, principal_of(call), fixed=fixed, last=last)

    return for_call


def _declared(stack: Stack, kind: Kind, instances: Mapping[str, Instance]) -> list[Resource]:
    """Those of the run config, then what providers have under ids of their own; of one id the first."""
    rows = declared_resources(stack.config, kind)
    if kind.built_in is not None:
        for instance in instances.values():
            rows += built_in_resources(kind, instance.entry.provider_id, _method(instance, kind.built_in)())
    by_identifier = dict[str, Resource]()
    for row in rows:
        by_identifier.setdefault(row.identifier, row)
    return list(by_identifier.values())


def _listing(instance: Instance, name: str) -> Question:
    """What the method lists, as the stack itself: it is remembered for every caller, whoever asked first."""

    async def listing() -> object:
        with ActingFor(None):
            return await await_answer(_method(instance, name)())

    return listing


def _method(instance: Instance, name: str) -> Any:  # noqa: ANN401 - a row names a method of its API's Protocol
    return getattr(instance.provider, name)
