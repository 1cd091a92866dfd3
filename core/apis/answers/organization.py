"""Usage and costs as OpenAI's routes for organizations have them.

Source: https://platform.openai.com/docs/api-reference/usage and the types of `openai` 3 in `openai.types.admin.organization`.
"""

from typing import Literal, NotRequired, TypedDict


class UsageResult(TypedDict):
    """What models answered. A field of a grouping is null unless the query has it: teams are projects, `a+b` of a caller in both.

    `batch` says whether it was a batch's. Of kinds that are not counted there are no results.
    """

    object: str
    input_tokens: int
    num_model_requests: int
    project_id: str | None
    user_id: str | None
    api_key_id: str | None
    model: str | None
    output_tokens: NotRequired[int]
    input_cached_tokens: NotRequired[int]
    input_cache_write_tokens: NotRequired[int]
    input_uncached_tokens: NotRequired[int]
    input_audio_tokens: NotRequired[int]
    output_audio_tokens: NotRequired[int]
    batch: NotRequired[bool | None]
    service_tier: NotRequired[str | None]


class Amount(TypedDict):
    """`value` is a float, as OpenAI's; whole nano-USD are in /v1/usage."""

    value: float
    currency: Literal["usd"]


class CostResult(TypedDict):
    """A line item is a model. The amount is of all answers but the `unpriced_answers`, and null where that is all of them."""

    object: Literal["organization.costs.result"]
    amount: Amount | None
    line_item: str | None
    project_id: str | None
    api_key_id: str | None
    unpriced_answers: int


class UsageBucket(TypedDict):
    """A day of UTC, in Unix seconds."""

    object: Literal["bucket"]
    start_time: int
    end_time: int
    results: list[UsageResult]


class CostBucket(TypedDict):
    """A day of UTC, in Unix seconds."""

    object: Literal["bucket"]
    start_time: int
    end_time: int
    results: list[CostResult]


class UsageBuckets(TypedDict):
    """The oldest first; `next_page` is the `page` to ask for next."""

    object: Literal["page"]
    data: list[UsageBucket]
    has_more: bool
    next_page: str | None


class CostBuckets(TypedDict):
    """The oldest first; `next_page` is the `page` to ask for next."""

    object: Literal["page"]
    data: list[CostBucket]
    has_more: bool
    next_page: str | None
