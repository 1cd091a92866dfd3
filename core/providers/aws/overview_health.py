"""What a health check says on Lambda, where one function looks at every provider and is given the rights of none that it does not use."""

from collections.abc import Awaitable
from typing import Final

from core.errors import ApiError
from core.frame.types import Health
from core.platform.aws_errors import code_of
from core.platform.environment import environ
from core.providers.http.replies import describe_health

REFUSALS: Final = frozenset({"AccessDenied", "AccessDeniedException", "403"})
"""The last is that of a HEAD, whose answer has no body to say more in."""
NOT_CHECKED: Final = (
    "Not checked: AWS answers, but refuses the function that looks at providers, which has no rights on it. Those that use it have: a call "
    "tells, and `llambda iam` prints what they need."
)


async def health_by_rights(probe: Awaitable[object], *, has_own: bool) -> Health:
    """As `health_of`, but that a refusal says nothing on Lambda; `has_own`: the provider calls with keys or a role of its own."""
    try:
        await probe
    except ApiError as failure:
        cause = failure.__cause__
        refused = isinstance(cause, Exception) and code_of(cause) in REFUSALS
        if refused and not has_own and environ().get("AWS_LAMBDA_FUNCTION_NAME"):
            return Health(status="Not Implemented", message=NOT_CHECKED)
        return describe_health(failure)
    return Health(status="OK")
