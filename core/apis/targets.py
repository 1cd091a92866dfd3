"""Validates `targets` in a model's metadata: the other places that serve the model."""

from collections.abc import Callable, Mapping
from typing import Final, cast

MOST_TARGETS: Final = 8
MOST_NAME: Final = 512  # characters
MOST_WEIGHT: Final = 1_000_000
LEAST_SECONDS: Final = 1  # below, no answer comes in time from a target that is well
MOST_SECONDS: Final = 900  # as long as a Lambda function may run


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MOST_NAME


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _up_to(most: float, least: float = 0) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= most and value >= least
    )


FIELDS: Final[dict[str, tuple[Callable[[object], bool], str]]] = {
    "provider_id": (_is_name, "the id of a provider"),
    "provider_model_id": (_is_name, "the provider's own name of the model"),
    "priority": (_is_whole, "a whole number, 0 or more; lower ones are tried first"),
    "weight": (_up_to(MOST_WEIGHT), f"a number above 0, at most {MOST_WEIGHT}"),
    "timeout": (
        _up_to(MOST_SECONDS, LEAST_SECONDS),
        f"a number of seconds, at least {LEAST_SECONDS}, at most {MOST_SECONDS}",
    ),
}
REQUIRED: Final = ("provider_id", "provider_model_id")


def targets_fault(value: object) -> str | None:
    """What is wrong with the list, None if nothing is."""
    entries = cast("list[object]", value) if isinstance(value, list) else None
    if entries is None or len(entries) > MOST_TARGETS:
        return f"targets in the metadata must be a list of at most {MOST_TARGETS} mappings"
    places: set[object] = set()
    for index, entry in enumerate(entries):
        path = f"targets[{index}] in the metadata"
        if not isinstance(entry, Mapping):
            return f"{path} must be a mapping"
        target = cast("Mapping[str, object]", entry)
        fault = _fault(target)
        if fault is not None:
            return f"{path}: {fault}"
        place = tuple(target[name] for name in REQUIRED)
        if place in places:
            return f"{path} names a provider and a model that an earlier one names"
        places.add(place)
    return None


def _fault(entry: Mapping[str, object]) -> str | None:
    for name in entry:
        if name not in FIELDS:
            return f"unknown key `{name}`; known: {', '.join(FIELDS)}"
    for name in REQUIRED:
        if name not in entry:
            return f"{name} is required"
    for name, value in entry.items():
        is_valid, requirement = FIELDS[name]
        if not is_valid(value):
            return f"{name} must be {requirement}"
    return None
