"""The parts of a stack that a service is assembled from."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from core.apis.sealing import DataKeys
from core.config.safety import SafetyConfig
from core.config.vector_stores import VectorStoresConfig
from core.frame.api import SurfaceFactory
from core.frame.callers import Call, KeepLimits, Principal, principal_of
from core.routing.circuit_breaker import CircuitBreaker
from core.routing.guard import Enforcement, Guard, RegistryFactory
from core.routing.policy import owner_list
from core.stores.connect import Stores

if TYPE_CHECKING:
    from core.config.usage import UsageConfig


class Parts(Protocol):
    """The part of a stack that a service may use: providers and registries of its API, and the surfaces of others."""

    @property
    def registries(self) -> Mapping[str, RegistryFactory]:
        """By the name of the kind: those of this API's kinds, and of the APIs that were made before."""
        ...

    @property
    def surfaces(self) -> Mapping[str, SurfaceFactory]:
        """By their names; look one up while a call is answered, since what an API `depends` on may be made later."""
        ...

    @property
    def enforcement(self) -> Enforcement:
        """The access policy; `Guard(parts.enforcement, principal_of(call))` asks it."""
        ...

    @property
    def safety(self) -> SafetyConfig:
        """Which shields the run config has for every model."""
        ...

    @property
    def vector_stores(self) -> VectorStoresConfig:
        """What holds of every vector store that does not say otherwise."""
        ...

    @property
    def issuers(self) -> Sequence[str]:
        """The URLs of the OAuth issuers whose tokens callers may have, as far as the run config names them."""
        ...

    def names_that_count(self, attribute: str) -> frozenset[str] | None:
        """Of `roles` or `teams` those that a rule or the quota names; None where any has a meaning."""
        ...

    @property
    def quota_shards(self) -> int:
        """Over how many accounts of the store the counts of a caller may be spread; 0 where nothing holds callers to limits."""
        ...

    @property
    def circuits(self) -> CircuitBreaker | None:
        """None where no circuit breaker is configured."""
        ...

    @property
    def usage(self) -> "UsageConfig":
        """What the run config says that models cost, and of those that nobody knows the price of."""
        ...

    @property
    def provider_types(self) -> Mapping[str, str]:
        """Of the providers of inference, by their ids."""
        ...

    @property
    def job_keys(self) -> DataKeys | None:
        """What jobs seal what callers bring with; None where the run config names no key for it, and they keep none."""
        ...

    @property
    def stores(self) -> Stores:
        """Where state is kept; a store is connected by who asks for it first."""
        ...

    def end_with(self, close: Callable[[], Awaitable[None]]) -> None:
        """Call it when the stack ends, or another takes its place: before the providers are closed."""
        ...

    def keep_limits(self, principal: Principal | None) -> KeepLimits:
        """How much a caller may keep; the stack itself as much as it likes."""
        ...

    def providers(self, api: str) -> Mapping[str, Any]:
        """The configured providers of an API, by provider id; each keeps the Protocol that the manifest names."""
        ...


def surface_for(parts: Parts, name: str, call: Call | None) -> Any:  # noqa: ANN401 - whatever Protocol the surface has
    """Another API's surface for this call, None where the stack has not made it."""
    factory = parts.surfaces.get(name)
    return None if factory is None else factory(call)


@dataclass(frozen=True, slots=True)
class CallerState:
    """What is kept for one caller; a `call` of None is the stack itself, which may do everything."""

    parts: Parts
    call: Call | None

    @property
    def guard(self) -> Guard:
        return Guard(self.parts.enforcement, principal_of(self.call))

    @property
    def owner(self) -> str:
        """The list that the caller's own are in."""
        return owner_list(principal_of(self.call))
