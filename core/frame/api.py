"""The manifest of an API: everything that the other rooms know of it, as data.

What a manifest names as `module:attribute` is imported when it is used (see `core.frame.dotted`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from core.frame.callers import Call
from core.frame.operations import Operation
from core.frame.resources import Kind

WORKER: Final = "worker"
"""The one module of functions/ that serves no API: it works on the jobs of all of them."""

type SurfaceFactory = Callable[[Call | None], Any]
"""Makes the object that keeps a surface's Protocol for one call; None is the stack itself, which may do everything."""


@dataclass(frozen=True, slots=True)
class Surface:
    """The operations of one Protocol; a resolved stack has a SurfaceFactory under this `name`."""

    name: str
    protocol: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Deployment:
    """What template.yaml gives the API's function: memory in MB, the timeout, and rights.

    `seconds` are at most the 29 that API Gateway waits for an answer in one piece; streams have longer. `rights` are
    `sid`s of core/cli/iam/table.py, beside those of every function. With a `switch`, a condition of the template whose name
    begins with `Has`, there is a function only where that holds.
    """

    memory_mb: int = 1024
    seconds: int = 29
    rights: tuple[str, ...] = ()
    switch: str = ""


@dataclass(frozen=True, slots=True)
class JobRow:
    """A kind of job: `kind` names the function from a stack's parts to the JobKind of `core.services.jobs.kind`.

    `limit` is the field of KeepLimits that says how many a caller may have under way. One that `has_runs` is known by
    other names than its id, under which it is the last of its retries. `about` are fields of its request that whoever
    may see it is shown.
    """

    name: str
    kind: str
    limit: str = ""
    has_runs: bool = False
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Eraser:
    """What removes all that a principal keeps in these `collections`, with what belongs to it elsewhere.

    `pieces` names the function from a stack's parts to the Erase of `core.services.erasure`.
    """

    pieces: str
    collections: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Api:
    """An API, which the module of the same name in `functions/` serves.

    `assemble` names the function from a stack to its surface factories, `{name: SurfaceFactory}`; the registries of
    `kinds` are there by then. `provider` names the Protocol of its providers, and is None for an API that has none.
    `depends` are the APIs whose surfaces it looks up while it answers, where they have providers: two may depend on
    each other. The providers of the `occasional` ones among them are made for the first call that asks for one. `stores` are the kinds of store that it keeps state in, by their names in `core.stores.connect`, the
    `optional_stores` those that it does more with, where the run config has a place for them; `collections`
    those of its documents, for which alone its function gets rights; `jobs` the kinds of job that it has. The `eraser` removes the documents of a principal; registered resources of `kinds` and
    jobs are removed for every API alike. An `overview` is made with every provider of the run config, and is always served.
    `pages` names the function to the routes that are for people: no row, and no part of the OpenAPI document. Only what writes
    template.yaml reads `deployment`.
    """

    name: str
    surfaces: tuple[Surface, ...]
    assemble: str
    kinds: tuple[Kind, ...] = ()
    provider: str | None = None
    depends: tuple[str, ...] = ()
    occasional: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    optional_stores: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    jobs: tuple[JobRow, ...] = ()
    eraser: Eraser | None = None
    overview: bool = False
    pages: str | None = None
    deployment: Deployment = Deployment()

    @property
    def streams(self) -> bool:
        """Whether an answer may leave piece by piece, as events or as bytes: API Gateway hands on no others' bytes."""
        operations = [operation for surface in self.surfaces for operation in surface.operations]
        return any(operation.stream or operation.reply == "bytes" for operation in operations)

    @property
    def takes_uploads(self) -> bool:
        """Whether a request may have a file."""
        return any(operation.upload for surface in self.surfaces for operation in surface.operations)

    @property
    def function(self) -> str:
        return f"functions.{self.name}"


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

    @property
    def many(self) -> bool:
        """Whether it is about all resources of its kind rather than one."""
        return "{" not in self.path

    @property
    def has_body(self) -> bool:
        """Whether what is sent with a request is read."""
        if self.operation is None:
            return self.method == "POST"
        operation = self.operation
        reads = operation.read is not None and self.method != "GET"
        return operation.request is not None or operation.upload is not None or reads

    @property
    def counted(self) -> bool:
        """Whether it takes of the caller's quota; what only looks at a registry does not."""
        return self.method != "GET" if self.operation is None else self.operation.takes_quota

    @property
    def name(self) -> str:
        """The operation's name in logs and metrics: `chat_completion`, or for a registry `list_models`."""
        if self.operation is not None:
            return self.operation.call
        if self.kind is None:
            raise LookupError(self.path)
        verb = {"GET": "list" if self.many else "get", "POST": "register", "DELETE": "unregister"}[self.method]
        return f"{verb}_{self.kind.section if verb == 'list' else self.kind.name}"


def route_rows(api: Api) -> Iterator[RouteRow]:
    """Every route of an API, operations before registries: they are the hot ones."""
    for surface in api.surfaces:
        for operation in surface.operations:
            for path in operation.paths:
                yield RouteRow(api.name, operation.method, path, operation.summary, surface.name, operation)
    for kind in api.kinds:
        yield from _kind_rows(api.name, kind)


def _kind_rows(api: str, kind: Kind) -> Iterator[RouteRow]:
    if not kind.path:
        return
    one = f"/{{{kind.id_field}:path}}"
    for prefix in (kind.path, *kind.aliases, *kind.further_paths):
        yield RouteRow(api, "GET", prefix, f"List the registered {kind.section}.", kind=kind)
        yield RouteRow(api, "GET", prefix + one, f"Show one {kind.name}.", kind=kind)
    for prefix in (kind.path, *kind.further_paths):
        yield RouteRow(api, "POST", prefix, f"Register a {kind.name}.", kind=kind)
        yield RouteRow(api, "DELETE", prefix + one, f"Unregister a {kind.name}.", kind=kind)
