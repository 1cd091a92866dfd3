"""The arguments of `llambda keys`: what each may be."""

from datetime import UTC, date, datetime, time, timedelta
import re
from typing import Any, Final

import click

MOST_NAME: Final = 100
MOST_OVERLAP: Final = 30 * 86_400  # seconds
NEVER: Final = -1
PERIOD: Final = re.compile(r"([1-9][0-9]{0,4})([dh])", re.ASCII)
LIMIT: Final = (
    'write --limit "month money 5", or "minute requests 60 tokens 20000", with soft 0.9 or the word warn at its end'
)
WINDOWS: Final = ("minute", "hour", "day", "month")
UNITS: Final = ("requests", "tokens", "money", "soft")
TABLE: Final = re.compile(r"\S{3,1024}")  # a name or an ARN


def name(text: str) -> str:
    """Without spaces at its ends."""
    if not text.strip() or not text.isprintable() or len(text) > MOST_NAME:
        raise click.BadParameter(f"must be 1 to {MOST_NAME} printable characters, and not only spaces")
    return text.strip()


def roles(text: str) -> list[str]:
    """Names, each once."""
    names = text.split(",")
    if not all(one and one.isprintable() and " " not in one for one in names):
        raise click.BadParameter(f"`{text}` must be names without spaces, with commas between them: admin,dev")
    return list(dict.fromkeys(names))


def roles_or_none(text: str) -> list[str]:
    """As `roles`; of an empty text none."""
    return roles(text) if text else []


def patterns(text: str) -> list[str]:
    """Patterns of models, each once; `*` alone is all of them, which is an empty list here."""
    names = roles(text)
    return [] if names == ["*"] else names


def limit(text: str) -> dict[str, Any]:
    """A row, as a body has it: a window and what may be used in it."""
    window, *words = text.split() or [""]
    row: dict[str, Any] = {"window": window}
    if words[-1:] == ["warn"]:
        row["hard"] = words.pop() != "warn"
    pairs = dict(zip(words[::2], words[1::2], strict=False))
    if window not in WINDOWS or len(words) != 2 * len(pairs) or not {*pairs} <= {*UNITS} or not {*pairs} - {"soft"}:
        raise click.BadParameter(f"`{text}` is no limit; {LIMIT}")
    try:
        row |= {name: _amount(name, amount) for name, amount in pairs.items()}
    except ValueError:
        raise click.BadParameter(f"`{text}` has no number where one must be; {LIMIT}") from None
    return row


def _amount(name: str, text: str) -> int | float | str:
    return text if name == "money" else float(text) if name == "soft" else int(text)


def limit_or_none(text: str) -> dict[str, Any]:
    """As `limit`; empty for none."""
    return {} if text == "none" else limit(text)


def overlap(text: str) -> int:
    """Seconds; 0 is none."""
    period = PERIOD.fullmatch(text)
    seconds = 0 if text == "0" else -1 if period is None else int(_length(period).total_seconds())
    if not 0 <= seconds <= MOST_OVERLAP:
        raise click.BadParameter(f"`{text}` is no time of at most 30d; write 24h, 7d or 0")
    return seconds


def expiry_or_never(text: str) -> int:
    """Unix seconds; NEVER where it does not expire."""
    return NEVER if text == "never" else expiry(text)


def expiry(text: str) -> int:
    """Unix seconds."""
    now = datetime.now(UTC)
    period = PERIOD.fullmatch(text)
    if period is not None:
        return int((now + _length(period)).timestamp())
    try:
        then = datetime.combine(date.fromisoformat(text), time(tzinfo=UTC))
    except ValueError:
        raise click.BadParameter(f"`{text}` is not a time; write 30d, 12h or 2027-01-31") from None
    if then <= now:
        raise click.BadParameter(f"`{text}` is in the past")
    return int(then.timestamp())


def _length(period: re.Match[str]) -> timedelta:
    return timedelta(**{"days" if period[2] == "d" else "hours": int(period[1])})


def key_id(text: str) -> str:
    from core.stores.registry.key_format import ID

    if not ID.fullmatch(text):  # it may be a whole key, which must not be shown
        raise click.BadParameter("must be 12 characters, as `llambda keys list` shows them: not the key itself")
    return text


def table(text: str) -> str:
    if not TABLE.fullmatch(text):
        raise click.BadParameter("must be the name or the ARN of a DynamoDB table")
    return text
