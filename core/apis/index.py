"""The APIs of this build: one for each module of `core.apis.manifests`, whose name it has."""

from collections.abc import Iterable, Iterator
from functools import cache
import os

from core.apis import manifests
from core.frame.api import Api, RouteRow
from core.frame.api import route_rows as rows_of_api
from core.frame.dotted import load
from core.frame.resources import Kind


@cache
def names() -> tuple[str, ...]:
    """In alphabetical order; the folder is read, and no manifest."""
    files = [entry.name for folder in manifests.__path__ for entry in os.scandir(folder)]
    return tuple(sorted({file.partition(".")[0] for file in files if not file.startswith("_")}))


def manifest(name: str) -> Api:
    """The API of this name; raises ImportError for one that this build has not."""
    api: Api = load(f"{manifests.__name__}.{name}:API")
    return api


def all_manifests() -> list[Api]:
    """Every API. It imports every manifest, so it is not for what happens at a cold start of one function."""
    return [manifest(name) for name in names()]


@cache
def configurable_names() -> tuple[str, ...]:
    """The APIs that a run config can ask for, in alphabetical order."""
    return tuple(api.name for api in all_manifests() if not api.overview)


def has_providers(name: str) -> bool:
    """Whether this build has an API of this name that providers serve."""
    return name in names() and manifest(name).provider is not None


def kind_of(api: str, section: str) -> Kind | None:
    """The kind of an API whose list in the run config is `section`; None where this build has none."""
    kinds_of_api = manifest(api).kinds if api in names() else ()
    return next((kind for kind in kinds_of_api if kind.section == section), None)


def kinds() -> list[Kind]:
    return [kind for api in all_manifests() for kind in api.kinds]


def route_rows(apis: Iterable[str]) -> Iterator[RouteRow]:
    for name in apis:
        yield from rows_of_api(manifest(name))
