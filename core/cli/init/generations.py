"""What older run configs of Llama Stack say in other words, in today's; pure, and of documents of any shape.

| written                                                        | becomes                                    |
|----------------------------------------------------------------|--------------------------------------------|
| `apis_to_serve`, `api_providers`, `routing_table` (2024)       | `apis`, `providers`                        |
| `identifier` of a resource (2024)                              | `model_id`, `shield_id`                    |
| `meta-reference` with a `llama_guard_shield` (2024)            | `inline::llama-guard`                      |
| `<YOUR_KEY>` in a provider's config (2024)                     | a variable                                 |
| `network.tls.verify` of a provider (OGX)                        | `tls_verify`                               |
| several of `image_name`, `name`, `conda_env`, `distro_name`    | the first                                  |
| `metadata_store`, `inference_store`, ... with a `backend` (0.3) | `storage.stores`                           |
| `storage.references` (0.3)                                     | `storage.stores`                           |
"""

from collections.abc import Mapping
import re
from typing import Any, Final

from core.config.normalize import NAMES
from core.config.places import Value, to_list, to_mapping
from core.config.problems import Problem
from core.config.sections import SECTIONS

STORES: Final = {
    "metadata_store": "metadata",
    "inference_store": "inference",
    "conversations_store": "conversations",
    "prompts_store": "prompts",
}
PLACEHOLDER: Final = re.compile(r"<[^<>\s]+>")
RENAMED: Final = "is written as `{}` now"


def modernise(raw: Mapping[str, Value], name: str) -> tuple[dict[str, Value], list[Problem]]:
    """A copy of the document, and what was changed in it; `name` is for a stack that has none."""
    document, notes = dict(raw), list[Problem]()
    _use_one_name(document, name, notes)
    if document.get("version", 2) not in (2, "2"):
        notes.append(Problem("version", f"`{document['version']}` becomes 2"))
        document["version"] = 2
    _use_providers(document, notes)
    _use_stores(document, notes)
    if isinstance(document.get("providers"), Mapping):
        document["providers"] = _providers(document["providers"], notes)
    _use_ids(document)
    if isinstance(document.get("registered_resources"), dict):
        _use_ids(document["registered_resources"])
    return document, notes


def _use_one_name(document: dict[str, Value], name: str, notes: list[Problem]) -> None:
    names = [key for key in NAMES if document.get(key) not in (None, "")]
    others = [key for key in names[1:] if document[key] != document[names[0]]]
    notes += [Problem(other, f"`{names[0]}` is the name of the stack") for other in others]
    for key in NAMES:
        if key not in names[:1]:
            document.pop(key, None)
    if not names:
        document["image_name"] = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "stack"
        notes.append(Problem("image_name", f"was not there; it is `{document['image_name']}`"))


def _use_providers(document: dict[str, Value], notes: list[Problem]) -> None:
    """Those of `api_providers`, of which `routing_table` has the configs where an API has several."""
    serve = document.pop("apis_to_serve", None)
    if serve is not None and "apis" not in document:
        document["apis"] = serve
        notes.append(Problem("apis_to_serve", RENAMED.format("apis")))
    single, routed = (to_mapping(document.pop(key, None)) for key in ("api_providers", "routing_table"))
    providers = {api: _old_entries(single.get(api), routed.get(api)) for api in {**single, **routed}}
    if providers:
        notes.append(Problem("api_providers", RENAMED.format("providers")))
        document["providers"] = {**to_mapping(document.get("providers")), **{k: v for k, v in providers.items() if v}}


def _old_entries(single: Value, routed: Value) -> list[Value]:
    """The rows of the routing table, or else the types that `providers` lists, or the one provider; each once."""
    names = [{"provider_type": kind} for kind in to_list(to_mapping(single).get("providers"))]
    rows = [row for row in to_list(routed) or names or [single] if _old_type(row)]
    entries = [_old_entry(row, index) for index, row in enumerate(rows)]
    return [entry for index, entry in enumerate(entries) if entry not in entries[:index]]


