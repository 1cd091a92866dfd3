"""A key as the registry has it, and what may become of it: another secret, another purpose, its end. Nothing is written here."""

from dataclasses import dataclass, replace
from typing import Any, Final

from core.errors import Conflict
from core.frame.resources import Resource
from core.stores.registry.key_format import EarlierSecret, StoredKey, new_secret, read, to_attributes

REVOKED: Final = "The key is revoked, for good. Make another."


@dataclass(frozen=True, slots=True)
class KeptKey:
    """`resource` is what is stored, `key` what it says."""

    resource: Resource
    key: StoredKey

    @classmethod
    def read(cls, resource: Resource | None) -> "KeptKey | None":
        """None for what is not there, and, logged, for what is no key."""
        key = None if resource is None else read(resource)
        return None if resource is None or key is None else cls(resource, key)

    @property
    def id(self) -> str:
        return self.resource.identifier

    def change(self, **fields: Any) -> "KeptKey":  # noqa: ANN401 - of StoredKey
        """The next revision, with these fields of StoredKey; what a newer version has stored beside them stays.

        Raises:
            Conflict: it is revoked.
        """
        if self.key.revoked is not None:
            raise Conflict(REVOKED)
        key = self.key.model_copy(update={**fields, "revision": self.key.revision + 1})
        others = {name: value for name, value in self.resource.attributes.items() if name not in StoredKey.model_fields}
        return KeptKey(replace(self.resource, attributes=others | to_attributes(key)), key)

    def rotate(self, *, overlap: int, force: bool, now: int) -> "tuple[str, KeptKey]":
        """The whole key with a new secret, and what is to be stored: for `overlap` seconds the secret of now passes too.

        Raises:
            Conflict: it is revoked; or the secret before this one passes still, which only `force` ends.
        """
        key, previous = self.key, None
        if key.previous is not None and now < key.previous.until and not force:
            raise Conflict(
                "The key was rotated a while ago, and the secret that it had before passes until "
                f"{key.previous.until} (Unix seconds). To end that now, rotate it with `force`."
            )
        if overlap and key.salt is not None and key.hash is not None:
            previous = EarlierSecret(salt=key.salt, hash=key.hash, until=now + overlap)
        token, salt, hash_ = new_secret(self.id)
        return token, self.change(salt=salt, hash=hash_, previous=previous, rotated=now)

    def revoke(self, *, by: str | None, last_used: int | None, now: int) -> "KeptKey":
        """Without anything that a secret could be told by; raises Conflict where it is revoked."""
        blank = {"salt": None, "hash": None, "previous": None}
        return self.change(**blank, revoked=now, revoked_by=by, last_used=last_used)
