"""Usage as a client gets it. A cost is in USD, a float whose decimals are exact below a million; beside it are whole nano-USD."""

from typing import Literal, NotRequired, TypedDict


class UsageEntry(TypedDict):
    """What the calls of one group were counted as: of the group there is what the query's `by` names.

    `day` is YYYY-MM-DD, of UTC. `key` is the id of an API key, null for callers without one, and `key_name` its name. `user` is
    the id of a caller among those that `vouched_by` vouches for: of a key its own id, `anonymous` where nobody is. A caller in
    several teams is in the `team` `a+b` alone. `requests` are as the quota counts them, `answers` those of models. Prompt and
    completion tokens are all there are: cached and cache-write ones are part of the first, reasoning of the second. `cost` is
    of all answers but the `unpriced_answers`, and null where that is all of them.
    """

    day: NotRequired[str]
    key: NotRequired[str | None]
    key_name: NotRequired[str | None]
    user: NotRequired[str]
    vouched_by: NotRequired[str]
    team: NotRequired[str | None]
    model: NotRequired[str | None]
    provider: NotRequired[str | None]
    api: NotRequired[str]
    operation: NotRequired[str]
    requests: int
    answers: int
    prompt_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    estimated_tokens: int
    cost: float | None
    cost_nanos: int | None
    unpriced_answers: int


class UnsettledCall(TypedDict):
    """What a call has reserved that began at `since`, in Unix seconds: it is under way, or it died."""

    since: int
    user: str
    vouched_by: str
    requests: int
    tokens: int
    cost: float
    cost_nanos: int


class UnsettledUsage(TypedDict):
    """All that is reserved, and the oldest of the `calls` that reserved it."""

    requests: int
    tokens: int
    cost: float
    cost_nanos: int
    calls: list[UnsettledCall]


class UsagePage(TypedDict):
    """The groups in their order, and the `total` of all of them, on other pages too.

    From `since` up to, not including, `until`, in Unix seconds. The `scope` is `own` where the caller may read its own usage
    alone. `prices_dated` is the day on which the prices that ship were looked up. `unsettled` is null unless it was asked for.
    """

    object: Literal["usage"]
    since: int
    until: int
    scope: Literal["own", "all"]
    currency: str
    prices_dated: str
    group_by: list[str]
    data: list[UsageEntry]
    total: UsageEntry
    unsettled: UnsettledUsage | None
    has_more: bool
    next_page: str | None