def _old_type(row: Value) -> str:
    values = to_mapping(row)
    return str(values.get("provider_type") or values.get("provider_id") or "")


def _old_entry(row: Value, index: int) -> dict[str, Value]:
    kind = _old_type(row)
    name = f"{kind.rpartition('::')[2]}{index}"
    return {"provider_id": name, "provider_type": kind, "config": to_mapping(row).get("config") or {}}


def _use_stores(document: dict[str, Value], notes: list[Problem]) -> None:
    storage = document.get("storage")
    if storage is not None and not isinstance(storage, Mapping):
        return
    sections: dict[str, Value] = dict(to_mapping(storage))
    older = sections.pop("references", None)
    stores: dict[str, Value] = {**to_mapping(older), **to_mapping(sections.get("stores"))}
    if older is not None:
        notes.append(Problem("storage.references", RENAMED.format("storage.stores")))
    for key, name in STORES.items():
        store = to_mapping(document.get(key))
        if "backend" in store and "type" not in store:
            stores.setdefault(name, document.pop(key))
            notes.append(Problem(key, RENAMED.format(f"storage.stores.{name}")))
    if stores:
        document["storage"] = {**sections, "stores": stores}


def _use_ids(holder: dict[str, Any]) -> None:
    for name, section in SECTIONS.items():
        if isinstance(holder.get(name), list):
            holder[name] = [_with_id(entry, section.id_field) for entry in to_list(holder[name])]


def _with_id(entry: Value, key: str) -> Value:
    values = to_mapping(entry)
    if key in values or "identifier" not in values:
        return entry
    return {key: values["identifier"], **{name: value for name, value in values.items() if name != "identifier"}}


def _providers(providers: Value, notes: list[Problem]) -> dict[str, Value]:
    return {
        api: [_provider(api, entry, f"providers.{api}[{index}]", notes) for index, entry in enumerate(to_list(entries))]
        if isinstance(entries, list)
        else entries
        for api, entries in to_mapping(providers).items()
    }


def _provider(api: str, entry: Value, place: str, notes: list[Problem]) -> Value:
    values, config = to_mapping(entry), to_mapping(to_mapping(entry).get("config"))
    if (api, values.get("provider_type")) == ("safety", "meta-reference") and "llama_guard_shield" in config:
        guard = to_mapping(config["llama_guard_shield"])
        notes.append(Problem(place, f"is `inline::llama-guard` now; declare a shield for `{guard.get('model')}`"))
        config = {key: guard[key] for key in ("excluded_categories",) if key in guard}
        return {**values, "provider_type": "inline::llama-guard", "config": config}
    config = _with_tls(config, place, notes)
    blanks = [key for key, text in config.items() if isinstance(text, str) and PLACEHOLDER.fullmatch(text)]
    if not blanks and "network" not in to_mapping(values.get("config")):
        return entry
    names = {key: re.sub(r"[^A-Z0-9]+", "_", f"{values.get('provider_id')}_{key}".upper()).strip("_") for key in blanks}
    notes.extend(Problem(f"{place}.config.{key}", f"is to be filled in: set {name}") for key, name in names.items())
    return {**values, "config": {**config, **{key: f"${{env.{name}}}" for key, name in names.items()}}}


def _with_tls(config: Mapping[str, Value], place: str, notes: list[Problem]) -> Mapping[str, Value]:
    """`tls_verify` of `network.tls.verify`; the rest of `network` is nothing here."""
    if not isinstance(config.get("network"), Mapping | None) or "network" not in config:
        return config
    tls = to_mapping(to_mapping(config["network"]).get("tls"))
    verify = {"tls_verify": tls["verify"]} if tls.get("verify") is not None and "tls_verify" not in config else {}
    notes.append(Problem(f"{place}.config.network", "of this only `tls.verify` is kept, as `tls_verify`"))
    return {**{key: value for key, value in config.items() if key != "network"}, **verify}
