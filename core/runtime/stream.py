"""The streaming Lambda runtime: `python -m core.runtime.stream`, which `infra/stream` starts in place of AWS's own.

It serves the ASGI app beside the handler that _HANDLER names: `app` of functions.inference for
`functions.inference.handler`. docs/streaming.md draws it.
"""

# First: it shortens what follows.
import core.runtime.coldstart  # noqa: F401  # pyright: ignore[reportUnusedImport]

# isort: split

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
import logging
import signal
import sys
from typing import Final

from starlette.applications import Starlette
from starlette.types import ASGIApp

from core.errors import InvalidRequest
from core.frame.tracing import REQUEST_ID
from core.platform.environment import environ, set_variables
from core.platform.log_records import hold_back
from core.runtime import snapshot
from core.runtime.asgi_cycle import Cycle, cancel, respond
from core.runtime.context import Context
from core.runtime.http_events import HttpRequest, NotHttp, http_request
from core.runtime.invocations import Failure, Invocation, RuntimeApi, RuntimeApiFailed
from core.runtime.log_format import log_as_json
from core.runtime.loop import process_loop

log = logging.getLogger(__name__)

MARGIN_SECONDS: Final = 0.2  # before the deadline, for the last resort's answer to leave
LEVELS: Final = {"TRACE": "DEBUG"}  # Lambda's names that are not logging's
INIT_ERRORS: Final[Mapping[type[BaseException], str]] = {  # by the names of AWS's runtime
    ImportError: "Runtime.ImportModuleError",
    SyntaxError: "Runtime.UserCodeSyntaxError",
}


class NoApp(Exception):
    """_HANDLER names no module of functions/ with an app."""


class ExecutionEnvironment:
    """An execution environment: one app, one invocation after another, nothing kept between them."""

    def __init__(self, app: ASGIApp, api: RuntimeApi, variables: Mapping[str, str]) -> None:
        """`variables` are the process's environment."""
        self._app = app
        self._api = api
        self._variables = variables

    async def run(self) -> None:
        """Serve until SIGTERM, then finish what is on its way; raises RuntimeApiFailed."""
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        while not stopping.is_set():
            invocation = await self._next(stopping)
            if invocation is not None:
                await self._serve_alone(invocation)

    async def _next(self, stopping: asyncio.Event) -> Invocation | None:
        """None when there is to be none."""
        asking, stopped = asyncio.create_task(self._api.next()), asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait((asking, stopped), return_when=asyncio.FIRST_COMPLETED)
            return asking.result() if asking.done() else None
        finally:
            await cancel(asking, stopped)

    async def _serve_alone(self, invocation: Invocation) -> None:
        """Serve one invocation, and cancel whatever it has left running."""
        before = asyncio.all_tasks()
        await self._serve(invocation)
        if after := asyncio.all_tasks() - before:
            await cancel(*after)

    async def _serve(self, invocation: Invocation) -> None:
        from core.web.observed import request_id  # with the app, which is there by now

        context = Context(invocation, self._variables)
        REQUEST_ID.set(invocation.request_id)  # of what the runtime itself logs of it
        loop = asyncio.get_running_loop()
        until = loop.time() + context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
        try:
            request = http_request(invocation.payload, self._variables.get("LLAMBDA_BASE_PATH", ""))
            request.scope.update({"aws.context": context, "aws.trace_id": invocation.trace_id})
            set_variables({"_X_AMZN_TRACE_ID": invocation.trace_id})  # where AWS's SDK looks for it
            REQUEST_ID.set(request_id(request.scope))
            app, body = _with_body(self._app, request)
        except NotHttp as failure:
            log.error("%s", failure)  # noqa: TRY400 - whoever sent it is at fault
            await self._api.report_invocation_error(invocation.request_id, Failure("Runtime.NotHttp", str(failure)))
            return
        await respond(app, Cycle(request, body, self._api, invocation.request_id), request, until)


def _with_body(app: ASGIApp, request: HttpRequest) -> tuple[ASGIApp, bytes]:
    try:
        return app, request.body()
    except InvalidRequest as refusal:
        from core.web.app import refusing

        return refusing(app, refusal), b""


def load(handler: str) -> Starlette:
    """The app beside `handler`.

    Raises:
        NoApp: there is none; what its module raises is raised.
    """
    module, _, _ = handler.rpartition(".")
    if not module:
        raise NoApp(f"_HANDLER is {handler!r}; it must be a module and a name, as in functions.inference.handler.")
    app = getattr(import_module(module.replace("/", ".")), "app", None)
    if not isinstance(app, Starlette):
        raise NoApp(f"{module} has no Starlette app called `app`.")
    return app


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the start: what its failure is called (None: what the exception is), and the exit code that follows."""

    name: str
    code: int
    tell: Callable[[RuntimeApi, Failure], Coroutine[None, None, None]] = RuntimeApi.report_init_error
    error: str | None = None


INIT: Final = Phase("init", 1)
SNAPSHOT: Final = Phase("the work before a snapshot", 64, error="Runtime.BeforeSnapshotError")
RESTORE: Final = Phase("the work after a restore", 65, RuntimeApi.report_restore_error, "Runtime.AfterRestoreError")


@dataclass(frozen=True, slots=True)
class ReportErrors:
    """Lambda is told of whatever is raised inside; then the process exits."""

    phase: Phase
    api: RuntimeApi

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None, trace: object) -> None:
        """Raises SystemExit, or RuntimeApiFailed when nobody can be told."""
        if kind is None or failure is None:
            return
        log.critical("%s failed", self.phase.name, exc_info=failure)
        name = self.phase.error or next((name for base, name in INIT_ERRORS.items() if issubclass(kind, base)), None)
        report = Failure.from_exception(failure, str(failure), kind=name)
        process_loop().run_until_complete(self.phase.tell(self.api, report))
        raise SystemExit(self.phase.code) from failure


def start(api: RuntimeApi, variables: Mapping[str, str], closing: AsyncExitStack) -> Starlette:
    """The app, ready to serve; `closing` ends it.

    Raises:
        SystemExit: it cannot be; Lambda has been told.
        RuntimeApiFailed: Lambda could not be told, or made no environment from the snapshot.
    """
    with ReportErrors(INIT, api):
        app = load(variables.get("_HANDLER", ""))
        process_loop().run_until_complete(closing.enter_async_context(app.router.lifespan_context(app)))
    if variables.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        with ReportErrors(SNAPSHOT, api):
            snapshot.run(snapshot.before_snapshot())
        process_loop().run_until_complete(api.await_restore())
        with ReportErrors(RESTORE, api):
            snapshot.run(snapshot.after_restore())
    return app


def main() -> int:
    """Serve until the environment ends; the exit code is 0 after SIGTERM."""
    variables = environ()
    level = variables.get("AWS_LAMBDA_LOG_LEVEL", "").upper() or "WARNING"
    logging.getLogger().setLevel(LEVELS.get(level, level))
    log_as_json()
    hold_back()
    loop, closing = process_loop(), AsyncExitStack()
    api = RuntimeApi(variables.get("AWS_LAMBDA_RUNTIME_API", ""))
    closing.push_async_callback(api.close)
    try:
        app = start(api, variables, closing)
        loop.run_until_complete(ExecutionEnvironment(app, api, variables).run())
    except RuntimeApiFailed as failure:
        log.critical("%s", failure)
        return 1
    finally:
        loop.run_until_complete(closing.aclose())
    return 0


if __name__ == "__main__":
    sys.exit(main())
