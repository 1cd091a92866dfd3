"""Which limits a caller has."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.frame.callers import Principal
from core.quota.limits import Limits, limits_of
from tests.unit.quota.fakes import anonymous, quota_config, user

ROLES = {
    "admin": {"max_requests": 5000, "max_tokens": 50},
    "writer": {"max_tokens": 900},
    "trial": {"max_requests": 3},
}


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ((), Limits(1000, 200)),
        (("stranger",), Limits(1000, 200)),
        (("admin",), Limits(5000, 50)),
        (("writer",), Limits(1000, 900)),
        (("trial",), Limits(3, 200)),
        (("trial", "stranger"), Limits(3, 200)),
        (("trial", "admin", "writer"), Limits(5000, 900)),
        (("admin", "trial"), Limits(5000, 200)),
    ],
)
def test_of_several_roles_the_largest_limit_wins_in_each_dimension(roles: tuple[str, ...], expected: Limits) -> None:
    assert limits_of(quota_config(max_tokens=200, roles=ROLES), user("ada", *roles).principal) == expected


@pytest.mark.parametrize(
    ("settings", "nobody", "somebody"),
    [
        ({}, Limits(100, None), Limits(1000, None)),
        ({"max_tokens": 5}, Limits(100, 5), Limits(1000, 5)),
        ({"max_tokens": 5, "anonymous_max_tokens": 0}, Limits(100, 0), Limits(1000, 5)),
        ({"max_tokens": 5, "authenticated_max_tokens": 9}, Limits(100, 5), Limits(1000, 9)),
        ({"anonymous_max_requests": 0, "authenticated_max_requests": 1}, Limits(0, None), Limits(1, None)),
    ],
)
def test_anonymous_and_authenticated_callers_have_limits_of_their_own(
    settings: dict[str, Any], nobody: Limits, somebody: Limits
) -> None:
    config = quota_config(**settings)
    assert (limits_of(config, anonymous().principal), limits_of(config, user().principal)) == (nobody, somebody)


def test_a_role_without_a_bound_on_tokens_is_larger_than_any_bound() -> None:
    config = quota_config(roles={"bounded": {"max_tokens": 10}, "free": {"max_requests": 1}})
    assert limits_of(config, user("ada", "bounded").principal) == Limits(1000, 10)
    assert limits_of(config, user("ada", "bounded", "free").principal) == Limits(1000, None)


def test_an_anonymous_caller_has_no_roles() -> None:
    config = quota_config(roles={"admin": {"max_requests": 9000}})
    assert limits_of(config, Principal("", {"roles": ("admin",)})) == Limits(100, None)


@given(st.integers(0, 10**12), st.none() | st.integers(0, 10**12), st.integers(1, 100))
def test_the_shares_of_all_shards_add_up_to_the_whole(requests: int, tokens: int | None, shards: int) -> None:
    shares = [Limits(requests, tokens).share(shard, shards) for shard in range(shards)]
    assert sum(share.requests for share in shares) == requests
    assert sum(share.tokens or 0 for share in shares) == (tokens or 0)
    assert max(share.requests for share in shares) - min(share.requests for share in shares) <= 1
