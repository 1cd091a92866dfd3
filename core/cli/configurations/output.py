"""How `llambda configurations` says what a stack answers: as YAML, as tables of 80 columns, as what changed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
import difflib
import json
from typing import TYPE_CHECKING, Any, Final

from core.cli.terminal import Columns, clean, is_harmless

if TYPE_CHECKING:
    from core.client.answers import Configuration, Inspected, Providers, Registered

type Setting = tuple[str, str, str]
"""API, provider and field."""

LIST: Final[Columns] = (("VERSION", 9), ("SETS", 69))
HISTORY: Final[Columns] = (("VERSION", 9), ("WHEN (UTC)", 16), ("WHO", 20), ("WHY", 29))
ENTRY_KEYS: Final = ("provider_id", "provider_type", "config")
FILE_ALONE: Final = "only the run config's file is in force"
DROPPED: Final = "Ignored, because users may not set it:"
WITHHELD: Final = "Left out, because a key is sent only to the host that it was set for; set it again:"


@dataclass(frozen=True, slots=True)
class Before:
    """What was in force before; `refresh_seconds` is None where the API is off."""

    version: int
    config: "Providers"
    refresh_seconds: float | None


def inspection_text(view: "Inspected") -> str:
    """YAML that can be registered again; what is no part of it is in comments."""
    head = f"# version {view['version']} is in force" if view["version"] else f"# {FILE_ALONE}"
    entries = [(api, entry) for api, of_api in view["providers"].items() for entry in of_api]
    discovered = [
        f"# discovered, not set: {api} {entry['provider_id']}: {', '.join(names)}"
        for api, entry in entries
        if (names := entry.get("discovered"))
    ]
    providers: dict[str, list[dict[str, Any]]] = {api: [] for api in view["providers"]}
    for api, entry in entries:
        providers[api].append({key: value for key, value in entry.items() if key in ENTRY_KEYS})
    return "\n".join([*map(clean, [head, *discovered]), _yaml({"providers": providers})])


def version_text(version: "Configuration") -> str:
    """Its YAML, after what is known about it."""
    active = ", in force" if version["active"] else ""
    owner = f" by {_who(version)}" if "owner" in version else ""
    head = f"# version {version['version']}{active}: {version['note']}, {_time(version['created'])} UTC{owner}"
    return f"{clean(head)}\n{_yaml(version['config'])}"


def list_row(version: "Configuration") -> list[str]:
    """The cells of LIST."""
    providers: dict[str, list[str]] = {}
    for api, provider_id, field in _settings(version["config"]):
        providers.setdefault(f"{api} {provider_id}", []).append(field)
    sets = "; ".join(f"{provider}: {', '.join(fields)}" for provider, fields in providers.items())
    return [_number(version), sets or "nothing"]


def history_row(version: "Configuration") -> list[str]:
    """The cells of HISTORY."""
    return [_number(version), _time(version["created"]), _who(version), version["note"]]


def _who(version: "Configuration") -> str:
    return version.get("owner_name") or version.get("owner", "-")


def registration_lines(reply: "Registered", before: Before | None) -> Iterator[str]:
    """The outcome, and what changed, as far as that is known."""
    yield _outcome(reply, before)
    for title, paths in ((DROPPED, reply["dropped"]), (WITHHELD, reply.get("withheld", []))):
        if paths:
            yield title
            yield from (f"  {clean(path)}" for path in paths)
    lines = [] if before is None else [*_change_lines(changes(before.config, reply["config"]))]
    if lines:
        yield "It would change:" if reply.get("dry_run") else "Changed:"
        yield from lines


def changes(old: "Providers", new: "Providers") -> list[dict[str, Any]]:
    """`{api, provider_id, field, from, to}` of each setting that differs; from or to is absent where it is not set."""
    one, other = _settings(old), _settings(new)
    different: list[dict[str, Any]] = []
    for setting in sorted({*one, *other}):
        api, provider_id, field = setting
        sides = {name: side[setting] for name, side in (("from", one), ("to", other)) if setting in side}
        if len(sides) == 1 or sides["from"] != sides["to"]:
            different.append({"api": api, "provider_id": provider_id, "field": field, **sides})
    return different


def diff_text(old: tuple[str, "Providers"], new: tuple[str, "Providers"]) -> str:
    """A unified diff of the YAML."""
    one, other = (_yaml(config).splitlines(keepends=True) if config["providers"] else [] for _, config in (old, new))
    return "".join(difflib.unified_diff(one, other, old[0], new[0])) or f"{old[0]} and {new[0]} do not differ\n"


def _outcome(reply: "Registered", before: Before | None) -> str:
    if reply.get("dry_run"):
        return "It is valid. Nothing was changed: this was a dry run."
    if before is not None and reply["version"] == before.version:
        return f"Nothing changed: version {before.version} is still in force."
    delay = before and before.refresh_seconds
    within = f"; every environment has it within {delay:g} s" if delay else ""
    return f"Version {reply['version']} is in force{within}."


def _change_lines(settings: list[dict[str, Any]]) -> Iterator[str]:
    for setting in settings:
        place = f"{setting['api']} {setting['provider_id']} {setting['field']}"
        sides = [_json(setting[side]) for side in ("from", "to") if side in setting]
        sign = "~" if len(sides) == 2 else "+" if "to" in setting else "-"  # noqa: PLR2004 - both
        yield f"  {sign} {clean(place)}: {' -> '.join(sides)}"


def _settings(config: "Providers") -> dict[Setting, Any]:
    """Its fields; a registered provider counts as one that sets its type."""
    settings: dict[Setting, Any] = {}
    for api, entries in config["providers"].items():
        for entry in entries:
            place = api, entry["provider_id"]
            if entry.get("registered"):
                settings[*place, "provider_type"] = entry["provider_type"]
            settings |= {(*place, field): value for field, value in entry["config"].items()}
    return settings


def _yaml(value: object) -> str:
    import yaml

    text: str = yaml.safe_dump(value, allow_unicode=True, width=2**20)
    return text if is_harmless(text) else yaml.safe_dump(value, width=2**20)


def _json(value: object) -> str:
    """On one line, and safe for a terminal."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _number(version: "Configuration") -> str:
    return f"{version['version']}{' *' if version['active'] else ''}"


def _time(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
    except (OverflowError, OSError, ValueError):
        return str(seconds)
