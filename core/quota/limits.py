"""How much a caller may in a window, and the share of it that each shard of the counter has."""

from collections.abc import Callable
from dataclasses import dataclass

from core.config.security import QuotaConfig, RoleLimits
from core.frame.callers import KeepLimits, Principal


@dataclass(frozen=True, slots=True)
class Limits:
    """`tokens` is None where they are not limited."""

    requests: int
    tokens: int | None

    def share(self, shard: int, shards: int) -> "Limits":
        """Of the shard with this number; the shares of all add up to the whole."""
        return Limits(
            _part(self.requests, shard, shards), None if self.tokens is None else _part(self.tokens, shard, shards)
        )


def limits_of(config: QuotaConfig, principal: Principal) -> Limits:
    """Those of the caller's roles that have limits, in each dimension the largest; without such roles the common ones."""
    if principal.anonymous:
        return Limits(config.anonymous_max_requests, _first(config.anonymous_max_tokens, config.max_tokens))
    common = Limits(config.authenticated_max_requests, _first(config.authenticated_max_tokens, config.max_tokens))
    roles = [config.roles[role] for role in principal.attributes.get("roles", ()) if role in config.roles]
    if not roles:
        return common
    requests = [_first(role.max_requests, common.requests) or 0 for role in roles]
    tokens = [_first(role.max_tokens, common.tokens) for role in roles]
    return Limits(max(requests), _largest(tokens))


def keep_limits_of(config: QuotaConfig, principal: Principal) -> KeepLimits:
    """As `limits_of`, of what the caller may keep."""
    roles = [config.roles[role] for role in principal.attributes.get("roles", ()) if role in config.roles]

    def most(of: Callable[[QuotaConfig | RoleLimits], int | None]) -> int | None:
        return _largest([_first(of(role), of(config)) for role in roles] or [of(config)])

    return KeepLimits(
        files=most(lambda limits: limits.max_files),
        bytes=most(lambda limits: limits.max_bytes),
        vector_stores=most(lambda limits: limits.max_vector_stores),
        prompts=most(lambda limits: limits.max_prompts),
        responses=most(lambda limits: limits.max_responses),
        conversations=most(lambda limits: limits.max_conversations),
        agents=most(lambda limits: limits.max_agents),
        batches=most(lambda limits: limits.max_batches),
        datasets=most(lambda limits: limits.max_datasets),
        dataset_bytes=most(lambda limits: limits.max_dataset_bytes),
    )


def _largest(limits: list[int | None]) -> int | None:
    bounded = [limit for limit in limits if limit is not None]
    return max(bounded) if len(bounded) == len(limits) else None


def _part(whole: int, shard: int, shards: int) -> int:
    return whole // shards + (shard < whole % shards)


def _first(own: int | None, common: int | None) -> int | None:
    return common if own is None else own
