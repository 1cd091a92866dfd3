"""API keys as a client gets them. Times are in Unix seconds."""

from typing import Literal, TypedDict


class KeyUse(TypedDict):
    """What a key has used in a window, with what calls under way have reserved; `money` is USD."""

    requests: int
    tokens: int
    money: float


class LimitOfKey(TypedDict):
    """A limit, with what was used of it until `resets`; `used` is null where that is not known. `money` is USD."""

    window: Literal["minute", "hour", "day", "month"]
    requests: int | None
    tokens: int | None
    money: float | None
    currency: Literal["USD"]
    soft: float
    hard: bool
    used: KeyUse | None
    resets: int


class Key(TypedDict):
    """`created_by` is the id of whoever made it, null for the operator; `models` is null where it is for all.

    `previous_until` is when the secret before the last rotation ends, null where it has.
    """

    id: str
    object: Literal["key"]
    name: str
    created: int
    created_by: str | None
    expires: int | None
    last_used: int | None
    roles: list[str]
    teams: list[str]
    models: list[str] | None
    limits: list[LimitOfKey]
    revision: int
    rotated: int | None
    previous_until: int | None
    revoked: int | None


class KeyWithSecret(Key):
    """`key` is the whole key, which is shown this once."""

    key: str


class KeyList(TypedDict):
    object: Literal["list"]
    data: list[Key]
    first_id: str | None
    last_id: str | None
    has_more: bool
