"""A run config and the wanted APIs, as a resolved stack: what a function serves, and nothing else."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from core.apis.inference import Inference, InferenceProvider, ServedModel
from core.apis.safety import SafetyProvider
from core.apis.tables import APIS
from core.config.document import RunConfig
from core.config.load import Loaded
from core.config.problems import ConfigInvalid
from core.config.security import AuthConfig
from core.frame.callers import Call
from core.frame.resources import Kind, Resource
from core.resolution.check import available, needs_of
from core.resolution.instances import connect, spec_of
from core.resolution.order import dependency_order
from core.resolution.protection import connect_auth, connect_idempotency, connect_quota
from core.resolution.stack import Guarded, Stack, declared, routed
from core.routing.catalog import Ask, Catalog
from core.routing.circuit_breaker import Circuits
from core.routing.guard import MISS_SECONDS, Enforcement, GuardedRegistry
from core.routing.policy import DEFAULT_POLICY
from core.routing.registry import MaySee, Offered, Registry
from core.routing.targets import TargetPolicy
from core.services.inference.router import InferenceRouter
from core.services.inference.shielded import ShieldedInference
from core.services.safety.router import SafetyRouter

if TYPE_CHECKING:
    from core.apis.native import NativeInference


async def resolve(loaded: Loaded, wanted: Iterable[str], *, version: str, earlier: Stack | None = None) -> Stack:
    """Make the wanted APIs and what they depend on, each after what it needs.

    Of the `earlier` stack of the same run config, what guards and counts goes over to this one, and so do the providers
    that are configured as they were.

    Raises:
        ConfigInvalid: the run config, or the config of a provider that is needed, has problems.
        NotCompliant: an external provider does not keep its API's Protocol.
    """
    if loaded.config is None:
        raise ConfigInvalid("run config", loaded.problems)
    specs = available(loaded.config.external_providers_dir)[0]
    wanted = set(wanted)
    apis = routed(loaded.config) if "admin" in wanted else sorted(wanted | _shields_of(loaded.config, wanted))
    stack = _begun(loaded, loaded.config, wanted, version) if earlier is None else _after(earlier, loaded.config)
    there = [] if earlier is None else earlier.instances
    for api in dependency_order(apis, needs_of(loaded, specs)):
        for entry_api, path, entry in loaded.provider_entries():
            if entry_api == api:
                spec = spec_of(specs, api, loaded.places.source_path(path), entry)
                alone = not (spec.api_dependencies or spec.optional_api_dependencies)
                same = next((i for i in there if alone and i.api == api and i.entry == entry), None)
                stack.instances.append(same or await connect(loaded, path, entry, spec, stack.surfaces))
                if stack.circuits is not None and same is None:
                    stack.circuits.forget(entry.provider_id)
        ASSEMBLE[api](stack, {i.entry.provider_id: i.provider for i in stack.instances if i.api == api})
    if "admin" in wanted:
        from core.resolution.admin import assemble

        assemble(stack, loaded)
    return stack


def _begun(loaded: Loaded, config: RunConfig, wanted: set[str], version: str) -> Stack:
    auth = config.server.auth
    stack = Stack(config, _enforcement(auth), circuits=_circuits(config), version=version)
    stack.authenticator = connect_auth(loaded, auth, stack.connected)
    stack.quota = connect_quota(config.server.quota, authenticated=stack.authenticator is not None)
    stack.answers = connect_idempotency(config.server.idempotency, wanted)
    if config.configurations is not None:
        from core.resolution.live.poller import watch_of

        seconds = config.configurations.refresh_seconds
        stack.watch = watch_of(config.metadata_store, seconds)  # pyright: ignore[reportArgumentType] - frozen records have a hash
    return stack


def _after(earlier: Stack, config: RunConfig) -> Stack:
    return replace(earlier, config=config, surfaces={}, registries={}, instances=[])


def _circuits(config: RunConfig) -> Circuits | None:
    """Those of this process: the stacks of one run config share them, as those that `serve` makes of each function."""
    circuit = config.routing.circuit
    if circuit is None:
        return None
    return _shared(f"{config.name} {config.metadata_store!r}", circuit.failures, circuit.open_seconds)


@cache
def _shared(_config: str, failures: int, open_seconds: float) -> Circuits:
    return Circuits(failures, open_seconds)


def _enforcement(auth: AuthConfig | None) -> Enforcement:
    """Without auth every caller is the same one: nothing is hidden from it that a 404's time could tell."""
    rules = DEFAULT_POLICY if auth is None or auth.access_policy is None else auth.access_policy
    return Enforcement(TargetPolicy(rules), 0.0 if auth is None else MISS_SECONDS)


def _shields_of(config: RunConfig, wanted: set[str]) -> set[str]:
    """Models may be guarded by shields: where inference is served, the configured safety is needed too."""
    return {"safety"} if "inference" in wanted and config.providers.get("safety") else set()


def _inference(stack: Stack, providers: Mapping[str, InferenceProvider]) -> None:
    asks = {name: provider.list_models for name, provider in providers.items()}
    models = stack.registries["model"] = _guarded(stack, APIS["inference"].kinds[0], asks)

    def inference(call: Call | None) -> Inference:
        """For the stack itself, as which shields ask their models, without shields."""
        router = InferenceRouter(models(call), providers, call, stack.circuits)
        if call is None:
            return router
        safety = stack.surfaces.get("safety")
        return ShieldedInference(router, models(call), safety(None) if safety is not None else None, call)

    stack.surfaces |= {"inference": inference, "native_inference": lambda call: _native(inference(call))}


def _native(inference: Inference) -> "NativeInference":
    from core.services.inference.native.router import NativeRouter  # few ask for it

    return NativeRouter(inference)


def _safety(stack: Stack, providers: Mapping[str, SafetyProvider]) -> None:
    async def offered(shield: Resource, _: MaySee) -> None:
        await providers[shield.provider_id].check_shield(shield)

    kind = APIS["safety"].kinds[0]
    shields = stack.registries["shield"] = _guarded(stack, kind, dict.fromkeys(providers, _lists_nothing), offered)
    stack.surfaces["safety"] = lambda call: SafetyRouter(shields(call), providers, call)


async def _lists_nothing() -> list[ServedModel]:
    return []


def _guarded(stack: Stack, kind: Kind, asks: Mapping[str, Ask], offered: Offered | None = None) -> Guarded:
    settings = stack.config.registry
    registry = Registry(
        kind,
        stack.connected(),
        Catalog(asks, seconds=settings.provider_models_seconds),
        provider_ids=list(asks),
        declared=declared(stack.config, kind),
        remember=settings.cache_seconds,
        offered=offered,
    )
    return lambda call: GuardedRegistry(registry, stack.enforcement, call.principal if call is not None else None)


ASSEMBLE: Final[dict[str, Callable[[Stack, Mapping[str, Any]], None]]] = {"inference": _inference, "safety": _safety}
