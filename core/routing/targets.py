"""The places where a model is served: its own provider, and those that its metadata's `targets` name.

Asked for by its provider's own name for it (`provider_id/name`), a model is that provider's alone.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
import math
from typing import Any

from core.frame.resources import Resource


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a provider, by the provider's own name. Lower priorities come first; `timeout` is in seconds."""

    provider_id: str
    model: str
    priority: int = 0
    weight: float = 1
    timeout: float | None = None

    @property
    def place(self) -> tuple[str, str]:
        """What tells it from every other target."""
        return self.provider_id, self.model


def targets_of(resource: Resource) -> list[Target]:
    """Its own provider first, unless an entry of the list, which RegisterModel has validated, is about that one."""
    own = Target(resource.provider_id, resource.provider_resource_id)
    entries: list[dict[str, Any]] | None = resource.attributes.get("metadata", {}).get("targets")
    if not entries or resource.identifier == resource.provider_name:
        return [own]
    targets = [_target(entry) for entry in entries]
    return targets if any(target.place == own.place for target in targets) else [own, *targets]


def _target(entry: dict[str, Any]) -> Target:
    return Target(
        entry["provider_id"],
        entry["provider_model_id"],
        entry.get("priority", 0),
        entry.get("weight", 1),
        entry.get("timeout"),
    )


def alternates(resource: Resource) -> list[Resource]:
    """`resource` as if it were registered at each of its targets but its own."""
    return [
        replace(resource, provider_id=target.provider_id, provider_resource_id=target.model)
        for target in targets_of(resource)
        if target.place != (resource.provider_id, resource.provider_resource_id)
    ]


def order_targets(targets: Iterable[Target], draw: Callable[[], float]) -> list[Target]:
    """By priority, and within one by chance: the odds of being next are the weights. `draw` gives [0, 1).

    Source: Efraimidis and Spirakis, Weighted random sampling with a reservoir (2006).
    """
    return sorted(targets, key=lambda target: (target.priority, -math.log(1 - draw()) / target.weight))
