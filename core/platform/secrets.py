"""Secrets by reference: what a run config names in AWS, fetched at first use and kept for a few minutes.

    aws-secretsmanager:NAME_OR_ARN[#KEY]   the text of a secret, or of that text as JSON what stands under KEY
    aws-ssm:NAME_OR_ARN[#KEY]              of a parameter of Systems Manager, decrypted

Only what the operator wrote is ever revealed: whoever reads a text of somebody else's does not call `reveal`.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
import logging
from math import inf
import re
import time
from types import ModuleType
from typing import Final, cast

from core.errors import SecretUnavailable
from core.platform.json_reader import read_json
from core.platform.json_values import to_object
from core.platform.ttl_cache import TtlCache

SCHEMES: Final = {"aws-secretsmanager": "secretsmanager", "aws-ssm": "ssm"}
"""What a reference begins with, and the AWS service that it names, by the SDK's name."""
PREFIXES: Final = tuple(f"{scheme}:" for scheme in SCHEMES)
FORM: Final = re.compile(
    r"(?P<scheme>[a-z-]+):(?P<name>(?:arn:[a-z-]+:(?P<service>secretsmanager|ssm):[a-z0-9-]+:[0-9]{12}:[a-z]+[:/])?[A-Za-z0-9/_+=.@!-]{1,512})"
    r"(?:#(?P<key>[^#]{1,256}))?"
)
USAGE: Final = "write it as aws-secretsmanager:NAME_OR_ARN or aws-ssm:NAME_OR_ARN, with #KEY for one key of JSON"
SECONDS: Final = 300.0  # that a value is kept
RENEWAL_SECONDS: Final = 10.0  # from one fetch to one that is asked for because a value was refused

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret is: the service, by the SDK's name, and the secret's name or ARN in it."""

    service: str
    name: str

    def unavailable(self, reason: str, *, final: bool) -> SecretUnavailable:
        """The failure to raise, as a sentence about this secret."""
        return SecretUnavailable(f"The secret `{self.name}` {reason}.", final=final)


@dataclass(frozen=True, slots=True)
class Reference:
    """`key` is "" for the whole text."""

    place: Place
    key: str

    def pick(self, text: str) -> str:
        """The value in the text of the secret, without the line end that an editor left behind it."""
        value = text if not self.key else _under(text, self.key)
        value = value.rstrip("\r\n") if isinstance(value, str) else ""
        if not value:
            fault = f"has no text under `{self.key}`" if self.key else "is empty"
            raise self.place.unavailable(fault, final=True)
        return value


type Fetch = Callable[[Place], Awaitable[str]]
"""The text of a secret; raises SecretUnavailable."""


def is_reference(text: str) -> bool:
    """Whether it begins as a reference; its form may be wrong all the same."""
    return text.startswith(PREFIXES)


def parse(text: str) -> Reference:
    """The reference; raises ValueError, which says how one is written and does not repeat it."""
    match = FORM.fullmatch(text)
    service = SCHEMES.get(match["scheme"]) if match is not None else None
    if match is None or service is None or match["service"] not in (None, service):
        raise ValueError(f"begins as the reference of a secret and is none: {USAGE}")
    return Reference(Place(service, match["name"]), match["key"] or "")


def mentions_reference(value: object) -> bool:
    """Whether a reference is anywhere in it, or what something that trims or lowers a text would make one of."""
    if isinstance(value, str):
        return any(prefix in value.casefold() for prefix in PREFIXES)
    if isinstance(value, Mapping):
        return any(mentions_reference(part) for part in cast("Mapping[object, object]", value).values())
    return isinstance(value, list | tuple) and any(mentions_reference(part) for part in cast("list[object]", value))


class Secrets:
    """The texts of secrets, each fetched once for all who want it, and again when it is `SECONDS` old."""

    def __init__(self, fetch: Fetch, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._texts: TtlCache[Place, str] = TtlCache(SECONDS, clock=clock)
        self._latest: dict[Place, str] = {}
        self._fetched: dict[Place, float] = {}

    async def get(self, reference: Reference) -> str:
        """Its value; raises SecretUnavailable."""
        place = reference.place
        return reference.pick(await self._texts.get(place, lambda: self._read(place)))

    async def renew(self, reference: Reference, refused: str) -> str | None:
        """Another value than the one that was refused, or None: there is none, or it was asked for a moment ago."""
        value = await self.get(reference)
        place = reference.place
        due = self._clock() - self._fetched.get(place, -inf) >= RENEWAL_SECONDS
        if value == refused and (due or self._texts.is_reading(place)):
            value = reference.pick(await self._texts.refresh(place, lambda: self._read(place)))
        return None if value == refused else value

    async def _read(self, place: Place) -> str:
        self._fetched[place] = self._clock()
        try:
            text = await self._fetch(place)
        except SecretUnavailable as failure:
            if failure.final:
                self._latest.pop(place, None)
                self._texts.forget(place)
            if place not in self._latest:
                raise
            log.warning("%s What was fetched before is used.", failure.message)
            return self._latest[place]
        self._latest[place] = text
        return text


async def reveal(text: str) -> str:
    """What it refers to, or the text itself; raises SecretUnavailable."""
    return await _of_this_process().get(parse(text)) if is_reference(text) else text


async def renew(text: str, refused: str) -> str | None:
    """What it refers to by now, if that is another value than the one that was refused; None for what is no reference."""
    return await _of_this_process().renew(parse(text), refused) if is_reference(text) else None


def warm(text: str) -> None:
    """Import what the first fetch would wait for, if it is a reference; where that fails, the first fetch says so."""
    if is_reference(text):
        place = parse(text).place
        with suppress(SecretUnavailable):
            _sdk(place).warm(place)


@cache
def _of_this_process() -> Secrets:
    return Secrets(_fetch)


async def _fetch(place: Place) -> str:
    text: str = await _sdk(place).fetch(place)
    return text


def _sdk(place: Place) -> ModuleType:
    """What fetches, which packages have where the run config can name a secret (infra/needs.py)."""
    try:
        from core.platform import aws_secrets
    except ImportError as missing:
        reason = "cannot be fetched: this package was built without the AWS SDK; name the secret in the run config"
        raise place.unavailable(reason, final=True) from missing
    return aws_secrets


def _under(text: str, key: str) -> object:
    """What stands under `key`, whose dots lead into mappings where there is no such key as a whole."""
    try:
        value: object = read_json(text)
    except ValueError:
        return None
    for step in [key] if key in to_object(value) else key.split("."):
        value = to_object(value).get(step)
    return value
