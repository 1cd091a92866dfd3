"""What a module of `functions/` is made of: its app and its handler, from the run config."""

from core.runtime import coldstart  # first: it shortens what follows

# isort: split

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette

from core.apis.index import manifest, route_rows
from core.config.load import Loaded, load
from core.config.problems import ConfigInvalid, Problem
from core.frame.dotted import load as load_name
from core.frame.version import VERSION
from core.platform.environment import config_path, environ
from core.platform.log_records import hold_back
from core.platform.tls import lazy_defaults
from core.resolution.resolve import resolve
from core.resolution.stack import Stack
from core.runtime import log_lines, snapshot
from core.runtime.log_format import log_as_json
from core.runtime.loop import process_loop
from core.web.app import app_of, build_app
from core.web.observed import Sink
from core.web.origins import rules_of

if TYPE_CHECKING:
    from core.runtime.buffered import Handler


def function(api: str) -> tuple[Starlette, "Handler"]:
    """Resolve `api` from the run config that LLAMBDA_CONFIG names; connections open at first use.

    Raises:
        ConfigInvalid: the run config has problems, or LLAMBDA_CONFIG is not set.
    """
    variables = environ()
    name = variables.get("AWS_LAMBDA_FUNCTION_NAME")
    if name:
        log_as_json()
    hold_back()
    loaded = load_config()
    snapshots = variables.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"
    with nullcontext() if snapshots else lazy_defaults():
        # What was deployed was checked; a snapshot's start takes nobody's time, and `llambda serve` finds mistakes at once.
        checks_late = name is not None and not snapshots
        stack = process_loop().run_until_complete(resolve(loaded, [api], version=VERSION, checks_late=checks_late))
        check_files(loaded, stack)
        if not manifest(api).overview:  # which only looks at its providers' health
            stack.warm([api])
    app = app_of_stack(stack, [api], log_lines.to_cloudwatch(name) if name else None)
    if snapshots:
        snapshot.keep_apart()
    handler = _handler(app, variables)
    coldstart.end()
    return app, handler


def check_files(loaded: Loaded, stack: Stack) -> None:
    """Raises ConfigInvalid for files that cannot be used; nothing is imported where none is named."""
    authorities = {
        (i.api, i.entry.provider_id): getattr(i.config, "tls_verify", None)
        for i in stack.instances
        if i.late_config.is_made  # one that names a file is
    }
    names_one = any(isinstance(value, str) for value in authorities.values())
    if not names_one and stack.config.server.auth is None and stack.config.metadata_store.type != "sqlite":
        return
    from core.resolution.files import file_problems

    places = {(api, entry.provider_id): path for api, path, entry in loaded.provider_entries()}
    problems = file_problems(
        loaded,
        {f"{places[key]}.config.tls_verify": value for key, value in authorities.items()},
        thorough=False,
    )
    if problems:
        raise ConfigInvalid("run config", problems)


def app_of_stack(stack: Stack, apis: Iterable[str], sink: Sink | None = None) -> Starlette:
    """Serve `apis` from what was resolved for them.

    Where the Configuration API is on, the stack is replaced by what was registered, while it serves.
    """
    apis = list(apis)
    rows = list(route_rows(apis))
    pages = [route for api in apis if (make := manifest(api).pages) for route in load_name(make)()]
    if stack.poller is None:
        return build_app(rows, stack, sink, pages)
    from core.resolution.live.reloader import StackReloader
    from core.web.live import live_routes, make_endpoints

    reloader = StackReloader(apis, stack, stack.poller, partial(make_endpoints, rows))
    return app_of([*live_routes(rows, reloader), *pages], [reloader], rules_of(stack.config.server), sink)


def _handler(app: Starlette, variables: Mapping[str, str]) -> "Handler":
    """Made at its first call where a wrapper may be the streaming runtime, which asks for the app alone."""

    @cache
    def make() -> "Handler":
        from core.runtime.buffered import buffered_handler

        mode = variables.get("LLAMBDA_ALB_XFF_MODE") or "append"
        return buffered_handler(app, base_path=variables.get("LLAMBDA_BASE_PATH", ""), forwarded_for=mode)

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - the runtime's own
        return make()(event, context)

    return handler if variables.get("AWS_LAMBDA_EXEC_WRAPPER") else make()


def load_config() -> Loaded:
    """The run config that LLAMBDA_CONFIG names, substituted and validated."""
    path = config_path()
    if path is None:
        problem = Problem("LLAMBDA_CONFIG", "is not set; set it to the path of a run config")
        raise ConfigInvalid("environment", (problem,))
    loaded = load(path, environ())
    if loaded.problems or loaded.config is None:
        raise ConfigInvalid(str(path), tuple(loaded.problems))
    return loaded
