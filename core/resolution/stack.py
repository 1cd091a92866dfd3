"""What a run config is resolved to: the objects that answer, and what they share."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from core.apis.tables import APIS
from core.config.document import RunConfig
from core.frame.callers import Call
from core.frame.resources import Kind, Resource
from core.resolution.instances import Instance, Surface
from core.routing.circuit_breaker import Circuits
from core.routing.guard import Enforcement, GuardedRegistry
from core.routing.registration import resource_from
from core.stores.answers.port import AnswerStore
from core.stores.connect import REGISTRY
from core.stores.registry.cached import CachedRegistry
from core.stores.registry.port import RegistryStore

if TYPE_CHECKING:
    from core.auth.authenticator import Authenticator
    from core.quota.quota import Quota
    from core.resolution.live.poller import Watch
    from core.services.configurations.router import Office

type Guarded = Callable[[Call | None], GuardedRegistry]


@dataclass(slots=True, eq=False)
class Stack:
    """What was resolved. `surfaces` has an entry per Surface name, `registries` one per kind name.

    `authenticator`, `quota`, `answers`, `circuits` and `watch` are None where they are not configured; only the admin
    function has an `office`.
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
    watch: "Watch | None" = None
    office: "Callable[[], Office] | None" = None
    version: str = ""

    def connected(self) -> RegistryStore:
        """The registry's store, cached; made for the first that needs it."""
        if self.store is None:
            store = REGISTRY.connect(self.config.metadata_store)
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
        await close_all(self.instances)
        for part in (self.authenticator, self.quota, self.answers):
            if part is not None:
                await part.close()
        if self.store is not None:
            await self.store.close()


async def close_all(instances: Iterable[Instance]) -> None:
    """Let go of the connections of each; a provider without `close` has none."""
    for instance in instances:
        close: Callable[[], Awaitable[None]] | None = getattr(instance.provider, "close", None)
        if close is not None:
            await close()


def routed(config: RunConfig) -> list[str]:
    """The routed APIs of this build that the config asks for and has providers for."""
    return [name for name in APIS if name in config.apis and config.providers.get(name)]


def declared(config: RunConfig, kind: Kind) -> list[Resource]:
    """The resources of this kind that the run config itself has."""
    provider_ids = [entry.provider_id for entry in config.providers.get(kind.api, ())]
    entries = config.resources.get(kind.section, ())
    bodies = [kind.body.model_validate(entry) for entry in entries]
    return [
        resource_from(kind, body, cast("str | None", vars(body).get("provider_id")) or provider_ids[0], created=0)
        for body in bodies
    ]
