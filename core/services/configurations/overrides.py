"""From what a user sends to what is laid over the providers: pure decisions about fields."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel

from core.config.overlay import Overlay, OverlayChange, OverlayRequest, merge_patch, with_override
from core.config.problems import Problem
from core.config.user_fields import secret_fields, select_user_fields, view
from core.frame.types import JsonObject
from core.platform.suggestions import did_you_mean

PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Viewed:
    """A provider as it is configured under some overlay."""

    api: str
    provider_id: str
    provider_type: str
    config: BaseModel
    registered: bool


@dataclass(frozen=True, slots=True)
class Change:
    """An overlay that is wanted. `dropped` are paths of what may not be set, `withheld` of keys that stay where they are."""

    overlay: Overlay
    note: str = "registered"
    problems: tuple[Problem, ...] = ()
    dropped: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()


def overridden(given: OverlayRequest, overlay: Overlay, now: Iterable[Viewed], alone: Iterable[Viewed]) -> Change:
    """`overlay` with what was sent merged into it; `now` are the providers under it, `alone` those without it.

    What is already so is not kept: an override of nothing would hide a later change of the run config.
    """
    there = {(each.api, each.provider_id): each for each in now}
    own = {(each.api, each.provider_id): each for each in alone}
    problems, dropped, withheld = list(given.problems), list[str](), list[str]()
    for wish in given.changes:
        viewed = there.get((wish.api, wish.provider_id))
        fault = _unfit(wish, viewed, there)
        if viewed is None or fault is not None:
            problems += [] if fault is None else [fault]
            continue
        fields, others = select_user_fields(type(viewed.config), wish.config)
        dropped += [f"{wish.path}.config.{name}" for name in others]
        earlier = overlay.get(wish.api, {}).get(wish.provider_id, {}).get("config", {})
        shown = view(viewed.config)
        news = {name: value for name, value in fields.items() if value is None or value != shown.get(name)}
        base = own.get((wish.api, wish.provider_id), viewed).config
        config, held = _without_keys_for_others(merge_patch(earlier, news), news, base, viewed.config)
        withheld += [f"{wish.path}.config.{name}" for name in held]
        override: JsonObject = {"provider_type": viewed.provider_type, "config": config}
        overlay = with_override(overlay, wish.api, wish.provider_id, override | {"registered": viewed.registered})
    return Change(overlay, "registered", tuple(problems), tuple(dropped), tuple(withheld))


def _unfit(wish: OverlayChange, viewed: Viewed | None, there: Mapping[tuple[str, str], Viewed]) -> Problem | None:
    if viewed is None:
        names = [name for api, name in there if api == wish.api]
        known = f"known: {', '.join(names) or 'none'}{did_you_mean(wish.provider_id, names)}"
        return Problem(f"{wish.path}.provider_id", f"there is no {wish.api} provider `{wish.provider_id}`; {known}")
    if wish.provider_type not in (None, viewed.provider_type):
        message = f"`{wish.provider_id}` is of type {viewed.provider_type}, which a configuration cannot change"
        return Problem(f"{wish.path}.provider_type", message)
    return None


def _without_keys_for_others(
    override: JsonObject, news: Mapping[str, Any], base: BaseModel, now: BaseModel
) -> tuple[JsonObject, list[str]]:
    """The override, and the secrets that a change of URL takes away: a key goes only to the host that it was given for.

    Those of `base` go to its hosts alone, and those that users gave to the hosts that they gave them with.
    """
    secrets = secret_fields(type(base))
    given = base.model_dump(mode="json")
    home, before, after = (_origins(values) for values in (given, now.model_dump(mode="json"), given | override))
    moved = before != after
    config = {k: v for k, v in override.items() if k not in secrets or (v is not None and (k in news or not moved))}
    gone = sorted(secrets - config.keys()) if not set(after.values()) <= set(home.values()) else []
    lost = {name for name in secrets - config.keys() if override.get(name) or (name in gone and getattr(base, name))}
    return config | dict.fromkeys(gone), sorted(lost) if moved else []


def _origins(values: Mapping[str, Any]) -> dict[str, object]:
    """By field: scheme, host and port of the URL that it has."""
    found = {name: _origin(value) for name, value in values.items()}
    return {name: origin for name, origin in found.items() if origin is not None}


def _origin(value: object) -> tuple[str, str | None, int | None] | None:
    """Scheme, host and port of a URL; None for what is none."""
    if not isinstance(value, str) or "://" not in value:
        return None
    try:
        parts = urlsplit(value)
        return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return (value, None, None)
