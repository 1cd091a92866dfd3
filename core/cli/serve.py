"""`llambda serve`: every function's app in one process."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from core.auth.urls import LOOPBACK
from core.cli.logs import apply_logging, start_logging
from core.cli.options import Pairs, env_option, load_for, optional_config_argument
from core.cli.terminal import say
from core.platform import environment

if TYPE_CHECKING:
    from core.config.document import RunConfig
    from core.frame.api import Api
    from core.web.app import App

EXAMPLES: Final = """\
\b
Examples:
  llambda serve starter
  llambda serve run.yaml --port 9000 --env VLLM_URL=http://gpu:8000
  LLAMBDA_LOGGING=all=debug llambda serve run.yaml
"""


def port_number(text: str) -> int:
    """A port of TCP; 0 stands for a free one."""
    if not text.isdecimal() or int(text) > 65535:  # noqa: PLR2004 - TCP's ports
        raise click.BadParameter(f"`{text}` is not a port; give a number from 0 to 65535")
    return int(text)


@click.command(epilog=EXAMPLES)
@optional_config_argument
@click.option(
    "--port", metavar="N", type=port_number, help="Listen here instead of on the run config's port (0: a free one)."
)
@click.option("--host", metavar="ADDRESS", help="Listen on this address (default 127.0.0.1; 0.0.0.0: every network).")
@env_option
def command(config: str, env: Pairs, port: int | None, host: str | None) -> None:
    """Serve a run config or a distribution on this machine, until Ctrl-C.

    Without CONFIG it serves the file that LLAMBDA_CONFIG names, or else `starter`.
    """
    run(config, env, port=port, host=host)


def _announce(url: str) -> None:
    print(f"llambda is listening on {url}", flush=True)


def run(
    config: str,
    env: Pairs = (),
    *,
    port: int | None = None,
    host: str | None = None,
    ready: Callable[[str], None] = _announce,
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called with the base URL.

    Raises:
        ConfigInvalid: the run config, or its TLS files.
        click.ClickException: the server cannot listen there.
    """
    from core.runtime.fast_loop import fast_loop
    from core.runtime.loop import process_loop
    from core.runtime.server import listen, own_hosts, serve, url_of

    path, checked = _load(config, env)
    host = host or checked.server.host or "127.0.0.1"
    if host not in LOOPBACK:
        environment.set_variables({environment.REACHABLE: host})
    _warn_if_open(checked, host)
    port = checked.server.port if port is None else port
    try:
        listener = listen(host, port)
    except OSError as failure:
        message = f"cannot listen on {host} port {port}: {failure.strerror}. Choose another with --port."
        raise click.ClickException(message) from failure
    url = url_of(listener, tls=checked.server.tls_certfile is not None)
    process_loop(fast_loop())  # before anything is resolved
    app = _app(path, checked, own_hosts(host, listener))
    work = _jobs(app, checked)

    def begin() -> None:
        work()
        ready(f"{url}/v1")

    serve(app, checked.server, listener, begin)


def _load(config: str, env: Pairs) -> "tuple[Path, RunConfig]":
    start_logging()
    path, checked, notices = load_for("laptop", config, env)
    apply_logging(checked.logging)
    for notice in notices:
        say(f"note: {notice}")
    return path, checked


def _warn_if_open(config: "RunConfig", host: str) -> None:
    from core.config.browsers import ANY

    if config.server.auth is None and host not in LOOPBACK:
        warning = f"warning: {host} is reachable from other machines, and without server.auth anybody may call it"
        say(warning)
    if config.server.auth is None and ANY in config.server.hosts:
        warning = 'warning: with "*" in server.hosts, and without server.auth, a web page can do whatever a caller can'
        say(warning)
    if config.server.cors is not None and ANY in config.server.cors.allow_origins:
        say('warning: with "*" in server.cors.allow_origins, web pages of every site may call')


def _app(path: Path, config: "RunConfig", hosts: tuple[str, ...]) -> "App":
    """The union of the functions that this run config needs, each made as it is on Lambda; it answers as `hosts` too."""
    from core.apis.index import all_manifests
    from core.runtime.log_lines import to_log
    from core.web.app import union
    from core.web.hosts import host_check

    environment.set_variables({"LLAMBDA_CONFIG": str(path.resolve())})
    modules = [api.function for api in all_manifests() if _needs_function(config, api)]
    return union((import_module(module).app for module in modules), to_log, host_check(config.server, hosts))


def _jobs(app: "App", config: "RunConfig") -> Callable[[], None]:
    """What starts the worker of this run config's jobs, which the app closes at its end; nothing where it has none."""
    from core.resolution.jobs import has_jobs

    if not has_jobs(config):
        return lambda: None
    from core.runtime.function import load_config
    from core.runtime.job_worker import JobTasks, make_runner
    from core.runtime.loop import process_loop

    tasks = JobTasks(process_loop().run_until_complete(make_runner(load_config())))
    app.state.stacks.append(tasks)
    return tasks.start


def _needs_function(config: "RunConfig", api: "Api") -> bool:
    from core.resolution.stack import routed_apis

    return api.overview or bool(config.providers.get(api.name)) or api.name in routed_apis(config)
