"""The APIs that this build serves, a row each, and the routes that follow from the rows."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from core.apis import admin, inference, safety, seldom
from core.apis.models import MODEL
from core.frame.operations import Operation
from core.frame.resources import Kind

OPENAI_MODELS: Final = "/v1/openai/v1/models"


@dataclass(frozen=True, slots=True)
class Surface:
    """One Protocol's operations; the resolved stack holds an object for it under this name."""

    name: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Api:
    """An API: what it answers, and the kinds of resource that its function also serves."""

    name: str
    surfaces: tuple[Surface, ...]
    kinds: tuple[Kind, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteRow:
    """One method on one path; `path` is in Starlette's form, with `{name:path}` where slashes may follow."""

    api: str
    method: str
    path: str
    summary: str
    surface: str = ""
    operation: Operation | None = None
    kind: Kind | None = None


APIS: Final = {
    api.name: api
    for api in (
        Api(
            "inference",
            (Surface("inference", inference.OPERATIONS), Surface("native_inference", seldom.NATIVE)),
            (MODEL,),
        ),
        Api("safety", (Surface("safety", safety.OPERATIONS),), (safety.SHIELD,)),
        Api(
            "admin",
            (
                Surface("admin", admin.OPERATIONS),
                Surface("quota", admin.QUOTA_OPERATIONS),
                Surface("configurations", seldom.CONFIGURATIONS),
                Surface("discovery", admin.DISCOVERY_OPERATIONS),
            ),
        ),
    )
}


def kind_rows(api: str, kind: Kind) -> Iterator[RouteRow]:
    """The registry routes of a kind; models are listed under OpenAI's prefix of 0.2 too."""
    one = f"/{{{kind.id_field}:path}}"
    prefixes = (kind.path, OPENAI_MODELS) if kind is MODEL else (kind.path,)
    for prefix in prefixes:
        yield RouteRow(api, "GET", prefix, f"List the registered {kind.section}.", kind=kind)
        yield RouteRow(api, "GET", prefix + one, f"Show one {kind.name}.", kind=kind)
    yield RouteRow(api, "POST", kind.path, f"Register a {kind.name}.", kind=kind)
    yield RouteRow(api, "DELETE", kind.path + one, f"Unregister a {kind.name}.", kind=kind)


def _surface_rows(api: str, surface: Surface) -> Iterator[RouteRow]:
    for operation in surface.operations:
        for path in operation.paths:
            yield RouteRow(api, operation.method, path, operation.summary, surface=surface.name, operation=operation)


def route_rows(apis: Collection[str]) -> Iterator[RouteRow]:
    """Every route of these APIs, operations before registries: they are the hot ones."""
    for api in (APIS[name] for name in apis):
        for surface in api.surfaces:
            yield from _surface_rows(api.name, surface)
        for kind in api.kinds:
            yield from kind_rows(api.name, kind)
