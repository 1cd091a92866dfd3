"""A configured provider: from its entry and its type to the object that serves it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from core.apis.index import manifest, names
from core.config.document import ProviderEntry
from core.config.load import CallersPart, Loaded
from core.config.problems import ConfigInvalid, Problem
from core.frame.api import SurfaceFactory
from core.frame.callers import ActingFor, Call
from core.frame.dotted import load
from core.resolution.bound import bind
from core.resolution.callers_parts import keep_keys_from
from core.resolution.check import checked_config, find
from core.resolution.provider_types import ProviderSpec, Specs
from core.routing.isolation import KnownProvider


class Late[T]:
    """An object that is made for the first who asks for it."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: list[T] = []

    @property
    def is_made(self) -> bool:
        return bool(self._made)

    def get(self) -> T:
        """Raises what making it does, each time."""
        if not self._made:
            self._made.append(self._make())
        return self._made[0]


@dataclass(frozen=True, slots=True)
class Instance:
    """A configured provider and the object that serves it; `part` is what callers have set of it.

    An `external` one is of another package.
    """

    api: str
    entry: ProviderEntry
    late_config: Late[BaseModel]
    late: Late[Any]  # keeps its API's Protocol
    part: CallersPart | None = None
    external: bool = False

    @property
    def config(self) -> BaseModel:
        """Raises ConfigInvalid where it was not checked at start, and has problems."""
        return self.late_config.get()

    @property
    def provider(self) -> Any:  # noqa: ANN401 - keeps its API's Protocol
        return self.late.get()

    @property
    def known_provider(self) -> KnownProvider:
        """As what asks it by itself has it."""
        return KnownProvider(self.entry.provider_id, self.provider, self.secrets)

    def secrets(self) -> list[str]:
        """Those of its config, which nothing that it says may have in it."""
        from core.resolution.external.code import secrets_of

        return list(secrets_of(self.config))


async def connect(
    loaded: Loaded,
    path: str,
    entry: ProviderEntry,
    spec: ProviderSpec,
    surfaces: Mapping[str, SurfaceFactory],
    *,
    checks_late: bool = False,
) -> Instance:
    """The provider of an entry, whose config is checked; it is made, with those of the `surfaces` that it depends on, when it is asked for.

    An external one, whose code may be anything, is made at once. One that `checks_late` has its config checked when it is made, but
    for one that callers have set a part of, or that names a file.

    Raises:
        ConfigInvalid: its config has problems, or its code, if it is external, cannot be used.
        NotCompliant: an external provider does not keep its API's Protocol.
    """
    part, external = loaded.callers_parts.get((spec.api, entry.provider_id)), spec.factory is not None
    late_config = Late(partial(_check_config, loaded, path, entry, spec))
    if not checks_late or external or part is not None or isinstance(entry.config.get("tls_verify"), str):
        late_config.get()
    made: object = None
    if external:
        place = loaded.places.source_path(f"{path}.provider_type")
        with ActingFor(None):  # it serves every caller, also where one's registration of a configuration has it made
            made = await _external(place, entry, spec, late_config.get(), _dependencies_of(spec, surfaces))

    def make() -> object:
        with ActingFor(None):  # and where one's call is the first that asks
            provider = made if external else _built_in(entry, spec, late_config.get(), _dependencies_of(spec, surfaces))
            return keep_keys_from(provider, part, external=external)

    return Instance(spec.api, entry, late_config, Late(make), part, external)


def _check_config(loaded: Loaded, path: str, entry: ProviderEntry, spec: ProviderSpec) -> BaseModel:
    config, problems = checked_config(loaded, path, entry, spec)
    if config is None:
        raise ConfigInvalid("run config", problems)
    return config


def _built_in(entry: ProviderEntry, spec: ProviderSpec, config: BaseModel, deps: Mapping[str, Any]) -> object:
    return vars(import_module(spec.module))["connect"](entry.provider_id, config, deps)


def _dependencies_of(spec: ProviderSpec, surfaces: Mapping[str, SurfaceFactory]) -> dict[str, Any]:
    return {
        name: bind(_late(surfaces, name), protocol, internal=spec.guards)
        for name, protocol in _dependencies(spec)
        if name in surfaces or name in spec.surfaces
    }


async def _external(
    place: str, entry: ProviderEntry, spec: ProviderSpec, config: BaseModel, deps: Mapping[str, Any]
) -> Any:  # noqa: ANN401 - somebody else's object
    from core.resolution.external.boundary import Unusable
    from core.resolution.external.code import code_of, reveal_secrets
    from core.resolution.external.provider import make

    try:
        revealed = await reveal_secrets(config)
        return await make(entry.provider_id, spec, code_of(spec), revealed, deps, _protocol(spec.api))
    except Unusable as wrong:
        problems = [Problem(place, f"provider `{entry.provider_id}`: {reason}") for reason in wrong.reasons]
        raise ConfigInvalid("run config", problems) from None


def spec_of(specs: Specs, api: str, path: str, entry: ProviderEntry) -> ProviderSpec:
    """The type of an entry: its `module`'s, or else one of `specs`; raises ConfigInvalid."""
    spec, problems = find(specs, api, entry, path)
    if spec is None:
        message = f"provider type `{entry.provider_type}` is not available"
        raise ConfigInvalid("run config", problems or [Problem(f"{path}.provider_type", message)])
    return spec


def _late(surfaces: Mapping[str, SurfaceFactory], name: str) -> SurfaceFactory:
    """The surface is looked up when it is asked: an overview has none that are asked for a provider's work alone."""

    def make(call: Call | None) -> Any:  # noqa: ANN401 - keeps some Protocol
        return surfaces[name](call)

    return make


def _dependencies(spec: ProviderSpec) -> Iterator[tuple[str, type]]:
    """The names and Protocols of the surfaces that it depends on: those with the names of their APIs, and what it asks for beside."""
    for api in {*spec.api_dependencies, *spec.optional_api_dependencies}.intersection(names()):
        for surface in manifest(api).surfaces:
            if surface.name in {api, *spec.surfaces}:
                yield surface.name, load(surface.protocol)


def _protocol(api: str) -> type:
    name = manifest(api).provider
    if name is None:
        raise LookupError(f"API {api} has no providers")
    protocol: type = load(name)
    return protocol
