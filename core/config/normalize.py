"""One spelling for what the reference has spelled in several ways over its versions.

| written                                            | becomes                            |
|----------------------------------------------------|------------------------------------|
| `image_name`, `distro_name`, `conda_env`, `name`   | `name`                             |
| `models: [...]`, `registered_resources.models`     | `resources.models`, and so on      |
| `vector_dbs: [...]`                                | `resources.vector_stores`          |
| `storage.stores.metadata` and the backend it names | `metadata_store`                   |
| the other `storage.stores`, or nothing             | `state`                            |
| `kvstore`, `persistence_store`, ... of a provider that names a backend | the store that it is |
| `providers.agents`                                 | `providers.responses`              |
| no `apis`, or an empty list                        | every API that has providers       |
| an auth provider of type `api_key`                 | `keys` among `apis`                |
| the spellings of `server.auth`                     | `server.auth.providers`            |
| `kvstore` of `server.quota` or `.idempotency` that names a backend | the store that it is |
| keys of the reference without effect here          | `unused`                           |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from core.config.draft import Draft
from core.config.places import Places, Value, join, take, to_list, to_mapping
from core.config.problems import Problem
from core.config.protection import normalise_protection
from core.config.sections import (
    AUTOMATIC_APIS,
    OLDER_APIS,
    REFUSED,
    RENAMED_APIS,
    ROUTED_APIS,
    SECTIONS,
    UNUSED,
    Section,
)
from core.config.storage import COLLECTIONS, DEFAULTS, default_stores, resolve_references, select_stores
from core.platform.suggestions import did_you_mean

KEYS: Final = "keys"  # the API, which has no providers
API_KEY: Final = "api_key"
NAMES: Final = ("image_name", "distro_name", "conda_env", "name")
SAME: Final = (
    "version",
    "server",
    "metadata_store",
    "registry",
    "routing",
    "safety",
    "jobs",
    "configurations",
    "external_providers_dir",
    "logging",
    "container_image",
)
SECTIONS_WITH_DEFAULTS: Final = ("server", "registry", "routing", "safety", "logging")
CHATS: Final = "inference_store"  # of 0.2: that it is there means that all chats are kept
DEFAULTS_OF_STORES: Final = "vector_stores"  # as a mapping; as a list it is the stores that are declared
KNOWN: Final = {
    *NAMES,
    CHATS,
    *SAME,
    *SECTIONS,
    *(key for key in UNUSED if "." not in key),
    "apis",
    "providers",
    "registered_resources",
    "storage",
}


@dataclass(frozen=True, slots=True)
class NormalDocument:
    document: dict[str, Value]
    places: Places
    problems: list[Problem]


def normalise(source: Mapping[str, Value], places: Places) -> NormalDocument:
    """The document in RunConfig's spelling; `places` says where its values stood before this."""
    draft = Draft(source, places, origins=dict(places.origins))
    for key in source:
        if key not in KNOWN:
            draft.blame(key, f"unknown key `{key}`{did_you_mean(key, sorted(KNOWN))}")
    draft.document.update({key: {} for key in SECTIONS_WITH_DEFAULTS})  # else pydantic builds each a second time, alone
    draft.document.update({key: source[key] for key in SAME if source.get(key) is not None})
    _name(draft)
    _providers(draft)
    _apis(draft)
    _resources(draft)
    _set_aside(draft)
    normalise_protection(draft)
    _keys(draft)
    _stores(draft)
    return NormalDocument(draft.document, Places(draft.origins, places.texts), draft.problems)


def _name(draft: Draft) -> None:
    keys = [key for key in NAMES if draft.source.get(key) not in (None, "")]
    draft.origins["name"] = keys[0] if keys else "image_name"
    if not keys:
        draft.blame("image_name", "is required (its newer name is `distro_name`)")
        return
    draft.document["name"] = draft.source[keys[0]]
    for other in keys[1:]:
        if draft.source[other] != draft.source[keys[0]]:
            draft.blame(other, f"differs from `{keys[0]}`, which means the same; keep one of them")


