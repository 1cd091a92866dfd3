"""Usage, to be read: what calls were counted as, by caller, model, day and what else there is of them."""

from typing import Annotated, Literal, Protocol

from pydantic import Field, StringConstraints

from core.apis.answers.spending import UsagePage
from core.frame.types import Query

type Moment = Annotated[str, StringConstraints(min_length=1, max_length=32)]
type Name = Annotated[str, StringConstraints(max_length=1024)]
Names = Annotated[list[Name], Field(max_length=100)]


class SpendingQuery(Query):
    """From `since` on and before `until`, in whole days of UTC: Unix seconds, or YYYY-MM-DD; without them the last 30 days.

    `by` are the names of what is grouped by, also several with commas; the other lists are what counts alone, each of any of
    its values. At most `limit` groups, after the page at which `page` ended.
    """

    since: Moment | None = None
    until: Moment | None = None
    by: Names = Field(default_factory=list[str])
    key: Names = Field(default_factory=list[str])
    user: Names = Field(default_factory=list[str])
    team: Names = Field(default_factory=list[str])
    model: Names = Field(default_factory=list[str])
    provider: Names = Field(default_factory=list[str])
    api: Names = Field(default_factory=list[str])
    operation: Names = Field(default_factory=list[str])
    unsettled: bool = False
    format: Literal["json", "csv"] = "json"
    page: Annotated[str, StringConstraints(max_length=8192)] | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1000


class Spending(Protocol):
    async def show(self, *, query: SpendingQuery) -> UsagePage | str:
        """The caller's own usage, and that of others where a rule of the access policy says so; a text where CSV is asked for.

        Raises:
            InvalidRequest: the days are none that usage is kept of, there is no such grouping, or the page is of another query.
            PermissionDenied: the query names others, and no rule lets the caller read their usage.
            StateUnavailable: the stack counts no usage.
            QuotaUnavailable: the store of usage cannot be used.
        """
        ...
