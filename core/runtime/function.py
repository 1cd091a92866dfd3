"""What a module of `functions/` is made of: its app and its handler, from the run config."""

from starlette.applications import Starlette

from core.apis.version import VERSION
from core.config.environment import config_path, environ
from core.config.load import Loaded, load
from core.config.problems import ConfigInvalid, Problem
from core.resolution.resolve import resolve
from core.runtime.buffered import Handler, buffered
from core.runtime.loop import process_loop
from core.web.app import build_app


def function(*apis: str) -> tuple[Starlette, Handler]:
    """Resolve `apis` from the run config that LLAMBDA_CONFIG names; connections open at first use.

    Raises:
        ConfigInvalid: the run config has problems, or LLAMBDA_CONFIG is not set.
    """
    stack = process_loop().run_until_complete(resolve(configured(), apis, version=VERSION))
    if "admin" not in apis:  # which only looks at its providers' health
        stack.warm()
    app = build_app(stack, apis)
    return app, buffered(app, base_path=environ().get("LLAMBDA_BASE_PATH", ""))


def configured() -> Loaded:
    """The run config that LLAMBDA_CONFIG names, substituted and validated."""
    path = config_path()
    if path is None:
        problem = Problem("LLAMBDA_CONFIG", "is not set; set it to the path of a run config")
        raise ConfigInvalid("environment", (problem,))
    loaded = load(path, environ())
    if loaded.problems or loaded.config is None:
        raise ConfigInvalid(str(path), tuple(loaded.problems))
    return loaded
