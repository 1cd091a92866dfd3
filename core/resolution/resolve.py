"""A run config and the wanted APIs, as a resolved stack: what a function serves, and nothing else."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, cast

from core.apis.callers import Call
from core.apis.inference import Inference, InferenceProvider, ServedModel
from core.apis.resources import Kind, Resource
from core.apis.safety import SafetyProvider
from core.apis.tables import APIS, route_rows
from core.apis.types import JsonObject
from core.config.document import RunConfig
from core.config.load import Loaded
from core.config.problems import ConfigInvalid
from core.config.redact import redact
from core.config.security import AuthConfig
from core.resolution.check import available, needs_of
from core.resolution.connecting import Instance, Surface, connect, spec_of
from core.resolution.order import dependency_order
from core.resolution.protection import connect_auth, connect_idempotency, connect_quota
from core.routing.access import DEFAULT_POLICY
from core.routing.admin import AdminRouter, ProviderView, QuotaRouter
from core.routing.catalog import Ask, Catalog
from core.routing.circuits import Circuits
from core.routing.guarded import MISS_SECONDS, Enforcement, GuardedRegistry
from core.routing.inference import InferenceRouter
from core.routing.native import NativeRouter
from core.routing.registration import resource_from
from core.routing.registry import MaySee, Offered, Registry
from core.routing.safety import SafetyRouter
from core.routing.shielded import ShieldedInference
from core.routing.targets import TargetPolicy
from core.stores.cached import CachedRegistry
from core.stores.connect import connect_registry
from core.stores.ports import AnswerStore, RegistryStore

if TYPE_CHECKING:
    from core.auth.authenticator import Authenticator
    from core.quota.quota import Quota

type Guarded = Callable[[Call | None], GuardedRegistry]


@dataclass(slots=True)
class Stack:
    """What was resolved. `surfaces` has an entry per Surface name, `registries` one per kind name.

    `authenticator`, `quota`, `answers` and `circuits` are None where they are not configured.
    """

    config: RunConfig
    enforcement: Enforcement
    surfaces: dict[str, Surface] = field(default_factory=dict[str, Surface])
    registries: dict[str, Guarded] = field(default_factory=dict[str, Guarded])
    instances: list[Instance] = field(default_factory=list[Instance])
    store: RegistryStore | None = None
    authenticator: "Authenticator | None" = None
    quota: "Quota | None" = None
    answers: AnswerStore | None = None
    circuits: Circuits | None = None

    def connected(self) -> RegistryStore:
        """The registry's store, cached; made for the first that needs it."""
        if self.store is None:
            store = connect_registry(self.config.metadata_store)
            self.store = CachedRegistry(store, seconds=self.config.registry.cache_seconds)
        return self.store

    def warm(self) -> None:
        """Do at init what the first request would wait for; opens no connection."""
        for instance in self.instances:
            warm: Callable[[], None] | None = getattr(instance.provider, "warm", None)
            if warm is not None:
                warm()
        for store in (self.quota, self.answers):
            if store is not None:
                store.warm()

    async def close(self) -> None:
        """Let go of every connection; a provider without `close` has none."""
        for instance in self.instances:
            close: Callable[[], Awaitable[None]] | None = getattr(instance.provider, "close", None)
            if close is not None:
                await close()
        for part in (self.authenticator, self.quota, self.answers):
            if part is not None:
                await part.close()
        if self.store is not None:
            await self.store.close()


