"""How a resource is written down, alike in every store, and what can be written down at all.

The limits are those of the narrowest store: a DynamoDB sort key has at most 1024 bytes, an item at
most 400 KB (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html).
"""

from dataclasses import asdict, fields
import json
from typing import Final

from core.errors import Conflict, InvalidRequest
from core.frame.resources import Resource

MOST_NAME: Final = 1024  # bytes in UTF-8
MOST_PROVIDER_ID: Final = 255  # bytes in UTF-8
MOST_BODY: Final = 300_000  # bytes as JSON
UNNOTED: Final = frozenset({"api_key_use"})
"""The kinds whose changes are no administrator's: they are in no audit trail."""
PROBE: Final = "probe"
"""An attribute of a key that `llambda keys create` makes to ask a running stack with, and removes: that is no administrator's change.

No API can set it, and a change that is made to such a key is noted.
"""
FIELDS: Final = frozenset(field.name for field in fields(Resource))


def is_noted(before: Resource | None, after: Resource | None) -> bool:
    """Whether this change is in the audit trail; one of the two is there."""
    resource = after or before
    if resource is None or resource.kind in UNNOTED:
        return False
    return (before is not None and after is not None) or resource.attributes.get(PROBE) is not True


def is_storable(name: str, most: int = MOST_NAME) -> bool:
    """Whether `name` can be (part of) a key: 1 to `most` bytes of UTF-8 without NUL. No other name is in a store."""
    try:
        return 0 < len(name.encode()) <= most and "\x00" not in name
    except UnicodeEncodeError:  # a lone surrogate, which JSON can spell
        return False


def encode(resource: Resource) -> str:
    """The resource as ASCII JSON.

    Raises:
        InvalidRequest: a name cannot be a key, or the attributes are too large or not JSON.
    """
    _check_names(resource)
    try:
        body = json.dumps(asdict(resource), allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError) as failure:
        raise InvalidRequest(f"{_title(resource)} cannot be stored as JSON: {failure}.") from failure
    if len(body) > MOST_BODY:
        raise InvalidRequest(f"{_title(resource)} takes {len(body)} bytes as JSON; at most {MOST_BODY} can be stored.")
    return body


def decode(body: str) -> Resource:
    """What `encode` wrote; fields that a newer version added are left out."""
    return Resource(**{name: value for name, value in json.loads(body).items() if name in FIELDS})


def is_other_spelling(body: str, tried: str, *, of: Resource) -> bool:
    """Whether `body`, which is not `tried`, says the same: other versions have other fields, and another order of them."""
    return body != tried and decode(body) == of


def settle(new: Resource, stored: Resource) -> Resource:
    """The outcome of creating `new` where `stored` is: `stored`, if the content is the same.

    Raises:
        Conflict: it is not.
    """
    if stored.content() != new.content():
        raise Conflict(
            f"{_title(stored)} is registered with other content: as `{stored.provider_resource_id}` of provider "
            f"`{stored.provider_id}`, with its own attributes. Unregister it first, or choose another identifier."
        )
    return stored


def check_cursor(after: str) -> None:
    """Refuse what cannot come after or before an identifier; "" is the beginning.

    Raises:
        InvalidRequest: `after` is not the identifier of anything.
    """
    if after and not is_storable(after):
        raise InvalidRequest("`after` must be an identifier from the page before.", param="after")


def is_place(provider_id: str, provider_resource_id: str, after: str) -> bool:
    """Whether anything can be registered there; what may be listed `after` is as for `check_cursor`."""
    if not (is_storable(provider_id) and is_storable(provider_resource_id)):
        return False
    check_cursor(after)
    return True


def _check_names(resource: Resource) -> None:
    names = (
        ("identifier", resource.identifier, MOST_NAME),
        ("provider_id", resource.provider_id, MOST_PROVIDER_ID),
        ("provider_resource_id", resource.provider_resource_id, MOST_NAME),
    )
    for field, name, most in names:
        if not is_storable(name, most):
            raise InvalidRequest(f"`{field}` must be 1 to {most} bytes of UTF-8 text without NUL.", param=field)


def _title(resource: Resource) -> str:
    return f"{resource.kind.replace('_', ' ').capitalize()} `{resource.identifier}`"
