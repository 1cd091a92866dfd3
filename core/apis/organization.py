"""OpenAI's routes for the usage and the costs of an organization, which is here the stack.

Source: https://platform.openai.com/docs/api-reference/usage.
"""

from typing import Annotated, Protocol

from pydantic import Field, StringConstraints

from core.apis.answers.organization import CostBuckets, UsageBuckets
from core.frame.types import Query

type Second = Annotated[int, Field(ge=0, le=10**10 - 1)]
Names = Annotated[list[Annotated[str, StringConstraints(max_length=1024)]], Field(max_length=100)]


class OrganizationQuery(Query):
    """Days from `start_time` on and before `end_time`, in Unix seconds, at most `limit` of them on a page.

    Projects are teams. `batch` is whether batches alone count, or all but them.
    """

    start_time: Second
    end_time: Second | None = None
    bucket_width: str = "1d"
    group_by: Names = Field(default_factory=list[str])
    project_ids: Names = Field(default_factory=list[str])
    user_ids: Names = Field(default_factory=list[str])
    api_key_ids: Names = Field(default_factory=list[str])
    page: Annotated[str, StringConstraints(max_length=1024)] | None = None


class OrganizationUsageQuery(OrganizationQuery):
    """Of some models alone, where it names any."""

    models: Names = Field(default_factory=list[str])
    batch: bool | None = None
    limit: Annotated[int, Field(ge=1, le=31)] = 7


class OrganizationCostsQuery(OrganizationQuery):
    """A page may be longer than one of usage."""

    limit: Annotated[int, Field(ge=1, le=180)] = 7


class Organization(Protocol):
    """The caller's own usage, and that of others where a rule of the access policy says so. Of what is not counted there are days without results.

    Every method raises InvalidRequest for days that usage is not kept of, widths but days, groupings that there are not and
    pages of other queries; PermissionDenied for others' usage; StateUnavailable where the stack counts none; QuotaUnavailable
    where the store cannot be used.
    """

    async def completions(self, *, query: OrganizationUsageQuery) -> UsageBuckets: ...

    async def embeddings(self, *, query: OrganizationUsageQuery) -> UsageBuckets: ...

    async def moderations(self, *, query: OrganizationUsageQuery) -> UsageBuckets: ...

    async def images(self, *, query: OrganizationUsageQuery) -> UsageBuckets: ...

    async def audio_speeches(self, *, query: OrganizationUsageQuery) -> UsageBuckets: ...

    async def audio_transcriptions(self, *, query: OrganizationUsageQuery) -> UsageBuckets: ...

    async def vector_stores(self, *, query: OrganizationUsageQuery) -> UsageBuckets: ...

    async def code_interpreter_sessions(self, *, query: OrganizationUsageQuery) -> UsageBuckets: ...

    async def decisions(self, *, query: OrganizationUsageQuery) -> UsageBuckets: ...

    async def file_search_calls(self, *, query: OrganizationUsageQuery) -> UsageBuckets: ...

    async def web_search_calls(self, *, query: OrganizationUsageQuery) -> UsageBuckets: ...

    async def costs(self, *, query: OrganizationCostsQuery) -> CostBuckets: ...
