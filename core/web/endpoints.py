"""Endpoints from the tables: an operation's row or a kind's becomes a Starlette route behind its middlewares."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from starlette.routing import Route, compile_path

from core.config.document import RunConfig
from core.frame.api import RouteRow, SurfaceFactory
from core.frame.dotted import load
from core.frame.operations import Operation
from core.routing.guard import RegistryFactory
from core.stores.answers.port import AnswerStore
from core.web.authentication import AuthenticationMiddleware
from core.web.exchange import Middleware, chain, endpoint
from core.web.failures import Endpoint
from core.web.media_types import JsonMiddleware
from core.web.observed import ObservationMiddleware
from core.web.operations import OperationHandler
from core.web.registries import HANDLERS

if TYPE_CHECKING:
    from core.auth.authenticator import Authenticator
    from core.quota.naming import CallerNaming
    from core.quota.quota import Quota
    from core.quota.recorder import UsageRecorder
    from core.quota.streams import StreamLimit
    from core.stores.blobs.port import BlobStore
    from core.web.uploads import UploadReceiver


class Served(Protocol):
    """What endpoints answer from. From `authenticator` on, None stands for what is not configured."""

    @property
    def config(self) -> RunConfig:
        """The run config in force."""
        ...

    @property
    def surfaces(self) -> Mapping[str, SurfaceFactory]:
        """By the name of the surface."""
        ...

    @property
    def registries(self) -> Mapping[str, RegistryFactory]:
        """By the name of the kind."""
        ...

    @property
    def authenticator(self) -> "Authenticator | None":
        """Who tells callers apart."""
        ...

    @property
    def issuers(self) -> Sequence[str]:
        """The URLs of those whose tokens callers may have."""
        ...

    @property
    def admission(self) -> "Quota | UsageRecorder | None":
        """Who counts their requests and tokens."""
        ...

    @property
    def stream_limit(self) -> "StreamLimit | None":
        """Who counts the streams that they have open."""
        ...

    @property
    def answers(self) -> AnswerStore | None:
        """Where answers are, by idempotency key."""
        ...

    @property
    def blobs(self) -> "BlobStore | None":
        """Where uploads go."""
        ...


PATTERN: Final = ("path_regex", "path_format", "param_convertors")


class RowRoute(Route):
    """A route whose path is compiled as a pattern when it is first compared with another: nearly none is, of a process that answers one call."""

    def __init__(self, path: str, endpoint: Callable[..., Any], method: str) -> None:
        super().__init__("/", endpoint, methods=[method])
        self.path = path
        for name in PATTERN:
            delattr(self, name)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - one of three
        if name not in PATTERN:
            raise AttributeError(name)
        self.path_regex, self.path_format, self.param_convertors = compile_path(self.path)
        return vars(self)[name]


def routes_of(rows: list[RouteRow], served: Served) -> list[Route]:
    """A route per row, in order; HEAD is answered where GET is, as HTTP wants it."""
    return [
        RowRoute(row.path, endpoint, row.method) for row, endpoint in zip(rows, endpoints(rows, served), strict=True)
    ]


def endpoints(rows: list[RouteRow], served: Served) -> list[Endpoint]:
    """What answers each row, in order."""
    naming = _naming(served.config)
    return [_endpoint(row, served, naming=naming) for row in rows]


def _naming(config: RunConfig) -> "CallerNaming | None":
    if not config.server.usage:  # as mostly: nothing of it is imported
        return None
    from core.quota.naming import naming_of

    return naming_of(config)


def _endpoint(row: RouteRow, served: Served, *, naming: "CallerNaming | None") -> Endpoint:
    limit, operation = served.config.server.max_body_bytes, row.operation
    middlewares = _middlewares(row, served, naming=naming)
    if operation is not None:
        handler = OperationHandler(operation, served.surfaces[row.surface], _uploads(operation, served))
        return endpoint(chain(handler, middlewares), operation.request_type, operation, limit)
    if row.kind is None:
        raise LookupError(row.path)
    registry = HANDLERS[row.method, row.many](row.kind, served.registries[row.kind.name])
    return endpoint(chain(registry, middlewares), row.kind.body_type, limit=limit)


def _middlewares(row: RouteRow, served: Served, *, naming: "CallerNaming | None") -> list[Middleware]:
    """The outermost first."""
    operation = row.operation
    open_ = operation is not None and operation.open
    middlewares: list[Middleware] = [
        ObservationMiddleware(row.api, row.name),
        _authentication(operation, served, naming=naming),
    ]
    if row.method != "GET" and (operation is None or operation.upload is None):  # an upload says so itself
        middlewares.append(JsonMiddleware(row.has_body))
    if served.stream_limit is not None and not open_ and operation is not None and operation.stream is not None:
        from core.web.stream_limit import StreamLimitMiddleware

        middlewares.append(StreamLimitMiddleware(served.stream_limit))
    if served.admission is not None and row.counted:
        from core.web.quota import QuotaMiddleware

        if operation is None:
            middlewares.append(QuotaMiddleware(served.admission))
        else:
            counts = (operation.token_bound(), operation.part_count(), operation.model_name())
            middlewares.append(QuotaMiddleware(served.admission, *counts))
    config = served.config.server.idempotency
    if operation is not None and operation.idempotent and config is not None and served.answers is not None:
        from core.web.idempotency import IdempotencyMiddleware

        middlewares.append(IdempotencyMiddleware(served.answers, config))
    return middlewares


def _authentication(
    operation: Operation | None, served: Served, *, naming: "CallerNaming | None"
) -> AuthenticationMiddleware:
    if operation is None:
        return AuthenticationMiddleware(served.authenticator, naming=naming)
    metadata = operation.metadata if operation.metadata and served.issuers else ""
    return AuthenticationMiddleware(None if operation.open else served.authenticator, metadata, naming)


def _uploads(operation: Operation, served: Served) -> "UploadReceiver | None":
    if operation.upload is None:
        return None
    from core.web.uploads import UploadReceiver

    upload = operation.upload
    store = served.blobs if upload.store is None else load(upload.store)(served)
    folder = None if upload.folder is None else partial(load(upload.folder), served)
    return UploadReceiver(upload, operation.request_type, store, served.config.server.max_upload_bytes, folder)
