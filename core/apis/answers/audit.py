"""The audit trail as a client gets it."""

from typing import Any, Literal, TypedDict


class AuditActor(TypedDict):
    """A caller: its id among those that `vouched_by` vouches for, and a label for people, as a key's name."""

    principal: str
    vouched_by: str
    label: str


class AuditEntry(TypedDict):
    """One change, `at` Unix seconds. The actor is "operator" at the command line, and "anonymous" where the stack tells no callers apart.

    `before` and `after` are without secrets; null is what was not there. Of what is too large there is `{"digest", "bytes"}`.
    """

    id: str
    at: int
    actor: AuditActor | Literal["operator", "anonymous"]
    request_id: str
    action: Literal["create", "update", "delete"]
    entity: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditPage(TypedDict):
    """Newest first; `next_page` is the `page` to ask for next, null at the end. A page may have few entries, or none, and more may follow."""

    object: Literal["list"]
    data: list[AuditEntry]
    has_more: bool
    next_page: str | None
