"""How a service of AWS fails its callers, whichever it is; what is missing, or may not be done, each provider says itself."""

from typing import Final

from core.errors import (
    ApiError,
    InvalidRequest,
    ProviderUnavailable,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
)
from core.platform.aws_errors import Fault

REGION: Final = "`region_name` in its config"
FAILURES: Final[dict[Fault, tuple[type[ApiError], str]]] = {
    Fault.CREDENTIALS: (UpstreamFailed, "refused the stack's credentials"),
    Fault.REQUEST: (InvalidRequest, "refused the request as invalid"),
    Fault.THROTTLED: (UpstreamThrottled, "is throttling. Try again later"),
    Fault.SLOW: (UpstreamTimeout, "did not answer in time"),
    Fault.BROKEN: (UpstreamFailed, "failed to answer"),
    Fault.DOWN: (ProviderUnavailable, "is not available at the moment"),
    Fault.UNREACHABLE: (
        ProviderUnavailable,
        "could not be reached; check its region_name, and endpoint_url if it has one",
    ),
    Fault.UNREADABLE: (UpstreamFailed, "broke off its answer"),
}
TOLD_WHEN: Final = frozenset({Fault.THROTTLED, Fault.DOWN})
"""Faults with a Retry-After."""
