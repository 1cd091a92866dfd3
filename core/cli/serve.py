"""`llambda serve`: every function's app in one process."""

import argparse
from collections.abc import Callable
from importlib import import_module
import logging
from pathlib import Path
import sys
from typing import TYPE_CHECKING, Final

from core.cli.options import Commands, add_config, add_env, load_checked
from core.config import environment

if TYPE_CHECKING:
    from core.config.document import LoggingConfig, RunConfig
    from core.web.app import App

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
FUNCTIONS: Final = {"inference": "functions.inference", "safety": "functions.safety", "admin": "functions.admin"}


def add_to(commands: Commands) -> None:
    """The `serve` command."""
    text = "serve a run config or a distribution on this machine"
    command = commands.add_parser("serve", help=text, description=text.capitalize() + ".")
    add_config(command)
    command.add_argument("--port", type=_port, help="listen here instead of the run config's port (0: a free one)")
    command.add_argument("--host", help="listen on this address (default 127.0.0.1; 0.0.0.0 for every network)")
    add_env(command)
    command.set_defaults(run=run)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:  # noqa: PLR2004 - TCP's ports
        raise argparse.ArgumentTypeError(f"`{text}` is not a port; give a number from 0 to 65535")
    return int(text)


def _announce(url: str) -> None:
    print(f"llambda is listening on {url}", flush=True)


def run(options: argparse.Namespace, ready: Callable[[str], None] = _announce) -> int:
    """Serve until SIGINT or SIGTERM; `ready` is called with the base URL. Returns the exit code."""
    try:
        from core.runtime.server import fast_loop, listen, serve, url_of
    except ModuleNotFoundError as missing:
        print(f"`llambda serve` needs {missing.name}: pip install 'llambda[local]'", file=sys.stderr)
        return 1
    path, config = load_checked(options)
    _log_at(config.logging)
    host = options.host or config.server.host or "127.0.0.1"
    if config.server.auth is None and host not in LOOPBACK:
        print(
            f"warning: {host} is reachable from other machines, and without server.auth everybody may call",
            file=sys.stderr,
        )
    port = config.server.port if options.port is None else options.port
    try:
        listener = listen(host, port)
    except OSError as failure:
        print(f"cannot listen on {host} port {port}: {failure.strerror}. Choose another with --port.", file=sys.stderr)
        return 1
    url = url_of(listener, tls=config.server.tls_certfile is not None)
    fast_loop()
    app = _app(path, config)
    serve(app, config.server, listener, lambda: ready(f"{url}/v1"))
    return 0


def _log_at(wanted: "LoggingConfig") -> None:
    """The product's own loggers at the wanted level; libraries at warning, unless a category says otherwise."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("core").setLevel(wanted.level.upper())
    for category, level in wanted.category_levels.items():
        logging.getLogger(category).setLevel(level.upper())


def _app(path: Path, config: "RunConfig") -> "App":
    """The union of the functions that this run config needs, each made as it is on Lambda."""
    from core.runtime.lines import to_log
    from core.web.app import union

    environment.set_variables({"LLAMBDA_CONFIG": str(path.resolve())})
    modules = [module for api, module in FUNCTIONS.items() if api == "admin" or config.providers.get(api)]
    return union((import_module(module).app for module in modules), to_log)
