"""A user's request merged into the overlay: which fields change, and which secrets a change takes away. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from core.config.overlay import MOST_PROBLEMS, Overlay, OverlayChange, OverlayRequest, merge_patch, with_override
from core.config.problems import Problem
from core.config.urls import origins_of
from core.config.user_fields import secret_fields, select_user_fields, view
from core.errors import shorten
from core.frame.types import JsonObject
from core.platform.suggestions import did_you_mean

MOST_PATH: Final = 256  # bytes of the path of a field that is dropped


@dataclass(frozen=True, slots=True)
class ConfiguredProvider:
    """A provider as it is configured under some overlay."""

    api: str
    provider_id: str
    provider_type: str
    config: BaseModel
    registered: bool


@dataclass(frozen=True, slots=True)
class ProposedOverlay:
    """The overlay that a request leads to.

    `dropped` are the paths of fields that users may not set, `withheld` of secrets that do not follow a changed URL.
    """

    overlay: Overlay
    note: str = "registered"
    problems: tuple[Problem, ...] = ()
    dropped: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()


def apply_overrides(
    request: OverlayRequest,
    overlay: Overlay,
    current: Iterable[ConfiguredProvider],
    original: Iterable[ConfiguredProvider],
    owner: JsonObject | None = None,
) -> ProposedOverlay:
    """`overlay` with the request merged into it.

    `current` are the providers under it, `original` those of the run config. Where the request says anew where a provider
    is, that is the word of its `owner`.

    A field that has the value already is not overridden: that would hide a later change of the run config.
    """
    providers = {(provider.api, provider.provider_id): provider for provider in current}
    originals = {(provider.api, provider.provider_id): provider for provider in original}
    problems, dropped, withheld = list(request.problems), list[str](), list[str]()
    for change in request.changes:
        if len(problems) >= MOST_PROBLEMS:
            break
        provider = providers.get((change.api, change.provider_id))
        fault = _find_fault(change, provider, providers)
        if provider is None or fault is not None:
            problems += [] if fault is None else [fault]
            continue
        fields, others = select_user_fields(type(provider.config), change.config)
        dropped += [shorten(f"{change.path}.config.{name}", MOST_PATH) for name in others]
        earlier = overlay.get(change.api, {}).get(change.provider_id, {})
        values = view(provider.config)
        news = {name: value for name, value in fields.items() if value is None or value != values.get(name)}
        base = originals.get((change.api, change.provider_id), provider).config
        config, lost, moved = _withhold_secrets(
            merge_patch(earlier.get("config", {}), news), news, base, provider.config
        )
        withheld += [f"{change.path}.config.{name}" for name in lost]
        override = new_override(provider.provider_type, config, owner if moved else earlier.get("owner"))
        overlay = with_override(overlay, change.api, change.provider_id, override | {"registered": provider.registered})
    return ProposedOverlay(overlay, "registered", tuple(problems), tuple(dropped), tuple(withheld))


def new_override(provider_type: str, config: Mapping[str, Any], owner: JsonObject | None) -> JsonObject:
    """Of a whole provider, registered by `owner`."""
    override: JsonObject = {"provider_type": provider_type, "config": dict(config), "registered": True}
    return override if owner is None else override | {"owner": owner}


def _find_fault(
    change: OverlayChange,
    provider: ConfiguredProvider | None,
    providers: Iterable[tuple[str, str]],
) -> Problem | None:
    """Why the change fits no provider; `providers` are those that there are, by API and id."""
    if provider is None:
        ids = [name for api, name in providers if api == change.api]
        message = (
            f"there is no {change.api} provider `{change.provider_id}`"
            f"{did_you_mean(change.provider_id, ids) or ';'} known: {', '.join(ids) or 'none'}"
        )
        return Problem(f"{change.path}.provider_id", message)
    if change.provider_type not in (None, provider.provider_type):
        message = f"`{change.provider_id}` is of type {provider.provider_type}, which a configuration cannot change"
        return Problem(f"{change.path}.provider_type", message)
    return None


def _withhold_secrets(
    override: JsonObject, news: Mapping[str, Any], base: BaseModel, current: BaseModel
) -> tuple[JsonObject, list[str], bool]:
    """The override without the secrets that its URL must not get, those that this request takes away, whether the URL moved.

    Whoever may change a URL must not be able to have a key sent to a host of their own. A secret of the run config
    (`base`) goes to the hosts of the run config alone; one that a user set goes to the host that was set at the time.
    """
    secrets = secret_fields(type(base))
    original = base.model_dump(mode="json")
    allowed, before, after = (
        origins_of(values) for values in (original, current.model_dump(mode="json"), original | override)
    )
    moved = before != after
    # A secret that came with this very request was meant for the new host; an earlier one was not.
    config = {k: v for k, v in override.items() if k not in secrets or (v is not None and (k in news or not moved))}
    # On a host that the run config does not name, its own secrets would show through wherever the overlay sets none: an
    # explicit null covers them. On the run config's hosts leaving the null out brings the operator's key back.
    foreign = not set(after.values()) <= set(allowed.values())
    nulls = sorted(secrets - config.keys()) if foreign else []
    lost = {name for name in secrets - config.keys() if override.get(name) or (name in nulls and getattr(base, name))}
    return config | dict.fromkeys(nulls), sorted(lost) if moved else [], moved
