"""The one reader and writer of the process environment."""

from collections.abc import Iterable, Mapping
import os
from pathlib import Path

REACHABLE = "LLAMBDA_REACHABLE"
PROVIDER_SECONDS = "LLAMBDA_PROVIDER_SECONDS"


def environ() -> Mapping[str, str]:
    """The environment as it is now: a copy, which later changes do not reach."""
    return dict(os.environ)


def values_of(names: Iterable[str]) -> tuple[str, ...]:
    """What these are set to now, "" for what is not, without a copy of all."""
    return tuple([os.environ.get(name, "") for name in names])


def config_path() -> Path | None:
    """The run config's file, from LLAMBDA_CONFIG; None when it is unset or empty."""
    value = os.environ.get("LLAMBDA_CONFIG", "")
    return Path(value) if value else None


def reachable() -> bool:
    """Whether others than this machine's users can call: on Lambda, and where `serve` was told of another address."""
    return not {"AWS_LAMBDA_FUNCTION_NAME", REACHABLE}.isdisjoint(os.environ)


def provider_seconds() -> float:
    """How long another package may take to be imported, and one of its providers to be made; what is no number above 0 is 10."""
    try:
        seconds = float(os.environ.get(PROVIDER_SECONDS, ""))
    except ValueError:
        return 10.0
    return seconds if 0 < seconds < float("inf") else 10.0


def set_variables(pairs: Mapping[str, str]) -> None:
    """Add to this process's environment, for the substitution that follows and for child processes."""
    os.environ.update(pairs)


def leave_out_imds() -> None:
    """On Lambda, where nothing answers at the address of EC2's metadata: without credentials the SDK would wait there."""
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")


def expand_home(text: str, variables: Mapping[str, str]) -> str:
    """`~` and `~/...` under HOME of these variables, or of the user; other text as it is, `~name` too."""
    if text != "~" and not text.startswith("~/"):
        return text
    return (variables.get("HOME") or str(Path.home())) + text[1:]
