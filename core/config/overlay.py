"""Overlays: settings of registered configurations that override those of a run config's providers. No I/O happens here.

An override has what was set of a provider of the run config; one that is `registered` is a whole provider of its own.
No `${env...}` is read in either, and no secret by reference: who may register must be told neither the environment nor
the secrets that the stack may read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final, cast

from core.config.document import ProviderEntry
from core.config.load import CallersPart, Loaded
from core.config.places import Places, Value, to_mapping
from core.config.problems import Problem
from core.frame.types import JsonObject
from core.platform.json_reader import read_json
from core.platform.secrets import mentions_reference
from core.platform.suggestions import did_you_mean

type Overlay = dict[str, dict[str, JsonObject]]
"""`{api: {provider_id: {"provider_type": str, "config": {...}, "registered": bool, "owner": {...}}}}`.

`owner`, which is absent where nobody is known, is whoever said where the provider is.
"""

VIEW_KEYS: Final = {"version", "refresh_seconds"}
"""What the inspected view says beside its providers, and may be sent back with it."""
MOST_PROBLEMS: Final = 100  # of one request, after which the rest of it is not looked at
MOST_FIELDS: Final = 1000  # of one provider's config
ENTRY_KEYS: Final = ("provider_id", "provider_type", "config", "discovered")


@dataclass(frozen=True, slots=True)
class OverlayChange:
    """What a request changes of one provider; `path` is where the request says so."""

    path: str
    api: str
    provider_id: str
    provider_type: str | None
    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OverlayRequest:
    """`based_on` is the version that the sender had inspected, if the request has it."""

    changes: tuple[OverlayChange, ...]
    problems: tuple[Problem, ...]
    based_on: int | None = None


def parse_overlay_request(document: object) -> OverlayRequest:
    """JSON text or its value: `{"providers": {api: [entry]}}`, or the inner mapping alone."""
    if isinstance(document, str):
        try:
            document = read_json(document)
        except ValueError as broken:
            return OverlayRequest((), (Problem("config", f"is not valid JSON: {broken}"),))
    if not isinstance(document, Mapping):
        return OverlayRequest(
            (), (Problem("config", "must be a mapping of APIs to lists of providers, or JSON text of one"),)
        )
    outer = cast("Mapping[str, Value]", document)
    version = outer.get("version")
    inner: Value = (
        outer["providers"] if "providers" in outer else {k: v for k, v in outer.items() if k not in VIEW_KEYS}
    )
    changes: list[OverlayChange] = []
    problems: list[Problem] = []
    for result in chain(_unknown_keys(outer), _changes(inner)):
        if isinstance(result, OverlayChange):
            changes.append(result)
        elif len(problems) < MOST_PROBLEMS:
            problems.append(result)
        else:
            break
    return OverlayRequest(
        tuple(changes),
        tuple(problems),
        version if isinstance(version, int) and not isinstance(version, bool) else None,
    )


def _unknown_keys(outer: Mapping[str, Value]) -> Iterator[Problem]:
    for key in outer:
        if "providers" in outer and key not in {"providers", *VIEW_KEYS}:
            yield Problem(key, f"unknown key{did_you_mean(key, ('providers',))}")


def _changes(providers: Value) -> Iterator[OverlayChange | Problem]:
    if not isinstance(providers, Mapping):
        yield Problem("providers", "must be a mapping of APIs to lists of providers")
        return
    for api, entries in cast("Mapping[str, Value]", providers).items():
        path = f"providers.{api}"
        if not isinstance(entries, list):
            yield Problem(path, "must be a list of providers")
            continue
        seen: set[object] = set()
        for index, entry in enumerate(cast("Sequence[Value]", entries)):
            change = _change(f"{path}[{index}]", api, entry)
            if isinstance(change, OverlayChange) and change.provider_id in seen:
                change = Problem(f"{path}[{index}].provider_id", f"`{change.provider_id}` is given twice")
            seen.add(change.provider_id if isinstance(change, OverlayChange) else None)
            yield change


def _change(path: str, api: str, entry: Value) -> OverlayChange | Problem:
    if not isinstance(entry, Mapping):
        return Problem(path, "must be a mapping with provider_id and config")
    values = cast("Mapping[str, Value]", entry)
    for key in values:
        if key not in ENTRY_KEYS:
            return Problem(f"{path}.{key}", f"unknown key{did_you_mean(key, ENTRY_KEYS)}")
    name, kind, config = values.get("provider_id"), values.get("provider_type"), values.get("config")
    if not isinstance(name, str) or not name:
        return Problem(f"{path}.provider_id", "is required, as text")
    if not isinstance(kind, str | None):
        return Problem(f"{path}.provider_type", "must be text")
    fields = dict(cast("Mapping[str, Any]", config or {})) if isinstance(config, Mapping | None) else None
    if fields is None or len(fields) > MOST_FIELDS:
        return Problem(f"{path}.config", f"must be a mapping, of at most {MOST_FIELDS} keys")
    return OverlayChange(path, api, name, kind, fields)


def merge_patch(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """`target` after a JSON merge patch: null removes, a mapping is merged, all else replaces. Source: RFC 7396."""
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            merged[key] = merge_patch(to_mapping(merged.get(key)), to_mapping(value))
        else:
            merged[key] = value
    return merged


def with_override(overlay: Overlay, api: str, provider_id: str, override: JsonObject | None) -> Overlay:
    """A copy with this override in its place, or without it where it is None or overrides nothing."""
    overrides = {name: other for name, other in overlay.get(api, {}).items() if name != provider_id}
    if override is not None and (override["registered"] or override["config"]):
        overrides[provider_id] = override
    return {name: rest for name, rest in {**overlay, api: overrides}.items() if rest}


def apply_overlay(loaded: Loaded, overlay: Overlay) -> Loaded:
    """The run config with the overlay on it; where that does not fit (any more), `config` is None and `problems` say why."""
    if loaded.config is None or not overlay:
        return loaded
    problems: list[Problem] = []
    parts: dict[tuple[str, str], CallersPart] = {}
    origins = dict(loaded.places.origins)
    providers = {api: list(entries) for api, entries in loaded.document["providers"].items()}
    for api, overrides in overlay.items():
        entries = providers.setdefault(api, [])
        for name, override in overrides.items():
            place = f"providers.{api}.{name}"
            index = next((i for i, entry in enumerate(entries) if entry["provider_id"] == name), len(entries))
            entry = entries[index] if index < len(entries) else None
            original = None if entry is None else to_mapping(entry.get("config"))
            parts[api, name] = CallersPart(override["config"], original, override.get("owner"))
            if fault := _misfit(entry, override):
                problems.append(Problem(place, fault))
            elif entry is not None:
                entries[index] = entry | {"config": {**(original or {}), **override["config"]}}
            else:
                origins[f"providers.{api}[{index}]"] = place
                entries.append({"provider_id": name, **{k: override[k] for k in ("provider_type", "config")}})
    if problems:
        return Loaded(None, loaded.document, problems, loaded.places)
    records = {api: tuple(ProviderEntry.model_validate(e) for e in entries) for api, entries in providers.items()}
    config = loaded.config.model_copy(update={"providers": records})
    return replace(
        loaded,
        config=config,
        document=loaded.document | {"providers": providers},
        places=Places(origins, loaded.places.texts),
        callers_parts=parts,
    )


def _misfit(entry: Mapping[str, Any] | None, override: JsonObject) -> str:
    if mentions_reference(override["config"]):
        return "refers to a secret of the stack's account, which only the run config may"
    if entry is None:
        return "" if override["registered"] else "the run config has no such provider any more"
    if override["registered"]:
        return "the run config has a provider of this id now; unregister one of the two"
    if entry["provider_type"] != override["provider_type"]:
        return f"is of type {entry['provider_type']} now, and this was registered for {override['provider_type']}"
    return ""
