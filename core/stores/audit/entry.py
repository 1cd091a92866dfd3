"""An entry of the audit trail: who changed what, when, and what it was before and is after, without secrets.

The stores of what is changed write it in the transaction of the change itself: there is no change without an entry, and none
without a change. An entry is never written again.
"""

from dataclasses import dataclass, field
from hashlib import sha256
import json
import os
import time
from typing import Any, Final, Literal, NamedTuple, cast

from core.config.redact import redact, redact_keys
from core.frame.callers import Principal
from core.frame.resources import Resource
from core.frame.tracing import REQUEST_ID
from core.frame.types import JsonObject

OPERATOR: Final = "operator"
ANONYMOUS: Final = "anonymous"
MOST_SIDE: Final = 100_000  # bytes as JSON of what something was, or is; of more, a digest is kept
HASHES: Final = frozenset({"salt", "hash", "previous"})
"""Of an API key: what its secret could be guessed against."""
KINDS: Final = {"api_key": "key"}
"""What the access policy and people call a kind, where it is stored under another name."""

type Verb = Literal["create", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Change:
    """`by` is the caller, or None for the operator at the command line; `entity` is `kind::identifier`, as rules name it; `at` is Unix time in seconds.

    `before` and `after` may have secrets: `encode` takes them out. None is what was not there.
    """

    by: Principal | None
    action: Verb
    entity: str
    before: JsonObject | None
    after: JsonObject | None
    at: float = field(default_factory=time.time)


class Entry(NamedTuple):
    """`id` begins with the Unix time in milliseconds, in 13 digits, so that ids are in the order of time; `body` is ASCII JSON."""

    id: str
    body: str


def change_of(before: Resource | None, after: Resource | None, by: Principal | None) -> Change:
    """Of a registered resource; one of the two is there."""
    resource = cast("Resource", after or before)
    action: Verb = "create" if before is None else "delete" if after is None else "update"
    entity = f"{KINDS.get(resource.kind, resource.kind)}::{resource.identifier}"
    return Change(by, action, entity, _side(before), _side(after))


def encode(change: Change) -> Entry:
    """Its entry, without secrets."""
    body: JsonObject = {
        "at": int(change.at),
        "actor": _actor(change.by),
        "request_id": REQUEST_ID.get(),
        "action": change.action,
        "entity": change.entity,
        "before": _shown(change.before),
        "after": _shown(change.after),
    }
    return Entry(f"{int(change.at * 1000):013}-{os.urandom(8).hex()}", json.dumps(body, separators=(",", ":")))


def decode(entry_id: str, body: str) -> JsonObject:
    """What `encode` wrote, with its id."""
    entry: JsonObject = json.loads(body)
    return {"id": entry_id, **entry}


def _actor(by: Principal | None) -> JsonObject | str:
    if by is None:
        return OPERATOR
    if by.anonymous:
        return ANONYMOUS
    return {"principal": by.id, "vouched_by": by.vouched_by, "label": by.label}


def _side(resource: Resource | None) -> JsonObject | None:
    if resource is None:
        return None
    attributes = resource.attributes
    if resource.kind == "api_key":
        attributes = {name: value for name, value in attributes.items() if name not in HASHES}
    return {
        "provider_id": resource.provider_id,
        "provider_resource_id": resource.provider_resource_id,
        "owner": None if resource.owner is None else resource.owner["principal"],
        **attributes,
    }


def _shown(side: JsonObject | None) -> JsonObject | None:
    if side is None:
        return None
    shown: JsonObject = _without_keys(redact(side))
    text = json.dumps(shown, separators=(",", ":")).encode()
    if len(text) <= MOST_SIDE:
        return shown
    return {"digest": f"sha256:{sha256(text).hexdigest()}", "bytes": len(text)}


def _without_keys(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return redact_keys(value) if len(value) <= MOST_SIDE else value  # of what is longer a digest is kept
    if isinstance(value, dict):
        return {name: _without_keys(item) for name, item in cast("JsonObject", value).items()}
    return [_without_keys(item) for item in cast("list[Any]", value)] if isinstance(value, list | tuple) else value