def _providers(draft: Draft) -> None:
    providers = draft.source.get("providers")
    if not isinstance(providers, Mapping):
        draft.document["providers"] = {} if providers is None else providers
        return
    routed: dict[str, Value] = {}
    for api, entries in cast("Mapping[str, Value]", providers).items():
        if api in AUTOMATIC_APIS:
            message = f"Provider for `{api}` is automatically provided and cannot be overridden"
            draft.blame(join("providers", api), message)
        elif api not in ROUTED_APIS:
            draft.blame(join("providers", api), _unknown_api(api))
        elif entries is not None:
            routed[api] = _with_stores(draft, api, entries)
    for api in OLDER_APIS:
        if isinstance(routed.get(api), list):
            _move(draft, routed, api)
    draft.document["providers"] = routed


def _move(draft: Draft, routed: dict[str, Value], api: str) -> None:
    """Those of `api` belong to a later one: behind its own."""
    later = OLDER_APIS[api]
    before = routed.get(later, [])
    if not isinstance(before, list):
        return
    entries = [*cast("Sequence[Value]", before)]
    for index, entry in enumerate(cast("Sequence[Value]", routed.pop(api))):
        draft.origins[f"providers.{later}[{len(entries)}]"] = f"providers.{api}[{index}]"
        entries.append(entry)
    routed[later] = entries


def _with_stores(draft: Draft, api: str, entries: Value) -> Value:
    """The entries, whose configs name stores rather than backends; an external provider's is its own affair."""
    storage = draft.source.get("storage")
    if storage is None or not isinstance(entries, list):
        return entries
    resolved: list[Value] = []
    for index, entry in enumerate(cast("Sequence[Value]", entries)):
        values = to_mapping(entry)
        if "config" not in values or values.get("module") is not None:
            resolved.append(entry)
            continue
        config, origins = resolve_references(values["config"], storage, f"providers.{api}[{index}].config")
        draft.origins.update(origins)
        resolved.append({**values, "config": config})
    return resolved


def _unknown_api(api: str) -> str:
    if api in RENAMED_APIS:
        return f"`{api}` is called `{RENAMED_APIS[api]}` now"
    return f"unknown API `{api}`{did_you_mean(api, ROUTED_APIS)}"


def _apis(draft: Draft) -> None:
    entries = draft.source.get("apis")
    draft.document["apis"] = apis = list[Value]()
    if entries is None or entries == []:
        providers = draft.document["providers"]
        if isinstance(providers, Mapping):
            configured = cast("Mapping[str, Value]", providers)
            draft.document["apis"] = [api for api, entries in configured.items() if entries]
        return
    if not isinstance(entries, list):
        draft.blame("apis", "must be a list")
        return
    for index, name in enumerate(cast("Sequence[Value]", entries)):
        api = _name_now(draft, name) if isinstance(name, str) else name
        if isinstance(api, str) and api not in ROUTED_APIS and api not in AUTOMATIC_APIS:
            draft.blame(f"apis[{index}]", _unknown_api(api))
        elif api not in AUTOMATIC_APIS and api not in apis:
            draft.origins[f"apis[{len(apis)}]"] = f"apis[{index}]"
            apis.append(api)


def _keys(draft: Draft) -> None:
    """Where callers may have API keys, there are some to manage."""
    server = to_mapping(draft.document.get("server"))
    providers = to_list(to_mapping(server.get("auth")).get("providers"))
    apis = draft.document["apis"]
    if KEYS not in apis and any(to_mapping(entry).get("type") == API_KEY for entry in providers):
        apis.append(KEYS)


def _name_now(draft: Draft, name: str) -> str:
    later = OLDER_APIS.get(name)
    providers = to_mapping(draft.document["providers"])
    if later is not None and providers.get(later) and not providers.get(name):
        return later
    return RENAMED_APIS.get(name, name)


def _registered_resources(draft: Draft) -> Mapping[str, Value]:
    section = draft.source.get("registered_resources")
    if not isinstance(section, Mapping):
        if section is not None:
            draft.blame("registered_resources", "must be a mapping")
        return {}
    registered = cast("Mapping[str, Value]", section)
    for key in registered:
        if key not in SECTIONS:
            draft.blame(join("registered_resources", key), f"unknown key `{key}`{did_you_mean(key, SECTIONS)}")
    return registered


