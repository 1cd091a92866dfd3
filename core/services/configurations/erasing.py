"""What a principal keeps of configurations: the versions that it registered, and its name with what it set in those of others.

The version in force goes on as it is, as do the settings in others' versions: they configure the stack for everybody. They are
nobody's from then on.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from core.apis.configurations import Configuration
from core.config.overlay import Overlay
from core.config.redact import redact
from core.errors import NotFound
from core.services.configurations.versions import change_of_removal
from core.services.erasure import Erase, Estate, Piece, Pieces
from core.services.extracts import Read, extract_json, path_of
from core.stores.configurations.port import ConfigurationStore

PAGE: Final = 100


def erase(store: ConfigurationStore) -> Erase:
    return partial(_pieces, store)


async def _pieces(store: ConfigurationStore, estate: Estate) -> Pieces:
    before: int | None = None
    while page := await store.page(before=before, limit=PAGE):
        yield [
            Piece(
                "configurations",
                partial(_remove, store, estate, configuration.version),
                read=_reading(configuration, estate),
            )
            for configuration in page
            if _disowned(configuration, estate) != configuration
        ]
        before = page[-1].version


def _reading(configuration: Configuration, estate: Estate) -> Read:
    """What the principal registered, without secrets: the version, or what it has set in the version of another."""
    is_own = estate.has(configuration.owner)
    overlay = {
        api: {name: override for name, override in overrides.items() if is_own or estate.has(override.get("owner"))}
        for api, overrides in configuration.overlay.items()
    }
    facts = {"version": configuration.version, "created": configuration.created, "overlay": redact(overlay)}
    return partial(extract_json, path_of(f"{configuration.version}.json"), facts)


async def _remove(store: ConfigurationStore, estate: Estate, version: int) -> bool:
    """False where another was registered meanwhile."""
    head, configuration = await store.head(), await store.get(version)
    if configuration is None:
        return True
    if version == head.active or not estate.has(configuration.owner):
        return await store.rewrite(_disowned(configuration, estate))
    try:
        return await store.remove(version, after=head, change=change_of_removal(configuration, None, ()))
    except NotFound:
        return True


def _disowned(configuration: Configuration, estate: Estate) -> Configuration:
    """The same, without the principal's name."""
    overlay: Overlay = {
        api: {name: _without_owner(override, estate) for name, override in overrides.items()}
        for api, overrides in configuration.overlay.items()
    }
    owner = None if estate.has(configuration.owner) else configuration.owner
    return replace(configuration, overlay=overlay, owner=owner)


def _without_owner(override: Mapping[str, Any], estate: Estate) -> dict[str, Any]:
    owner = override.get("owner")
    return {name: value for name, value in override.items() if name != "owner" or not estate.has(owner)}
