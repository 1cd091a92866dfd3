"""What several commands share: which run config, with which variables, and how what they show is printed."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, override

import click
from click.shell_completion import CompletionItem

from core.cli.terminal import is_harmless
from core.config import distributions
from core.config.problems import ConfigInvalid, Problem
from core.platform import environment
from core.platform.commands import path_word, program
from core.platform.suggestions import did_you_mean

if TYPE_CHECKING:
    from core.config.document import RunConfig
    from core.config.load import Loaded
    from core.resolution.deployment import DeployTarget

type Pairs = tuple[tuple[str, str], ...]
type Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
READ: Final = re.compile(r"\$\{env\.([A-Z0-9_]+)")
FOREIGN_CODE: Final = re.compile(
    r"(?m)(?:^|[\s{,\"'])(?:module|external_providers_dir)[\"']?[ \t]*:[ \t]*(?!null|~)[^\s#,}]"
)
OF_THE_PROCESS: Final = re.compile(
    r"(?:AWS|LLAMBDA|LLAMA_STACK|OGX|OTEL|PYTHON|SSL_CERT)_?\w*|(?i:https?|all|no)_(?i:proxy)|HOME|TZ|TMPDIR|NO_COLOR|FORCE_COLOR"
)
CONFIG_HELP: Final = "A run config file, or the name of a distribution."


def parse_env_option(text: str) -> tuple[str, str]:
    """Split the KEY=VALUE of `--env`; the value may be empty and may contain "=".

    Raises:
        ConfigInvalid: no "=", a bad name, or a NUL. The message never repeats the value.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigInvalid("--env", [Problem("", "has no `=`; write it as KEY=VALUE")])
    if not VARIABLE.fullmatch(name):
        message = f"`{name}` is not a variable name (letters, digits and _, not a digit first); write it as KEY=VALUE"
        raise ConfigInvalid("--env", [Problem("", message)])
    if "\0" in value:
        raise ConfigInvalid("--env", [Problem(name, "the value has a NUL character")])
    return name, value


class ConfigName(click.ParamType[str]):
    """A run config as its user names it; nothing is looked for before the command runs."""

    name = "config"

    @override
    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return value

    @override
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Files first: bash forgets what came before them."""
        names = [CompletionItem(name) for name in distributions.names() if name.startswith(incomplete)]
        return [CompletionItem(incomplete, type="file"), *names]


config_argument: Final[Decorator] = click.argument("config", metavar="CONFIG", type=ConfigName(), help=CONFIG_HELP)
optional_config_argument: Final[Decorator] = click.argument(
    "config",
    metavar="[CONFIG]",
    required=False,
    type=ConfigName(),
    envvar="LLAMBDA_CONFIG",
    default="starter",
    help=CONFIG_HELP,
)
env_option: Final[Decorator] = click.option(
    "--env",
    metavar="KEY=VALUE",
    multiple=True,
    type=parse_env_option,
    help="Set a variable that the run config names (repeatable).",
)
json_option: Final[Decorator] = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def config_option(*names: str, default: str = "starter", envvar: str | None = "LLAMBDA_CONFIG") -> Decorator:
    """`--config CONFIG`, and other `names` of it; without it the file of the variable, or else the default."""
    return click.option(
        "--config",
        *names,
        "config",
        metavar="CONFIG",
        type=ConfigName(),
        envvar=envvar,
        default=default,
        show_default=True,
        show_envvar=envvar is not None,
        help=CONFIG_HELP,
    )


def print_json(value: object) -> None:
    """The one form of every `--json`; text stays as it is written, unless a terminal would obey any of it."""
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False)
    print(text if is_harmless(text) else json.dumps(value, indent=2))


def load_config(config: str, env: Pairs, stand_ins: Mapping[str, str] = MappingProxyType({})) -> "tuple[Path, Loaded]":
    """Find and read a run config, with these variables set.

    `stand_ins` are values of variables that this command makes no use of, for those that are not set.

    Raises:
        ConfigInvalid: there is no such file or distribution, or it does not read one of the variables; other problems are
            Loaded's.
    """
    from core.config.load import load

    path = distributions.find(config)
    unread = unread_variables(path, env)
    if unread:
        raise ConfigInvalid("--env", unread)
    environment.set_variables(dict(env))
    return path, load(path, {**stand_ins, **environment.environ()})


def unread_variables(path: Path, env: Pairs) -> list[Problem]:
    """The variables that neither the run config names nor this process reads; what the code of others reads is not known."""
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError:
        return []  # which `load` says
    if FOREIGN_CODE.search(text):
        return []
    names = sorted(set(READ.findall(text)))
    return [
        Problem(name, f"{path.name} does not read this variable{did_you_mean(name, names) or _choices(names)}")
        for name in dict(env)
        if name not in names and not OF_THE_PROCESS.fullmatch(name)
    ]


def _choices(names: Sequence[str]) -> str:
    return f"; it reads {', '.join(names)}" if names else "; it reads none"


def load_valid_config(
    config: str, env: Pairs, stand_ins: Mapping[str, str] = MappingProxyType({})
) -> "tuple[Path, RunConfig]":
    """As `load_config`, and held to what `serve` would.

    Raises:
        ConfigInvalid: with every problem of the document, its providers and its resources.
    """
    from core.resolution.check import check

    path, loaded = load_config(config, env, stand_ins)
    return path, _valid(config, path, loaded, loaded.problems + check(loaded))


def load_for(target: "DeployTarget", config: str, env: Pairs) -> "tuple[Path, RunConfig, list[Problem]]":
    """As `load_valid_config`, for a target, with what is served there otherwise than it is written.

    Raises:
        ConfigInvalid: with every problem, of the files that it names on this machine too; on Lambda, of stores that functions
            cannot share.
    """
    from core.resolution import check
    from core.resolution.deployment import unshared_stores

    path, loaded = load_config(config, env)
    problems = loaded.problems + check.check(loaded, target)
    problems += check.files(loaded) if target == "laptop" else unshared_stores(loaded)
    return path, _valid(config, path, loaded, problems), check.notices(loaded, target)


def _valid(config: str, path: Path, loaded: "Loaded", problems: Sequence[Problem]) -> "RunConfig":
    if problems or loaded.config is None:
        raise ConfigInvalid(str(path), problems, _hint(config, path))
    return loaded.config


def _hint(config: str, path: Path) -> str:
    """The command that takes the file over, where it is Llama Stack's and can be."""
    from core.cli.init.take_over import take_over

    try:
        conversion = take_over(path)
    except ConfigInvalid:
        return ""
    if not conversion.foreign:
        return ""
    out = next(name for number in count() if not Path(name := f"new{number or ''}.yaml").exists())
    return f"To keep what is served here:\n  {program()} init --from {path_word(config)} --out {out}"
