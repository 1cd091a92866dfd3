"""Which logger speaks at which level, in one line of text: `all=debug` or `core.web=info;core.stores=debug`."""

from typing import Final

from core.platform.environment import environ
from core.platform.log_records import OURS

VARIABLES: Final = ("LLAMBDA_LOGGING", "LLAMA_STACK_LOGGING")  # the second is the reference's
LEVELS: Final = ("debug", "info", "warning", "error", "critical")
FORM: Final = f"write CATEGORY=LEVEL, with `;` between several; a level is one of {', '.join(LEVELS)}"


def levels_in(text: str) -> tuple[dict[str, str], list[str]]:
    """Levels by the name of a logger, `all` being every one of ours; and a complaint about each part that sets none."""
    levels: dict[str, str] = {}
    complaints: list[str] = []
    for part in filter(None, map(str.strip, text.replace(",", ";").split(";"))):
        category, _, level = (side.strip() for side in part.partition("="))
        if category and level.lower() in LEVELS:
            levels |= dict.fromkeys(OURS if category.lower() == "all" else (category,), level.lower())
        else:
            complaints.append(f"`{part}` sets no level: {FORM}")
    return levels, complaints


def logging_levels() -> tuple[dict[str, str], list[str]]:
    """Levels by the name of a logger, from the first of VARIABLES that is set; and complaints, which name it."""
    variables = environ()
    for name in VARIABLES:
        if value := variables.get(name, ""):
            levels, complaints = levels_in(value)
            return levels, [f"{name}: {complaint}" for complaint in complaints]
    return {}, []
