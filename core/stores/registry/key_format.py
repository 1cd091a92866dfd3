"""What an API key is: `llambda_<id>_<secret>` for its bearer, a salted hash of the secret for the registry.

The hash is one HMAC-SHA256: slow hashes make guessing costly, and 256 random bits cannot be guessed at any speed
(NIST SP 800-63B, 5.1.2.2, wants a slow one for secrets of less than 112 bits only).
"""

import hashlib
import hmac
import logging
import re
import secrets
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from core.config.records import Text
from core.frame.callers import Allowance, Grant
from core.frame.resources import Resource

KIND: Final = "api_key"
USE: Final = "api_key_use"
"""The kind of what says when a key was used last: functions write it, and no keys (docs/adr/0046)."""
PROVIDER: Final = "llambda"  # what the registry has as provider id
TOKEN: Final = re.compile(r"llambda_([a-z2-7]{12})_([A-Za-z0-9_-]+)")
ID: Final = re.compile(r"[a-z2-7]{12}")
ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
ID_CHARACTERS: Final = 12
SECRET_BYTES: Final = 32
SALT_BYTES: Final = 16

LAST_SECOND: Final = 253_402_300_799  # of the year 9999

type Moment = Annotated[int, Field(ge=0, le=LAST_SECOND)]
Salt = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

log = logging.getLogger(__name__)


class EarlierSecret(BaseModel):
    """The hash of the secret that a key had before it was rotated, which opens it `until` then."""

    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True, defer_build=True)

    salt: Annotated[Salt, Field(repr=False)]
    hash: Annotated[Hash, Field(repr=False)]
    until: Moment

    def matches(self, secret: str, now: float) -> bool:
        """In the same time whatever the secret is."""
        return _is_hash(self.salt, self.hash, secret) and now < self.until


class StoredKey(BaseModel):
    """The `attributes` of a key in the registry. All times are in Unix seconds; `last_used` is that of older versions.

    `models` are patterns of the models that it is for, None for all; `limits` are of its use, beside those of the quota. A key that was `revoked` has neither salt nor hash: its
    name stays for what it has used. What was stored before there were teams, models and limits is read as a key without.
    """

    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True, defer_build=True)

    name: Text
    roles: list[Text]
    salt: Annotated[Salt | None, Field(repr=False)]
    hash: Annotated[Hash | None, Field(repr=False)]
    expires: Moment | None
    last_used: Moment | None
    teams: list[Text] = []
    models: list[Text] | None = None
    limits: list[Allowance] = []
    previous: EarlierSecret | None = None
    revision: Annotated[int, Field(ge=1)] = 1
    rotated: Moment | None = None
    revoked: Moment | None = None
    revoked_by: str | None = None

    @model_validator(mode="after")
    def _opens_or_is_revoked(self) -> Self:
        if (self.salt is None or self.hash is None) and self.revoked is None:
            raise ValueError("has no hash")
        return self

    def matches(self, secret: str) -> bool:
        """In the same time whatever the secret is."""
        return self.salt is not None and self.hash is not None and _is_hash(self.salt, self.hash, secret)

    def opens(self, secret: str, now: float) -> bool:
        """Whether it is the key's secret, or the one before within the overlap."""
        is_current, earlier = self.matches(secret), self.previous
        is_earlier = earlier is not None and earlier.matches(secret, now)
        return is_current or is_earlier

    def is_past(self, now: float) -> bool:
        return self.expires is not None and self.expires <= now

    @property
    def attributes(self) -> dict[str, list[str]]:
        """Of its bearer, for the access policy."""
        return {name: names for name, names in (("roles", self.roles), ("teams", self.teams)) if names}

    @property
    def grant(self) -> Grant | None:
        if self.models is None and not self.limits:
            return None
        return Grant(None if self.models is None else tuple(self.models), tuple(self.limits))


def issue(  # noqa: PLR0913 - by name, as they are stored
    name: str,
    roles: list[str],
    *,
    expires: int | None,
    now: int,
    teams: list[str] | None = None,
    models: list[str] | None = None,
    limits: list[Allowance] | None = None,
    owner: dict[str, Any] | None = None,
) -> tuple[str, Resource]:
    """A new key's token, which is nowhere else, and what the registry is to store; `owner` is whoever makes it."""
    id_ = "".join(secrets.choice(ALPHABET) for _ in range(ID_CHARACTERS))
    token, salt, hash_ = new_secret(id_)
    key = StoredKey(
        name=name,
        roles=roles,
        teams=teams or [],
        models=models,
        limits=limits or [],
        salt=salt,
        hash=hash_,
        expires=expires,
        last_used=None,
    )
    return token, Resource(KIND, id_, PROVIDER, id_, to_attributes(key), created=now, owner=owner)


def to_attributes(key: StoredKey) -> dict[str, Any]:
    """As the registry has a key: what is as it was before there was such a thing is left out."""
    attributes = key.model_dump(exclude_defaults=True)
    if key.limits:  # a row by names, as others may be added
        attributes["limits"] = [
            {name: value for name, value in row._asdict().items() if value is not None} for row in key.limits
        ]
    return attributes


def new_secret(id_: str) -> tuple[str, str, str]:
    """The whole of a key with a new secret, the salt, and the hash."""
    secret, salt = secrets.token_urlsafe(SECRET_BYTES), secrets.token_hex(SALT_BYTES)
    return f"llambda_{id_}_{secret}", salt, _hash(salt, secret)


def parse(token: str) -> tuple[str, str] | None:
    """The id and the secret, or None if it is not of the form of a key; the secret may be cut short."""
    match = TOKEN.fullmatch(token)
    return (match[1], match[2]) if match is not None else None


def read(resource: Resource) -> StoredKey | None:
    """The key, or None, logged, if what is stored is not one."""
    try:
        return StoredKey.model_validate(resource.attributes)
    except ValidationError:
        log.warning("API key %s is not usable: what is stored is not a key", resource.identifier)
        return None


def use_at(id_: str, now: int) -> Resource:
    """What the registry has of a key's last use."""
    return Resource(USE, id_, PROVIDER, id_, {"last_used": now}, created=0)


def last_use(use: Resource | None) -> int:
    """In Unix seconds; 0 where there is none."""
    seconds = 0 if use is None else use.attributes.get("last_used")
    return seconds if isinstance(seconds, int) else 0


def _is_hash(salt: str, hash_: str, secret: str) -> bool:
    """In the same time whatever the secret is."""
    return hmac.compare_digest(hash_, _hash(salt, secret))


def _hash(salt: str, secret: str) -> str:
    return hmac.new(bytes.fromhex(salt), secret.encode(), hashlib.sha256).hexdigest()
