"""How `llambda configurations` says what a stack answers: as YAML, as tables of 80 columns, as what changed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
import difflib
import json
from typing import TYPE_CHECKING, Any, Final

from core.cli.remote import clean

if TYPE_CHECKING:
    from core.client.answers import Configuration, Inspected, Providers, Registered

type Columns = tuple[tuple[str, int], ...]
type Setting = tuple[str, str, str]
"""API, provider and field."""

LIST: Final[Columns] = (("VERSION", 9), ("SETS", 69))
HISTORY: Final[Columns] = (("VERSION", 9), ("WHEN (UTC)", 16), ("WHO", 20), ("WHY", 29))
REGISTERED: Final = ("provider_id", "provider_type", "config")
DROPPED: Final = "Dropped, since a user may not set it:"
WITHHELD: Final = "Left out, since a key goes only to the host that it was given for; give it anew:"


@dataclass(frozen=True, slots=True)
class Before:
    """What was in force before; `refresh_seconds` is None where the API is off."""

    version: int
    config: "Providers"
    refresh_seconds: float | None


def inspected(found: "Inspected") -> str:
    """YAML that can be registered again; what is no part of it is in comments."""
    head = f"# version {found['version']} is in force" if found["version"] else "# the run config's file holds alone"
    entries = [(api, entry) for api, each in found["providers"].items() for entry in each]
    discovered = [
        f"# discovered, not set: {api} {entry['provider_id']}: {', '.join(names)}"
        for api, entry in entries
        if (names := entry.get("discovered"))
    ]
    providers: dict[str, list[dict[str, Any]]] = {api: [] for api in found["providers"]}
    for api, entry in entries:
        providers[api].append({key: value for key, value in entry.items() if key in REGISTERED})
    return "\n".join([*map(clean, [head, *discovered]), _yaml({"providers": providers})])


def version(found: "Configuration") -> str:
    """Its YAML, after what is known about it."""
    active = ", in force" if found["active"] else ""
    who = f" by {found['owner']}" if "owner" in found else ""
    head = f"# version {found['version']}{active}: {found['note']}, {_when(found['created'])} UTC{who}"
    return f"{clean(head)}\n{_yaml(found['config'])}"


def listed(found: "Configuration") -> list[str]:
    """The cells of LIST."""
    providers: dict[str, list[str]] = {}
    for api, provider_id, field in _settings(found["config"]):
        providers.setdefault(f"{api} {provider_id}", []).append(field)
    sets = "; ".join(f"{provider}: {', '.join(fields)}" for provider, fields in providers.items())
    return [_marked(found), sets or "nothing"]


def happened(found: "Configuration") -> list[str]:
    """The cells of HISTORY."""
    return [_marked(found), _when(found["created"]), found.get("owner", "-"), found["note"]]


def table(columns: Columns, rows: Iterable[list[str]]) -> Iterator[str]:
    """The lines, of which none is wider than its columns."""
    for row in [[title for title, _ in columns], *rows]:
        cells = (f"{_cut(clean(cell), width):{width}}" for cell, (_, width) in zip(row, columns, strict=True))
        yield "  ".join(cells).rstrip()


def registered(made: "Registered", before: Before | None) -> Iterator[str]:
    """What came of it, and what it changed, as far as that is known."""
    yield _outcome(made, before)
    for title, paths in ((DROPPED, made["dropped"]), (WITHHELD, made.get("withheld", []))):
        if paths:
            yield title
            yield from (f"  {clean(path)}" for path in paths)
    lines = [] if before is None else [*_changed(changes(before.config, made["config"]))]
    if lines:
        yield "It would change:" if made.get("dry_run") else "Changed:"
        yield from lines


def changes(old: "Providers", new: "Providers") -> list[dict[str, Any]]:
    """`{api, provider_id, field, from, to}` of each setting that differs; from or to is absent where it is not set."""
    one, other = _settings(old), _settings(new)
    found: list[dict[str, Any]] = []
    for setting in sorted({*one, *other}):
        api, provider_id, field = setting
        sides = {name: side[setting] for name, side in (("from", one), ("to", other)) if setting in side}
        if len(sides) == 1 or sides["from"] != sides["to"]:
            found.append({"api": api, "provider_id": provider_id, "field": field, **sides})
    return found


def compared(old: tuple[str, "Providers"], new: tuple[str, "Providers"]) -> str:
    """A unified diff of the YAML."""
    one, other = (_yaml(config).splitlines(keepends=True) if config["providers"] else [] for _, config in (old, new))
    return "".join(difflib.unified_diff(one, other, old[0], new[0])) or f"{old[0]} and {new[0]} do not differ\n"


def _outcome(made: "Registered", before: Before | None) -> str:
    if made.get("dry_run"):
        return "It is valid. Nothing was changed: this was a dry run."
    if before is not None and made["version"] == before.version:
        return f"Nothing changes: version {before.version} is in force as it was."
    soon = before and before.refresh_seconds
    within = f"; every environment has it within {soon:g} s" if soon else ""
    return f"Version {made['version']} is in force{within}."


def _changed(found: list[dict[str, Any]]) -> Iterator[str]:
    for each in found:
        place = f"{each['api']} {each['provider_id']} {each['field']}"
        sides = [_json(each[side]) for side in ("from", "to") if side in each]
        sign = "~" if len(sides) == 2 else "+" if "to" in each else "-"  # noqa: PLR2004 - both
        yield f"  {sign} {clean(place)}: {' -> '.join(sides)}"


def _settings(config: "Providers") -> dict[Setting, Any]:
    """Its fields; of a registered provider, that it is there, too."""
    found: dict[Setting, Any] = {}
    for api, entries in config["providers"].items():
        for entry in entries:
            place = api, entry["provider_id"]
            if entry.get("registered"):
                found[*place, "provider_type"] = entry["provider_type"]
            found |= {(*place, field): value for field, value in entry["config"].items()}
    return found


def _yaml(value: object) -> str:
    import yaml

    return yaml.safe_dump(value, allow_unicode=True, width=2**20)


def _json(value: object) -> str:
    """On one line, and safe for a terminal."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _marked(found: "Configuration") -> str:
    return f"{found['version']}{' *' if found['active'] else ''}"


def _when(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
    except (OverflowError, OSError, ValueError):
        return str(seconds)


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else f"{cell[: width - 1]}…"
