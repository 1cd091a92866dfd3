"""The one reader and writer of the process environment."""

from collections.abc import Mapping
import os
from pathlib import Path
import re

from core.config.problems import ConfigInvalid, Problem

LOGGING = ("LLAMBDA_LOGGING", "LLAMA_STACK_LOGGING")  # the second is the reference's
REACHABLE = "LLAMBDA_REACHABLE"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def environ() -> Mapping[str, str]:
    """The environment as it is now: a copy, which later changes do not reach."""
    return dict(os.environ)


def config_path() -> Path | None:
    """The run config's file, from LLAMBDA_CONFIG; None when it is unset or empty."""
    value = os.environ.get("LLAMBDA_CONFIG", "")
    return Path(value) if value else None


def logging_levels() -> tuple[dict[str, str], list[str]]:
    """Levels by the name of a logger, from the first of LOGGING that is set; and complaints, which name it."""
    from core.config.logging_levels import levels_in

    for name in LOGGING:
        if value := os.environ.get(name, ""):
            levels, complaints = levels_in(value)
            return levels, [f"{name}: {complaint}" for complaint in complaints]
    return {}, []


def reachable() -> bool:
    """Whether others than this machine's users can call: on Lambda, and where `serve` was told of another address."""
    return not {"AWS_LAMBDA_FUNCTION_NAME", REACHABLE}.isdisjoint(os.environ)


def set_variables(pairs: Mapping[str, str]) -> None:
    """Add to this process's environment, for the substitution that follows and for child processes."""
    os.environ.update(pairs)


def parse_env_option(text: str) -> tuple[str, str]:
    """Split the KEY=VALUE of `--env`; the value may be empty and may contain "=".

    Raises:
        ConfigInvalid: no "=", a bad name, or a NUL. The message never repeats the value.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigInvalid("--env", [Problem("", "has no `=`; write it as KEY=VALUE")])
    if not NAME.fullmatch(name):
        message = f"`{name}` is no variable name (letters, digits and _, not a digit first); write it as KEY=VALUE"
        raise ConfigInvalid("--env", [Problem("", message)])
    if "\0" in value:
        raise ConfigInvalid("--env", [Problem(name, "the value has a NUL character")])
    return name, value


def expand_home(text: str, variables: Mapping[str, str]) -> str:
    """`~` and `~/...` under HOME of these variables, or of the user; other text as it is, `~name` too."""
    if text != "~" and not text.startswith("~/"):
        return text
    return (variables.get("HOME") or str(Path.home())) + text[1:]