async def resolve(loaded: Loaded, wanted: Iterable[str], *, version: str) -> Stack:
    """Make the wanted APIs and what they depend on, each after what it needs.

    Raises:
        ConfigInvalid: the run config, or the config of a provider that is needed, has problems.
        NotCompliant: an external provider does not keep its API's Protocol.
    """
    if loaded.config is None:
        raise ConfigInvalid("run config", loaded.problems)
    specs = available(loaded.config.external_providers_dir)[0]
    wanted = set(wanted)
    apis = routed(loaded.config) if "admin" in wanted else sorted(wanted | _shields_of(loaded.config, wanted))
    stack = Stack(loaded.config, _enforcement(loaded.config.server.auth), circuits=_circuits(loaded.config))
    stack.authenticator = connect_auth(loaded, loaded.config.server.auth, stack.connected)
    stack.quota = connect_quota(loaded.config.server.quota, authenticated=stack.authenticator is not None)
    stack.answers = connect_idempotency(loaded.config.server.idempotency, wanted)
    for api in dependency_order(apis, needs_of(loaded, specs)):
        stack.instances += [
            await connect(loaded, path, entry, spec_of(specs, api, loaded.places.written(path), entry), stack.surfaces)
            for entry_api, path, entry in loaded.provider_entries()
            if entry_api == api
        ]
        ASSEMBLE[api](stack, {i.entry.provider_id: i.provider for i in stack.instances if i.api == api})
    if "admin" in wanted:
        admin = _admin(stack, version)
        stack.surfaces |= {"admin": lambda _: admin, "quota": lambda call: _quota(stack, call)}
    return stack


def _circuits(config: RunConfig) -> Circuits | None:
    """Those of this process: the stacks of one run config share them, as those that `serve` makes of each function."""
    circuit = config.routing.circuit
    if circuit is None:
        return None
    return _shared(f"{config.name} {config.metadata_store!r}", circuit.failures, circuit.open_seconds)


@cache
def _shared(_config: str, failures: int, open_seconds: float) -> Circuits:
    return Circuits(failures, open_seconds)


def _quota(stack: Stack, call: Call | None) -> QuotaRouter:
    return QuotaRouter(partial(stack.quota.left, call) if stack.quota is not None and call is not None else None)


def _enforcement(auth: AuthConfig | None) -> Enforcement:
    """Without auth every caller is the same one: nothing is hidden from it that a 404's time could tell."""
    rules = DEFAULT_POLICY if auth is None or auth.access_policy is None else auth.access_policy
    return Enforcement(TargetPolicy(rules), 0.0 if auth is None else MISS_SECONDS)


def _shields_of(config: RunConfig, wanted: set[str]) -> set[str]:
    """Models may be guarded by shields: where inference is served, the configured safety is needed too."""
    return {"safety"} if "inference" in wanted and config.providers.get("safety") else set()


def routed(config: RunConfig) -> list[str]:
    """The routed APIs of this build that the config asks for and has providers for."""
    return [name for name in APIS if name in config.apis and config.providers.get(name)]


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

    stack.surfaces |= {"inference": inference, "native_inference": lambda call: NativeRouter(inference(call))}


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
        declared=_declared(kind, stack.config.resources.get(kind.section, ()), list(asks)),
        remember=settings.cache_seconds,
        offered=offered,
    )
    return lambda call: GuardedRegistry(registry, stack.enforcement, call.principal if call is not None else None)


def _declared(kind: Kind, entries: Iterable[JsonObject], provider_ids: Sequence[str]) -> list[Resource]:
    bodies = [kind.body.model_validate(entry) for entry in entries]
    return [
        resource_from(kind, body, cast("str | None", vars(body).get("provider_id")) or provider_ids[0], created=0)
        for body in bodies
    ]


ASSEMBLE: Final[dict[str, Callable[[Stack, Mapping[str, Any]], None]]] = {"inference": _inference, "safety": _safety}


def _admin(stack: Stack, version: str) -> AdminRouter:
    circuits = stack.circuits
    views = [
        ProviderView(
            api=instance.api,
            provider_id=instance.entry.provider_id,
            provider_type=instance.entry.provider_type,
            config=redact(instance.config.model_dump(mode="json")),
            health=getattr(instance.provider, "health", None),
            circuits=partial(circuits.shown, instance.entry.provider_id)
            if circuits is not None and instance.api == "inference"
            else None,
        )
        for instance in stack.instances
    ]
    return AdminRouter(version, views, list(route_rows([*routed(stack.config), "admin"])))
