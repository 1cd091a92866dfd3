"""The secrets that a run config names, as what the functions must be allowed to read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from pydantic import BaseModel, SecretStr

from core.config.document import RunConfig
from core.platform.secrets import Place, is_reference, parse


@dataclass(frozen=True, slots=True)
class NamedSecrets:
    """ARNs, by service, and the names of those that the run config names without one."""

    secrets: tuple[str, ...]
    parameters: tuple[str, ...]
    nameless: tuple[str, ...]


def named_secrets(config: RunConfig) -> NamedSecrets:
    """Of the providers and of `server.auth`, each once; the run config was checked."""
    places = sorted(set(_places([config.providers, config.server.auth])), key=lambda place: place.name)
    arns = [place for place in places if place.name.startswith("arn:")]
    return NamedSecrets(
        tuple(place.name for place in arns if place.service == "secretsmanager"),
        tuple(place.name for place in arns if place.service == "ssm"),
        tuple(place.name for place in places if place not in arns),
    )


def _places(value: object) -> Iterator[Place]:
    match value:
        case str() if is_reference(value):
            yield parse(value).place
        case SecretStr():
            yield from _places(value.get_secret_value())
        case BaseModel():
            yield from _places(vars(value))
        case Mapping():
            yield from _places(list(value.values()))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        case list() | tuple():
            for part in cast("Sequence[object]", value):
                yield from _places(part)
        case _:
            return
