"""What a command logs, to the standard error: the environment's levels come before the run config's."""

from collections.abc import Iterable
import logging
import sys
from typing import TYPE_CHECKING

from core.config.logging_levels import logging_levels
from core.platform.log_records import set_levels

if TYPE_CHECKING:
    from core.config.document import LoggingConfig


def start_logging(level: int = logging.WARNING) -> None:
    """At `level`, and at those of LLAMBDA_LOGGING; with debug the traceback of an external provider's failure is there."""
    from core.runtime.log_format import TextFormatter, log_everything  # whose parts no --help needs

    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter())
    logging.basicConfig(level=level, handlers=[handler])
    log_everything()
    levels, complaints = logging_levels()
    set_levels(levels)
    for complaint in complaints:
        print(f"warning: {complaint}", file=sys.stderr)


def apply_logging(config: "LoggingConfig") -> None:
    """Set the run config's levels, but for loggers whose level, or whose parent's, the environment sets."""
    levels, _ = logging_levels()
    configured = {name: level for name, level in config.category_levels.items() if not _is_below(name, levels)}
    set_levels({"core": config.level, **configured, **levels})


def _is_below(category: str, names: Iterable[str]) -> bool:
    return any(f"{category}.".startswith(f"{name}.") for name in names)
