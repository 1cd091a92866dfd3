"""What people get to see of an overlay: its overrides without secrets, and what a change made of them, for the audit trail."""

from collections.abc import Iterable
import json
from typing import Any, Final

from core.config.overlay import Overlay
from core.config.redact import MASK, redact
from core.config.user_fields import secret_fields
from core.frame.types import JsonObject
from core.services.configurations.overrides import ConfiguredProvider

DUMPED: Final = "**********"
"""What pydantic writes for a secret, however deep it is."""

type Providers = dict[tuple[str, str], ConfiguredProvider]


def by_name(providers: Iterable[ConfiguredProvider]) -> Providers:
    return {(provider.api, provider.provider_id): provider for provider in providers}


def show_override(name: str, override: JsonObject, provider: ConfiguredProvider | None) -> JsonObject:
    """An override as a run config's entry; a secret's null, which only covers another's, is left out."""
    secrets = frozenset[str]() if provider is None else secret_fields(type(provider.config))
    values = {k: v for k, v in redact(override["config"]).items() if v is not None or k not in secrets}
    config = {k: MASK if v and k in secrets else v for k, v in values.items()}
    flag = {"registered": True} if override["registered"] else {}
    return {"provider_id": name, "provider_type": override["provider_type"], "config": config, **flag}


def show_changed(overlay: Overlay, other: Overlay, providers: Iterable[ConfiguredProvider]) -> JsonObject:
    """The overrides in which `overlay` differs from the `other`, without any secret; `providers` are those under it.

    Of a provider that is not among them nobody knows what is secret: nothing of its values is shown.
    """
    before = by_name(providers)
    return {
        api: [
            _without_secrets(show_override(name, override, before.get((api, name))), before.get((api, name)))
            for name, override in overrides.items()
            if other.get(api, {}).get(name) != override
        ]
        for api, overrides in overlay.items()
        if other.get(api) != overrides
    }


def _without_secrets(entry: JsonObject, provider: ConfiguredProvider | None) -> JsonObject:
    values: dict[str, Any] = {} if provider is None else provider.config.model_dump(mode="json")
    config = {
        name: MASK if name not in values or DUMPED in json.dumps(values[name]) else value
        for name, value in entry["config"].items()
    }
    return entry | {"config": config}
