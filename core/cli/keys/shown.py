"""How `llambda keys` shows keys: a table, the facts of one, JSON."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from core.cli.terminal import Columns, clean, clip_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from core.apis.answers.keys import Key, LimitOfKey

COLUMNS: Final[Columns] = (
    ("ID", 12),
    ("NAME", 15),
    ("ROLES", 12),
    ("CREATED", 10),
    ("EXPIRES", 10),
    ("LAST USED", 10),
)


def to_json(key: "Key") -> dict[str, Any]:
    """Times in Unix seconds."""
    return {"id": key["id"], "usable": True, **{name: value for name, value in key.items() if name != "object"}}


def unusable(key_id: str) -> dict[str, Any]:
    """Of a key that is not one any more, as far as what is stored tells, its id alone."""
    return {"id": key_id, "usable": False}


def table(keys: "Iterable[Key | tuple[str, int]]", now: float) -> str:
    """A line for each; of one that is not usable its id, and when it was made."""
    rows = [_row(key, now) if isinstance(key, dict) else _unusable_row(*key) for key in keys]
    return "\n".join(clip_table(COLUMNS, rows)) if rows else "no keys"


def facts(key: "Key", now: float) -> str:
    """A line for each thing that is known of it."""
    until = key["previous_until"]
    lines = {
        "key": key["id"],
        "name": key["name"],
        "roles": ", ".join(key["roles"]) or "none",
        "teams": ", ".join(key["teams"]) or "none",
        "models": "all" if key["models"] is None else ", ".join(key["models"]),
        "created": f"{moment(key['created'])}{'' if key['created_by'] is None else f' by {key["created_by"]}'}",
        "expires": _end(key, now, moment),
        "last used": "never" if key["last_used"] is None else moment(key["last_used"]),
        "rotated": "never" if key["rotated"] is None else moment(key["rotated"]),
        **({} if until is None else {"overlap": f"the secret before passes until {moment(until)}"}),
    }
    rows = [*lines.items(), *(("limit", text) for limit in key["limits"] for text in _limit_texts(limit))]
    return "\n".join(clean(f"{name + ':':11} {fact}") for name, fact in rows)


def _limit_texts(limit: "LimitOfKey") -> "Iterator[str]":
    use = limit["used"]
    units = {
        "requests": (limit["requests"], None if use is None else use["requests"]),
        "tokens": (limit["tokens"], None if use is None else use["tokens"]),
        limit["currency"]: (limit["money"], None if use is None else use["money"]),
    }
    for unit, (most, count) in units.items():
        if most is not None:
            of = f"{_number(most)} {unit} a {limit['window']}"
            so_far = "" if count is None else f", {_number(count)} used"
            yield f"{of}{so_far}, until {moment(limit['resets'])}{'' if limit['hard'] else ' (warns only)'}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.9f}".rstrip("0").rstrip(".")


def moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def _end(key: "Key", now: float, show: Any) -> str:  # noqa: ANN401 - of seconds to a text
    if key["revoked"] is not None:
        return "revoked"
    expires = key["expires"]
    return "never" if expires is None else "expired" if expires <= now else show(expires)


def _row(key: "Key", now: float) -> list[str]:
    last = "never" if key["last_used"] is None else _day(key["last_used"])
    return [key["id"], key["name"], ",".join(key["roles"]) or "-", _day(key["created"]), _end(key, now, _day), last]


def _unusable_row(key_id: str, created: int) -> list[str]:
    return [key_id, "(not usable)", "?", _day(created), "?", "?"]
