"""A key as a client gets it: nothing of what its secret could be told by."""

from core.apis.answers.keys import Key, LimitOfKey
from core.stores.registry.kept_key import KeptKey


def show(entry: KeptKey, *, last_used: int | None, limits: list[LimitOfKey], now: int) -> Key:
    """`last_used` and `now` are in Unix seconds; `limits` are the key's, with what was used."""
    key, resource = entry.key, entry.resource
    return {
        "id": entry.id,
        "object": "key",
        "name": key.name,
        "created": resource.created,
        "created_by": None if resource.owner is None else resource.owner["principal"],
        "expires": key.expires,
        "last_used": last_used,
        "roles": key.roles,
        "teams": key.teams,
        "models": key.models,
        "limits": limits,
        "revision": key.revision,
        "rotated": key.rotated,
        "previous_until": key.previous.until if key.previous is not None and now < key.previous.until else None,
        "revoked": key.revoked,
    }
