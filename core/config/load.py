"""A run config's file to a validated RunConfig, or to everything that is wrong with it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from pydantic import BaseModel

from core.apis.index import kind_of
from core.config.document import ProviderEntry, RunConfig
from core.config.normalize import normalise
from core.config.places import Places, Value, to_list, to_mapping
from core.config.problems import ConfigInvalid, Problem
from core.config.references import broken_references
from core.config.sections import SECTIONS
from core.config.source import read
from core.config.substitution import Expansion
from core.config.validation import check
from core.frame.types import JsonObject
from core.platform.environment import expand_home

PATHS: Final = ("db_path", "path")


@dataclass(frozen=True, slots=True)
class CallersPart:
    """What callers have set of a provider's config: `values`, over the run config's `original`, which is None of a registered one.

    `owner` is whoever said where it is, as of a resource; None is the anonymous caller, and the stack itself.
    """

    values: Mapping[str, Any]
    original: Mapping[str, Any] | None
    owner: JsonObject | None = None


@dataclass
class Loaded:
    """A document that was read. `config` is None where there are problems.

    `document` has the environment in it and RunConfig's spelling; with problems it may be of any shape below its
    top-level keys, and is {} when the file could not be read. It has secrets in it. `callers_parts` is by API and provider id.
    """

    config: RunConfig | None
    document: dict[str, Any]
    problems: list[Problem]
    places: Places = field(default_factory=Places)
    callers_parts: Mapping[tuple[str, str], CallersPart] = field(default_factory=dict[tuple[str, str], CallersPart])
    _entries: list[tuple[str, str, ProviderEntry]] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def external_providers_dir(self) -> str | None:
        """Known also where something else in the document is wrong."""
        folder = self.document.get("external_providers_dir")
        return folder if isinstance(folder, str) else None

    def check[M: BaseModel](self, model: type[M], values: Value, path: str) -> tuple[M | None, list[Problem]]:
        """Validate a part of the document that this package leaves alone, as `providers.inference[0].config`.

        A field of type text gets what the environment said, be it "12345678" or "true". `path` is that of `document`;
        the problems name the file's, and those that only follow from a missing variable are left out.
        """
        checked = check(model, values, path, self.places)
        return checked.record, _drop_consequences(checked.problems, self.problems)

    def provider_entries(self) -> list[tuple[str, str, ProviderEntry]]:
        """`(api, path in document, entry)` of every provider that is well formed, whatever else is wrong."""
        if self._entries is None:
            self._entries = list(self._valid_entries())
        return self._entries

    def _valid_entries(self) -> Iterator[tuple[str, str, ProviderEntry]]:
        for api, entries in to_mapping(self.document.get("providers")).items():
            for index, values in enumerate(to_list(entries)):
                path = f"providers.{api}[{index}]"
                entry = check(ProviderEntry, values, path, self.places).record
                if entry is not None:
                    yield api, path, entry


def load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Read a run config: JSON if the name ends in .json, else YAML. Never raises for what is in the file."""
    raw, unreadable = read(path)
    problems = _drop_consequences(unreadable, ())
    if raw is None:
        return Loaded(None, {}, problems)
    try:
        loaded = interpret(raw, environ)
    except RecursionError:
        return Loaded(None, {}, [*problems, Problem("", "the document is nested too deeply")])
    if problems:
        loaded.config = None
        loaded.problems = problems + _drop_consequences(loaded.problems, problems)
    return loaded


def interpret(raw: Mapping[str, Value], environ: Mapping[str, str]) -> Loaded:
    """Substitute, normalise and validate a document that is already in memory."""
    expansion = Expansion(environ)
    expanded = cast("dict[str, Any]", expansion.value(raw))
    normal = normalise(expanded, Places(expansion.origins, expansion.texts))
    folder = normal.document.get("external_providers_dir")
    if isinstance(folder, str):
        normal.document["external_providers_dir"] = expand_home(folder, environ)
    normal.document["state"] = _expand_paths(normal.document["state"], environ)
    bodies = _check_bodies(normal.document, normal.places)
    checked = check(RunConfig, normal.document, "", normal.places, environ)
    candidates = [*normal.problems, *bodies, *checked.problems, *broken_references(checked.values, normal.places)]
    problems = [*expansion.problems, *_drop_consequences(candidates, expansion.problems)]
    return Loaded(None if problems else checked.record, checked.values, problems, normal.places)


def _expand_paths(stores: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """With `~` as the home directory of these variables."""
    expanded = dict[str, Any]()
    for name, store in stores.items():
        if isinstance(store, Mapping):
            expanded[name] = _expand_paths(cast("Mapping[str, Any]", store), environ)
        else:
            expanded[name] = expand_home(store, environ) if name in PATHS and isinstance(store, str) else store
    return expanded


def compile_json(path: Path) -> str:
    """The file as JSON, with its `${env...}` as they are: the build runs this, Lambda substitutes.

    Raises:
        ConfigInvalid: the file is missing, is no mapping, or is not valid YAML or JSON.
    """
    import json

    raw, problems = read(path)
    if problems:
        raise ConfigInvalid(str(path), problems)
    return json.dumps(raw, ensure_ascii=False, separators=(",", ":"))


def _check_bodies(document: dict[str, Any], places: Places) -> list[Problem]:
    """Hold resources to the body of their register request, where this build has the kind."""
    problems: list[Problem] = []
    for section, entries in document["resources"].items():
        kind = kind_of(SECTIONS[section].api, section)
        if kind is None:
            continue
        for index, entry in enumerate(entries):
            checked = check(kind.body_type(), entry, f"resources.{section}[{index}]", places)
            entries[index] = checked.values
            problems.extend(checked.problems)
    return problems


def _drop_consequences(problems: Iterable[Problem], reported: Iterable[Problem]) -> list[Problem]:
    """One problem per path; none at or above a place that is known to be wrong, since it may only follow from that."""
    wrong = {problem.path for problem in reported}
    new: dict[str, Problem] = {}
    for problem in problems:
        path = problem.path
        if path not in wrong and not (path and any(place.startswith((f"{path}.", f"{path}[")) for place in wrong)):
            new.setdefault(path, problem)
    return list(new.values())
