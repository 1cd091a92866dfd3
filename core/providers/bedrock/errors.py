"""What Bedrock and its SDK raise, as failures that a caller may see; the same before a stream's first byte and after."""

from collections.abc import Generator
from contextlib import contextmanager
import logging
from typing import Final

from core.errors import (
    MOST_MESSAGE,
    ApiError,
    InvalidRequest,
    NotFound,
    ProviderUnavailable,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
    shorten,
)
from core.platform.aws_errors import Fault, SetupInvalid, code_of, describe_missing_fields, describe_setup, fault_of
from core.platform.bounded import AnswerTooLarge
from core.providers.http.replies import retry_after_header

log = logging.getLogger(__name__)

MOST_QUOTED: Final = 500  # characters of Bedrock's message that a caller sees
REGION: Final = "`region_name` in its config"
ROLES: Final = ("AssumeRole", "AssumeRoleWithWebIdentity")
FAILURES: Final[dict[Fault, tuple[type[ApiError], str]]] = {
    Fault.CREDENTIALS: (UpstreamFailed, "refused the stack's credentials"),
    Fault.PERMISSION: (UpstreamFailed, "refused the stack's credentials"),
    Fault.REQUEST: (InvalidRequest, "refused the request as invalid"),
    Fault.MISSING: (NotFound, "does not have that model or guardrail"),
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


@contextmanager
def translate_errors(provider_id: str) -> Generator[None]:
    """What the SDK, its HTTP client or its frame parser raises inside leaves as one of `core.errors`."""
    from aiohttp import ClientError as HttpError
    from botocore.eventstream import ParserError
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    # The last are how the SDK's parser fails at JSON of another shape than it knows, or that is nested too deep.
    shape = (UnicodeError, AttributeError, TypeError, KeyError, ValueError, OverflowError, RecursionError)
    unreadable = (ParserError, ResponseParserError, AnswerTooLarge, *shape)
    try:
        yield
    except (ClientError, BotoCoreError, SetupInvalid, HttpError, TimeoutError, *unreadable) as failure:
        log.warning("provider %s: %s", provider_id, code_of(failure))
        raise _translate(provider_id, failure) from failure


def _translate(provider_id: str, failure: Exception) -> ApiError:
    from botocore.exceptions import ClientError

    if isinstance(failure, AnswerTooLarge):
        return UpstreamFailed(f"Provider `{provider_id}` sent an answer that is too large.")
    fault = fault_of(failure)
    if fault is Fault.UNUSABLE:
        return ProviderUnavailable(f"Provider `{provider_id}` {describe_setup(failure, region=REGION)}.")
    refusal = failure if isinstance(failure, ClientError) else None
    if refusal is not None and refusal.operation_name in ROLES and fault is Fault.REQUEST:
        fault = Fault.CREDENTIALS  # the caller chose nothing of it
    kind, reason = FAILURES[fault]
    message = f"Provider `{provider_id}` {reason}."
    if fault is Fault.REQUEST:
        quoted = str(failure) if refusal is None else refusal.response.get("Error", {}).get("Message", "")
        message = describe_missing_fields(failure) or shorten(quoted[:MOST_QUOTED], MOST_MESSAGE) or message
    headers = {} if refusal is None else refusal.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    if fault is Fault.THROTTLED:
        return UpstreamThrottled(message, headers=retry_after_header(headers.get("retry-after")))
    return kind(message)
