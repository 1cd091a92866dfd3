"""What an API key is: `llambda_<id>_<secret>` for its bearer, a salted hash of the secret for the registry.

The hash is one HMAC-SHA256: slow hashes make guessing costly, and 256 random bits cannot be guessed at any speed
(NIST SP 800-63B, 5.1.2.2, wants a slow one for secrets of less than 112 bits only).
"""

import hashlib
import hmac
import logging
import re
import secrets
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from core.config.records import Text
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

log = logging.getLogger(__name__)


class StoredKey(BaseModel):
    """The `attributes` of a key in the registry; `expires` and `last_used`, of older versions, are in Unix seconds."""

    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True, defer_build=True)

    name: Text
    roles: list[Text]
    salt: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$"), Field(repr=False)]
    hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), Field(repr=False)]
    expires: Moment | None
    last_used: Moment | None

    def matches(self, secret: str) -> bool:
        """In the same time whatever the secret is."""
        return hmac.compare_digest(self.hash, _hash(self.salt, secret))

    def is_past(self, now: float) -> bool:
        return self.expires is not None and self.expires <= now


def issue(name: str, roles: list[str], *, expires: int | None, now: int) -> tuple[str, Resource]:
    """A new key's token, which is nowhere else, and what the registry is to store."""
    id_ = "".join(secrets.choice(ALPHABET) for _ in range(ID_CHARACTERS))
    secret, salt = secrets.token_urlsafe(SECRET_BYTES), secrets.token_hex(SALT_BYTES)
    key = StoredKey(name=name, roles=roles, salt=salt, hash=_hash(salt, secret), expires=expires, last_used=None)
    return f"llambda_{id_}_{secret}", Resource(KIND, id_, PROVIDER, id_, key.model_dump(), created=now)


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


def _hash(salt: str, secret: str) -> str:
    return hmac.new(bytes.fromhex(salt), secret.encode(), hashlib.sha256).hexdigest()
