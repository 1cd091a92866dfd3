"""Secrets that stand in a run config itself, moved to the environment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import re
from typing import Any, Final, cast

from core.cli.init.pruning import bare
from core.config.places import Places, Value, join
from core.config.problems import Problem
from core.config.redact import names_secret

HARMLESS: Final = ("", "fake", "none")
NO_SECRETS: Final = ("token_use", "aws_web_identity_token_file")  # keys whose name says otherwise


def move_secrets(document: Mapping[str, Value], places: Places) -> tuple[dict[str, Value], list[Problem]]:
    """A valid document with `${env.NAME}` in the place of every secret of the providers and of `server.auth`.

    There is a note for each, at the path that `places` know.
    """
    moving = _Moving(places)
    changed = dict(document)
    providers = cast("Mapping[str, Sequence[Mapping[str, Any]]]", document["providers"])
    changed["providers"] = {
        api: [
            {
                key: moving.value(value, f"providers.{api}[{index}].{key}", bare(entry["provider_id"]))
                if key == "config"
                else value
                for key, value in entry.items()
            }
            for index, entry in enumerate(entries)
        ]
        for api, entries in providers.items()
    }
    server = cast("Mapping[str, Any]", document.get("server") or {})
    if "auth" in server:
        changed["server"] = {**server, "auth": moving.value(server["auth"], "server.auth", "auth")}
    return changed, moving.notes


@dataclass(slots=True)
class _Moving:
    """`moved`: the secrets by the names of their variables."""

    places: Places
    moved: dict[str, str] = field(default_factory=dict[str, str])
    notes: list[Problem] = field(default_factory=list[Problem])

    def value(self, value: Value, path: str, owner: str) -> Value:
        if isinstance(value, Mapping):
            items = cast("Mapping[str, Any]", value).items()
            return {key: self._entry(key, item, join(path, key), owner) for key, item in items}
        if isinstance(value, list):
            entries = enumerate(cast("Sequence[Any]", value))
            return [self.value(entry, join(path, index), owner) for index, entry in entries]
        return value

    def _entry(self, key: str, value: Value, path: str, owner: str) -> Value:
        if not isinstance(value, str) or not _is_secret(key, value):
            return self.value(value, path, owner)
        name = self._variable(re.sub(r"[^A-Z0-9]+", "_", f"{owner}_{key}".upper()).strip("_"), value)
        self.moved[name] = value
        self.notes.append(
            Problem(self.places.source_path(path), f"the secret here is now read from {name}; set that variable")
        )
        return f"${{env.{name}}}"

    def _variable(self, name: str, secret: str) -> str:
        """The name, with a number behind it if it stands for another secret."""
        names = [name, *(f"{name}_{number}" for number in range(2, len(self.moved) + 3))]
        return next(free for free in names if self.moved.get(free, secret) == secret)


def _is_secret(key: str, text: str) -> bool:
    return text not in HARMLESS and "${env." not in text and names_secret(key) and key not in NO_SECRETS
