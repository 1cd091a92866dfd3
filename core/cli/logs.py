"""What a command logs, to the standard error: what the environment asks for comes before what the run config says."""

from collections.abc import Iterable
import logging
import sys
from typing import TYPE_CHECKING

from core.config.logging_levels import logging_levels

if TYPE_CHECKING:
    from core.config.document import LoggingConfig


def log_as_asked(level: int = logging.WARNING) -> None:
    """At `level`, and as LLAMBDA_LOGGING says: at debug also where somebody else's code raised."""
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    asked, complaints = logging_levels()
    _set(asked)
    for complaint in complaints:
        print(f"warning: {complaint}", file=sys.stderr)


def log_as_configured(wanted: "LoggingConfig") -> None:
    """Our own loggers at the wanted level, where the environment does not ask for another."""
    asked, _ = logging_levels()
    written = {name: level for name, level in wanted.category_levels.items() if not _is_below(name, asked)}
    _set({"core": wanted.level, **written, **asked})


def _set(levels: dict[str, str]) -> None:
    for category, level in levels.items():
        logging.getLogger(category).setLevel(level.upper())


def _is_below(category: str, names: Iterable[str]) -> bool:
    return any(f"{category}.".startswith(f"{name}.") for name in names)
