"""What a run config is resolved to: the objects that answer, and what they share."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from core.apis.index import manifest, names
from core.config.document import RunConfig
from core.config.load import Loaded
from core.config.safety import SafetyConfig
from core.config.vector_stores import VectorStoresConfig
from core.errors import NotFound
from core.frame.api import SurfaceFactory
from core.frame.callers import Call, KeepLimits, Principal
from core.frame.resources import Kind, Resource
from core.resolution.instances import Instance
from core.routing.catalog import Catalog
from core.routing.circuit_breaker import CircuitBreaker
from core.routing.guard import Enforcement, RegistryFactory
from core.routing.isolation import close_apart, warm_apart
from core.routing.registration import resource_from
from core.routing.registry import Registry
from core.stores.answers.port import AnswerStore
from core.stores.connect import BLOBS, REGISTRY, Stores
from core.stores.registry.cached import CachedRegistry
from core.stores.registry.port import RegistryStore

if TYPE_CHECKING:
    from core.apis.sealing import DataKeys
    from core.auth.authenticator import Authenticator
    from core.config.usage import UsageConfig
    from core.providers.aws.kms_keys import KmsKeys
    from core.quota.quota import Quota
    from core.quota.recorder import UsageRecorder
    from core.quota.streams import StreamLimit
    from core.resolution.live.poller import ConfigurationPoller
    from core.services.configurations.router import ConfigurationService
    from core.stores.blobs.port import BlobStore


@dataclass(slots=True, eq=False)
class Stack:
    """What was resolved: the `Parts` of its services, and what the web serves them behind.

    `loaded` is the run config without anything laid over it, `config` the one in force. `surfaces` has an entry per name of
    a Surface, `registries` one per name of a kind, made over `kind_registries`; `closing` is what services read with; `catalogs` are by API, of what providers list. `authenticator`, `quota`, `recorder` (of usage, where no quota counts it), `stream_limit`, `answers`, `circuits` and `poller` are None
    where they are not configured; only an overview has a `configuration_service`.
    """

    loaded: Loaded
    config: RunConfig
    enforcement: Enforcement
    stores: Stores
    surfaces: dict[str, SurfaceFactory] = field(default_factory=dict[str, SurfaceFactory])
    registries: dict[str, RegistryFactory] = field(default_factory=dict[str, RegistryFactory])
    catalogs: dict[str, Catalog] = field(default_factory=dict[str, Catalog])
    kind_registries: list[Registry] = field(default_factory=list[Registry])
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list[Callable[[], Awaitable[None]]])
    instances: list[Instance] = field(default_factory=list[Instance])
    registry: RegistryStore | None = None
    authenticator: "Authenticator | None" = None
    quota: "Quota | None" = None
    recorder: "UsageRecorder | None" = None
    stream_limit: "StreamLimit | None" = None
    answers: AnswerStore | None = None
    circuits: CircuitBreaker | None = None
    poller: "ConfigurationPoller | None" = None
    configuration_service: "Callable[[], ConfigurationService] | None" = None
    version: str = ""
    keys: "KmsKeys | None" = None

    @property
    def safety(self) -> SafetyConfig:
        """The section of the run config."""
        return self.config.safety

    @property
    def vector_stores(self) -> VectorStoresConfig:
        """The section of the run config."""
        return self.config.vector_stores

    @property
    def issuers(self) -> Sequence[str]:
        """The URLs of the OAuth issuers whose tokens callers may have, as far as the run config names them."""
        auth = self.config.server.auth
        if auth is None:
            return ()
        from core.auth.types import issuer_of

        urls = [issuer_of(entry.type, entry.config) for entry in auth.providers]
        return tuple(dict.fromkeys(url for url in urls if url is not None))

    def names_that_count(self, attribute: str) -> frozenset[str] | None:
        """Of `roles` or `teams` those that a rule or the quota names; None where any has a meaning."""
        from core.config.naming import conditions_of, names_that_count

        auth, quota = self.config.server.auth, self.config.server.quota
        rules = None if auth is None or auth.access_policy is None else auth.access_policy
        limited = quota.roles if quota is not None and attribute == "roles" else ()
        return names_that_count(attribute, None if rules is None else conditions_of(rules), limited)

    def find_money(self, call: Call) -> Any:  # noqa: ANN401 - as every surface
        """What bounds the cost of its calls, a `core.apis.prices.MoneyBounds`; None where the stack asks no models."""
        make = self.surfaces.get("money")
        return None if make is None else make(call)

    async def find_model(self, call: Call, name: str) -> tuple[str, str] | None:
        """The id of the model that the caller calls so, and its provider's name for it; None for one that is not there for it."""
        make = self.registries.get("model")
        if make is None:
            return None
        try:
            resource = await make(call).get(name)
        except NotFound:
            return None
        return resource.identifier, resource.provider_name

    @property
    def admission(self) -> "Quota | UsageRecorder | None":
        """What counts calls."""
        return self.quota or self.recorder

    @property
    def quota_shards(self) -> int:
        """Of `server.quota`; 0 without."""
        quota = self.config.server.quota
        return 0 if quota is None else quota.shards

    @property
    def usage(self) -> "UsageConfig":
        """The section of the run config, read for whoever asks."""
        from core.config.usage import usage_of

        return usage_of(self.config)

    @property
    def provider_types(self) -> Mapping[str, str]:
        """Of the providers of inference, by their ids."""
        return {entry.provider_id: entry.provider_type for entry in self.config.providers.get("inference", ())}

    @property
    def job_keys(self) -> "DataKeys | None":
        """Of the KMS key that the run config names, made for the first that asks."""
        key_id = self.config.jobs.provider_data_key
        if key_id and self.keys is None:
            from core.providers.aws.kms_keys import KeyUse, KmsKeys

            self.keys = KmsKeys(key_id, use=KeyUse("jobs", "the provider data of jobs"))
            self.end_with(self.keys.close)
        return self.keys

    @property
    def blobs(self) -> "BlobStore | None":
        """None where the run config names no store of them; connected for the first that asks."""
        return self.stores.find(BLOBS)

    def providers(self, api: str) -> Mapping[str, Any]:
        """The providers of an API, by provider id."""
        return {i.entry.provider_id: i.provider for i in self.instances if i.api == api}

    def make_providers(self, api: str) -> None:
        """Now, and not when one is first asked for."""
        self.providers(api)

    def end_with(self, close: Callable[[], Awaitable[None]]) -> None:
        """Call it before the providers are closed."""
        self.closing.append(close)

    def keep_limits(self, principal: Principal | None) -> KeepLimits:
        """How much a caller may keep; the stack itself as much as it likes."""
        quota = self.config.server.quota
        if quota is None or principal is None:
            return KeepLimits()
        from core.quota.limits import keep_limits_of

        return keep_limits_of(quota, principal)

    def registry_store(self) -> RegistryStore:
        """The registry's store, cached; made for the first that needs it."""
        if self.registry is None:
            seconds = self.config.registry.cache_seconds
            self.registry = CachedRegistry(self.stores.get(REGISTRY), seconds=seconds)
        return self.registry

    def warm(self, apis: Iterable[str] = ()) -> None:
        """Do at init what the first request would wait for; opens no connection. Of the `apis` that are served the surface is imported, where they have one of their name."""
        warm_apart(instance.known_provider for instance in self.instances if instance.late.is_made)
        self.stores.warm()
        for api in apis:
            if api in self.surfaces:
                self.surfaces[api](None)

    async def close(self) -> None:
        """End what is under way for no answer, then close every connection; a provider without `close` has none."""
        await self.stop_reading()
        await close_all(self.instances)
        if self.authenticator is not None:
            await self.authenticator.close()
        if self.registry is not None:
            await self.registry.close()
        await self.stores.close()

    async def stop_reading(self) -> None:
        """End the listings of providers and the look-ups that are under way; none begins any more."""
        for registry in self.kind_registries:
            await registry.close()
        for close in self.closing:
            await close()


async def close_all(instances: Iterable[Instance]) -> None:
    """Close the connections of each; a provider without `close` has none, and the failure of one is its own."""
    await close_apart([instance.known_provider for instance in instances if instance.late.is_made])


def routed_apis(config: RunConfig) -> list[str]:
    """The APIs of this build that the run config asks for, and has providers for where they need some."""
    return [name for name in names() if name in config.apis and can_serve(name, config)]


def can_serve(api: str, config: RunConfig) -> bool:
    """Whether the API can answer: it has a provider, or needs none."""
    return bool(config.providers.get(api)) or manifest(api).provider is None


def declared_resources(config: RunConfig, kind: Kind) -> list[Resource]:
    """The resources of this kind that the run config itself has."""
    first = next((entry.provider_id for entry in config.providers.get(kind.api, ())), "")
    bodies = [kind.body_type().model_validate(entry) for entry in config.declarations(kind.section)]
    return [
        resource_from(kind, body, cast("str | None", vars(body).get("provider_id")) or first, created=0)
        for body in bodies
    ]
