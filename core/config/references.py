"""What a record by itself cannot see: ids that are used twice, and what is named and does not exist."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeGuard

from core.config.places import Places, Value, take, to_list, to_mapping
from core.config.problems import Problem
from core.config.sections import SECTIONS, Section
from core.platform.suggestions import did_you_mean

type Entries = Sequence[Mapping[str, Any]]

DEFAULT_PROVIDERS: Final = {
    "default_provider_id": "vector_io",
    "default_embedding_model.provider_id": "inference",
    "rewrite_query_params.model.provider_id": "inference",
}
"""Where the defaults of vector stores name a provider, and of which API."""


def broken_references(document: Mapping[str, Value], places: Places) -> Iterator[Problem]:
    """Duplicate provider ids, duplicate resource ids, unknown provider ids and shields, in a normalised document."""
    providers = {api: _entries(entries) for api, entries in to_mapping(document.get("providers")).items()}
    for api, entries in providers.items():
        yield from _twice(entries, "provider_id", f"providers.{api}", places)
    for name, values in to_mapping(document.get("resources")).items():
        section = SECTIONS[name]
        entries = _entries(values)
        yield from _twice(entries, section.id_field, f"resources.{name}", places)
        yield from _strays(entries, section, providers.get(section.api, ()), places)
    shields = _entries(to_mapping(document.get("resources")).get("shields"))
    yield from _undeclared(document.get("safety"), shields, places)
    yield from _default_providers(document.get("vector_stores"), providers, places)


def _default_providers(defaults: Value, providers: Mapping[str, Entries], places: Places) -> Iterator[Problem]:
    """Providers that the defaults of vector stores name and that do not exist."""
    for path, api in DEFAULT_PROVIDERS.items():
        name, ids = take(to_mapping(defaults), path)[0], _provider_ids(providers.get(api, ()))
        if _is_id(name) and ids is not None and name not in ids:
            yield Problem(places.source_path(f"vector_stores.{path}"), _no_provider(api, name, ids))


def _undeclared(safety: Value, shields: Entries, places: Places) -> Iterator[Problem]:
    """Shields of `safety` that the section does not declare: anybody could register one of that name."""
    names = [name for entry in shields for name in _shield_names(entry)]
    for path, value in _shield_lists(safety):
        for index, name in enumerate(value):
            if _is_id(name) and name not in names:
                message = f"no shield `{name}` is declared in `shields`{did_you_mean(name, names)}"
                yield Problem(places.source_path(f"safety.{path}[{index}]"), message)


def _shield_names(entry: Mapping[str, Any]) -> Iterator[str]:
    name = entry.get("provider_shield_id") or entry.get("shield_id")
    for identifier in (entry.get("shield_id") or name, f"{entry.get('provider_id')}/{name}"):
        if _is_id(identifier):
            yield identifier


def _shield_lists(safety: Value) -> Iterator[tuple[str, Sequence[Value]]]:
    section = to_mapping(safety)
    yield from _both("default_shields", section.get("default_shields"))
    for index, rule in enumerate(_entries(section.get("rules"))):
        yield from _both(f"rules[{index}].shields", rule.get("shields"))


def _both(path: str, value: Value) -> Iterator[tuple[str, Sequence[Value]]]:
    yield path, to_list(value)
    yield from ((f"{path}.{name}", to_list(names)) for name, names in to_mapping(value).items())


def _entries(value: Value) -> Entries:
    """The entries of a list, with an empty one for whatever is no mapping, so that indexes hold."""
    return [to_mapping(entry) for entry in to_list(value)]


def _twice(entries: Entries, key: str, path: str, places: Places) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for index, entry in enumerate(entries):
        name = entry.get(key)
        if _is_id(name):
            place = places.source_path(f"{path}[{index}].{key}")
            if name in first:
                yield Problem(place, f"`{name}` is already used by {first[name]}")
            first.setdefault(name, place)


def _strays(entries: Entries, section: Section, providers: Entries, places: Places) -> Iterator[Problem]:
    ids = _provider_ids(providers)
    if ids is None:
        return
    for index, entry in enumerate(entries):
        for path, name in _providers_of(entry):
            if _is_id(name) and name not in ids:
                place = places.source_path(f"resources.{section.name}[{index}].{path}")
                yield Problem(place, _no_provider(section.api, name, ids))


def _provider_ids(providers: Entries) -> list[str] | None:
    """None where one is missing: what is wrong there is reported there."""
    names = [provider.get("provider_id") for provider in providers]
    ids = [name for name in names if _is_id(name)]
    return None if len(ids) < len(names) else ids


def _no_provider(api: str, name: str, ids: Sequence[str]) -> str:
    choices = ", ".join(dict.fromkeys(ids)) or "none"
    return f"no {api} provider is called `{name}`{did_you_mean(name, ids)} (configured: {choices})"


def _providers_of(entry: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Each provider id that a resource names, with where it does: its own, and those of a model's targets."""
    yield "provider_id", entry.get("provider_id")
    for index, target in enumerate(_entries(to_mapping(entry.get("metadata")).get("targets"))):
        yield f"metadata.targets[{index}].provider_id", target.get("provider_id")


def _is_id(value: object) -> TypeGuard[str]:
    """Whether this is an id, and not a variable that is missing."""
    return isinstance(value, str) and value != "" and "${env." not in value