def _resources(draft: Draft) -> None:
    newer_sections = _registered_resources(draft)
    draft.document["resources"] = {}
    for name in SECTIONS:
        older, newer = draft.source.get(name), newer_sections.get(name)
        if name == DEFAULTS_OF_STORES and isinstance(older, Mapping):
            older = None
        path = join("registered_resources", name)
        if older and newer:
            draft.blame(path, f"is set here and at `{name}`; keep one of them")
        if older:
            _section(draft, SECTIONS[name], older, name)
        if newer:
            _section(draft, SECTIONS[name], newer, path)


def _section(draft: Draft, section: Section, entries: Value, path: str) -> None:
    if not isinstance(entries, list):
        draft.blame(path, "must be a list")
        return
    target = f"resources.{section.becomes or section.name}"
    draft.origins.setdefault(target, path)
    resources: list[dict[str, Value]] = draft.document["resources"].setdefault(section.becomes or section.name, [])
    for index, entry in enumerate(cast("Sequence[Value]", entries)):
        place = draft.places.source_path(join(path, index))
        if not isinstance(entry, Mapping):
            draft.blame(join(path, index), "must be a mapping")
            continue
        new_place = f"{target}[{len(resources)}]"
        draft.origins[new_place] = place
        draft.origins.update({join(new_place, new): join(place, old) for old, new in section.keys.items()})
        ids = (section.id_field, "provider_id")
        texts = {key: text for key in ids if (text := draft.places.texts.get(join(place, key))) is not None}
        values = {**cast("Mapping[str, Value]", entry), **texts}
        resources.append({section.keys.get(key, key): value for key, value in values.items()})


def _set_aside(draft: Draft) -> None:
    """Move what has no effect out of the way; refuse what the user would be wrong to rely on."""
    unused: dict[str, Value] = {}
    server: Mapping[str, Value] = to_mapping(draft.document.get("server"))
    for path, reason in REFUSED.items():
        value, server = take(server, path.removeprefix("server."))
        if value:
            draft.blame(path, reason)
    rest: Mapping[str, Value] = {**draft.source, "server": server}
    for path in UNUSED:
        value, rest = take(rest, path)
        if value is not None:
            unused[path] = value
    if isinstance(draft.document.get("server"), Mapping):
        draft.document["server"] = rest["server"]
    if isinstance(rest.get(DEFAULTS_OF_STORES), Mapping):
        draft.document[DEFAULTS_OF_STORES] = rest[DEFAULTS_OF_STORES]
    draft.document["unused"] = unused


def _stores(draft: Draft) -> None:
    selections, problems = select_stores(draft.source.get("storage"))
    for problem in [*problems, *(problem for selection in selections.values() for problem in selection.problems)]:
        draft.blame(problem.path, problem.message)
    chosen = {name: selection.store for name, selection in selections.items() if selection.store is not None}
    for name in chosen:
        draft.origins.update(selections[name].origins)
    metadata_store = chosen.pop("metadata", None)
    if metadata_store is not None and "metadata_store" in draft.document:
        draft.blame("storage.stores.metadata", "is set here and at `metadata_store`; keep one of them")
    elif metadata_store is not None:
        draft.document["metadata_store"] = metadata_store
    default = {"type": "sqlite", "db_path": f"~/.llambda/{draft.document.get('name')}/registry.db"}
    beside = to_mapping(draft.document.setdefault("metadata_store", default))
    collections = {name: chosen.pop(name) for name in COLLECTIONS if name in chosen}
    for name, like in DEFAULTS.items():
        if name not in chosen:  # what is wrong with it is wrong where it comes from
            draft.origins[f"state.{name}"] = draft.origins.get(like, like)
    stores = default_stores(beside, chosen)
    if draft.source.get(CHATS) and "inference" not in collections:  # in whatever file it names: they are documents
        collections["inference"] = {**to_mapping(stores["documents"])}
        draft.origins["state.collections.inference"] = draft.origins.get("state.documents", "state.documents")
    draft.document["state"] = {**stores, "collections": collections}
