"""The audit trail: what administrators have changed, who did, and what it was before and is after."""

from typing import Annotated, Literal, Protocol

from pydantic import Field, StringConstraints

from core.apis.answers.audit import AuditPage
from core.frame.forms import of_form
from core.frame.types import Query

type Second = Annotated[int, Field(ge=0, le=10**10 - 1)]
type Filter = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class AuditQuery(Query):
    """At most `limit` entries, newest first: from `since` on and before `until`, in Unix seconds; after the one at which `page` ended.

    Without `until` it is now, without `since` 30 days before. `actor` is the id of a principal, or `operator`; `entity` is
    `kind::identifier` as rules have it, with `*` for any text.
    """

    since: Second | None = None
    until: Second | None = None
    actor: Filter | None = None
    action: Literal["create", "update", "delete"] | None = None
    entity: Filter | None = None
    page: Annotated[str, of_form("^[0-9]{13}-[0-9a-f]{16}$", "must be `next_page` of the page before")] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class Audit(Protocol):
    async def index(self, *, query: AuditQuery) -> AuditPage:
        """The entries that the caller may read: its own, and those that a rule of the access policy shows it.

        Raises:
            InvalidRequest: `until` is not after `since`, the two are further apart than can be read at once, or `entity` is no pattern.
            ProviderUnavailable: the registry's store cannot be used.
        """
        ...
