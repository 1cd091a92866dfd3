"""What callers set of a provider's config: which fields they may, which places, and whose keys the provider is given."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from core.config.load import CallersPart, Loaded
from core.config.problems import Problem
from core.config.urls import origins_of, place_fault, places_of
from core.config.user_fields import foreign_fields, secret_fields
from core.frame.callers import CURRENT_CALL
from core.frame.types import JsonObject
from core.platform.addresses import Reach
from core.routing.policy import owner_of

OPERATORS: Final = "may be set in the run config alone"


def reach_of(loaded: Loaded, part: CallersPart | None) -> Reach:
    """Where a provider's connections may go: a caller's word is not the operator's, not even where it names no URL."""
    if part is None or (part.original is not None and not _new_places(part)):
        return "operator"
    return callers_reach(loaded)


def callers_reach(loaded: Loaded) -> Reach:
    """Where URLs that callers name may lead."""
    configurations = None if loaded.config is None else loaded.config.configurations
    return "private" if configurations is not None and configurations.allow_private_urls else "public"


def problems_of(loaded: Loaded, part: CallersPart, model: type[BaseModel], path: str) -> list[Problem]:
    """What callers have set and may not; `path` is that of the config."""
    reach = callers_reach(loaded)
    faults = dict.fromkeys(foreign_fields(model, part.values), OPERATORS)
    for name, text in new_places(part, model):
        if fault := place_fault(text, reach):
            faults.setdefault(name, fault)
    return [Problem(loaded.places.source_path(f"{path}.{name}"), fault) for name, fault in faults.items()]


def new_places(part: CallersPart, model: type[BaseModel]) -> list[tuple[str, str]]:
    """The URLs and hosts that callers have named, and the run config has not, by the paths of their fields in the config."""
    secrets = secret_fields(model)
    return [(name, text) for name, text in _new_places(part) if name not in secrets]


def _new_places(part: CallersPart) -> list[tuple[str, str]]:
    trusted = set(origins_of(part.original or {}).values())
    origins = origins_of(part.values)
    return [(name, text) for name, text in places_of(part.values) if origins[name] not in trusted]


class OwnersKeysOnly:
    """A provider at a place that a caller named. Of what callers bring, as keys, it is given what its owner brings."""

    def __init__(self, provider: Any, owner: JsonObject | None) -> None:  # noqa: ANN401 - keeps some Protocol
        self._provider = provider
        self._owner = owner

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the provider's
        return getattr(self._provider, name)

    def with_provider_data(self, data: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the provider
        """The provider itself for another caller's call."""
        call = CURRENT_CALL.get()
        if call is None or _identity(owner_of(call.principal)) != _identity(self._owner):
            return self._provider
        return self._provider.with_provider_data(data)


def _identity(owner: JsonObject | None) -> JsonObject | None:
    """Who it is, whatever roles it has had."""
    return None if owner is None else {name: value for name, value in owner.items() if name != "attributes"}


def keep_keys_from(provider: object, part: CallersPart | None, *, external: bool) -> object:
    """`provider`, or, where a caller named its place, what keeps others' keys from it.

    What of its config says where an `external` one is, only its author knows: any of it may.
    """
    if part is None or not hasattr(provider, "with_provider_data"):
        return provider
    return OwnersKeysOnly(provider, part.owner) if _new_places(part) or (external and part.values) else provider
