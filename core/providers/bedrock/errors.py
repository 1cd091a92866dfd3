"""What Bedrock and its SDK raise, as failures that a caller may see; the same before a stream's first byte and after."""

from collections.abc import Generator
from contextlib import contextmanager
import logging
from typing import Final

from core.errors import (
    CONTEXT_LENGTH,
    ApiError,
    InvalidRequest,
    NotFound,
    ProviderUnavailable,
    UpstreamFailed,
    UpstreamThrottled,
)
from core.platform.aws_errors import Fault, SetupInvalid, code_of, describe_missing_fields, describe_setup, fault_of
from core.platform.bounded import AnswerTooLarge
from core.providers.aws import failures as aws
from core.providers.http.replies import retry_after_header

log = logging.getLogger(__name__)

ROLES: Final = ("AssumeRole", "AssumeRoleWithWebIdentity")
FAILURES: Final[dict[Fault, tuple[type[ApiError], str]]] = aws.FAILURES | {
    Fault.PERMISSION: (UpstreamFailed, "refused the stack's credentials"),
    Fault.MISSING: (NotFound, "does not have that model or guardrail"),
}
MODELS_OWN: Final = frozenset({Fault.BROKEN, Fault.UNREADABLE})
"""Faults that hand on what a model's own server said of the request."""


@contextmanager
def translate_errors(provider_id: str, request: object = None) -> Generator[None]:
    """What the SDK, its HTTP client or its frame parser raises inside leaves as one of `core.errors`.

    Of what `request` says nothing is logged, though the service repeats it.
    """
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
        translated = _translate(provider_id, failure)
        translated.reason = f"{code_of(failure)}{_reason_of(failure, request)}"
        facts = {"provider": provider_id, "error_code": translated.code, "reason": translated.reason}
        log.warning("provider %s: %s", provider_id, translated.reason, extra=facts)
        raise translated from failure


def _reason_of(failure: Exception, request: object) -> str:
    """What the service says, but of credentials, which it may quote."""
    from core.providers.http.quotes import hide_quotes
    from core.providers.http.upstream_errors import clean_message

    reason = hide_quotes(clean_message(_service_message(failure), ()), request)
    return f": {reason}" if reason and fault_of(failure) not in {Fault.CREDENTIALS, Fault.PERMISSION} else ""


def _service_message(failure: Exception) -> str:
    from botocore.exceptions import ClientError

    return str(failure.response.get("Error", {}).get("Message", "")) if isinstance(failure, ClientError) else ""


def _translate(provider_id: str, failure: Exception) -> ApiError:
    from botocore.exceptions import ClientError

    if isinstance(failure, AnswerTooLarge):
        return UpstreamFailed(f"Provider `{provider_id}` sent an answer that is too large.")
    fault = fault_of(failure)
    if fault is Fault.UNUSABLE:
        return ProviderUnavailable(f"Provider `{provider_id}` {describe_setup(failure, region=aws.REGION)}.")
    refusal = failure if isinstance(failure, ClientError) else None
    if refusal is not None and refusal.operation_name in ROLES and fault is Fault.REQUEST:
        fault = Fault.CREDENTIALS  # the caller chose nothing of it
    kind, reason = FAILURES[fault]
    message = f"Provider `{provider_id}` {reason}."
    if fault is Fault.REQUEST or fault in MODELS_OWN:
        return _mistake(failure, message, is_callers=fault is Fault.REQUEST) or kind(message)
    if fault not in aws.TOLD_WHEN or refusal is None:
        return kind(message)
    headers = retry_after_header(refusal.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}))
    return (UpstreamThrottled if fault is Fault.THROTTLED else ProviderUnavailable)(message, headers=headers)


def _mistake(failure: Exception, message: str, *, is_callers: bool) -> InvalidRequest | None:
    """With the reason, or else `message`; None where it neither is the caller's nor says so."""
    from core.providers.http.error_words import says_too_long
    from core.providers.http.upstream_errors import clean_message

    quoted = _service_message(failure) or str(failure)
    if says_too_long(quoted):
        return InvalidRequest(clean_message(quoted, ())).quote(code=CONTEXT_LENGTH)
    return (
        InvalidRequest(describe_missing_fields(failure) or clean_message(quoted, ()) or message) if is_callers else None
    )
